// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wazero

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/keep/engine"
)

// section is one section of a module, of up to 2^28 bytes.
func section(id byte, body ...byte) []byte {
	return append(append([]byte{id}, leb(len(body))...), body...)
}

func leb(n int) []byte {
	var b []byte
	for {
		c := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func wasm(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

// body is a function body without locals.
func body(code ...byte) []byte {
	b := append(append([]byte{0}, code...), 0x0b)
	return append(leb(len(b)), b...)
}

func code(bodies ...[]byte) []byte {
	return section(10, append(leb(len(bodies)), bytes.Join(bodies, nil)...)...)
}

// Parts of a module with one function "f" of type () -> ().
var (
	typeVoid   = section(1, 1, 0x60, 0, 0)
	oneFunc    = section(3, 1, 0)
	exportF    = section(7, 1, 1, 'f', 0, 0)
	onePage    = section(5, 1, 0, 1)
	importHost = section(2, 1, 1, 'm', 1, 'h', 0, 0)
)

func newEngine(t testing.TB, o Options) engine.Engine {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// run compiles, instantiates and calls "f".
func run(t testing.TB, o Options, mod []byte, host ...engine.HostFunc) error {
	t.Helper()
	m, err := newEngine(t, o).Compile(t.Context(), mod)
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

// both runs a test on the compiler and the interpreter.
func both(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("compiler", func(t *testing.T) { test(t, Options{}) })
	t.Run("interpreter", func(t *testing.T) { test(t, Options{Interpreter: true}) })
}

func TestTraps(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		for want, c := range map[string][]byte{
			"unreachable":            {0x00},
			"integer divide by zero": {0x41, 1, 0x41, 0, 0x6d, 0x1a},
			"out of bounds memory":   {0x41, 0x7f, 0x28, 0, 0, 0x1a},
			"stack overflow":         {0x10, 0},
		} {
			err := run(t, o, wasm(typeVoid, oneFunc, onePage, exportF, code(body(c...))))
			var trap *engine.TrapError
			if !errors.As(err, &trap) || !strings.Contains(trap.Reason, want) || strings.Contains(trap.Reason, "\n") {
				t.Errorf("%s: got %#v", want, err)
			}
		}
	})
}

func TestExitTravelsOut(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		host := engine.HostFunc{Module: "m", Name: "h", Call: func(context.Context, engine.Memory, []uint64) {
			panic(&engine.ExitError{Code: 7})
		}}
		mod := wasm(typeVoid, importHost, oneFunc, section(7, 1, 1, 'f', 0, 1), code(body(0x10, 0)))
		var exit *engine.ExitError
		if err := run(t, o, mod, host); !errors.As(err, &exit) || exit.Code != 7 {
			t.Errorf("got %v", err)
		}
		// From the start section too.
		mod = wasm(typeVoid, importHost, oneFunc, section(8, 1), code(body(0x10, 0)))
		exit = nil
		if err := run(t, o, mod, host); !errors.As(err, &exit) || exit.Code != 7 {
			t.Errorf("from the start section: got %v", err)
		}
	})
}

func TestHostFunctionSeesMemoryAndStack(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		var size uint64
		var seen []byte
		host := engine.HostFunc{
			Module: "m", Name: "h", Params: []engine.ValType{engine.I32, engine.I64}, Results: []engine.ValType{engine.I32},
			Call: func(_ context.Context, mem engine.Memory, st []uint64) {
				size = mem.Size()
				seen, _ = mem.Bytes(uint32(st[0]), uint32(st[1]))
				if _, ok := mem.Bytes(65535, 2); ok {
					t.Error("two bytes at the last address were given")
				}
				if _, ok := mem.Bytes(0xffffffff, 0xffffffff); ok {
					t.Error("a range that wraps was given")
				}
				st[0] = 1
			},
		}
		mod := wasm(section(1, 2, 0x60, 2, 0x7f, 0x7e, 1, 0x7f, 0x60, 0, 0), importHost, section(3, 1, 1), onePage,
			section(7, 1, 1, 'f', 0, 1), code(body(0x41, 4, 0x42, 2, 0x10, 0, 0x1a)), section(11, 1, 0, 0x41, 4, 0x0b, 2, 'h', 'i'))
		if err := run(t, o, mod, host); err != nil {
			t.Fatal(err)
		}
		if size != 65536 || string(seen) != "hi" {
			t.Errorf("memory of %d bytes with %q", size, seen)
		}
		host.Params = host.Params[:1]
		if err := run(t, o, mod, host); err == nil || !strings.Contains(err.Error(), "signature (i32 i64) -> (i32)") {
			t.Errorf("a host function of another signature: %v", err)
		}
		if err := run(t, o, mod); err == nil || !strings.Contains(err.Error(), `"h" of module "m"`) {
			t.Errorf("a missing import: %v", err)
		}
	})
}

