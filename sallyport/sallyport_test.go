// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestStartAndAttach(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		host, keep := startedPair(t, hc, kc, &testHandler{})
		c, err := keep.StartConfig(testContext(t))
		must(t, err)
		if c.Digest() != pushConfig.Digest() || c.MaxSessions != 7 {
			t.Fatalf("Keep has %+v", c)
		}
		a, b := attach(t, host, keep)
		data := pattern(3 << 20)
		var wg sync.WaitGroup
		send := func(w net.Conn) {
			defer wg.Done()
			if _, err := w.Write(data); err != nil {
				t.Error(err)
			}
			if err := w.(*Conn).CloseWrite(); err != nil {
				t.Error(err)
			}
		}
		recv := func(r net.Conn) {
			defer wg.Done()
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %d bytes, error %v", len(got), err)
			}
		}
		wg.Add(4)
		go send(a)
		go send(b)
		go recv(a)
		go recv(b)
		wg.Wait()
		must(t, a.Close())
		must(t, b.Close())
		eventually(t, "streams are gone", func() bool {
			return len(host.mc.snapshot()) == 0 && len(keep.mc.snapshot()) == 0
		})
	})
}

// snapshot lists the live streams.
func (m *muxConn) snapshot() []uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []uint32
	for id := range m.streams {
		ids = append(ids, id)
	}
	return ids
}

func TestHalfCloseLastsAndReplyArrives(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		host, keep := startedPair(t, hc, kc, &testHandler{})
		a, b := attach(t, host, keep)
		_, err := a.Write([]byte("question"))
		must(t, err)
		must(t, a.(*Conn).CloseWrite())
		got, err := io.ReadAll(b)
		if err != nil || string(got) != "question" {
			t.Fatalf("read %q, %v", got, err)
		}
		time.Sleep(50 * time.Millisecond)
		_, err = b.Write([]byte("answer"))
		must(t, err)
		must(t, b.Close())
		got, err = io.ReadAll(a)
		if err != nil || string(got) != "answer" {
			t.Fatalf("read %q, %v", got, err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("write after CloseWrite: %v", err)
		}
	})
}

func TestCloseStopsThePeersWriter(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		host, keep := startedPair(t, hc, kc, &testHandler{})
		a, b := attach(t, host, keep)
		must(t, b.Close())
		_, err := io.Copy(a, neverEnding{})
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("writing to a closed peer: %v, expected a reset", err)
		}
		must(t, a.Close())
		eventually(t, "streams are gone", func() bool {
			return len(host.mc.snapshot()) == 0 && len(keep.mc.snapshot()) == 0
		})
	})
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

func TestCloseUnblocksReadAndDeadlinesWork(t *testing.T) {
	hc, kc := socketPair(t)
	host, keep := startedPair(t, hc, kc, &testHandler{})
	a, _ := attach(t, host, keep)
	must(t, a.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read past its deadline: %v", err)
	}
	must(t, a.SetDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := a.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("write past its deadline: %v", err)
	}
	must(t, a.SetDeadline(time.Time{}))
	got := make(chan error, 1)
	go func() {
		_, err := a.Read(make([]byte, 1))
		got <- err
	}()
	time.Sleep(20 * time.Millisecond)
	must(t, a.Close())
	if err := <-got; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("read during Close: %v", err)
	}
}

// A cut channel must never look like an orderly end: whoever reads plain TCP
// would take half a file for a whole one.
func TestInvariant3CutChannelIsNoEnd(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		host, keep := startedPair(t, hc, kc, &testHandler{})
		a, b := attach(t, host, keep)
		_, err := a.Write([]byte("half"))
		must(t, err)
		buf := make([]byte, 4)
		_, err = io.ReadFull(b, buf)
		must(t, err)
		must(t, keep.Close())
		if _, err := b.Read(buf); err == nil || err == io.EOF {
			t.Fatalf("read on a session that was closed: %v", err)
		}
		must(t, host.Close())
		if _, err := a.Read(buf); err == nil || err == io.EOF {
			t.Fatalf("read on a session that was closed: %v", err)
		}
	})
}

