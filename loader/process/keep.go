// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// keep is a started Keep.
type keep struct {
	proc    *os.Process
	pidfd   *os.File
	channel *os.File
	groups  []hostproc.Group
	ownPIDs bool // in a process namespace, which ends with its first process
	layers  []loader.Layer

	copying sync.WaitGroup // the copier of stderr
	gone    chan struct{}  // closed when nothing is left; exit and err are set
	exit    loader.Exit
	err     error
}

// newKeep takes charge of a process; the caller starts its reap.
func newKeep(proc *os.Process, pidfd int, channel *os.File, groups []hostproc.Group, ownPIDs bool) *keep {
	k := &keep{proc: proc, channel: channel, groups: groups, ownPIDs: ownPIDs, gone: make(chan struct{})}
	if pidfd >= 0 && unix.SetNonblock(pidfd, true) == nil {
		k.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return k
}

// Channel implements loader.Keep.
func (k *keep) Channel() io.ReadWriteCloser { return k.channel }

// PID implements loader.Keep.
func (k *keep) PID() int { return k.proc.Pid }

// Layers implements loader.Keep.
func (k *keep) Layers() []loader.Layer { return k.layers }

// Kill implements loader.Keep.
func (k *keep) Kill() error {
	if err := k.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
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

// copyStderr passes what the Keep prints on to w, up to maxStderr, and drops
// the rest so that a chatty Keep does not block.
func (k *keep) copyStderr(from *os.File, w io.Writer) {
	if from == nil {
		return
	}
	k.copying.Add(1)
	go func() {
		defer k.copying.Done()
		defer from.Close()
		_, _ = io.CopyN(w, from, maxStderr) // the Keep's words are best effort
		_, _ = io.Copy(io.Discard, from)
	}()
}

// reap waits for the end of the Keep and removes what is left of it.
func (k *keep) reap() {
	defer close(k.gone)
	hostproc.AwaitExit(k.pidfd)
	if !k.ownPIDs {
		// The zombie still holds the number of the process group.
		_ = unix.Kill(-k.proc.Pid, unix.SIGKILL)
	}
	state, err := k.proc.Wait()
	if k.pidfd != nil {
		k.pidfd.Close()
	}
	if err != nil {
		k.err = fmt.Errorf("wait for Keep: %w", err)
	} else {
		k.exit = exitOf(state, hostproc.OutOfMemory(k.groups))
	}
	if !k.ownPIDs {
		k.err = errors.Join(k.err, hostproc.AwaitGroup(k.proc.Pid))
	}
	for _, g := range k.groups {
		k.err = errors.Join(k.err, hostproc.RemoveGroup(g.Dir))
	}
	k.copying.Wait()
}

func exitOf(state *os.ProcessState, oom bool) loader.Exit {
	e := loader.Exit{Code: state.ExitCode(), Reason: "exited"}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = unix.SignalName(ws.Signal())
		e.Reason = "killed"
		if ws.Signal() == syscall.SIGSYS {
			e.Reason = "killed for a forbidden system call"
		}
	}
	if oom {
		e.Reason = "out of memory"
	}
	return e
}
