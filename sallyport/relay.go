// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"io"
	"net"
	"sync"
)

var relayBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// relay carries bytes both ways until both directions have ended, or one has
// failed, and closes both connections. An end of one direction is passed on as
// such; where nc cannot half-close, it is closed.
func relay(c *Conn, nc net.Conn) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		oneWay(nc, c, c, nc)
	}()
	oneWay(c, nc, c, nc)
	wg.Wait()
	_ = nc.Close()
	_ = c.Close()
}

// oneWay copies from src to dst. On failure both connections end, and the
// stream with a reset: the other side must not take a cut for an end.
func oneWay(dst, src net.Conn, c *Conn, nc net.Conn) {
	if err := copyAll(dst, src); err != nil {
		c.abort()
		_ = nc.Close()
		return
	}
	if hc, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = hc.CloseWrite()
	} else {
		_ = dst.Close()
	}
}

func copyAll(dst io.Writer, src io.Reader) error {
	bp := relayBuffers.Get().(*[]byte)
	defer relayBuffers.Put(bp)
	for {
		n, err := src.Read(*bp)
		if n > 0 {
			if _, werr := dst.Write((*bp)[:n]); werr != nil {
				return werr
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