func TestDial(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		ln := echoListener(t)
		h := &testHandler{dial: func(ctx context.Context, to Endpoint, p DialPurpose) (net.Conn, error) {
			switch to.Host {
			case "refused":
				return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			case "policy":
				return nil, &RemoteError{CodePolicy, "not on the \x1b[31mlist"}
			case "unknown":
				return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
			}
			if p != DialWorkload {
				return nil, &RemoteError{CodePolicy, "wrong purpose"}
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", ln.Addr().String())
		}}
		_, keep := startedPair(t, hc, kc, h)
		ctx := testContext(t)
		for host, code := range map[string]Code{"refused": CodeRefused, "policy": CodePolicy, "unknown": CodeNotFound} {
			_, err := keep.Dial(ctx, Endpoint{host, 1}, DialWorkload)
			wantCode(t, err, code)
			if strings.ContainsRune(err.Error(), 0x1b) {
				t.Fatalf("control characters came through: %q", err)
			}
		}
		_, err := keep.Dial(ctx, Endpoint{"echo.example", 7}, DialKeep)
		wantCode(t, err, CodePolicy)
		if _, err := keep.Dial(ctx, Endpoint{"bad host", 7}, DialWorkload); err == nil {
			t.Fatal("a host name with a space was taken")
		}
		c, err := keep.Dial(ctx, Endpoint{"echo.example", 7}, DialWorkload)
		must(t, err)
		if c.RemoteAddr().String() != "echo.example:7" {
			t.Fatalf("remote address is %v", c.RemoteAddr())
		}
		data := pattern(1 << 20)
		go func() {
			_, _ = c.Write(data)
			_ = c.(*Conn).CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("echo gave %d bytes, %v", len(got), err)
		}
		must(t, c.Close())
	})
}

func TestListen(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		var gotAt Endpoint
		var gotPublish string
		h := &testHandler{listen: func(ctx context.Context, at Endpoint, publish string) (net.Listener, error) {
			gotAt, gotPublish = at, publish
			if at.Port == 1 {
				return nil, os.NewSyscallError("bind", syscall.EACCES)
			}
			if at.Port == 2 {
				return nil, os.NewSyscallError("bind", syscall.EADDRINUSE)
			}
			return loopbackListen(ctx, at, publish)
		}}
		_, keep := startedPair(t, hc, kc, h)
		ctx := testContext(t)
		_, err := keep.Listen(ctx, Endpoint{"::", 1}, "")
		wantCode(t, err, CodePermission)
		_, err = keep.Listen(ctx, Endpoint{"::", 2}, "")
		wantCode(t, err, CodeAddrInUse)
		ln, err := keep.Listen(ctx, Endpoint{"::", 443}, "127.0.0.1:8443")
		must(t, err)
		if (gotAt != Endpoint{"::", 443}) || gotPublish != "127.0.0.1:8443" {
			t.Fatalf("the host was asked for %v at %q", gotAt, gotPublish)
		}
		for range 3 {
			client, err := net.Dial("tcp", ln.Addr().String())
			must(t, err)
			c, err := ln.Accept()
			must(t, err)
			if c.RemoteAddr().String() != client.LocalAddr().String() {
				t.Fatalf("remote address %v, expected %v", c.RemoteAddr(), client.LocalAddr())
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
			_, err = client.Write([]byte("ping"))
			must(t, err)
			must(t, client.(*net.TCPConn).CloseWrite())
			got, err := io.ReadAll(client)
			if err != nil || string(got) != "ping" {
				t.Fatalf("read %q, %v", got, err)
			}
			client.Close()
		}
		must(t, ln.Close())
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("accept after close: %v", err)
		}
		if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			c.Close()
			t.Fatal("the host's listener is still open")
		}
	})
}

