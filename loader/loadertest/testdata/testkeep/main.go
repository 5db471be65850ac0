// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Command testkeep is a Keep for tests of loaders: it starts and seals itself
// as the real one does, also as the first process of a machine, but then obeys
// lines of text on the sallyport.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/keep/guest"
)

func main() {
	switch {
	case guest.IsInit():
		guest.Main()
	case len(os.Args) == 2 && os.Args[1] == "process", len(os.Args) == 3 && os.Args[1] == guest.Role:
		os.Exit(keep())
	case len(os.Args) == 3 && os.Args[1] == "engine":
		os.Exit(engine(os.Args[2]))
	}
	os.Exit(2)
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "testkeep:", err)
	return 1
}

func keep() int {
	times := []time.Time{time.Now()}
	lap := func() { times = append(times, time.Now()) }
	spec, err := sandbox.ReadSpec(sandbox.SpecFD)
	if err != nil {
		return fail(err)
	}
	lap()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	if _, err := sandbox.StartChild(spec, sandbox.Child{Args: []string{"engine"}, Control: theirs, Stderr: os.Stderr}); err != nil {
		return fail(err)
	}
	theirs.Close()
	lap()
	if err := sandbox.PrepareRoot(spec); err != nil {
		return fail(err)
	}
	lap()
	if _, err := sandbox.SealParent(spec); err != nil {
		return fail(err)
	}
	lap()
	if ask(pair[0], "ready") != "sealed" {
		return fail(fmt.Errorf("the engine child did not seal itself"))
	}
	lap()
	return serve(pair[0], times)
}

// ask sends the child a command and returns its answer.
func ask(control int, command string) string {
	if _, err := unix.Write(control, []byte(command)); err != nil {
		return "child gone: " + err.Error()
	}
	buf := make([]byte, 4096)
	n, err := unix.Read(control, buf)
	if err != nil || n == 0 {
		var ws unix.WaitStatus
		_, err := unix.Wait4(-1, &ws, 0, nil)
		return fmt.Sprintf("child died of %v %v", unix.SignalName(ws.Signal()), err)
	}
	return string(buf[:n])
}

func serve(control int, times []time.Time) int {
	port := os.NewFile(sandbox.SallyportFD, "sallyport")
	for s := bufio.NewScanner(port); s.Scan(); {
		command, arg, _ := strings.Cut(s.Text(), " ")
		n, _ := strconv.Atoi(arg)
		answer := arg
		switch command {
		case "echo":
		case "child":
			answer = ask(control, arg)
		case "exit":
			return n
		case "panic":
			panic("as asked")
		case "say":
			fmt.Fprint(os.Stderr, strings.Repeat("x", n))
		case "hang":
			fmt.Fprintln(port, "hanging")
			for {
				time.Sleep(time.Hour)
			}
		case "times":
			answer = ""
			for i := range times[1:] {
				answer += fmt.Sprintf("%d ", times[i+1].Sub(times[i]).Microseconds())
			}
		case "self": // the parent's own attempts; each kills or fails
			answer = attack(arg)
		}
		fmt.Fprintln(port, answer)
	}
	return 0
}

// engine is the child: it seals itself through both stages and then does what
// it is told, as code of a hostile workload would.
func engine(arg string) int {
	spec, err := sandbox.ChildSpec(arg)
	if err != nil {
		return fail(err)
	}
	buf := make([]byte, 4096)
	if n, err := unix.Read(sandbox.ControlFD, buf); err != nil || string(buf[:n]) != "ready" {
		return 0
	}
	if _, err := sandbox.SealChild(spec, sandbox.StageCompile); err != nil {
		return fail(err)
	}
	if p := spec.CachePath(); p != "" {
		if err := os.WriteFile(p+"/code", []byte("compiled"), 0o600); err != nil {
			return fail(err)
		}
	}
	if _, err := sandbox.SealChild(spec, sandbox.StageRun); err != nil {
		return fail(err)
	}
	answer := "sealed"
	for {
		if _, err := unix.Write(sandbox.ControlFD, []byte(answer)); err != nil {
			return 0
		}
		n, err := unix.Read(sandbox.ControlFD, buf)
		if err != nil || n == 0 {
			return 0
		}
		answer = attack(string(buf[:n]))
	}
}

// eaten keeps memory in use.
var eaten [][]byte

// attack does what its line says and tells how it went.
func attack(line string) string {
	command, arg, _ := strings.Cut(line, " ")
	n, _ := strconv.Atoi(arg)
	switch command {
	case "eat":
		for range n {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			eaten = append(eaten, b)
		}
		return "ate"
	case "threads":
		for range n {
			go func() {
				runtime.LockOSThread()
				select {}
			}()
		}
		time.Sleep(100 * time.Millisecond)
		return "threads"
	case "read":
		b, err := os.ReadFile(arg)
		return said("read "+string(b), err)
	case "write":
		return said("wrote", os.WriteFile(arg, []byte("written"), 0o600))
	case "mkdir":
		return said("made", os.Mkdir(arg, 0o700))
	case "rename":
		from, to, _ := strings.Cut(arg, " ")
		return said("renamed", os.Rename(from, to))
	case "list":
		l, err := os.ReadDir(arg)
		return said(fmt.Sprint("listed ", l), err)
	case "descriptors":
		return descriptors()
	case "syscall":
		return rawCall(strings.Fields(arg))
	}
	return "unknown command"
}

func said(ok string, err error) string {
	if err != nil {
		return "error " + err.Error()
	}
	return ok
}

// descriptors lists what is open: number and kind.
func descriptors() string {
	var out []string
	for fd := range 256 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			continue
		}
		kind := "other"
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil {
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFCHR:
				kind = "device"
			case unix.S_IFIFO:
				kind = "pipe"
			case unix.S_IFREG:
				kind = "file"
			case unix.S_IFDIR:
				kind = "directory"
			case unix.S_IFSOCK:
				typ, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
				kind = fmt.Sprint("socket", typ)
			}
		}
		out = append(out, fmt.Sprintf("%d:%s", fd, kind))
	}
	return strings.Join(out, " ")
}

// rawCall makes any system call with numbers as arguments; "@text" stands for
// the address of a text, "&" for that of 4,096 zero bytes.
func rawCall(words []string) string {
	var a [7]uintptr
	for i, w := range words {
		switch {
		case i >= len(a):
		case w[0] == '@':
			p, _ := unix.BytePtrFromString(w[1:])
			a[i] = address(p)
		case w[0] == '&':
			a[i] = address(&zeros[0])
		default:
			n, _ := strconv.ParseInt(w, 0, 64)
			a[i] = uintptr(n)
		}
	}
	r, _, e := unix.Syscall6(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
	if e != 0 {
		return "error " + e.Error()
	}
	return fmt.Sprint("returned ", r)
}

var zeros [4096]byte
