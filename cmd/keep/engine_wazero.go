// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !enarx_wasmtime

package main

import (
	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/keep/child"
	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/wazero"
)

// engineName is the engine that this Keep is built with, and its version.
const engineName = "wazero " + wazero.Version

// engineChild is the start of the engine child.
func engineChild(arg string) int {
	spec, err := sandbox.ChildSpec(arg)
	if err != nil {
		return report(err)
	}
	return child.Main(child.Env{
		Compile: func() error { _, err := sandbox.SealChild(spec, sandbox.StageCompile); return err },
		Run:     func() error { _, err := sandbox.SealChild(spec, sandbox.StageRun); return err },
		NewEngine: func(cacheDir string, limits engine.Limits) (engine.Engine, error) {
			return wazero.New(wazero.Options{CacheDir: cacheDir, Limits: limits})
		},
	})
}