func TestHostListenersCloseWithTheSession(t *testing.T) {
	hc, kc := socketPair(t)
	_, keep := startedPair(t, hc, kc, &testHandler{listen: loopbackListen})
	ln, err := keep.Listen(testContext(t), Endpoint{"", 80}, "")
	must(t, err)
	must(t, keep.Close())
	eventually(t, "the host's listener is closed", func() bool {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

func TestQuoteHintsSpool(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		evidence := pattern(5000)
		h := &testHandler{quote: func(_ context.Context, rd [64]byte) ([]byte, error) {
			return append(evidence, rd[:]...), nil
		}}
		host, keep := startedPair(t, hc, kc, h)
		ctx := testContext(t)
		rd := [64]byte{1, 2, 3, 63: 4}
		got, err := keep.Quote(ctx, rd)
		must(t, err)
		if !bytes.Equal(got, append(evidence, rd[:]...)) {
			t.Fatalf("quote is %d bytes", len(got))
		}
		if hints, err := keep.Hints(ctx); err != nil || hints != nil {
			t.Fatalf("hints before any: %v, %v", hints, err)
		}
		want := []Hint{{"application/pkix-cert", pattern(20000)}, {"application/pkix-crl", pattern(3)}}
		must(t, host.SendHints(ctx, want))
		hints, err := keep.Hints(ctx)
		must(t, err)
		if len(hints) != 2 || hints[0].MediaType != want[0].MediaType || !bytes.Equal(hints[0].Value, want[0].Value) {
			t.Fatalf("hints are %v", hints)
		}
		if err := host.SendHints(ctx, []Hint{{"x", make([]byte, maxHints)}}); err == nil {
			t.Fatal("hints past the limit were taken")
		}
		record := pattern(MaxSpool)
		must(t, keep.Spool(ctx, record))
		if len(h.spools) != 1 || !bytes.Equal(h.spools[0], record) {
			t.Fatal("the spooled record is not what was sent")
		}
		if err := keep.Spool(ctx, make([]byte, MaxSpool+1)); err == nil {
			t.Fatal("a record past the limit was taken")
		}
	})
}

func TestLogsArriveInOrderBeforeExit(t *testing.T) {
	onChannels(t, func(t *testing.T, hc, kc io.ReadWriteCloser) {
		h := &testHandler{}
		_, keep := connectPair(t, hc, kc, h, HostOptions{})
		want := []LogCode{LogBoot, LogSandboxed, LogReady, LogClaimed, LogAccepted, LogRunning, LogEnded}
		for _, c := range want {
			keep.Log(c)
		}
		must(t, keep.Exit(context.Background(), ExitEnded))
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.Equal(h.logs, want) || !slices.Equal(h.exits, []ExitCode{ExitEnded}) {
			t.Fatalf("host has logs %v, exits %v", h.logs, h.exits)
		}
	})
}

// TestThousandTunnels is the load of an agent's busiest hour on one Keep.
func TestThousandTunnels(t *testing.T) {
	hc, kc := socketPair(t)
	host, keep := startedPair(t, hc, kc, &testHandler{})
	ctx := testContext(t)
	go func() {
		for {
			c, err := keep.AcceptAttach(ctx)
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := host.Attach(ctx)
			if err != nil {
				t.Errorf("tunnel %d: %v", i, err)
				return
			}
			data := pattern(2000 + i)
			for range 3 {
				got := make([]byte, len(data))
				if _, err := c.Write(data); err != nil {
					t.Errorf("tunnel %d: %v", i, err)
				}
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
					t.Errorf("tunnel %d: %v", i, err)
				}
			}
			_ = c.Close()
		}()
	}
	wg.Wait()
	eventually(t, "streams are gone", func() bool {
		return len(host.mc.snapshot()) == 0 && len(keep.mc.snapshot()) == 0
	})
}

// Codes of client sessions, however many, must not push out the others.
func TestLogFloodKeepsTheOtherCodes(t *testing.T) {
	hc, kc := socketPair(t)
	h := &testHandler{}
	_, keep := startedPair(t, hc, kc, h)
	for range 5000 {
		keep.Log(LogSessionOpen)
		keep.Log(LogAttested)
	}
	keep.Log(LogClaimed)
	must(t, keep.Exit(testContext(t), ExitEnded))
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.logs) != 2*maxLogs+1 || h.logs[2*maxLogs] != LogClaimed {
		t.Fatalf("host has %v", h.logs)
	}
}
