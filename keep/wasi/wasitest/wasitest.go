// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package wasitest runs a module in this process, for tests: the engine
// that the build is for (tag enarx_wasmtime or none), the WASI layer of package wasi, no sandbox around it.
package wasitest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/wasi"
)

// Run runs a command module to its end and returns its exit code. A nil
// Random means the machine's, and without arguments there is the program's
// name. What cfg holds is closed. Traps and modules that cannot run are
// errors.
func Run(ctx context.Context, wasm []byte, cfg wasi.Config) (code uint32, err error) {
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if len(cfg.Args) == 0 {
		cfg.Args = []string{"main.wasm"}
	}
	sys, err := wasi.New(cfg)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sys.Close()) }()
	eng, err := Open(engine.Limits{}, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	mod, err := eng.Compile(ctx, wasm)
	if err != nil {
		return 0, fmt.Errorf("compiling: %w", err)
	}
	inst, err := mod.Instantiate(ctx, sys.HostFuncs())
	if err != nil {
		return exitCode(err)
	}
	defer func() { err = errors.Join(err, inst.Close()) }()
	return exitCode(inst.Call(ctx, "_start"))
}

func exitCode(err error) (uint32, error) {
	var exit *engine.ExitError
	if errors.As(err, &exit) {
		return exit.Code, nil
	}
	return 0, err
}
