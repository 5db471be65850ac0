// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/keep/engine"
)

const (
	pageSize   = 65536
	maxNesting = 10_000 // of package check
)

// Open makes an engine; the test that asks closes it.
type Open func(engine.Limits) (engine.Engine, error)

// Run compiles, instantiates and calls "f".
func Run(t testing.TB, open Open, l engine.Limits, mod []byte, host ...engine.HostFunc) error {
	t.Helper()
	m, err := newEngine(t, open, l).Compile(t.Context(), mod)
	if err != nil {
		return err
	}
	in, err := m.Instantiate(t.Context(), host)
	if err != nil {
		return err
	}
	defer in.Close()
	return in.Call(t.Context(), "f")
}

func newEngine(t testing.TB, open Open, l engine.Limits) engine.Engine {
	t.Helper()
	e, err := open(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// All runs every test of this package.
func All(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"Traps", traps},
		{"ExitTravelsOut", exitTravelsOut},
		{"HostFunctionSeesMemoryAndStack", hostFunctionSeesMemoryAndStack},
		{"MemoryLimit", memoryLimit},
		{"Invariant4HostileInputIsBounded_Modules", hostileModules},
		{"Invariant4HostileInputIsBounded_Nesting", nesting},
		{"NoModule", noModule},
		{"Calls", calls},
		{"Features", features},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

func traps(t *testing.T, open Open) {
	for want, c := range map[string][]byte{
		"unreachable":            {0x00},
		"integer divide by zero": {0x41, 1, 0x41, 0, 0x6d, 0x1a},
		"out of bounds memory":   {0x41, 0x7f, 0x28, 0, 0, 0x1a},
		"stack overflow":         {0x10, 0},
	} {
		err := Run(t, open, engine.Limits{}, Wasm(TypeVoid, OneFunc, OnePage, ExportF, Code(Body(c...))))
		var trap *engine.TrapError
		if !errors.As(err, &trap) || !strings.Contains(trap.Reason, want) || strings.Contains(trap.Reason, "\n") {
			t.Errorf("%s: got %#v", want, err)
		}
	}
}

func exitTravelsOut(t *testing.T, open Open) {
	host := engine.HostFunc{Module: "m", Name: "h", Call: func(context.Context, engine.Memory, []uint64) {
		panic(&engine.ExitError{Code: 7})
	}}
	mod := Wasm(TypeVoid, ImportHost, OneFunc, Section(7, 1, 1, 'f', 0, 1), Code(Body(0x10, 0)))
	var exit *engine.ExitError
	if err := Run(t, open, engine.Limits{}, mod, host); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("got %v", err)
	}
	// From the start section too.
	mod = Wasm(TypeVoid, ImportHost, OneFunc, Section(8, 1), Code(Body(0x10, 0)))
	exit = nil
	if err := Run(t, open, engine.Limits{}, mod, host); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("from the start section: got %v", err)
	}
}

func hostFunctionSeesMemoryAndStack(t *testing.T, open Open) {
	var size uint64
	var seen []byte
	host := engine.HostFunc{
		Module: "m", Name: "h", Params: []engine.ValType{engine.I32, engine.I64}, Results: []engine.ValType{engine.I32},
		Call: func(_ context.Context, mem engine.Memory, st []uint64) {
			size = mem.Size()
			b, _ := mem.Bytes(uint32(st[0]), uint32(st[1]))
			seen = bytes.Clone(b) // a view ends with the call
			if _, ok := mem.Bytes(65535, 2); ok {
				t.Error("two bytes at the last address were given")
			}
			if _, ok := mem.Bytes(0xffffffff, 0xffffffff); ok {
				t.Error("a range that wraps was given")
			}
			st[0] = 1
		},
	}
	mod := Wasm(Section(1, 2, 0x60, 2, 0x7f, 0x7e, 1, 0x7f, 0x60, 0, 0), ImportHost, Section(3, 1, 1), OnePage,
		Section(7, 2, 1, 'f', 0, 1, 1, 'm', 2, 0), Code(Body(0x41, 4, 0x42, 2, 0x10, 0, 0x1a)), Section(11, 1, 0, 0x41, 4, 0x0b, 2, 'h', 'i'))
	if err := Run(t, open, engine.Limits{}, mod, host); err != nil {
		t.Fatal(err)
	}
	if size != 65536 || string(seen) != "hi" {
		t.Errorf("memory of %d bytes with %q", size, seen)
	}
	host.Params = host.Params[:1]
	if err := Run(t, open, engine.Limits{}, mod, host); err == nil || !strings.Contains(err.Error(), "signature (i32 i64) -> (i32)") {
		t.Errorf("a host function of another signature: %v", err)
	}
	if err := Run(t, open, engine.Limits{}, mod); err == nil || !strings.Contains(err.Error(), `"h" of module "m"`) {
		t.Errorf("a missing import: %v", err)
	}
}

