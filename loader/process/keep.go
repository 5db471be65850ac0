// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/loader"
)

// keep is a started Keep.
type keep struct {
	proc    *os.Process
	pidfd   *os.File
	channel *os.File
	groups  []group
	ownPIDs bool // in a process namespace, which ends with its first process
	layers  []loader.Layer

	copying sync.WaitGroup // the copier of stderr
	gone    chan struct{}  // closed when nothing is left; exit and err are set
	exit    loader.Exit
	err     error
}

// newKeep takes charge of a process; the caller starts its reap.
func newKeep(proc *os.Process, pidfd int, channel *os.File, groups []group, ownPIDs bool) *keep {
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
	k.await()
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
		k.exit = exitOf(state, outOfMemory(k.groups))
	}
	if !k.ownPIDs {
		k.err = errors.Join(k.err, awaitGroup(k.proc.Pid))
	}
	for _, g := range k.groups {
		k.err = errors.Join(k.err, removeGroup(g.dir))
	}
	k.copying.Wait()
}

// await returns when the process has ended. It waits in the poller, so that
// hundreds of Keeps do not hold as many threads.
func (k *keep) await() {
	if k.pidfd == nil {
		return // Process.Wait blocks instead
	}
	conn, err := k.pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// awaitGroup returns when nothing of a killed process group runs any more.
// Zombies don't count: they wait for the host's first process to note them.
func awaitGroup(pgid int) error {
	deadline := time.Now().Add(goneTimeout)
	for pause := time.Millisecond; groupRuns(pgid); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("processes of Keep %d do not end within %v of being killed", pgid, goneTimeout)
		}
		time.Sleep(pause)
	}
	return nil
}

// groupRuns looks through all processes for one of the group.
func groupRuns(pgid int) bool {
	if errors.Is(unix.Kill(-pgid, 0), unix.ESRCH) {
		return false
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return true // cannot know: the deadline decides
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return true
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// A process that vanishes meanwhile, or a zombie, is an error.
		if fields, err := statFields(pid); err == nil && string(fields[2]) == strconv.Itoa(pgid) {
			return true
		}
	}
	return false
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
