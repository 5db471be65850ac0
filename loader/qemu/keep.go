// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/guestport"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// keep is a machine with what belongs to it.
type keep struct {
	spec   loader.Spec
	times  times
	groups []hostproc.Group
	layers []loader.Layer

	qemu, tpm *child
	tpmDir    string // of the loader, to be removed; "" for none
	channel   *channel
	words     *os.File
	monitor   *os.File
	console   *os.File

	up      chan struct{} // closed when the guest has opened its sallyport
	upOnce  sync.Once
	readers sync.WaitGroup
	reaping bool          // reap runs and will close gone
	gone    chan struct{} // closed when nothing is left; exit and err are set
	exit    loader.Exit
	err     error

	mu       sync.Mutex
	killed   bool   // by the caller
	fault    string // why the loader itself has ended the machine
	goodbye  *guestport.Goodbye
	panicked bool
	shutdown string // QEMU's reason
	timer    *time.Timer
}

func newKeep(s *start) *keep {
	k := &keep{spec: s.spec, times: s.times, up: make(chan struct{}), gone: make(chan struct{})}
	k.channel = &channel{closed: k.left}
	return k
}

// channel is the sallyport's end of the caller.
type channel struct {
	f      *os.File
	once   sync.Once
	closed func()
}

func (c *channel) Read(p []byte) (int, error)  { return c.f.Read(p) }
func (c *channel) Write(p []byte) (int, error) { return c.f.Write(p) }

// Close closes the sallyport, which ends the Keep.
func (c *channel) Close() error {
	err := c.f.Close()
	c.once.Do(c.closed)
	return err
}

// Channel implements loader.Keep.
func (k *keep) Channel() io.ReadWriteCloser { return k.channel }

// PID implements loader.Keep: it is QEMU's.
func (k *keep) PID() int { return k.qemu.proc.Pid }

// Layers implements loader.Keep.
func (k *keep) Layers() []loader.Layer { return k.layers }

// Kill implements loader.Keep.
func (k *keep) Kill() error {
	k.mu.Lock()
	k.killed = true
	k.mu.Unlock()
	if err := k.qemu.kill(); err != nil {
		return fmt.Errorf("kill Keep: %w", err)
	}
	return nil
}

// Wait implements loader.Keep.
func (k *keep) Wait(ctx context.Context) (loader.Exit, error) {
	select {
	case <-k.gone:
		return k.exit, k.err
	case <-ctx.Done():
		return loader.Exit{}, ctx.Err()
	}
}

// blame notes why the loader ends the machine, unless a cause is known
// already, and ends it.
func (k *keep) blame(fault string) {
	k.mu.Lock()
	if k.fault == "" && k.goodbye == nil {
		k.fault = fault
	}
	k.mu.Unlock()
	if k.qemu != nil {
		_ = k.qemu.kill() // ours; at worst it has ended
	}
}

// later ends the machine after a while, if it is there then.
func (k *keep) later(d time.Duration, fault string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timer != nil {
		k.timer.Stop()
	}
	k.timer = time.AfterFunc(d, func() {
		k.mu.Lock()
		if k.fault == "" {
			k.fault = fault // also after a goodbye: power-off must follow it
		}
		k.mu.Unlock()
		_ = k.qemu.kill()
	})
}

// left is called when the caller has closed the sallyport: the guest notes it
// and ends, or is ended.
func (k *keep) left() {
	k.mu.Lock()
	bye := k.goodbye != nil
	k.mu.Unlock()
	if k.qemu != nil && !bye {
		k.later(k.times.leave, fmt.Sprintf("it did not end within %v of its sallyport being closed", k.times.leave))
	}
}

// said says whether the guest has said goodbye.
func (k *keep) said() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.goodbye != nil
}

// handshake opens QEMU's monitor, starts to listen to everything that the
// machine says, and lets its CPU go.
func (k *keep) handshake() error {
	k.reaping = true
	m := newMonitor(k.monitor)
	if err := k.monitor.SetDeadline(time.Now().Add(answerTime)); err != nil {
		go k.reap()
		return err
	}
	err := func() error {
		for _, c := range []string{"qmp_capabilities", "cont"} {
			if _, err := io.WriteString(k.monitor, command(c)); err != nil {
				return fmt.Errorf("QEMU does not take %s: %w", c, err)
			}
			if err := m.answered(c, k.note); err != nil {
				return err
			}
		}
		return k.monitor.SetDeadline(time.Time{})
	}()
	if err != nil {
		go k.reap()
		return k.explain(err)
	}
	k.readers.Add(2)
	go k.listen(m)
	go k.hear()
	if k.console != nil {
		k.readers.Add(1)
		go k.show()
	}
	if k.tpm != nil {
		go k.watchTPM()
	}
	go k.reap()
	return nil
}

// explain adds QEMU's own words if it has ended.
func (k *keep) explain(err error) error {
	select {
	case <-k.qemu.ended:
		return fmt.Errorf("QEMU %s", k.qemu.how())
	case <-time.After(time.Second):
		return err
	}
}

// listen follows QEMU's events until its end.
func (k *keep) listen(m *monitor) {
	defer k.readers.Done()
	defer k.monitor.Close()
	for {
		msg, err := m.next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				k.blame(err.Error())
			}
			return
		}
		k.note(msg)
	}
}