func memoryLimit(t *testing.T, open Open) {
	l := engine.Limits{MemoryBytes: 2 * pageSize}
	if err := Run(t, open, l, Wasm(TypeVoid, OneFunc, Section(5, 1, 0, 3), ExportF, Code(Body()))); err == nil {
		t.Error("three pages to begin with, with a limit of two")
	}
	// if (memory.grow(1) == -1 || memory.grow(1) != -1) unreachable
	grow := Body(0x41, 1, 0x40, 0, 0x41, 0x7f, 0x46, 0x41, 1, 0x40, 0, 0x41, 0x7f, 0x47, 0x72, 0x04, 0x40, 0x00, 0x0b)
	if err := Run(t, open, l, Wasm(TypeVoid, OneFunc, OnePage, ExportF, Code(grow))); err != nil {
		t.Errorf("growing to the limit and not beyond: %v", err)
	}
	// A higher declared maximum is no reason to refuse.
	if err := Run(t, open, l, Wasm(TypeVoid, OneFunc, Section(5, 1, 1, 1, 0x80, 0x80, 4), ExportF, Code(grow))); err != nil {
		t.Errorf("growing with a declared maximum of 4 GiB: %v", err)
	}
	if _, err := open(engine.Limits{MemoryBytes: 1}); err == nil {
		t.Error("a limit below one page was accepted")
	}
}

