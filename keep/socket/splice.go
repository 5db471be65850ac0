// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

var buffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// errTruncated is the end of a TLS connection whose peer did not say that it
// ended.
var errTruncated = errors.New("the connection ended without the peer's close_notify")

// wire is the connection below TLS. It remembers that the byte stream ended:
// crypto/tls takes an end between two records for the peer's close_notify, and
// for it alone an end of the stream can be cut at every record by whoever
// carries it.
type wire struct {
	net.Conn
	ended atomic.Bool
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		return n, nil // an error with data comes again without
	}
	if err == io.EOF {
		w.ended.Store(true)
	}
	return 0, err
}

// CloseWrite passes on an end of the workload's plain stream.
func (w *wire) CloseWrite() error {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.New("the stream cannot be closed in one direction")
}

// connection is one socket of the workload while it is open.
type connection struct {
	ctx    context.Context // ends with the workload
	conn   net.Conn        // the workload's bytes: TLS, or wire itself
	wire   *wire
	local  *os.File // this process's end of the child's socket pair
	marker int      // descriptor that marks a reset; the Set's
	limits limits

	once   sync.Once
	inDone chan struct{} // closed when nothing more comes from the network
}

// run moves bytes until both directions have ended, then closes both sides. An
// end in one direction is passed on and leaves the other open; an error ends
// both.
func (c *connection) run() {
	c.inDone = make(chan struct{})
	var both sync.WaitGroup
	both.Go(c.inbound)
	both.Go(c.outbound)
	both.Wait()
	c.conn.Close()
	c.local.Close()
}

// inbound moves what comes from the network.
func (c *connection) inbound() {
	defer close(c.inDone)
	err := move(c.local, c.source())
	switch {
	case err == nil:
		shutdownWrite(c.local)
	case errors.As(err, new(writeError)):
		// The workload has closed its end and wants nothing more. What it
		// wrote before that is still on its way in the other direction,
		// which ends by itself.
	default:
		c.fail()
	}
}

// outbound moves what the workload writes.
func (c *connection) outbound() {
	err := move(c.conn, c.local)
	if err != nil && !errors.Is(err, unix.ECONNRESET) || errors.As(err, new(writeError)) {
		c.fail()
		return
	}
	// The workload ended its direction; ECONNRESET says that it also left
	// input unread. All that it wrote has been passed on.
	c.conn.SetWriteDeadline(time.Now().Add(c.limits.linger)) // for close_notify
	h, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || h.CloseWrite() != nil {
		c.fail()
		return
	}
	c.awaitPeer()
}

// awaitPeer bounds how long a peer may keep a connection open that the
// workload has closed completely; one that it closed in one direction only
// stays for as long as the workload wants.
func (c *connection) awaitPeer() {
	t := time.NewTicker(c.limits.hangup)
	defer t.Stop()
	for !hungUp(c.local) {
		select {
		case <-c.inDone:
			return
		case <-t.C:
		}
	}
	c.conn.SetReadDeadline(time.Now().Add(c.limits.linger))
}

// source reads from the network, and tells an end that the peer made from one
// that somebody else made.
func (c *connection) source() io.Reader {
	if _, ok := c.conn.(*tls.Conn); !ok {
		return c.conn
	}
	return tlsSource{c}
}

type tlsSource struct{ c *connection }

func (s tlsSource) Read(p []byte) (int, error) {
	n, err := s.c.conn.Read(p)
	if err == io.EOF && s.c.wire.ended.Load() {
		err = errTruncated
	}
	return n, err
}

// fail ends a connection that broke. The peer gets no close_notify, and the
// workload gets a reset before its end is closed, which alone would look like
// an orderly end.
func (c *connection) fail() {
	c.once.Do(func() {
		c.wire.Close()
		c.markReset()
		c.local.Close()
	})
}

// writeError marks an error of the destination.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// move copies until the source ends (nil) or either side fails.
func move(dst io.Writer, src io.Reader) error {
	bp := buffers.Get().(*[]byte)
	defer buffers.Put(bp)
	defer clear(*bp)
	for {
		n, err := src.Read(*bp)
		if n > 0 {
			if _, werr := dst.Write((*bp)[:n]); werr != nil {
				return writeError{werr}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// shutdownWrite passes an end of file on to the child.
func shutdownWrite(f *os.File) {
	if rc, err := f.SyscallConn(); err == nil {
		rc.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
}

// hungUp says that the child has closed its end, or that both directions are
// shut down.
func hungUp(f *os.File) bool {
	rc, err := f.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = rc.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP needs no asking
		n, perr := unix.Poll(p, 0)
		gone = perr == nil && n == 1 && p[0].Revents&unix.POLLHUP != 0
	})
	return gone || err != nil
}

// markReset tells the child that the stream was cut off and did not end: one
// byte that carries a descriptor of no use. The child's streams drop both and
// report a reset connection from then on (package wasi). It waits until the
// child has room for it or is gone: without the mark the child must not see
// the stream end.
func (c *connection) markReset() {
	rc, err := c.local.SyscallConn()
	if err != nil {
		return
	}
	rights := unix.UnixRights(c.marker)
	for {
		var serr error
		err := rc.Write(func(fd uintptr) bool {
			serr = unix.Sendmsg(int(fd), []byte{0}, rights, nil, unix.MSG_NOSIGNAL)
			return serr != unix.EAGAIN
		})
		if err != nil || serr == nil || serr == unix.EPIPE || serr == unix.ECONNRESET {
			return
		}
		// Short of memory, or too many descriptors are on their way.
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(resetRetry):
		}
	}
}
