// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// GoneTimeout is how long the remains of a killed Keep may take to go before
// Wait reports them. A process in an uninterruptible wait for a disk can take
// seconds.
const GoneTimeout = 10 * time.Second

// MaxID bounds the Keep's name, which becomes a file name.
const MaxID = 64

// ValidID keeps an ID from being anything but one harmless file name.
func ValidID(id string) bool {
	if len(id) == 0 || len(id) > MaxID {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// AwaitExit returns when the process behind a pidfd in non-blocking mode has
// ended. It waits in the poller, so that hundreds of Keeps do not hold as many
// threads. It returns at once where that cannot be done: Process.Wait blocks
// instead.
func AwaitExit(pidfd *os.File) {
	if pidfd == nil {
		return
	}
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// AwaitGroup returns when nothing of a killed process group runs any more.
// Zombies don't count: they wait for the host's first process to note them.
func AwaitGroup(pgid int) error {
	deadline := time.Now().Add(GoneTimeout)
	for pause := time.Millisecond; groupRuns(pgid); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("processes of Keep %d do not end within %v of being killed", pgid, GoneTimeout)
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
		if fields, err := StatFields(pid); err == nil && string(fields[2]) == strconv.Itoa(pgid) {
			return true
		}
	}
	return false
}

// EndProcess kills process pid if it began at the given time, and waits for
// its end.
func EndProcess(ctx context.Context, pid int, started uint64) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d of a former Keep: %w", pid, err)
	}
	defer unix.Close(fd)
	// Only now: what the descriptor holds can no longer change, so a start
	// time read after it is that process's own or nobody's.
	now, err := StartTime(pid)
	if err != nil || now != started {
		return nil // another process, or none
	}
	// The Keep leads its session and so its process group, which matters
	// only on hosts without process namespaces.
	if pgid, err := unix.Getpgid(pid); err == nil && pgid == pid {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d of a former Keep: %w", pid, err)
	}
	return awaitEnd(ctx, fd, pid)
}

func awaitEnd(ctx context.Context, pidfd, pid int) error {
	deadline := time.Now().Add(GoneTimeout)
	for {
		p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 50)
		switch {
		case n > 0:
			return nil
		case err != nil && err != unix.EINTR:
			return fmt.Errorf("wait for process %d of a former Keep: %w", pid, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("process %d of a former Keep does not end within %v of being killed", pid, GoneTimeout)
		}
	}
}

// StartTime is when a process began, in clock ticks since boot
// (proc_pid_stat(5), field 22). A zombie counts as ended.
func StartTime(pid int) (uint64, error) {
	fields, err := StatFields(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// StatFields are the fields of a running process from the third, its state,
// to at least the 22nd (proc_pid_stat(5)).
func StatFields(pid int) ([][]byte, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, err
	}
	// The second field, the name, may contain anything; the last ')' ends it.
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return nil, fmt.Errorf("/proc/%d/stat has no process name", pid)
	}
	fields := bytes.Fields(b[i+1:])
	if len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields after the name, expected at least 20", pid, len(fields))
	}
	if string(fields[0]) == "Z" || string(fields[0]) == "X" {
		return nil, fmt.Errorf("process %d has ended", pid)
	}
	return fields, nil
}
