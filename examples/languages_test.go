// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of this file run what the commands of an example's README have
// built: interpreters take long to build, and this way it is done once. They are
// the longest of this package, so they share the machine's cores.

// compareWith runs a module in a Keep and demands what a reference prints.
func compareWith(t *testing.T, reference []string, flags []string, wasm string, inputs []input) {
	t.Helper()
	enarx := enarxBin(t)
	for _, in := range inputs {
		t.Run(in.name, func(t *testing.T) {
			want := command{args: append(append([]string{}, reference...), in.args...), env: in.env, stdin: in.stdin}.run(t)
			if want.code != in.code {
				t.Fatalf("the reference run ended with %d, the test expects %d\n%s", want.code, in.code, want.stderr)
			}
			if want.stdout == "" && in.code == 0 {
				t.Fatal("the reference run printed nothing")
			}
			got := runInKeep(t, enarx, flags, wasm, in)
			sameAs(t, got, want)
		})
	}
}

// TestAssemblyScript compares with Node.js's WASI.
func TestAssemblyScript(t *testing.T) {
	t.Parallel()
	dir, node := builtByReadme(t, "assemblyscript"), tool(t, "node")
	wasm := filepath.Join(dir, "crc.wasm")
	text, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	compareWith(t, []string{node, "--no-warnings", "testdata/wasi.mjs", "--", wasm}, nil, wasm, []input{
		{name: "licence", args: []string{"20"}, stdin: string(text)},
		{name: "every byte", args: []string{"256"}, stdin: allBytes()},
		{name: "empty", code: 3},
	})
}

func allBytes() string {
	b := make([]byte, 0, 256*257/2)
	for i := range 256 {
		for range i + 1 {
			b = append(b, byte(i))
		}
	}
	return string(b)
}

// TestLua compares with the same Lua, built for the machine with its longjmp.
func TestLua(t *testing.T) {
	t.Parallel()
	dir, cc := builtByReadme(t, "lua"), tool(t, "cc")
	src := filepath.Join(debianSource(t, "lua5.4"), "src")
	sources, err := filepath.Glob(filepath.Join(src, "l*.c"))
	if err != nil {
		t.Fatal(err)
	}
	native := filepath.Join(t.TempDir(), "lua")
	args := []string{cc, "-O1", "-DLUA_USE_POSIX", "-I", src, "-o", native, "lua/main.c"}
	for _, s := range sources {
		if name := filepath.Base(s); name != "lua.c" && name != "luac.c" {
			args = append(args, s)
		}
	}
	build(t, nil, append(args, "-lm")...)
	compareWith(t, []string{native, filepath.Join(dir, "app/orders.lua")}, []string{"--config", filepath.Join(dir, "Enarx.toml")},
		filepath.Join(dir, "lua.wasm"), []input{
			{name: "bill", stdin: "hammer 2\nbolt 7\nnail 500\n"},
			{name: "errors at depth", args: []string{"150"}, stdin: "hammer 2\nscrew 4\nbolt -1\nwhat?\nnail 1\n", code: 1},
			{name: "too deep", args: []string{"250"}},
			{name: "many throws", stdin: strings.Repeat("nonsense\n", 2000) + "nail 1\n", code: 1},
		})
}

// TestJavaScript compares QuickJS with the engine of Node.js.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	dir, node := builtByReadme(t, "javascript"), tool(t, "node")
	wasm := filepath.Join(dir, "js.wasm")
	run := func(config, script string, inputs []input) {
		compareWith(t, []string{node, "testdata/script.mjs", filepath.Join(dir, script)},
			[]string{"--config", filepath.Join(dir, config)}, wasm, inputs)
	}
	run("Enarx.toml", "app/main.js", []input{
		{name: "log", stdin: "INFO web Gru\u0308\u00dfe an alle\nno line\nWARN db-1 \U0001f40c slow\nÉTAT web up\nINFO web bye\n"},
		{name: "arguments", args: []string{"INFO", "WARN"}, stdin: "INFO web a\nERROR db b\n"},
		{name: "long", stdin: strings.Repeat("INFO a.b-c x\n", 5000)},
		{name: "exception", code: 1},
	})
	run("typescript.toml", "compiled/main.js", []input{
		{name: "expressions", stdin: "1 + 2*3\n(1-4)/8\n1/3\n-2.5e-7 * 1e21\n1/0\n2-3-4\n"},
		{name: "problems", stdin: "2*(3\n-1e3/\n\n4 5\n", code: 1},
	})
}

// TestRuby compares with Node.js's WASI.
func TestRuby(t *testing.T) {
	t.Parallel()
	tool(t, "wat2wasm")
	dir, node := builtByReadme(t, "ruby"), tool(t, "node")
	wasm := filepath.Join(dir, "ruby.wasm")
	reference := []string{node, "--no-warnings", "testdata/wasi.mjs", "/app=" + filepath.Join(dir, "app"), "--", wasm, "/app/main.rb"}
	compareWith(t, reference, []string{"--config", filepath.Join(dir, "Enarx.toml")}, wasm, []input{
		{name: "scripts", args: []string{"5"}, stdin: "Blütenstaub tut selten gut, tut er?\n\u0416\u0443\u043a \u0436\u0443\u043a\n"},
		{name: "exit", code: 3},
		{name: "deep exception", stdin: manyWords(), code: 1},
	})
}

func manyWords() string {
	var b strings.Builder
	for i := range 10_001 {
		for n := i + 1; n > 0; n /= 26 {
			b.WriteByte(byte('a' + n%26))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestPerl compares with Node.js's WASI, which needs the machine's /dev.
func TestPerl(t *testing.T) {
	t.Parallel()
	tool(t, "wat2wasm")
	dir, node := builtByReadme(t, "perl"), tool(t, "node")
	wasm := filepath.Join(dir, "perl.wasm")
	reference := []string{node, "--no-warnings", "testdata/wasi.mjs", "/dev=/dev", "/app=" + filepath.Join(dir, "app"), "--", wasm, "/app/main.pl"}
	compareWith(t, reference, []string{"--config", filepath.Join(dir, "Enarx.toml")}, wasm, []input{
		{name: "sums", args: []string{"-1e3"}, stdin: "ann 3\nbob -2.5\nann 0.125\ncy 1e3\n cy 4\n"},
		{name: "many errors", stdin: strings.Repeat("nothing\nann 1\n", 1000)},
		{name: "exit", code: 3},
	})
}
