// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

var buffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// splice moves bytes between the network side and the child's socket until
// both directions have ended, then closes both. An end of file in one
// direction is passed on and leaves the other open; an error ends both.
func splice(conn net.Conn, local *os.File) {
	var once sync.Once
	abort := func() { once.Do(func() { conn.Close(); local.Close() }) }
	defer abort()
	var wg sync.WaitGroup
	wg.Add(2)
	go func() {
		defer wg.Done()
		err := move(local, conn)
		switch {
		case err == nil:
			shutdownWrite(local)
		case errors.As(err, new(writeError)):
			// The workload has closed its end and wants nothing more. What it
			// wrote before that is still on its way in the other direction,
			// which ends by itself.
		default:
			reset(local)
			abort()
		}
	}()
	go func() {
		defer wg.Done()
		if err := move(conn, local); err != nil {
			abort()
			return
		}
		if c, ok := conn.(interface{ CloseWrite() error }); !ok || c.CloseWrite() != nil {
			abort()
		}
	}()
	wg.Wait()
}

// writeError marks an error of the destination.
type writeError struct{ error }

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

// reset tells the child that the stream was cut off and did not end: one byte
// that carries a descriptor. The child's streams read with recvmsg, drop the
// byte, and report a reset connection from then on (package wasi). A plain
// close would look like the peer's own end of file.
func reset(f *os.File) {
	rc, err := f.SyscallConn()
	if err != nil {
		return
	}
	rc.Write(func(fd uintptr) bool {
		err := unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(int(fd)), nil, unix.MSG_NOSIGNAL)
		return err != unix.EAGAIN
	})
}
