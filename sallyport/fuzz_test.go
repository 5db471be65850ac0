// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// recorder keeps what one end writes.
type recorder struct {
	io.ReadWriteCloser
	mu  sync.Mutex
	buf []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.buf = append(r.buf, p...)
	r.mu.Unlock()
	return r.ReadWriteCloser.Write(p)
}

// afterGo is what came after the preamble.
func (r *recorder) afterGo(t testing.TB) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := bytes.LastIndex(r.buf, []byte(preambleMagic))
	if i < 0 || len(r.buf) <= i+preambleSize {
		t.Fatal("the recording has no preamble or nothing after it: the fuzz target would have no seed")
	}
	return bytes.Clone(r.buf[i+preambleSize:])
}

// recordSession runs a whole honest life and returns what each end said after
// its preamble: the seeds of the fuzz targets.
func recordSession(t testing.TB) (byHost, byKeep []byte) {
	hc, kc := socketPair(t)
	hr, kr := &recorder{ReadWriteCloser: hc}, &recorder{ReadWriteCloser: kc}
	h := &testHandler{
		listen: loopbackListen,
		quote:  func(context.Context, [64]byte) ([]byte, error) { return []byte("evidence"), nil },
		dial: func(context.Context, Endpoint, DialPurpose) (net.Conn, error) {
			a, b := net.Pipe()
			go func() {
				_, _ = io.Copy(b, io.LimitReader(b, 5))
				b.Close()
			}()
			return a, nil
		},
	}
	host, keep := startedPair(t, hr, kr, h)
	ctx := testContext(t)
	keep.Log(LogBoot)
	must(t, host.SendHints(ctx, []Hint{{"application/pkix-cert", []byte{1, 2, 3}}}))
	_, err := keep.Quote(ctx, [64]byte{1})
	must(t, err)
	a, b := attach(t, host, keep)
	_, err = a.Write([]byte("client hello"))
	must(t, err)
	_, err = io.ReadFull(b, make([]byte, 12))
	must(t, err)
	must(t, b.Close())
	must(t, a.Close())
	c, err := keep.Dial(ctx, Endpoint{"a.example", 443}, DialWorkload)
	must(t, err)
	_, err = c.Write([]byte("hello"))
	must(t, err)
	_, _ = io.ReadFull(c, make([]byte, 5))
	must(t, c.Close())
	ln, err := keep.Listen(ctx, Endpoint{"::", 443}, "")
	must(t, err)
	client, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	accepted, err := ln.Accept()
	must(t, err)
	client.Close()
	accepted.Close()
	must(t, ln.Close())
	must(t, keep.Spool(ctx, []byte("sealed")))
	must(t, keep.Exit(ctx, ExitEnded))
	host.Close()
	keep.Close()
	return hr.afterGo(t), kr.afterGo(t)
}

// seedSessions adds honest recordings, hostile frames and pieces of both.
func seedSessions(f *testing.F, recording []byte) {
	f.Add(recording, uint16(1))
	f.Add(recording, uint16(7))
	f.Add(recording[:len(recording)/2], uint16(64))
	for _, b := range rawFrames() {
		f.Add(append(bytes.Clone(recording[:24]), b[:min(len(b), 4096)]...), uint16(100))
	}
	for _, b := range malformedMessages() {
		frame := []byte{0, muxWindow, 0, flagSYN, 0, 0, 0, 1, 0, 0, 0, 0, 0, muxData, 0, 0, 0, 0, 0, 1, 0, 0, 0, byte(len(b))}
		f.Add(append(frame, b...), uint16(100))
	}
}

// pour writes input in pieces and then ends the channel.
func pour(p rawPeer, input []byte, piece uint16) {
	go func() { _, _ = io.Copy(io.Discard, p) }()
	n := int(piece)%4096 + 1
	for len(input) > 0 {
		k := min(n, len(input))
		if _, err := p.Write(input[:k]); err != nil {
			break
		}
		input = input[k:]
	}
	// What the input asked for is handled, or not, while the channel goes.
	p.Close()
}

// checkEnds is the property: whatever the peer says, the session ends when the
// channel does, and its books are bounded.
func checkEnds(t *testing.T, s *session) {
	s.mc.mu.Lock()
	if s.mc.buffered > s.mc.limit || s.mc.buffered < 0 || s.mc.incoming > maxStreams || s.mc.incoming < 0 || len(s.mc.toReset) > maxStreams {
		t.Errorf("books: %d bytes buffered, %d streams, %d resets", s.mc.buffered, s.mc.incoming, len(s.mc.toReset))
	}
	s.mc.mu.Unlock()
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the session outlives its channel")
	}
	if s.Err() == nil {
		t.Fatal("the session ended without a reason")
	}
}

