// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrClosed is what everything returns after this end was closed here.
var ErrClosed = errors.New("sallyport: closed")

// Line is a byte channel that sessions come and go on. It is needed where one
// channel outlives a session: hand the same Line to [ConnectHost] or
// [ConnectKeep] again after a session has failed.
//
// A reader of a device file cannot be interrupted, so one goroutine reads for
// the Line's whole life. It reads ahead by one buffer while the session works
// on the other.
type Line struct {
	ch       io.ReadWriteCloser
	retryEOF bool

	startPump sync.Once
	in        chan []byte   // a buffer that the pump has filled; taking it gives the last one back
	dead      chan struct{} // closed when the pump has ended, after readErr is set
	readErr   error
	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error

	attached chan struct{} // holds one token while a session has the line
	writing  chan struct{} // holds one token while ch.Write runs
	rest     []byte        // unread part of the buffer that was taken last; the session's

	mu      sync.Mutex
	started *StartConfig // what this Keep was started with, kept over sessions
}

// NewLine makes a line of a channel whose end of file is final: a socket.
func NewLine(ch io.ReadWriteCloser) *Line { return newLine(ch, false) }

// NewPortLine makes a line of a channel that has no end: a virtio-serial port,
// whose reads return 0 bytes or [io.EOF] while the other side is not
// connected. Only Close ends it.
func NewPortLine(ch io.ReadWriteCloser) *Line { return newLine(ch, true) }

func newLine(ch io.ReadWriteCloser, retryEOF bool) *Line {
	return &Line{
		ch: ch, retryEOF: retryEOF,
		in:   make(chan []byte),
		dead: make(chan struct{}), closed: make(chan struct{}),
		attached: make(chan struct{}, 1), writing: make(chan struct{}, 1),
	}
}

// Close closes the channel beneath; the session on it, if any, fails.
func (l *Line) Close() error {
	l.closeOnce.Do(func() {
		close(l.closed)
		l.closeErr = l.ch.Close()
	})
	return l.closeErr
}

// Read and Write are there so that a Line can stand where a channel is wanted;
// the ends of a sallyport do not use them, and nobody else should.
func (l *Line) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Write is not for use; see Read.
func (l *Line) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// lineOf gives the line of a channel and whether it was made here, in which
// case the session closes it.
func lineOf(ch io.ReadWriteCloser) (l *Line, own bool) {
	if l, ok := ch.(*Line); ok {
		return l, false
	}
	return NewLine(ch), true
}

// attach makes the caller the only reader and writer.
func (l *Line) attach(ctx context.Context) error {
	select {
	case l.attached <- struct{}{}:
	case <-l.closed:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("sallyport: another session still has the channel: %w", ctx.Err())
	}
	l.startPump.Do(func() { go l.pump() })
	return nil
}

func (l *Line) detach() { <-l.attached }

// pump reads until the channel ends. It has two buffers, of which the session
// holds one, so a session that does not read stops the peer, not our memory.
func (l *Line) pump() {
	defer close(l.dead)
	var bufs [2][]byte
	idle := time.Millisecond
	for next := 0; ; {
		if bufs[next] == nil {
			bufs[next] = make([]byte, readSize)
		}
		buf := bufs[next]
		n, err := l.ch.Read(buf)
		if n > 0 {
			idle = time.Millisecond
			select {
			case l.in <- buf[:n]:
				// The session is done with the other one.
				next = 1 - next
			case <-l.closed:
				l.readErr = ErrClosed
				return
			}
		}
		switch {
		case err != nil && !(err == io.EOF && l.retryEOF):
			l.readErr = err
			return
		case n > 0:
			continue
		}
		// Nobody is connected to a port's other side: look again, ever less
		// often, for as long as it takes.
		select {
		case <-time.After(idle):
			idle = min(2*idle, 20*time.Millisecond)
		case <-l.closed:
			l.readErr = ErrClosed
			return
		}
	}
}

var errWoken = errors.New("woken")

// fill makes sure that l.rest is not empty. It returns early with errWoken
// when wake has something, and with ErrClosed when stop is closed.
func (l *Line) fill(stop, wake <-chan struct{}) error {
	if len(l.rest) > 0 {
		return nil
	}
	select {
	case l.rest = <-l.in:
		return nil
	case <-wake:
		return errWoken
	case <-stop:
		return ErrClosed
	case <-l.dead:
		if l.readErr == io.EOF {
			return fmt.Errorf("sallyport: the other end has closed the channel: %w", io.EOF)
		}
		return fmt.Errorf("sallyport: reading the channel: %w", l.readErr)
	}
}

// write sends b whole. A write that the peer does not take blocks; a later
// session waits for it, so that no two are ever mixed.
func (l *Line) write(b []byte, stop <-chan struct{}) error {
	select {
	case l.writing <- struct{}{}:
	case <-stop:
		return ErrClosed
	case <-l.closed:
		return ErrClosed
	}
	defer func() { <-l.writing }()
	select {
	case <-stop:
		// The token came too late: a session that has ended must not write
		// into the next one.
		return ErrClosed
	default:
	}
	for len(b) > 0 {
		n, err := l.ch.Write(b)
		if err != nil {
			return fmt.Errorf("sallyport: writing to the channel: %w", err)
		}
		if n <= 0 || n > len(b) {
			return fmt.Errorf("sallyport: writing to the channel: %w", io.ErrShortWrite)
		}
		b = b[n:]
	}
	return nil
}
