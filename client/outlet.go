// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"io"

	"github.com/enarx/enarx-go/keep/session"
)

// outlet passes the workload's output on from a goroutine of its own. A reader
// who does not read then holds the workload back, and nothing else: whoever
// waits for room can still be told to stop. It also lets one frame be
// decrypted while another is written.
type outlet struct {
	full chan piece
	free chan []byte
	done chan struct{} // closed when the goroutine has ended
	err  error         // valid once done is closed
}

type piece struct {
	to     io.Writer
	stream string
	p      []byte
}

// outletBuffers is how many frames may be on their way to a reader.
const outletBuffers = 3

func newOutlet() *outlet {
	o := &outlet{
		full: make(chan piece, outletBuffers), free: make(chan []byte, outletBuffers), done: make(chan struct{}),
	}
	for range outletBuffers {
		o.free <- nil // made at first use: most workloads say little
	}
	go o.run()
	return o
}

func (o *outlet) run() {
	defer close(o.done)
	for f := range o.full {
		if _, err := f.to.Write(f.p); err != nil {
			o.err = &OutputError{f.stream, err}
			return
		}
		o.free <- f.p[:0]
	}
}

// put takes a copy of p. It waits for room until ctx ends.
func (o *outlet) put(ctx context.Context, to io.Writer, stream string, p []byte) error {
	if to == nil {
		return nil
	}
	var b []byte
	select {
	case b = <-o.free:
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if cap(b) < len(p) {
		b = make([]byte, 0, max(len(p), min(session.MaxPayload, 4*len(p))))
	}
	o.full <- piece{to, stream, append(b, p...)} // has room for every buffer
	return nil
}

// finish waits until everything has been passed on, or ctx ends.
func (o *outlet) finish(ctx context.Context) error {
	close(o.full)
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
