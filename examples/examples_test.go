// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// input is one run of a program.
type input struct {
	name  string
	args  []string
	env   []string // K=V
	stdin string
	code  int // the exit code that the native run must have, as a check of the test itself
}

// compare runs a program natively and in a Keep and demands the same standard
// output and the same exit code.
func compare(t *testing.T, native, wasm string, inputs []input) {
	t.Helper()
	enarx := enarxBin(t)
	for _, in := range inputs {
		t.Run(in.name, func(t *testing.T) {
			want := command{args: append([]string{native}, in.args...), env: in.env, stdin: in.stdin}.run(t)
			if want.code != in.code {
				t.Fatalf("the native run ended with %d, the test expects %d\n%s", want.code, in.code, want.stderr)
			}
			got := runInKeep(t, enarx, nil, wasm, in)
			sameAs(t, got, want)
		})
	}
}

// runInKeep runs a module with enarx run.
func runInKeep(t *testing.T, enarx string, flags []string, wasm string, in input) result {
	t.Helper()
	args := append([]string{enarx, "run"}, flags...)
	for _, kv := range in.env {
		args = append(args, "--env", kv)
	}
	args = append(append(args, wasm, "--"), in.args...)
	return command{args: args, stdin: in.stdin}.run(t)
}

func sameAs(t *testing.T, got, want result) {
	t.Helper()
	if got.stdout != want.stdout || got.code != want.code {
		t.Errorf("in a Keep: exit code %d, stdout:\n%s\nexpected: exit code %d, stdout:\n%s\nstderr in the Keep:\n%s",
			got.code, got.stdout, want.code, want.stdout, got.stderr)
	}
}

func TestHelloGo(t *testing.T) {
	native, wasm := goBuild(t, "hello-go")
	compare(t, native, wasm, []input{
		{name: "plain"},
		{name: "arguments", args: []string{"a b", "", "--flag", "ü"}},
		{name: "stdin", env: []string{"COUNT_STDIN=1"}, stdin: strings.Repeat("line\n", 10_000)},
		{name: "exit 1", env: []string{"EXIT=1"}, code: 1},
		{name: "exit 255", env: []string{"EXIT=255"}, code: 255},
		{name: "a code that enarx uses too", env: []string{"EXIT=125"}, code: 125},
	})
}

func TestC(t *testing.T) {
	native, wasm := clangBuild(t, "clang", "-O2", "-Wall", "-Wextra", "-Werror", "c/wordcount.c")
	text, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, native, wasm, []input{
		{name: "licence", stdin: string(text)},
		{name: "argument", args: []string{"20"}, stdin: string(text)},
		{name: "empty", code: 3},
	})
}

func TestCPlusPlus(t *testing.T) {
	native, wasm := clangBuild(t, "clang++", "-std=c++17", "-O2", "-fno-exceptions", "-Wall", "-Wextra", "-Werror", "cpp/life.cc")
	glider := ".#......\n..#.....\n###.....\n" + strings.Repeat("........\n", 5)
	compare(t, native, wasm, []input{
		{name: "glider", args: []string{"33"}, stdin: glider},
		{name: "dies out", stdin: "#...\n....\n....\n", code: 1},
		{name: "empty", code: 3},
	})
}

func TestRust(t *testing.T) {
	native, wasm := rustBuild(t, "rust/statistics.rs")
	compare(t, native, wasm, []input{
		{name: "groups", stdin: "a,1\nb,2.5\na,4\nc,-1e3\nb,0.125\na,7\n", env: []string{"UNIT=ms"}},
		{name: "empty"},
		{name: "malformed", stdin: "a,1\nnonsense\n", code: 4},
	})
}

func TestSQLite(t *testing.T) {
	src := sqliteSources(t)
	native, wasm := clangBuild(t, "clang", "-O1", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION",
		"-I", src, filepath.Join(src, "sqlite3.c"), "sqlite-c/shop.c")
	compare(t, native, wasm, []input{
		{name: "join", stdin: "SELECT name, sum(n * cents) AS total FROM sale JOIN item ON item = id GROUP BY name ORDER BY total DESC;\n"},
		{name: "write and sort", stdin: "UPDATE item SET cents = cents * 2 WHERE name LIKE '%t';\nSELECT * FROM item ORDER BY cents, name;\n" +
			"SELECT count(*), printf('%.3f', avg(n)) FROM sale;\nPRAGMA integrity_check;\n"},
		{name: "errors", stdin: "nonsense;\nINSERT INTO item (name, cents) VALUES ('bolt', -1);\n", code: 1},
	})
}

// TestCPython compares with Node.js's WASI: a native Python of another version
// would not be a reference.
func TestCPython(t *testing.T) {
	python, node, enarx := pythonWasm(t), tool(t, "node"), enarxBin(t)
	app, err := filepath.Abs("cpython/app")
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []input{
		{name: "plain", args: []string{"one", "two"}},
		{name: "exit code", args: []string{"fail"}, code: 7},
	} {
		t.Run(in.name, func(t *testing.T) {
			want := command{
				args: append([]string{node, "--no-warnings", "testdata/wasi.mjs", "/app=" + app, "--", python, "/app/main.py"}, in.args...),
				env:  []string{`GUEST_ENV={"PYTHONDONTWRITEBYTECODE":"1"}`},
			}.run(t)
			if want.code != in.code {
				t.Fatalf("the reference run ended with %d, the test expects %d\n%s", want.code, in.code, want.stderr)
			}
			got := runInKeep(t, enarx, []string{"--config", "cpython/Enarx.toml"}, python, in)
			sameAs(t, got, want)
		})
	}
}
