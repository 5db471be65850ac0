// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// corpus is every text of testdata.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(names) < 4 {
		t.Fatalf("%d texts in testdata: %v", len(names), err)
	}
	m := map[string][]byte{}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		m[n] = b
	}
	return m
}

// wabt runs a tool of wabt on src and returns what it writes.
func wabt(t testing.TB, tool string, src []byte, args ...string) ([]byte, error) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Fatalf("%s is needed to compare with: apt-get install wabt", tool)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, src, 0o600); err != nil {
		t.Fatal(err)
	}
	msg, err := exec.Command(tool, append(args, in, "-o", out)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %s", tool, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b, nil
}

// withoutNames removes custom sections.
func withoutNames(t testing.TB, b []byte) []byte {
	t.Helper()
	out := append([]byte{}, b[:8]...)
	for b = b[8:]; len(b) > 0; {
		n, w := binary.Uvarint(b[1:])
		size := 1 + w + int(n)
		if w <= 0 || size > len(b) {
			t.Fatal("section runs over the end")
		}
		if b[0] != secCustom {
			out = append(out, b[:size]...)
		}
		b = b[size:]
	}
	return out
}

// sameAsWabt assembles with both and compares every byte but names.
func sameAsWabt(t *testing.T, src []byte) []byte {
	t.Helper()
	want, err := wabt(t, "wat2wasm", src)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Assemble(src)
	if err != nil {
		t.Fatal(err)
	}
	got = withoutNames(t, got)
	if !bytes.Equal(got, want) {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Fatalf("differs at byte %d of %d (want %d):\n got %x\nwant %x", i, len(got), len(want),
			got[max(0, i-8):min(len(got), i+16)], want[max(0, i-8):min(len(want), i+16)])
	}
	return want
}

func TestSameBytesAsWabt(t *testing.T) {
	for name, src := range corpus(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			wasm := sameAsWabt(t, src)
			// What wabt writes as text, flat and folded, leads back to the
			// same module.
			for _, style := range [][]string{nil, {"--fold-exprs"}, {"--inline-exports", "--inline-imports"}} {
				again, err := wabt(t, "wasm2wat", wasm, style...)
				if err != nil {
					t.Fatal(err)
				}
				sameAsWabt(t, again)
			}
		})
	}
}

// TestEveryInstruction assembles each instruction of the table once and
// compares with wabt, which checks the opcode table. Nothing is type-checked.
func TestEveryInstruction(t *testing.T) {
	args := map[imm]string{
		immLabel: "0", immLabels: "0 0", immFunc: "0", immIndirect: "(type 0)", immLocal: "0", immGlobal: "0",
		immI32: "-7", immI64: "0x7f", immF32: "1.25", immF64: "-0x1p9", immHeapType: "extern", immMemArg: "offset=300 align=1",
		immMemInit: "0", immData: "0", immTableInit: "0", immElem: "0", immStructured: "end",
	}
	for name, o := range ops() {
		for _, arg := range []string{args[o.imm], ""} {
			if arg == "" && o.imm != immMemArg {
				continue
			}
			src := fmt.Sprintf(`(module (type (func)) (global (mut i32) (i32.const 0)) (table 1 funcref) (memory 1)
				(elem func 0) (data "x") (func (local i32) %s %s))`, name, arg)
			want, err := wabt(t, "wat2wasm", []byte(src), "--no-check")
			if err != nil {
				t.Fatal(err)
			}
			got, err := Assemble([]byte(src))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s %s: %v\n got %x\nwant %x", name, arg, err, got, want)
			}
		}
	}
	if n := len(ops()); n < 190 {
		t.Errorf("%d instructions in the table", n)
	}
}

