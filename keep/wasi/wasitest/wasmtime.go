// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime

package wasitest

import (
	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/wasmtime"
)

// Open makes an engine of the kind that this build is for.
func Open(l engine.Limits, _ bool) (engine.Engine, error) {
	return wasmtime.New(wasmtime.Options{Limits: l})
}
