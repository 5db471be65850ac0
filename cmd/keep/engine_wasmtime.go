// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime

package main

import (
	_ "embed"
	"os"
	"runtime"
	"strconv"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/keep/child"
	"github.com/enarx/enarx-go/keep/engine/wasmtime"
)

// engineName is the engine that this Keep is built with, and its version.
const engineName = "wasmtime " + wasmtime.Version

// engineProgram is the engine child's program (cmd/keep/engine), which
// scripts/build makes first. It lies in the measured file; the process that
// holds the keys has none of its code.
//
//go:embed engine/engine.elf
var engineProgram string

// engineChild is the start of the engine child, which becomes that program.
func engineChild(arg string) int {
	spec, err := sandbox.ChildSpec(arg)
	if err != nil {
		return report(err)
	}
	program, err := sandbox.LoadProgram(engineProgram)
	if err != nil {
		return report(err)
	}
	return child.Launch(
		func() error { _, err := sandbox.SealChild(spec, sandbox.StageExec); return err },
		func() error { return program.Exec([]string{"keep", "engine", arg}, engineEnv()) },
	)
}

// engineEnv is the environment of the engine's program. It answers what the
// library would otherwise ask the host with system calls that the child does
// not have: the number of compiler threads, for which it would read files, and
// whether standard error is a terminal with colours.
func engineEnv() []string {
	return append(sandbox.RuntimeEnv(os.Getenv("GOMAXPROCS")), "RAYON_NUM_THREADS="+strconv.Itoa(runtime.GOMAXPROCS(0)), "NO_COLOR=1")
}
