// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
)

// threadSpec is a Keep's spec with a limit on threads, and without a filter,
// so that the hostile child can make tasks by means that outlive its runtime.
func threadSpec(limit string) *sandbox.Spec {
	return &sandbox.Spec{Limits: []sandbox.Limit{{Resource: unix.RLIMIT_NPROC, Name: "threads", Value: uint64(number(limit))}}}
}

// crowd is the Keep's parent: it sets the limit as StartChild does, lets the
// child do its worst, and then needs threads of its own.
func crowd(limit string) {
	n := uint64(number(limit))
	check(unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: n, Max: n}))
	r, w, err := os.Pipe()
	check(err)
	_, err = os.StartProcess("/proc/self/exe", []string{"victim", "crowded", limit}, &os.ProcAttr{Files: []*os.File{nil, w, os.Stderr}})
	check(err)
	w.Close()
	line, _ := bufio.NewReader(r).ReadString('\n')
	fmt.Print(line)
	var started sync.WaitGroup
	release := make(chan struct{})
	for range 12 {
		started.Add(1)
		go func() {
			runtime.LockOSThread()
			started.Done()
			<-release
		}()
	}
	started.Wait()
	fmt.Println("parent lives")
}

// crowded is the engine child in the hands of an attacker.
func crowded(limit string) {
	_, err := sandbox.SealChild(threadSpec(limit), sandbox.StageCompile)
	check(err)
	raised := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: uint64(number(limit)), Max: uint64(number(limit))})
	tasks := 0
	for ; ; tasks++ {
		if _, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{}); err != nil {
			break
		}
	}
	fmt.Printf("full with %d, raising the limit: %v\n", tasks, raised)
	time.Sleep(time.Minute) // its own threads count too
}
