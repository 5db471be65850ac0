// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/loader"
)

// Cleanup implements loader.Loader. It kills the recorded process if it is the
// same one by number and start time, and removes the recorded control groups.
// It may be called for a Keep of which nothing is left.
func (l *Loader) Cleanup(ctx context.Context, r loader.Record) error {
	if r.Platform != l.Platform() {
		return fmt.Errorf("clean up after Keep %s: it was on platform %q, this is the loader of %q", r.ID, r.Platform, l.Platform())
	}
	if !validID(r.ID) {
		return fmt.Errorf("clean up after a Keep: the record's ID %q is none that a Keep can have", r.ID)
	}
	var errs []error
	if r.PID > 0 {
		errs = append(errs, endProcess(ctx, r.PID, r.StartTime))
	}
	for _, dir := range r.Cgroups {
		if filepath.Base(dir) != groupPrefix+r.ID || !filepath.IsAbs(dir) {
			errs = append(errs, fmt.Errorf("clean up after Keep %s: %q is not its control group", r.ID, dir))
			continue
		}
		errs = append(errs, removeGroup(dir))
	}
	return errors.Join(errs...)
}

// endProcess kills process pid if it began at the given time, and waits for
// its end.
func endProcess(ctx context.Context, pid int, started uint64) error {
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
	now, err := startTime(pid)
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
	deadline := time.Now().Add(goneTimeout)
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
			return fmt.Errorf("process %d of a former Keep does not end within %v of being killed", pid, goneTimeout)
		}
	}
}

// startTime is when a process began, in clock ticks since boot
// (proc_pid_stat(5), field 22). A zombie counts as ended.
func startTime(pid int) (uint64, error) {
	fields, err := statFields(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// statFields are the fields of a running process from the third, its state,
// to at least the 22nd (proc_pid_stat(5)).
func statFields(pid int) ([][]byte, error) {
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
