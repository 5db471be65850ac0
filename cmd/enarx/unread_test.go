// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdUnread is "unread stdout|both SIGNALS CODE COMMAND ARGS…": nobody reads
// what the command writes to that stream, or to both. Once the pipe is full it
// gets SIGTERM that many times, and must then end by itself with the code.
func cmdUnread(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || args[0] != "stdout" && args[0] != "both" {
		ts.Fatalf("usage: unread stdout|both SIGNALS CODE COMMAND ARGS…")
	}
	signals, err := strconv.Atoi(args[1])
	ts.Check(err)
	want, err := strconv.Atoi(args[2])
	ts.Check(err)
	r, w, err := os.Pipe()
	ts.Check(err)
	defer r.Close()
	log, err := os.Create(ts.MkAbs("unread.stderr"))
	ts.Check(err)
	defer log.Close()
	cmd := command(ts, args[3:])
	cmd.Stdout, cmd.Stderr = w, log
	if args[0] == "both" {
		cmd.Stderr = w
	}
	ts.Check(cmd.Start())
	w.Close()
	t := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer t.Stop()
	waitFull(ts, cmd, r)
	for range signals {
		ts.Check(cmd.Process.Signal(unix.SIGTERM))
		time.Sleep(200 * time.Millisecond)
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("ended with code %d (%v), want %d", got, cmd.ProcessState, want)
	}
}

// waitFull waits until a pipe holds something and no longer more.
func waitFull(ts *testscript.TestScript, cmd *exec.Cmd, r *os.File) {
	last := 0
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
		ts.Check(err)
		if n > 32<<10 && n == last {
			return
		}
		if time.Now().After(end) {
			cmd.Process.Kill()
			cmd.Wait()
			ts.Fatalf("the pipe holds %d bytes and was to be full", n)
		}
		last = n
	}
}