// note takes note of an event.
func (k *keep) note(msg message) {
	switch msg.Event {
	case "VSERPORT_CHANGE":
		if msg.Data.ID == "sallyport" && msg.Data.Open {
			k.upOnce.Do(func() { close(k.up) })
		}
	case "GUEST_PANICKED":
		k.mu.Lock()
		k.panicked = true
		k.mu.Unlock()
	case "SHUTDOWN":
		k.mu.Lock()
		k.shutdown = clean(msg.Data.Reason)
		k.mu.Unlock()
	}
}

// hear reads the guest's last words. Closing the port afterwards tells the
// guest that its goodbye has come through.
func (k *keep) hear() {
	defer k.readers.Done()
	defer k.words.Close()
	bye, err := readWords(k.words, k.spec.Stderr)
	switch {
	case err == nil:
		k.mu.Lock()
		k.goodbye = &bye
		k.mu.Unlock()
		k.later(k.times.goodbye, fmt.Sprintf("it said goodbye (%s) and did not power off within %v", bye.Reason, k.times.goodbye))
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		// The machine's end will say more.
	default:
		k.blame(err.Error())
	}
}

// show passes the console of a debug image on to whoever hears the Keep.
func (k *keep) show() {
	defer k.readers.Done()
	defer k.console.Close()
	var w io.Writer = io.Discard
	if k.spec.Stderr != nil {
		w = k.spec.Stderr
	}
	_, _ = io.CopyN(w, k.console, maxStderr)
	_, _ = io.Copy(io.Discard, k.console)
}

// watchTPM ends a machine whose TPM has ended: it could prove nothing any more.
func (k *keep) watchTPM() {
	select {
	case <-k.tpm.ended:
		select {
		case <-k.qemu.ended: // it ends with QEMU
		case <-time.After(time.Second):
			k.blame("its software TPM " + k.tpm.how())
		}
	case <-k.gone:
	}
}

// undo removes what a start that failed has made.
func (k *keep) undo() error {
	if !k.reaping {
		k.reaping = true
		go k.reap()
	}
	<-k.gone
	return k.err
}

// reap waits for the end of the machine and removes what is left of it.
func (k *keep) reap() {
	defer close(k.gone)
	var errs []error
	if k.qemu != nil {
		<-k.qemu.ended
	}
	k.mu.Lock()
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	if k.tpm != nil {
		errs = append(errs, k.tpm.kill())
		<-k.tpm.ended
	}
	k.readers.Wait()
	for _, f := range []*os.File{k.words, k.monitor, k.console} {
		if f != nil {
			f.Close() // again, if its reader has begun
		}
	}
	oom := hostproc.OutOfMemory(k.groups)
	for _, g := range k.groups {
		errs = append(errs, hostproc.RemoveGroup(g.Dir))
	}
	if k.tpmDir != "" {
		if err := os.RemoveAll(k.tpmDir); err != nil {
			errs = append(errs, fmt.Errorf("remove the TPM's state: %w", err))
		}
	}
	k.err = errors.Join(errs...)
	k.exit = k.outcome(oom)
}

// outcome says how the Keep ended. Only a goodbye with the power-off after it
// is a good end: QEMU's own exit status is 0 also for a panic.
func (k *keep) outcome(oom bool) loader.Exit {
	k.mu.Lock()
	defer k.mu.Unlock()
	bad := func(reason string) loader.Exit { return loader.Exit{Code: -1, Reason: reason} }
	switch {
	case k.fault != "":
		e := bad(k.fault)
		e.Signal = unix.SignalName(unix.SIGKILL)
		return e
	case k.goodbye != nil && (k.shutdown == "guest-shutdown" || k.shutdown == "guest-reset") && !k.panicked:
		return exitOf(*k.goodbye)
	case oom:
		return bad("QEMU took more memory than a Keep of this size may, and the host has ended it")
	case k.killed:
		return loader.Exit{Code: -1, Signal: unix.SignalName(unix.SIGKILL), Reason: "killed"}
	case k.panicked:
		return bad("the guest's kernel panicked")
	case k.goodbye != nil:
		return bad("it said goodbye (" + k.goodbye.Reason + ") and then the machine ended without a power-off")
	case k.shutdown == "guest-reset":
		return bad("the guest reset without a goodbye (panic or out of memory)")
	case k.shutdown == "guest-shutdown":
		return bad("the guest powered off without a goodbye")
	case k.shutdown != "":
		return bad("QEMU ended the machine: " + k.shutdown)
	case k.qemu == nil:
		return bad("QEMU was not started")
	}
	e := bad("QEMU " + k.qemu.how())
	if ws, ok := k.qemu.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = unix.SignalName(ws.Signal())
	}
	return e
}

// exitOf words a goodbye as the loader of platform process would.
func exitOf(g guestport.Goodbye) loader.Exit {
	e := loader.Exit{Code: int(g.Status), Reason: g.Reason}
	if g.Reason == guestport.ReasonExited {
		return e
	}
	if sig := syscall.Signal(g.Status) - 128; g.Status > 128 && unix.SignalName(sig) != "" {
		e.Code, e.Signal = -1, unix.SignalName(sig)
	}
	if e.Code == 0 {
		e.Code = -1 // whatever else it was, it was no good end
	}
	return e
}