func TestNamesAreKept(t *testing.T) {
	b, err := Assemble([]byte(`(module $mod (func) (func $second))`))
	if err != nil {
		t.Fatal(err)
	}
	// custom section "name": module name "mod"; one function, index 1, "second".
	want := []byte("\x00\x16\x04name\x00\x04\x03mod\x01\x09\x01\x01\x06second")
	if !bytes.HasSuffix(b, want) {
		t.Errorf("ends with %q, want %q", b[max(0, len(b)-len(want)):], want)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for src, want := range map[string]string{
		"":                               "1:1: there is no module",
		"(module":                        "1:1: this parenthesis is not closed",
		"(module))":                      "1:9: this parenthesis closes nothing",
		"(module) (module)":              "1:10: expected the end of the text",
		"(module\n  (func\n    i32.ad))": `3:5: unknown instruction "i32.ad"`,
		"(module (func é))":              "1:15: unexpected character 'é'",
		"(module (; ééé ;) (func $f) (func $f))":                    `1:35: there is already a function "$f"`,
		`(func (i32.const 4294967296))`:                             `1:18: "4294967296" does not fit into 32 bits`,
		`(func (i32.const -2147483649))`:                            "does not fit into 32 bits",
		`(func (i64.const 99999999999999999999999))`:                "expected an integer",
		`(func (i32.const 1__0))`:                                   "expected an integer",
		`(func (i32.const 0x))`:                                     "expected an integer",
		`(func (i32.const))`:                                        "1:8: i32.const needs something after it",
		`(func i32.const`:                                           "not closed",
		`(func (f32.const 1e39))`:                                   "out of the range of f32",
		`(func (f32.const nan:0x800000))`:                           "payload",
		`(func (f64.const 1e+-5))`:                                  "expected a number",
		`(func (f64.const .5))`:                                     "expected a number",
		`(func (f64.const NaN))`:                                    "expected a number",
		`(func (f64.const Inf))`:                                    "expected a number",
		`(func (call $nope))`:                                       `1:13: there is no function "$nope"`,
		`(func (local.get $nope))`:                                  "there is no local",
		`(func (br $nope))`:                                         "there is no open block",
		`(func (block $a) (br $a))`:                                 "there is no open block",
		`(func (param $a i32) (local $a i32))`:                      "there is already a local",
		`(func block)`:                                              "1:7: this block has no end",
		`(func end)`:                                                "1:7: \"end\" without an open block",
		`(func block $a end $b)`:                                    "does not match the name",
		`(func block else end)`:                                     "else in a block",
		`(func if else else end)`:                                   "else in a else",
		`(func (if (i32.const 0)))`:                                 "has no (then",
		`(func (then))`:                                             "then outside of an if",
		`(func (block end))`:                                        "\"end\" without an open block",
		`(func (i32.add 5))`:                                        "unexpected \"5\" after i32.add",
		`(func (i32.load align=3 (i32.const 0)))`:                   "alignment 3 is not a power of two",
		`(func (i32.load offset=-1 (i32.const 0)))`:                 "unsigned 32-bit number after offset=",
		`(func (result i32) (param i32))`:                           "parameters must come before results",
		`(func (param $x))`:                                         "expected one type",
		`(func (param i33))`:                                        "expected a type",
		`(func (type $t))`:                                          `there is no type "$t"`,
		`(func (type 0))`:                                           "there is no type 0",
		`(type $t (func (param i32))) (func (type $t) (param i64))`: "are not those of type",
		`(func) (import "a" "b" (func))`:                            "imports must come before",
		`(import "a" (func))`:                                       "expected (import",
		`(import "a" "b" (tag))`:                                    "unknown kind of import",
		`(import "\ff" "b" (func))`:                                 "valid UTF-8",
		`(data "\q")`:                                               "1:8: unknown escape",
		`(data "\u{d800}")`:                                         "no such character",
		`(data "\u{110000}")`:                                       "no such character",
		`(data "\u{}")`:                                             "expected \\u",
		"(data \"a\nb\")":                                           "control character 0x0a",
		`(data "a`:                                                  "1:7: this string is not closed",
		`(data "a"b)`:                                               "separated from what follows",
		`(data b"a")`:                                               "separated from what stands before",
		`(; (; ;)`:                                                  "1:1: this comment is not closed",
		`(start 0) (start 0)`:                                       "already a start function",
		`(start)`:                                                   "expected (start FUNCTION)",
		`(memory i64 1)`:                                            "index type i64 is not supported",
		`(memory 1 2 shared)`:                                       "unexpected \"shared\"",
		`(table 1)`:                                                 "expected the table's type",
		`(global i32)`:                                              "",
		`(frob)`:                                                    `1:1: unknown field "(frob …"`,
		`(module binary "\00")`:                                     `expected a field such as (func …), found "binary"`,
		`"x"`:                                                       "expected a field",
		`(func (v128.const i32x4 0 0 0 0))`:                         "is not supported in text",
		`(func (return_call 0))`:                                    "is not supported in text",
		`(elem declare)`:                                            "",
		`(elem i32 0)`:                                              "expected func, funcref or externref",
		`(export "a" (func $x))`:                                    "there is no function",
		`(export "a")`:                                              "expected (export",
		strings.Repeat("(", maxDepth+2):                             "nested deeper than",
	} {
		b, err := Assemble([]byte(src))
		if want == "" {
			if err != nil {
				t.Errorf("%.60q: %v", src, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || b != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", src, err, want)
		}
	}
}

func TestInvariant4HostileInputIsBounded_DeepNestingAndSize(t *testing.T) {
	deep := "(func " + strings.Repeat("(block ", maxDepth-1) + strings.Repeat(")", maxDepth-1) + ")"
	if _, err := Assemble([]byte(deep)); err != nil {
		t.Errorf("nested just within the limit: %v", err)
	}
	flat := "(func " + strings.Repeat("block $a ", 200_000) + strings.Repeat("end ", 200_000) + ")"
	if _, err := Assemble([]byte(flat)); err != nil {
		t.Errorf("many flat blocks: %v", err)
	}
	if _, err := Assemble(make([]byte, maxSource+1)); err == nil || !strings.Contains(err.Error(), "the most accepted") {
		t.Errorf("oversized text: %v", err)
	}
	if _, err := Assemble([]byte(strings.Repeat("() ", maxNodes+1))); err == nil || !strings.Contains(err.Error(), "words") {
		t.Errorf("too many words: %v", err)
	}
	digits := strings.Repeat("9", 1<<20)
	if _, err := Assemble([]byte("(func (i64.const " + digits + "))")); err == nil {
		t.Error("a million digits passed as an integer")
	}
}

func TestIsText(t *testing.T) {
	for src, want := range map[string]bool{
		"(module)": true, " \n;; c\n(; c ;) (func)": true, "": false, "\x00asm": false, "(; open": false, "hello": false, ";; only": false,
	} {
		if got := IsText([]byte(src)); got != want {
			t.Errorf("%q: %v, want %v", src, got, want)
		}
	}
}

func FuzzAssemble(f *testing.F) {
	for _, src := range corpus(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		b, err := Assemble(src)
		if err != nil {
			var e *Error
			if b != nil || !errors.As(err, &e) || e.Line < 1 || e.Col < 1 {
				t.Fatalf("%x, %v", b, err)
			}
			return
		}
		withoutNames(t, b) // the sections fill the module exactly
		if again, err := Assemble(src); err != nil || !bytes.Equal(again, b) {
			t.Fatal("the same text gave other bytes")
		}
	})
}
