// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/child"
)

// engine is the parent's handle of the engine child. Everything that comes
// from it is the workload's word.
type engine struct {
	control *child.Control
	proc    *os.Process
	gone    chan struct{} // closed when the process has ended
	state   *os.ProcessState
	once    sync.Once

	said chan []byte // what the process wrote to its standard error, once it has ended
}

// maxSaid is how much of the child's standard error is kept: the beginning,
// where a Go program says what went wrong.
const maxSaid = 8 << 10

func newEngine(c *child.Control, p *os.Process, errors *os.File) *engine {
	e := &engine{control: c, proc: p, gone: make(chan struct{}), said: make(chan []byte, 1)}
	go func() {
		e.state, _ = p.Wait()
		close(e.gone)
	}()
	go func() {
		defer errors.Close()
		b, _ := io.ReadAll(io.LimitReader(errors, maxSaid))
		io.Copy(io.Discard, errors) // a child that says more shall not block on it
		e.said <- b
	}()
	return e
}

// lastWords is the child's standard error after its end.
func (e *engine) lastWords() string {
	select {
	case b := <-e.said:
		return strings.ToValidUTF8(string(b), "?")
	case <-time.After(farewell):
		return ""
	}
}

// kill ends the child at once, and with it all code of the workload. It is the
// only way a workload is ever stopped: it needs no help from the engine.
func (e *engine) kill() {
	e.once.Do(func() {
		if err := e.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			// A workload that cannot be stopped must not be left running: the
			// end of this process takes it along, by its process namespace
			// or its parent-death signal.
			fmt.Fprintln(os.Stderr, "keep: end the engine child:", err)
			os.Exit(1)
		}
	})
	<-e.gone
	e.control.Close()
}

// signal is the signal that ended the child, or 0.
func (e *engine) signal() unix.Signal {
	select {
	case <-e.gone:
	default:
		return 0
	}
	if e.state == nil {
		return 0
	}
	if ws, ok := e.state.Sys().(interface {
		Signaled() bool
		Signal() unix.Signal
	}); ok && ws.Signaled() {
		return ws.Signal()
	}
	return 0
}

// start hands the job over and waits until the module is compiled.
func (e *engine) start(fds []int, j *child.Job) (*child.Compiled, *child.Done, error) {
	if err := e.control.SendJob(fds, j); err != nil {
		return nil, nil, err
	}
	m, err := e.control.Next()
	if err != nil {
		return nil, nil, err
	}
	switch m := m.(type) {
	case *child.Compiled:
		return m, nil, nil
	case *child.Done:
		return nil, m, nil
	}
	return nil, nil, fmt.Errorf("engine child: unexpected %T", m)
}

// wait waits for the child's last word, which it may never say.
func (e *engine) wait() (*child.Done, error) {
	m, err := e.control.Next()
	if err != nil {
		return nil, err
	}
	if d, ok := m.(*child.Done); ok {
		return d, nil
	}
	return nil, errors.New("engine child: it spoke out of turn")
}
