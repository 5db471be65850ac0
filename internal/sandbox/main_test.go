// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// victim is the path of testdata/victim, built for this run.
var victim string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "enarx-sandbox-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // one test runs the victim as another user
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	victim = filepath.Join(dir, "victim")
	build := exec.Command("go", "build", "-o", victim, "./testdata/victim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build testdata/victim: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// outcome is how a victim ended.
type outcome struct {
	out    string
	sealed bool
	sigsys bool
	code   int
}

// runVictim runs the victim, at most a few seconds long.
func runVictim(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, victim, args...)
	out, err := c.Output()
	if ctx.Err() != nil {
		t.Fatalf("victim %v hangs: %s", args, out)
	}
	if c.ProcessState == nil {
		t.Fatalf("victim %v did not run: %v", args, err)
	}
	ws := c.ProcessState.Sys().(syscall.WaitStatus)
	return outcome{
		out:    string(out),
		sealed: strings.HasPrefix(string(out), "sealed\n"),
		sigsys: ws.Signaled() && ws.Signal() == syscall.SIGSYS,
		code:   c.ProcessState.ExitCode(),
	}
}

type sysCall struct {
	name string
	nr   uint32
}

// allCalls reads the architecture's system calls from testdata.
func allCalls(t *testing.T) []sysCall {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "syscalls_"+runtime.GOARCH+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var calls []sysCall
	for s := bufio.NewScanner(f); s.Scan(); {
		name, nr, ok := strings.Cut(s.Text(), " ")
		if !ok || name == "#" {
			continue
		}
		n, err := strconv.ParseUint(nr, 10, 32)
		if err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		calls = append(calls, sysCall{name, uint32(n)})
	}
	if len(calls) < 300 {
		t.Fatalf("only %d system calls in testdata, an architecture has more than 300", len(calls))
	}
	return calls
}

func policies() []policy {
	return []policy{parentPolicy(), firstPolicy(First{}), firstPolicy(First{Files: []string{"/"}, Reports: true}), compilePolicy(false, true), runPolicy(false, false), runPolicy(true, false), runPolicy(true, true),
		engineCompilePolicy(false), engineCompilePolicy(true), engineRunPolicy(false, false), engineRunPolicy(true, true)}
}
