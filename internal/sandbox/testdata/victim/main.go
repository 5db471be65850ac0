// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Command victim seals itself with one of the policies and then makes system
// calls, so that the tests see which of them kill.
//
//	victim POLICY NUMBER ARG…   one call; prints "sealed", then "returned N"
//	victim POLICY many N N …    the calls with all arguments zero
//	victim POLICY work          what a Go program does all day
//	victim asks-too-much N      seals itself with Landlock version N
//	victim crowd N              has a child use up N tasks and then starts threads
//	victim root                 builds a root directory in the host's mounts
//
// An argument "own" is the process's own ID.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
)

func main() {
	if os.Args[1] == "root" {
		fmt.Println(sandbox.PrepareRoot(&sandbox.Spec{MountNS: true}))
		return
	}
	switch os.Args[1] {
	case "crowd":
		crowd(os.Args[2])
		return
	case "crowded":
		crowded(os.Args[2])
		return
	}
	policy, what := os.Args[1], os.Args[2]
	var before func()
	if what == "work" {
		before = prepareWork()
	}
	if err := seal(policy); err != nil {
		fmt.Println("not sealed:", err)
		os.Exit(3)
	}
	fmt.Println("sealed")
	switch what {
	case "work":
		before()
	case "many":
		for _, a := range os.Args[3:] {
			fmt.Println(a, call(number(a), nil))
		}
	default:
		var args []uintptr
		for _, a := range os.Args[3:] {
			args = append(args, number(a))
		}
		fmt.Println("returned", call(number(what), args))
	}
}

func seal(policy string) error {
	spec := &sandbox.Spec{Seccomp: true}
	base, own := strings.CutSuffix(policy, ", engine's own program")
	switch base {
	case "run with writable directories":
		spec.Dirs = []sandbox.Mount{{Host: "/tmp"}}
	case "run with directories", "compile with directories":
		spec.Dirs = []sandbox.Mount{{Host: "/tmp", ReadOnly: true}}
	case "asks-too-much":
		spec.LandlockABI = int(number(os.Args[2]))
	case "compile":
		spec.Cache = &sandbox.Mount{Host: "/tmp"}
	}
	if own {
		return sealEngine(spec, strings.HasPrefix(base, "run"))
	}
	switch policy {
	case "keep":
		_, err := sandbox.SealParent(spec)
		return err
	case "first process":
		_, err := sandbox.SealFirst(spec, sandbox.First{})
		return err
	case "first process with reports":
		_, err := sandbox.SealFirst(spec, sandbox.First{Files: []string{"/sys"}, Reports: true})
		return err
	}
	if _, err := sandbox.SealChild(spec, sandbox.StageCompile); err != nil || policy == "compile" {
		return err
	}
	_, err := sandbox.SealChild(spec, sandbox.StageRun)
	return err
}

// sealEngine does what the engine's own program does; that it may get no new
// privileges comes from before it was executed.
func sealEngine(spec *sandbox.Spec, run bool) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, err := sandbox.SealEngine(spec, sandbox.StageCompile); err != nil || !run {
		return err
	}
	_, err := sandbox.SealEngine(spec, sandbox.StageRun)
	return err
}

func number(s string) uintptr {
	if s == "own" {
		return uintptr(os.Getpid())
	}
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return uintptr(n)
}

func call(nr uintptr, args []uintptr) int {
	var a [6]uintptr
	copy(a[:], args)
	if nr == unix.SYS_EXIT { // ends a thread, so give it one
		go func() {
			runtime.LockOSThread()
			unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
		}()
		time.Sleep(20 * time.Millisecond)
		return 0
	}
	_, _, e := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return int(e)
}

// prepareWork opens what must be open before the seal and returns the work:
// goroutines on new threads, memory, timers, sockets and copies.
func prepareWork() func() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	return func() {
		ca, err := net.FileConn(a)
		check(err)
		cb, err := net.FileConn(b)
		check(err)
		check(cb.SetDeadline(time.Now().Add(5 * time.Second)))
		go func() {
			io.Copy(ca, cb2(ca)) // ReadFrom: tries splice and falls back
			ca.Close()
		}()
		_, err = cb.Write(make([]byte, 1<<16))
		check(err)
		n, err := io.ReadFull(cb, make([]byte, 1<<16))
		check(err)
		var wg sync.WaitGroup
		for range 30 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				runtime.LockOSThread()
				time.Sleep(5 * time.Millisecond)
			}()
		}
		wg.Wait()
		var kept [][]byte
		for range 20 {
			kept = append(kept, make([]byte, 1<<20))
			runtime.GC()
		}
		fmt.Println("worked", n, len(kept))
	}
}

// cb2 hides nothing: it is the same connection, read from by io.Copy.
func cb2(c net.Conn) io.Reader { return c }

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(4)
	}
}
