// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCmds are the stories' own words besides those of testscript.
var scriptCmds = map[string]func(*testscript.TestScript, bool, []string){
	"exits":       cmdExits,
	"eventually":  cmdEventually,
	"unhex":       cmdUnhex,
	"sparse":      cmdSparse,
	"truncated":   cmdTruncated,
	"agent":       cmdAgent,
	"stopagent":   cmdStopAgent,
	"signalled":   cmdSignalled,
	"freeport":    cmdFreePort,
	"busyport":    cmdBusyPort,
	"waitfile":    cmdWaitFile,
	"nothingleft": cmdNothingLeft,
	"setfrom":     cmdSetFrom,
	"certs":       cmdCerts,
	"unread":      cmdUnread,
	"liar":        cmdLiar,
	"lie":         cmdLie,
	"vendors":     cmdVendors,
	"vector":      cmdVector,
}

// cmdExits is "exits CODE COMMAND ARGS…": the command must end with exactly
// that code. Its output is left for the stdout and stderr checks.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %q is no exit code", args[0])
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ee *exec.ExitError
	switch {
	case errors.As(err, &ee):
		got = ee.ExitCode()
	case err != nil:
		ts.Fatalf("exits: %s: %v", strings.Join(args[1:], " "), err)
	}
	if got != want {
		ts.Fatalf("exits: %s ended with code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// cmdEventually is "eventually REGEXP COMMAND ARGS…": the command's standard
// output comes to match within ten seconds. It is for what a host hears of
// later than we do; everything else must hold at once.
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP COMMAND ARGS…")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && want.MatchString(out) {
			return
		}
		if time.Since(begin) > 10*time.Second {
			ts.Fatalf("eventually: %s says %q (%v), want a match of %q", strings.Join(args[1:], " "), out, err, want)
		}
	}
}

// cmdUnhex is "unhex HEX FILE".
func cmdUnhex(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unhex HEX FILE")
	}
	b, err := hex.DecodeString(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}

// cmdSparse is "sparse FILE SIZE": a file of that size that takes no space.
func cmdSparse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sparse FILE SIZE")
	}
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), nil, 0o600))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// cmdTruncated is "truncated FILE SIZE NEW": the beginning of a file.
func cmdTruncated(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: truncated FILE SIZE NEW")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(b) <= n {
		ts.Fatalf("truncated: %s has only %d bytes", args[0], len(b))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b[:n], 0o600))
}

// patience is how long a story waits for something that takes milliseconds on
// an idle machine.
const patience = 30 * time.Second

// command makes a process in the story's directory and environment.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	var path string
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		p := filepath.Join(dir, args[0])
		if _, err := os.Stat(p); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		ts.Fatalf("%s is not on the path", args[0])
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, k := range []string{"PATH", "HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "ENARX_KEEP", "ENARX_TEST_KEEP_DIGEST", "ENARX_TEST_GRACE"} {
		cmd.Env = append(cmd.Env, k+"="+ts.Getenv(k))
	}
	return cmd
}

// agents are the running agents by the story's directory.
var agents = newShared[*exec.Cmd]()

// cmdAgent is "agent FLAGS…": an agent on a free loopback port with its state
// in agent/. Sets HOST to its URL. The story's end stops it.
func cmdAgent(ts *testscript.TestScript, neg bool, args []string) {
	cmd := command(ts, append([]string{"enarx", "agent", "--listen", "127.0.0.1:0", "--state", ts.MkAbs("agent")}, args...))
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	log, err := os.OpenFile(ts.MkAbs("agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	cmd.Stderr = log
	ts.Check(cmd.Start())
	log.Close()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b, _ := os.ReadFile(ts.MkAbs("agent.log"))
		cmd.Wait()
		ts.Fatalf("the agent did not start: %s", b)
	}
	ts.Setenv("HOST", strings.TrimSpace(url))
	agents.set(ts.MkAbs("."), cmd)
	ts.Defer(func() { endAgent(ts, syscall.SIGKILL) })
}

func endAgent(ts *testscript.TestScript, sig syscall.Signal) {
	cmd, ok := agents.take(ts.MkAbs("."))
	if !ok {
		return
	}
	cmd.Process.Signal(sig)
	t := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer t.Stop()
	cmd.Wait()
}

// cmdStopAgent is "stopagent SIGNAL".
func cmdStopAgent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stopagent SIGNAL")
	}
	endAgent(ts, unix.SignalNum("SIG"+args[0]))
}

// cmdSignalled is "signalled SIGNAL CODE COMMAND ARGS…": once the command has
// written a line, it gets the signal, and must then end with the code.
func cmdSignalled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: signalled SIGNAL CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	cmd := command(ts, args[2:])
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	ts.Check(cmd.Start())
	t := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer t.Stop()
	r := bufio.NewReader(out)
	if _, err := r.ReadString('\n'); err != nil {
		cmd.Wait()
		ts.Fatalf("no output: %v\n%s", err, &stderr)
	}
	ts.Check(cmd.Process.Signal(unix.SignalNum("SIG" + args[0])))
	cmd.Wait()
	ts.Logf("[stderr]\n%s", &stderr)
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("ended with code %d, want %d", got, want)
	}
}

// cmdFreePort is "freeport VAR".
func cmdFreePort(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	l.Close()
}

// cmdBusyPort is "busyport VAR": a port that is taken until the story ends.
func cmdBusyPort(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	ts.Defer(func() { l.Close() })
}

// cmdWaitFile is "waitfile FILE".
func cmdWaitFile(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
	}
	ts.Fatalf("%s did not appear", args[0])
}

// cmdSetFrom is "setfrom VAR FILE": the file's first line becomes a variable.
func cmdSetFrom(ts *testscript.TestScript, neg bool, args []string) {
	line, _, _ := strings.Cut(ts.ReadFile(args[1]), "\n")
	ts.Setenv(args[0], line)
}

// cmdNothingLeft checks that no Keep of this story's runtime is alive and that
// no run or agent has left its directory: at once after a run, and with "soon" within
// the time that an agent gives a Keep that has said its last word.
func cmdNothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	end := time.Now()
	if len(args) == 1 && args[0] == "soon" {
		end = end.Add(10 * time.Second)
	}
	for {
		left := leftBehind(ts)
		if left == "" {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("left behind: %s", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func leftBehind(ts *testscript.TestScript) string {
	if dirs, _ := filepath.Glob(filepath.Join(ts.Getenv("TMPDIR"), "enarx-*", "*")); len(dirs) > 0 {
		return strings.Join(dirs, " ")
	}
	for _, d := range []string{"keeps", "records"} {
		if of, _ := filepath.Glob(filepath.Join(ts.MkAbs("agent"), d, "*")); len(of) > 0 {
			return strings.Join(of, " ")
		}
	}
	keep := ts.Getenv("ENARX_KEEP")
	procs, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, p := range procs {
		if exe, err := os.Readlink(p); err == nil && (exe == keep || exe == "/memfd:keep from "+keep+" (deleted)") {
			return "a living Keep, " + filepath.Dir(p)
		}
	}
	return ""
}
