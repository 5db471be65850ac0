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
	"sync"
	"syscall"
	"testing"
	"time"
)

// testHandler is a host that records what it is asked.
type testHandler struct {
	mu     sync.Mutex
	logs   []LogCode
	exits  []ExitCode
	spools [][]byte

	dial   func(ctx context.Context, to Endpoint, p DialPurpose) (net.Conn, error)
	listen func(ctx context.Context, at Endpoint, publish string) (net.Listener, error)
	quote  func(ctx context.Context, rd [64]byte) ([]byte, error)
}

func (h *testHandler) Dial(ctx context.Context, to Endpoint, p DialPurpose) (net.Conn, error) {
	if h.dial == nil {
		return nil, &RemoteError{CodePolicy, "no dialling in this test"}
	}
	return h.dial(ctx, to, p)
}

func (h *testHandler) Listen(ctx context.Context, at Endpoint, publish string) (net.Listener, error) {
	if h.listen == nil {
		return nil, &RemoteError{CodePolicy, "no listening in this test"}
	}
	return h.listen(ctx, at, publish)
}

func (h *testHandler) Quote(ctx context.Context, rd [64]byte) ([]byte, error) {
	if h.quote == nil {
		return nil, errors.ErrUnsupported
	}
	return h.quote(ctx, rd)
}

func (h *testHandler) Spool(_ context.Context, b []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spools = append(h.spools, b)
	return nil
}

func (h *testHandler) Log(c LogCode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = append(h.logs, c)
}

func (h *testHandler) Exit(c ExitCode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exits = append(h.exits, c)
}

func loopbackListen(context.Context, Endpoint, string) (net.Listener, error) {
	return net.Listen("tcp", "127.0.0.1:0")
}

// socketPair is what the process platform uses.
func socketPair(t testing.TB) (host, keep io.ReadWriteCloser) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	end := func(fd int) net.Conn {
		f := os.NewFile(uintptr(fd), "sallyport")
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	return end(fds[0]), end(fds[1])
}

// portQueue is one direction of a simulated virtio-serial port: bounded,
// delivers odd pieces, and has no end.
type portQueue struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	max    int
	n      int
	closed [2]bool // writer, reader
}

func newPortQueue(stale []byte) *portQueue {
	q := &portQueue{max: 64 << 10, buf: bytes.Clone(stale)}
	q.cond = sync.NewCond(&q.mu)
	return q
}

func (q *portQueue) write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	done := 0
	for done < len(p) {
		for len(q.buf) >= q.max && !q.closed[0] {
			q.cond.Wait()
		}
		if q.closed[0] {
			return done, os.ErrClosed
		}
		k := min(len(p)-done, q.max-len(q.buf))
		q.buf = append(q.buf, p[done:done+k]...)
		done += k
		q.cond.Broadcast()
	}
	return done, nil
}

func (q *portQueue) read(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n++
	if q.n%7 == 0 {
		// Now and then, and without meaning: the guest driver does so while
		// the host is not connected.
		return 0, io.EOF
	}
	for len(q.buf) == 0 && !q.closed[1] {
		q.cond.Wait()
	}
	if q.closed[1] {
		return 0, os.ErrClosed
	}
	k := min(len(p), len(q.buf), 1+(q.n*q.n)%5000)
	copy(p, q.buf[:k])
	q.buf = q.buf[k:]
	q.cond.Broadcast()
	return k, nil
}

func (q *portQueue) close(i int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed[i] = true
	q.cond.Broadcast()
}

// port is one end. Closing it tells the other end nothing.
type port struct{ in, out *portQueue }

func (p *port) Read(b []byte) (int, error)  { return p.in.read(b) }
func (p *port) Write(b []byte) (int, error) { return p.out.write(b) }
func (p *port) Close() error {
	p.in.close(1)
	p.out.close(0)
	return nil
}

func portPair(t testing.TB, staleToHost, staleToKeep []byte) (host, keep *port) {
	a, b := newPortQueue(staleToHost), newPortQueue(staleToKeep)
	host, keep = &port{in: a, out: b}, &port{in: b, out: a}
	t.Cleanup(func() { host.Close(); keep.Close() })
	return host, keep
}

// stale is what an earlier life may have left: half a frame, a hello and a go
// of dead peers, noise.
func stale(r role) []byte {
	var b []byte
	b = append(b, bytes.Repeat([]byte{0, 0, 0, 1, 7, 0xff, 'E', 'N'}, 500)...)
	old := preamble{preambleVersion, r, stepHello, nonce{1, 2, 3}, nonce{}}
	b = append(b, old.encode()...)
	b = append(b, old.encode()[:40]...)
	old.step, old.echo = stepGo, nonce{9}
	b = append(b, old.encode()...)
	return append(b, 0, 1, 2, 3, 0xff, 0xff)
}

type channel struct {
	name string
	make func(t testing.TB) (host, keep io.ReadWriteCloser)
}

// channels are the kinds of byte channel that everything must work on.
var channels = []channel{
	{"socketpair", socketPair},
	{"port", func(t testing.TB) (io.ReadWriteCloser, io.ReadWriteCloser) {
		h, k := portPair(t, stale(roleKeep), stale(roleHost))
		return NewPortLine(h), NewPortLine(k)
	}},
}

func onChannels(t *testing.T, f func(t *testing.T, host, keep io.ReadWriteCloser)) {
	for _, c := range channels {
		t.Run(c.name, func(t *testing.T) {
			h, k := c.make(t)
			f(t, h, k)
		})
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// connectPair connects both ends.
func connectPair(t testing.TB, hc, kc io.ReadWriteCloser, h Handler, opt HostOptions) (*Host, *Keep) {
	t.Helper()
	ctx := testContext(t)
	type res struct {
		k   *Keep
		err error
	}
	ch := make(chan res, 1)
	go func() {
		k, err := ConnectKeep(ctx, kc)
		ch <- res{k, err}
	}()
	host, err := ConnectHost(ctx, hc, h, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	r := <-ch
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { r.k.Close() })
	return host, r.k
}

var pushConfig = StartConfig{Mode: ModePush, Platform: "sim", MaxSessions: 7}

func startedPair(t testing.TB, hc, kc io.ReadWriteCloser, h Handler) (*Host, *Keep) {
	t.Helper()
	host, keep := connectPair(t, hc, kc, h, HostOptions{})
	if err := host.Start(testContext(t), pushConfig); err != nil {
		t.Fatal(err)
	}
	return host, keep
}

// attach makes one tunnel.
func attach(t testing.TB, host *Host, keep *Keep) (atHost, atKeep net.Conn) {
	t.Helper()
	ctx := testContext(t)
	a, err := host.Attach(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := keep.AcceptAttach(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func echoListener(t testing.TB) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return ln
}

func wantCode(t testing.TB, err error, code Code) {
	t.Helper()
	var re *RemoteError
	if !errors.As(err, &re) || re.Code != code {
		t.Fatalf("error is %v, expected code %v", err, code)
	}
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for range 1000 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("not within 10 s: " + what)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
