// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"
)

// Addr is an address as the other end of the sallyport told it: "host:port",
// for people and logs. It proves nothing.
type Addr string

// Network is "sallyport".
func (Addr) Network() string { return "sallyport" }

// String is the address.
func (a Addr) String() string { return string(a) }

// Conn is a stream of a sallyport. Both ends may rely on this:
//
// CloseWrite ends this end's direction: the other end reads what was written
// and then io.EOF, and may go on writing for as long as it likes.
//
// Close ends both: the other end reads what was written and then io.EOF; what
// it still writes is dropped, and after 64 KiB or a minute of it, it gets a
// reset. Close unblocks a Read or Write of this end.
//
// io.EOF is returned only for an end that the other end asked for. A channel
// that breaks, or a reset, is an error. Deadlines work as in package net; a
// write that the channel itself does not take waits for the session's own
// patience instead, and then the session has failed.
type Conn struct {
	s      *session
	st     *yamux.Stream
	id     uint32
	local  net.Addr
	remote net.Addr

	readMu  sync.Mutex
	writeMu sync.Mutex // keeps the pieces of one Write together
	closed  atomic.Bool
	halved  atomic.Bool
	once    sync.Once
	onEnd   []func() // run once when yamux has let the stream go
	endOnce sync.Once
}

func newConn(s *session, st *yamux.Stream) *Conn {
	return &Conn{s: s, st: st, id: st.StreamID(), local: Addr(s.name()), remote: Addr(s.peerName())}
}

// LocalAddr is this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is what is at the other end, as the other end told it.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Read reads what the other end wrote.
func (c *Conn) Read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.st.Read(p)
	if n > 0 {
		c.s.mc.consumed(c.id, n)
		return n, nil
	}
	if err == io.EOF && c.s.mc.finished(c.id) {
		return 0, io.EOF
	}
	return 0, c.explain(err)
}

// Write writes all of p or returns an error.
func (c *Conn) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	total := 0
	for total < len(p) {
		if c.closed.Load() || c.halved.Load() {
			return total, net.ErrClosed
		}
		n, err := c.st.Write(p[total:min(len(p), total+writeSize)])
		total += n
		if err != nil {
			if errors.Is(err, yamux.ErrConnectionWriteTimeout) {
				// Part of a frame may or may not be out: nothing that
				// follows on the channel could be believed.
				c.s.fail(errNotTaken)
			}
			return total, c.explain(err)
		}
	}
	return total, nil
}

var errNotTaken = errors.New("sallyport: the other end does not take what is written to it")

// explain turns yamux's errors into those that users of package net know.
func (c *Conn) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case c.closed.Load():
		return net.ErrClosed
	case errors.Is(err, yamux.ErrTimeout):
		return os.ErrDeadlineExceeded
	case errors.Is(err, yamux.ErrConnectionReset):
		return &net.OpError{Op: "stream", Net: "sallyport", Addr: c.remote, Err: syscall.ECONNRESET}
	}
	// yamux shows the end of a session as EOF, as a closed stream or as a
	// shutdown. None of them is an orderly end of this stream.
	select {
	case <-c.s.done:
		return c.s.Err()
	case <-c.s.mc.closed:
		if e := c.s.mc.failure(); e != nil {
			return e
		}
		return ErrClosed
	default:
	}
	if err == io.EOF {
		if e := c.s.mc.failure(); e != nil {
			return e
		}
		return io.ErrUnexpectedEOF
	}
	return err
}

// CloseWrite ends this end's direction.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if c.halved.CompareAndSwap(false, true) {
		return c.explain(c.st.Close())
	}
	return nil
}

// Close ends both directions; see the type.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.closed.Store(true)
		_ = c.st.SetDeadline(time.Unix(1, 0)) // unblocks Read and Write
		_ = c.st.Close()
		go c.linger()
	})
	return nil
}

// linger takes what the peer still sends until it has ended its direction too.
func (c *Conn) linger() {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	defer c.end()
	_ = c.st.SetReadDeadline(time.Now().Add(c.s.timing.linger))
	buf := make([]byte, 1024)
	for total := 0; total <= lingerBytes; {
		n, err := c.st.Read(buf)
		if n > 0 {
			total += n
			c.s.mc.consumed(c.id, n)
			continue
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			break
		}
	}
	c.s.mc.reset(c.id)
}

// abort ends the stream at once; the other end sees a reset.
func (c *Conn) abort() {
	c.once.Do(func() {
		c.closed.Store(true)
		_ = c.st.SetDeadline(time.Unix(1, 0))
		c.s.mc.reset(c.id)
		c.end()
	})
}

// end returns what the stream was counted for.
func (c *Conn) end() {
	c.endOnce.Do(func() {
		c.s.mc.forget(c.id)
		for _, f := range c.onEnd {
			f()
		}
	})
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.st.SetDeadline(t)
}

// SetReadDeadline bounds Read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.st.SetReadDeadline(t)
}

// SetWriteDeadline bounds Write.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.st.SetWriteDeadline(t)
}