// Coverage of goroutines differs from run to run, so give -fuzzminimizetime=5x:
// otherwise the fuzzer spends its time shrinking inputs that need none.
func FuzzKeepAsPeer(f *testing.F) {
	_, byKeep := recordSession(f)
	seedSessions(f, byKeep)
	f.Fuzz(func(t *testing.T, input []byte, piece uint16) {
		h := &testHandler{
			listen: func(context.Context, Endpoint, string) (net.Listener, error) { return newNoListener(), nil },
			quote:  func(context.Context, [64]byte) ([]byte, error) { return []byte("evidence"), nil },
			dial: func(context.Context, Endpoint, DialPurpose) (net.Conn, error) {
				a, b := net.Pipe()
				go func() {
					_, _ = io.Copy(io.Discard, b)
					b.Close()
				}()
				return a, nil
			},
		}
		host, p := hostileKeep(t, h, HostOptions{}, quick)
		host.started.Store(true)
		pour(p, input, piece)
		checkEnds(t, host.session)
	})
}

func FuzzHostAsPeer(f *testing.F) {
	byHost, _ := recordSession(f)
	seedSessions(f, byHost)
	f.Fuzz(func(t *testing.T, input []byte, piece uint16) {
		keep, p := hostileHost(t, quick)
		go func() {
			for {
				c, err := keep.AcceptAttach(context.Background())
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(io.Discard, c)
					c.Close()
				}()
			}
		}()
		pour(p, input, piece)
		checkEnds(t, keep.session)
	})
}

// noListener accepts nothing and needs no port.
type noListener struct {
	once   sync.Once
	closed chan struct{}
}

func newNoListener() *noListener { return &noListener{closed: make(chan struct{})} }
func (l *noListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}
func (l *noListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
func (l *noListener) Addr() net.Addr { return Addr("[::]:443") }

func FuzzPreamble(f *testing.F) {
	good := preamble{preambleVersion, roleKeep, stepHello, nonce{1}, nonce{2}}.encode()
	f.Add(good)
	f.Add(append(good[:30:30], good...))
	f.Add(stale(roleHost))
	f.Fuzz(func(t *testing.T, input []byte) {
		var s scanner
		for i, b := range input {
			p, ok := s.push(b)
			if !ok {
				continue
			}
			if i+1 < preambleSize || !bytes.Equal(p.encode(), input[i+1-preambleSize:i+1]) {
				t.Fatalf("a preamble was found that is not in the input: %+v", p)
			}
		}
	})
}

func FuzzStartConfig(f *testing.F) {
	f.Add(pushConfig.Encode())
	f.Add(pullConfig.Encode())
	f.Fuzz(func(t *testing.T, input []byte) {
		c, err := ParseStartConfig(input)
		if err != nil {
			if c.Mode != "" || c.Platform != "" {
				t.Fatal("a value came with an error")
			}
			return
		}
		if !bytes.Equal(c.Encode(), input) {
			t.Fatal("what was parsed has another encoding")
		}
	})
}

// FuzzMessage feeds every decoder.
func FuzzMessage(f *testing.F) {
	byHost, byKeep := recordSession(f)
	f.Add(byHost)
	f.Add(byKeep)
	for _, b := range malformedMessages() {
		f.Add(b)
	}
	for _, v := range []any{dialMessage{"a", 1, 1}, listenMessage{1, "::", 443, ""}, acceptedMessage{1, "x"}, hintsMessage{[]hintMessage{{"a", []byte{1}}}}} {
		f.Add(message(kindDial, v))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		_, body, err := readMessage(bytes.NewReader(input), func(kind) bool { return true })
		if err != nil {
			return
		}
		same(t, body, decode[emptyMessage])
		same(t, body, decode[startMessage])
		same(t, body, decode[dialMessage])
		same(t, body, decode[listenMessage])
		same(t, body, decode[acceptedMessage])
		same(t, body, decode[listenerMessage])
		same(t, body, decode[codeMessage])
		same(t, body, decode[bytesMessage])
		same(t, body, decode[hintsMessage])
		same(t, body, decode[replyMessage])
	})
}

func same[T any](t *testing.T, b []byte, f func([]byte) (T, error)) {
	if v, err := f(b); err == nil && !bytes.Equal(encode(v), b) {
		t.Fatalf("%T has another encoding than what was parsed", v)
	}
}