// hostileModules: what a module claims to have is
// refused before anything is made of that size.
func hostileModules(t *testing.T, open Open) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f} // 2^32-1
	for name, mod := range map[string][]byte{
		"types":           Wasm(Section(1, huge...)),
		"parameters":      Wasm(Section(1, append([]byte{1, 0x60}, huge...)...)),
		"recursive types": Wasm(Section(1, append([]byte{1, 0x4e}, huge...)...)),
		"imports":         Wasm(Section(2, huge...)),
		"import name":     Wasm(Section(2, append([]byte{1}, huge...)...)),
		"functions":       Wasm(Section(3, huge...)),
		"tables":          Wasm(Section(4, huge...)),
		"table size":      Wasm(Section(4, append([]byte{1, 0x70, 0}, huge...)...)),
		"table import":    Wasm(Section(2, append([]byte{1, 0, 0, 1, 0x70, 0}, huge...)...)),
		"sum of tables":   Wasm(Section(4, 2, 0x70, 0, 0x80, 0xcb, 0xe9, 0x02, 0x70, 0, 0x80, 0xcb, 0xe9, 0x02)),
		"memory size":     Wasm(Section(5, append([]byte{1, 0}, huge...)...)),
		"globals":         Wasm(Section(6, huge...)),
		"exports":         Wasm(Section(7, huge...)),
		"elements":        Wasm(Section(9, huge...)),
		"element entries": Wasm(Section(9, append([]byte{1, 1, 0}, huge...)...)),
		"element exprs":   Wasm(Section(9, append([]byte{1, 5, 0x70}, huge...)...)),
		"code":            Wasm(Section(10, huge...)),
		"locals":          Wasm(TypeVoid, OneFunc, Section(10, append([]byte{1, 8, 1}, append(huge, 0x7f, 0x0b)...)...)),
		"local groups":    Wasm(TypeVoid, OneFunc, Section(10, append([]byte{1, 6}, huge...)...)),
		"data":            Wasm(Section(11, huge...)),
		"data bytes":      Wasm(Section(11, append([]byte{1, 1}, huge...)...)),
		"tags":            Wasm(Section(13, huge...)),
		"function names":  Wasm(Section(0, append([]byte{4, 'n', 'a', 'm', 'e', 1, 5}, huge...)...)),
		"local names":     Wasm(Section(0, append([]byte{4, 'n', 'a', 'm', 'e', 2, 7, 1, 0}, huge...)...)),
		"name subsection": Wasm(Section(0, append([]byte{4, 'n', 'a', 'm', 'e', 1}, huge...)...)),
		"section size":    append(Wasm(), append([]byte{1}, huge...)...),
		"bad number":      append(Wasm(), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"too large":       append(Wasm(), make([]byte, 100_000_000)...),
	} {
		var err error
		allocs := testing.AllocsPerRun(1, func() { _, err = newEngine(t, open, engine.Limits{}).Compile(t.Context(), mod) })
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 500 {
			t.Errorf("%s: the error is not one short line: %q", name, err)
		}
		if allocs > 10000 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// nesting: the compiler needs time
// quadratic in the depth of blocks, which therefore is bounded.
func nesting(t *testing.T, open Open) {
	nested := func(depth int) []byte {
		blocks := append(bytes.Repeat([]byte{0x02, 0x40}, depth), bytes.Repeat([]byte{0x0b}, depth)...)
		return Wasm(TypeVoid, OneFunc, ExportF, Code(Body(blocks...)))
	}
	begin := time.Now()
	if err := Run(t, open, engine.Limits{}, nested(maxNesting)); err != nil {
		t.Errorf("blocks nested %d deep: %v", maxNesting, err)
	}
	t.Logf("%d nested blocks took %v", maxNesting, time.Since(begin))
	if err := Run(t, open, engine.Limits{}, nested(maxNesting+1)); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("blocks nested %d deep: %v", maxNesting+1, err)
	}
	if err := Run(t, open, engine.Limits{}, nested(3_000_000)); err == nil {
		t.Error("blocks nested 3,000,000 deep were accepted")
	}
}

func noModule(t *testing.T, open Open) {
	e := newEngine(t, open, engine.Limits{})
	for _, b := range [][]byte{nil, []byte("hello"), []byte("\x7fELF\x01\x01\x01\x00"), []byte("\x00asm")} {
		if _, err := e.Compile(t.Context(), b); !errors.Is(err, engine.ErrNotWasm) {
			t.Errorf("%q: %v, want ErrNotWasm", b, err)
		}
	}
	if _, err := e.Compile(t.Context(), []byte("\x00asm\x0d\x00\x01\x00")); err == nil || !strings.Contains(err.Error(), "component") {
		t.Errorf("a component: %v", err)
	}
	if _, err := e.Compile(t.Context(), Wasm(Section(2, 1, 1, 'm', 1, 'x', 2, 0, 1))); err == nil || !strings.Contains(err.Error(), "memories") {
		t.Errorf("an imported memory: %v", err)
	}
}

func calls(t *testing.T, open Open) {
	m, err := newEngine(t, open, engine.Limits{}).Compile(t.Context(), Wasm(Section(1, 1, 0x60, 1, 0x7f, 0), OneFunc, ExportF, Code(Body())))
	if err != nil {
		t.Fatal(err)
	}
	if !m.HasExport("f") || m.HasExport("g") {
		t.Error("exports are f and nothing else")
	}
	in, err := m.Instantiate(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Call(t.Context(), "f"); err == nil || !strings.Contains(err.Error(), "(i32) -> ()") {
		t.Errorf("calling a function with parameters: %v", err)
	}
	if err := in.Call(t.Context(), "g"); err == nil {
		t.Error("a missing function was called")
	}
	if _, err := m.Instantiate(t.Context(), nil); err == nil {
		t.Error("a second instance beside the first")
	}
	in.Close()
	if in, err = m.Instantiate(t.Context(), nil); err != nil {
		t.Errorf("an instance after the first was closed: %v", err)
	} else {
		in.Close()
	}
}

func features(t *testing.T, open Open) {
	for name, c := range map[string][]byte{
		"vectors":             append([]byte{0xfd, 12}, append(make([]byte, 16), 0x1a)...),
		"memory.fill":         {0x41, 0, 0x41, 1, 0x41, 2, 0xfc, 11, 0},
		"sign extension":      {0x41, 0, 0xc0, 0x1a},
		"saturating truncate": {0x43, 0, 0, 0, 0, 0xfc, 0, 0x1a},
		"tail call":           {0x41, 1, 0x04, 0x40, 0x0f, 0x0b, 0x12, 0},
		"null reference":      {0xd0, 0x70, 0x1a},
	} {
		if err := Run(t, open, engine.Limits{}, Wasm(TypeVoid, OneFunc, OnePage, ExportF, Code(Body(c...)))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
