// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !enarx_wasmtime

package wasitest

import (
	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/wazero"
)

// Open makes an engine of the kind that this build is for. Quick says that
// modules run once and briefly, so that compiling them well is not worth it.
func Open(l engine.Limits, quick bool) (engine.Engine, error) {
	return wazero.New(wazero.Options{Limits: l, Interpreter: quick})
}
