// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime && cgo

package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/keep/child"
	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/wasmtime"
)

// The first thread's stack is the kernel's to grow and may be small. It stays
// with main, so that the guest runs on one of the others.
func init() { runtime.LockOSThread() }

func main() {
	status := make(chan int)
	go func() {
		// The engine keeps what belongs to a thread.
		runtime.LockOSThread()
		status <- run()
	}()
	os.Exit(<-status)
}

func run() int {
	if len(os.Args) != 3 || os.Args[1] != "engine" {
		fmt.Fprintln(os.Stderr, "engine: this is a part of a Keep")
		return 2
	}
	spec, err := sandbox.ChildSpec(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		return 1
	}
	return child.Main(child.Env{
		Executed: true,
		Compile:  func() error { _, err := sandbox.SealEngine(spec, sandbox.StageCompile); return err },
		Run:      func() error { _, err := sandbox.SealEngine(spec, sandbox.StageRun); return err },
		NewEngine: func(_ string, limits engine.Limits) (engine.Engine, error) {
			return wasmtime.New(wasmtime.Options{Limits: limits})
		},
	})
}
