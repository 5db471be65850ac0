// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/session"
)

// stdin carries what the client sends to the workload's standard input. It
// holds at most session.StdinWindow bytes: the client sends no more than it
// has credit for, and gets credit back as the workload reads.
type stdin struct {
	f    *os.File // nil: the workload has no standard input
	conn *session.Conn

	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	eof    bool
	closed bool
	credit int // bytes that the client may still send
}

func newStdin(f *os.File, conn *session.Conn) *stdin {
	in := &stdin{f: f, conn: conn}
	in.cond = sync.NewCond(&in.mu)
	return in
}

// open lets input in. The client knows by then that the workload runs.
func (in *stdin) open() {
	if in.f == nil {
		return
	}
	in.mu.Lock()
	in.credit = session.StdinWindow
	in.mu.Unlock()
	in.grant(session.StdinWindow)
	go in.write()
}

// push takes one frame of input. False means that the client sent more than it
// had credit for.
func (in *stdin) push(p []byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.f == nil {
		return len(p) == 0
	}
	if len(p) > in.credit || in.eof && len(p) > 0 {
		return false
	}
	if len(p) == 0 {
		in.eof = true
	}
	in.credit -= len(p)
	in.buf = append(in.buf, p...)
	in.cond.Signal()
	return true
}

// write feeds the workload until the end of the input or of the workload.
func (in *stdin) write() {
	defer in.f.Close()
	for {
		in.mu.Lock()
		for len(in.buf) == 0 && !in.eof && !in.closed {
			in.cond.Wait()
		}
		p := in.buf
		in.buf = nil
		stop := in.closed || len(p) == 0
		in.mu.Unlock()
		if stop {
			return
		}
		if _, err := in.f.Write(p); err != nil {
			// The workload has closed its input. Credit is given back all the
			// same, so that the client's own input is read to its end.
			clear(p)
		}
		in.mu.Lock()
		in.credit += len(p)
		in.mu.Unlock()
		in.grant(len(p))
	}
}

func (in *stdin) grant(n int) {
	// A broken session shows to its reader.
	in.conn.WriteMessage(session.TypeCredit, binary.BigEndian.AppendUint32(nil, uint32(n)))
}

func (in *stdin) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.cond.Signal()
	if in.f != nil {
		in.f.Close() // ends a write that the workload never reads
	}
}

// attend takes over the session that sent the workload, before the module is
// compiled: its loss ends the workload from then on.
func (k *Keep) attend(c *claimant, w *work, d *descriptors) *stdin {
	f := d.stdin
	d.stdin = nil
	if w.run.Detached {
		if f != nil {
			f.Close() // nobody will write: the workload reads end of file
		}
		return newStdin(nil, c.conn)
	}
	in := newStdin(f, c.conn) // closes f
	c.gone = make(chan struct{})
	go func() {
		defer close(c.gone)
		k.attended(c, in)
	}()
	return in
}

// keepAlive lets the other end tell a workload that is silent from a host that
// holds the session back.
func (k *Keep) keepAlive(conn *session.Conn, over <-chan struct{}) {
	t := time.NewTicker(session.PingInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if conn.WriteMessage(session.TypePing, nil) != nil {
				return // its reader knows
			}
		case <-over:
			return
		}
	}
}

// attended serves the session that the workload is attached to, until it is
// lost: then the workload ends.
func (k *Keep) attended(c *claimant, in *stdin) {
	defer k.requestStop(sessionLost)
	for {
		t, p, err := c.conn.ReadMessage()
		if err != nil {
			// An authenticated goodbye, and no cut.
			c.bye = errors.Is(err, io.EOF)
			return
		}
		ok := true
		switch t {
		case session.TypeStdin:
			ok = in.push(p)
		case session.TypeSignal:
			ok = len(p) == 1 && k.deliver(unix.Signal(p[0]))
		case session.TypeHello:
			c.asked++
			ok = c.asked <= session.MaxEvidenceRequests && k.evidence(k.ctx, c.conn, p) == nil
		case session.TypePing:
		default:
			ok = false
		}
		if !ok {
			return
		}
	}
}

// deliver does what a signal does to a program that handles none, which is
// every program in WASI preview 1: it ends, or nothing happens.
func (k *Keep) deliver(s unix.Signal) bool {
	switch s {
	case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGKILL, unix.SIGUSR1,
		unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM, unix.SIGTERM, unix.SIGABRT:
		k.requestStop(session.Exit{End: session.EndSignal, Code: uint64(s), Reason: "its owner sent " + unix.SignalName(s)})
	}
	return s > 0 && s < 65
}

// afterDetach lets the session that started a detached workload ask for
// evidence of it and leave.
func (k *Keep) afterDetach(c *claimant) {
	defer c.conn.Close()
	for {
		t, p, err := c.conn.ReadMessage()
		if err != nil || t != session.TypeHello {
			return
		}
		if c.asked++; c.asked > session.MaxEvidenceRequests {
			return
		}
		if k.evidence(k.ctx, c.conn, p) != nil {
			return
		}
	}
}
