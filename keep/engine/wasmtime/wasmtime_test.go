// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime && cgo

package wasmtime

import (
	"bytes"
	"os"
	"testing"

	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/enginetest"
)

func open(l engine.Limits) (engine.Engine, error) { return New(Options{Limits: l}) }

func TestEngine(t *testing.T) { enginetest.All(t, open) }

// TestVersion holds Version to what is linked.
func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(mod, []byte("github.com/bytecodealliance/wasmtime-go/v39 "+Version+"\n")) {
		t.Errorf("go.mod does not require wasmtime-go %s", Version)
	}
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if got := e.Name(); got != "wasmtime "+Version {
		t.Errorf("name %q", got)
	}
}
