// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/enarx/enarx-go/sallyport"
)

// Budget bounds something that many Keeps share. The zero value gives nothing
// out.
type Budget struct {
	max  int64
	used atomic.Int64
}

// NewBudget makes a budget of n.
func NewBudget(n int) *Budget { return &Budget{max: int64(n)} }

// Take takes one, or says that there is none left. It never waits.
func (b *Budget) Take() bool {
	if b.used.Add(1) > b.max {
		b.used.Add(-1)
		return false
	}
	return true
}

// Give gives one back.
func (b *Budget) Give() { b.used.Add(-1) }

// Used is how many are out.
func (b *Budget) Used() int { return int(b.used.Load()) }

// conn is a counted connection. CloseWrite is there because a TCP peer may
// rely on half-close even though the sallyport does not.
type conn struct {
	net.Conn
	relay *Relay
	once  sync.Once
	err   error
}

// Close closes the connection and frees its place.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.relay.release(c)
	})
	return c.err
}

// CloseWrite ends the outgoing half.
func (c *conn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return fmt.Errorf("relay: a %T cannot be closed in one direction", c.Conn)
}

// reserve takes a place for one connection, before it exists.
func (r *Relay) reserve() (*conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosed
	}
	if len(r.conns) >= MaxConns {
		return nil, &Refusal{What: "connect", Why: fmt.Sprintf("this Keep has %d connections, the most there can be", MaxConns), Code: sallyport.CodeLimit}
	}
	if r.cfg.Budget != nil && !r.cfg.Budget.Take() {
		return nil, &Refusal{What: "connect", Why: "the Keeps of this host have as many connections as it allows", Todo: "try again later", Code: sallyport.CodeLimit}
	}
	c := &conn{Conn: noConn{}, relay: r}
	r.conns[c] = struct{}{}
	return c, nil
}

// fill puts c into the place. If the relay was closed in between, c is closed.
func (r *Relay) fill(slot *conn, c net.Conn) (net.Conn, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		c.Close()
		r.release(slot)
		return nil, errClosed
	}
	slot.Conn = c
	r.mu.Unlock()
	return slot, nil
}

// release frees a place; calling it twice for one place is harmless.
func (r *Relay) release(c *conn) {
	r.mu.Lock()
	_, held := r.conns[c]
	delete(r.conns, c)
	r.mu.Unlock()
	if held && r.cfg.Budget != nil {
		r.cfg.Budget.Give()
	}
}

// adopt takes a place for a connection that already exists.
func (r *Relay) adopt(c net.Conn) (net.Conn, error) {
	slot, err := r.reserve()
	if err != nil {
		return nil, err
	}
	return r.fill(slot, c)
}

// noConn stands in a place whose connection is still being made, so that
// closing the relay meanwhile has something to close.
type noConn struct{ net.Conn }

func (noConn) Close() error { return nil }
