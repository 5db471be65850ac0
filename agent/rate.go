// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// rate is a token bucket. Its caller holds a lock.
type rate struct {
	perSecond float64
	burst     float64
	have      float64
	at        time.Time
}

// take takes one, or says how long until there is one.
func (r *rate) take(now time.Time) time.Duration {
	if r.at.IsZero() {
		r.have = r.burst
	} else if d := now.Sub(r.at); d > 0 {
		r.have = min(r.burst, r.have+d.Seconds()*r.perSecond)
	}
	r.at = now
	if r.have >= 1 {
		r.have--
		return 0
	}
	return time.Duration((1 - r.have) / r.perSecond * float64(time.Second))
}

// connLimit bounds the connections that the HTTP server holds. Tunnels leave
// it: they have a limit of their own, and must not keep health checks out.
type connLimit struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once

	mu   sync.Mutex
	held map[net.Conn]struct{}
}

func newConnLimit(ln net.Listener, n int) *connLimit {
	return &connLimit{Listener: ln, slots: make(chan struct{}, n), done: make(chan struct{}), held: map[net.Conn]struct{}{}}
}

// Accept waits for a place first. The kernel's queue holds who waits, and
// headTime and idleTime see to it that places become free.
func (l *connLimit) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return c, nil
}

func (l *connLimit) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// track is the server's ConnState hook.
func (l *connLimit) track(c net.Conn, s http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s {
	case http.StateNew:
		l.held[c] = struct{}{}
	case http.StateHijacked, http.StateClosed:
		if _, ok := l.held[c]; ok {
			delete(l.held, c)
			<-l.slots
		}
	}
}

// readFull fills as much of b as there is.
func readFull(r io.Reader, b []byte) (int, error) {
	n, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}