func TestMemoryLimit(t *testing.T) {
	o := Options{Limits: engine.Limits{MemoryBytes: 2 * pageSize}}
	if err := run(t, o, wasm(typeVoid, oneFunc, section(5, 1, 0, 3), exportF, code(body()))); err == nil {
		t.Error("three pages to begin with, with a limit of two")
	}
	// if (memory.grow(1) == -1 || memory.grow(1) != -1) unreachable
	grow := body(0x41, 1, 0x40, 0, 0x41, 0x7f, 0x46, 0x41, 1, 0x40, 0, 0x41, 0x7f, 0x47, 0x72, 0x04, 0x40, 0x00, 0x0b)
	if err := run(t, o, wasm(typeVoid, oneFunc, onePage, exportF, code(grow))); err != nil {
		t.Errorf("growing to the limit and not beyond: %v", err)
	}
	// A higher declared maximum is no reason to refuse.
	if err := run(t, o, wasm(typeVoid, oneFunc, section(5, 1, 1, 1, 0x80, 0x80, 4), exportF, code(grow))); err != nil {
		t.Errorf("growing with a declared maximum of 4 GiB: %v", err)
	}
	if _, err := New(Options{Limits: engine.Limits{MemoryBytes: 1}}); err == nil {
		t.Error("a limit below one page was accepted")
	}
}

