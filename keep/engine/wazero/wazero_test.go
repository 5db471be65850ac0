// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wazero

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/enginetest"
)

// opener makes engines with the options of o.
func opener(o Options) enginetest.Open {
	return func(l engine.Limits) (engine.Engine, error) {
		o.Limits = l
		return New(o)
	}
}

func run(t testing.TB, o Options, mod []byte) error {
	t.Helper()
	return enginetest.Run(t, opener(o), engine.Limits{}, mod)
}

func TestEngine(t *testing.T) {
	for name, o := range map[string]Options{"compiler": {}, "interpreter": {Interpreter: true}} {
		t.Run(name, func(t *testing.T) {
			enginetest.All(t, opener(o))
		})
	}
}

func TestCacheDir(t *testing.T) {
	dir := t.TempDir()
	mod := enginetest.Wasm(enginetest.TypeVoid, enginetest.OneFunc, enginetest.ExportF, enginetest.Code(enginetest.Body()))
	for range 2 {
		if err := run(t, Options{CacheDir: dir}, mod); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files in the directory for compiled code, want 1 (%v)", len(files), err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	// Package codecache puts its own bytes behind the engine's.
	more := append(b[:len(b):len(b)], "name and tag"...)
	if err := os.WriteFile(files[0], more, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t, Options{CacheDir: dir}, mod); err != nil {
		t.Errorf("an entry with bytes behind it: %v", err)
	}
	if now, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(now, more) {
		t.Errorf("an entry with bytes behind it was not used as it is: %v", err)
	}
	// An entry that an accident has cut is refused, and said to be the fault.
	if err := os.WriteFile(files[0], b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t, Options{CacheDir: dir}, mod); err == nil || !strings.Contains(err.Error(), "compiled code") {
		t.Errorf("an entry cut in half: %v", err)
	}
	if _, err := New(Options{CacheDir: files[0]}); err == nil {
		t.Error("a file was taken for the directory")
	}
}

// TestVersion holds Version to what is linked.
func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(mod, []byte("github.com/tetratelabs/wazero "+Version+"\n")) {
		t.Errorf("go.mod does not require wazero %s", Version)
	}
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if got := e.Name(); got != "wazero "+Version {
		t.Errorf("name %q", got)
	}
}

// FuzzCompile: no bytes make the check or the compiler panic or hang.
func FuzzCompile(f *testing.F) {
	seeds, err := filepath.Glob("../../wasi/testdata/wasi-testsuite/assemblyscript/*.wasm")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no modules to begin with: %v", err)
	}
	for _, s := range seeds {
		b, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(enginetest.Wasm(enginetest.TypeVoid, enginetest.OneFunc, enginetest.OnePage, enginetest.ExportF, enginetest.Code(enginetest.Body(0x00))))
	f.Add(enginetest.Wasm(enginetest.Section(9, 1, 5, 0x70, 1, 0xd0, 0x70, 0x0b), enginetest.Section(0, 4, 'n', 'a', 'm', 'e', 1, 4, 1, 0, 1, 'x')))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := New(Options{Interpreter: true})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		m, err := e.Compile(t.Context(), b)
		if (m == nil) == (err == nil) {
			t.Errorf("module %v and error %v", m, err)
		}
	})
}
