// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateraltest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// First misbehaves n times and is good from then on.
func First(n int, f Fault) Fault {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, good *Answer) {
		mu.Lock()
		n--
		bad := n >= 0
		mu.Unlock()
		if bad || good == nil {
			f(w, r, good)
			return
		}
		good.write(w)
	}
}

// Status answers with a status alone.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ *Answer) { http.Error(w, http.StatusText(code), code) }
}

// Throttled answers with 429 or 503 and a Retry-After that may be empty.
func Throttled(code int, after string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ *Answer) {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		http.Error(w, "throttled", code)
	}
}

// Hang never answers.
func Hang(_ http.ResponseWriter, r *http.Request, _ *Answer) { <-r.Context().Done() }

// SlowLoris sends a byte now and then.
func SlowLoris(pause time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, good *Answer) {
		w.Header().Set("Content-Length", fmt.Sprint(len(good.Body)))
		for _, b := range good.Body {
			w.Write([]byte{b})
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(pause):
			}
		}
	}
}

// Cut ends the connection in the middle of the answer.
func Cut(w http.ResponseWriter, _ *http.Request, good *Answer) {
	w.Header().Set("Content-Length", fmt.Sprint(len(good.Body)))
	w.Write(good.Body[:len(good.Body)/2])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) // how package http takes the word for it
}

// Truncated sends half of the answer as if it were all.
func Truncated(w http.ResponseWriter, _ *http.Request, good *Answer) {
	(&Answer{good.Header, good.Body[:len(good.Body)/2]}).write(w)
}

// Forged changes one bit in the last quarter of the answer: of its signature.
func Forged(w http.ResponseWriter, _ *http.Request, good *Answer) {
	b := good.Body
	i := len(b) - 10
	b[i] ^= 1
	(&Answer{good.Header, b}).write(w)
}

// Huge sends n bytes without saying how many.
func Huge(n int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ *Answer) {
		chunk := make([]byte, 32<<10)
		for ; n > 0; n -= len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

// Instead sends body with the headers of the good answer.
func Instead(body []byte) Fault {
	return func(w http.ResponseWriter, _ *http.Request, good *Answer) { (&Answer{good.Header, body}).write(w) }
}

// Swapped sends the whole answer to another request.
func (s *Server) Swapped(path string, query url.Values) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ *Answer) {
		other := s.answer(path + "?" + query.Encode())
		if other == nil {
			http.Error(w, "nothing recorded for "+path, http.StatusTeapot)
			return
		}
		other.write(w)
	}
}

// Headers sends the good answer with other headers.
func Headers(h http.Header) Fault {
	return func(w http.ResponseWriter, _ *http.Request, good *Answer) { (&Answer{h, good.Body}).write(w) }
}

// Redirect sends the asker elsewhere.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ *Answer) { http.Redirect(w, r, to, http.StatusFound) }
}

// Pipe carries requests to s in memory until the test ends.
func (s *Server) Pipe(t testing.TB) http.RoundTripper {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s}
	go server.Serve(l)
	transport := &http.Transport{DialContext: l.dial, DisableCompression: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return plain{transport}
}

// plain leaves TLS out: the pipe has nobody to listen.
type plain struct{ to *http.Transport }

// RoundTrip carries one request.
func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	u := *r.URL
	u.Scheme = "http"
	r = r.Clone(r.Context())
	r.URL = &u
	return p.to.RoundTrip(r)
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept waits for a connection.
func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is the address of nothing.
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