// TestInvariant4HostileInputIsBounded_Modules: what a module claims to have is
// refused before anything is made of that size.
func TestInvariant4HostileInputIsBounded_Modules(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f} // 2^32-1
	for name, mod := range map[string][]byte{
		"types":           wasm(section(1, huge...)),
		"parameters":      wasm(section(1, append([]byte{1, 0x60}, huge...)...)),
		"recursive types": wasm(section(1, append([]byte{1, 0x4e}, huge...)...)),
		"imports":         wasm(section(2, huge...)),
		"import name":     wasm(section(2, append([]byte{1}, huge...)...)),
		"functions":       wasm(section(3, huge...)),
		"tables":          wasm(section(4, huge...)),
		"table size":      wasm(section(4, append([]byte{1, 0x70, 0}, huge...)...)),
		"table import":    wasm(section(2, append([]byte{1, 0, 0, 1, 0x70, 0}, huge...)...)),
		"sum of tables":   wasm(section(4, 2, 0x70, 0, 0x80, 0xcb, 0xe9, 0x02, 0x70, 0, 0x80, 0xcb, 0xe9, 0x02)),
		"memory size":     wasm(section(5, append([]byte{1, 0}, huge...)...)),
		"globals":         wasm(section(6, huge...)),
		"exports":         wasm(section(7, huge...)),
		"elements":        wasm(section(9, huge...)),
		"element entries": wasm(section(9, append([]byte{1, 1, 0}, huge...)...)),
		"element exprs":   wasm(section(9, append([]byte{1, 5, 0x70}, huge...)...)),
		"code":            wasm(section(10, huge...)),
		"locals":          wasm(typeVoid, oneFunc, section(10, append([]byte{1, 8, 1}, append(huge, 0x7f, 0x0b)...)...)),
		"local groups":    wasm(typeVoid, oneFunc, section(10, append([]byte{1, 6}, huge...)...)),
		"data":            wasm(section(11, huge...)),
		"data bytes":      wasm(section(11, append([]byte{1, 1}, huge...)...)),
		"tags":            wasm(section(13, huge...)),
		"function names":  wasm(section(0, append([]byte{4, 'n', 'a', 'm', 'e', 1, 5}, huge...)...)),
		"local names":     wasm(section(0, append([]byte{4, 'n', 'a', 'm', 'e', 2, 7, 1, 0}, huge...)...)),
		"name subsection": wasm(section(0, append([]byte{4, 'n', 'a', 'm', 'e', 1}, huge...)...)),
		"section size":    append(wasm(), append([]byte{1}, huge...)...),
		"bad number":      append(wasm(), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"too large":       append(wasm(), make([]byte, maxModuleBytes)...),
	} {
		var err error
		allocs := testing.AllocsPerRun(1, func() { _, err = newEngine(t, Options{}).Compile(t.Context(), mod) })
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

// TestInvariant4HostileInputIsBounded_Nesting: the compiler needs time
// quadratic in the depth of blocks, which therefore is bounded.
func TestInvariant4HostileInputIsBounded_Nesting(t *testing.T) {
	nested := func(depth int) []byte {
		blocks := append(bytes.Repeat([]byte{0x02, 0x40}, depth), bytes.Repeat([]byte{0x0b}, depth)...)
		return wasm(typeVoid, oneFunc, exportF, code(body(blocks...)))
	}
	begin := time.Now()
	if err := run(t, Options{}, nested(maxNesting)); err != nil {
		t.Errorf("blocks nested %d deep: %v", maxNesting, err)
	}
	t.Logf("%d nested blocks took %v", maxNesting, time.Since(begin))
	if err := run(t, Options{}, nested(maxNesting+1)); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("blocks nested %d deep: %v", maxNesting+1, err)
	}
	if err := run(t, Options{}, nested(3_000_000)); err == nil {
		t.Error("blocks nested 3,000,000 deep were accepted")
	}
}

// TestInvariant4HostileInputIsBounded_FastPath holds the fast way through code
// to the careful one, on random code of the instructions that it knows and some
// that it does not: it stops between instructions, skips none that is to be
// bounded, and none that the careful one would refuse.
func TestInvariant4HostileInputIsBounded_FastPath(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	skipped := map[byte]int{}
	for range 20_000 {
		b := make([]byte, 64)
		for i := range b {
			// Long numbers and high opcodes are rare enough to get far.
			one, two := random.UintN(256), random.UintN(256)
			b[i] = byte(one & two)
			if random.UintN(8) == 0 {
				b[i] |= 0x80
			}
		}
		end := len(b) - len(skipPlain(b))
		r := &reader{b: b}
		for len(b)-len(r.b) < end {
			op := r.byte()
			switch op {
			case 0x02, 0x03, 0x04, 0x0b, 0x0e, 0x1c:
				t.Fatalf("%x: instruction %#x was skipped", b, op)
			}
			if !r.immediates(op) || r.bad {
				t.Fatalf("%x: instruction %#x was skipped and is refused by the careful loop", b, op)
			}
			skipped[op]++
		}
		if len(b)-len(r.b) != end {
			t.Fatalf("%x: stopped at %d, inside an instruction", b, end)
		}
	}
	for op, n := range numbers {
		if n > 0 && skipped[byte(op)] == 0 {
			t.Errorf("instruction %#x was never tried", op)
		}
	}
}

func TestNoModule(t *testing.T) {
	e := newEngine(t, Options{})
	for _, b := range [][]byte{nil, []byte("hello"), []byte("\x7fELF\x01\x01\x01\x00"), []byte("\x00asm")} {
		if _, err := e.Compile(t.Context(), b); !errors.Is(err, engine.ErrNotWasm) {
			t.Errorf("%q: %v, want ErrNotWasm", b, err)
		}
	}
	if _, err := e.Compile(t.Context(), []byte("\x00asm\x0d\x00\x01\x00")); err == nil || !strings.Contains(err.Error(), "component") {
		t.Errorf("a component: %v", err)
	}
	if _, err := e.Compile(t.Context(), wasm(section(2, 1, 1, 'm', 1, 'x', 2, 0, 1))); err == nil || !strings.Contains(err.Error(), "memories") {
		t.Errorf("an imported memory: %v", err)
	}
}

func TestCalls(t *testing.T) {
	m, err := newEngine(t, Options{}).Compile(t.Context(), wasm(section(1, 1, 0x60, 1, 0x7f, 0), oneFunc, exportF, code(body())))
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

func TestFeatures(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		for name, c := range map[string][]byte{
			"vectors":             append([]byte{0xfd, 12}, append(make([]byte, 16), 0x1a)...),
			"memory.fill":         {0x41, 0, 0x41, 1, 0x41, 2, 0xfc, 11, 0},
			"sign extension":      {0x41, 0, 0xc0, 0x1a},
			"saturating truncate": {0x43, 0, 0, 0, 0, 0xfc, 0, 0x1a},
			"tail call":           {0x41, 1, 0x04, 0x40, 0x0f, 0x0b, 0x12, 0},
			"null reference":      {0xd0, 0x70, 0x1a},
		} {
			if err := run(t, o, wasm(typeVoid, oneFunc, onePage, exportF, code(body(c...)))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestCacheDir(t *testing.T) {
	dir := t.TempDir()
	mod := wasm(typeVoid, oneFunc, exportF, code(body()))
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
	if got := newEngine(t, Options{}).Name(); got != "wazero "+Version {
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
	f.Add(wasm(typeVoid, oneFunc, onePage, exportF, code(body(0x00))))
	f.Add(wasm(section(9, 1, 5, 0x70, 1, 0xd0, 0x70, 0x0b), section(0, 4, 'n', 'a', 'm', 'e', 1, 4, 1, 0, 1, 'x')))
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
