// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block finds the fenced blocks that this test understands: sh is run, and the
// text after it is what it must print. Blocks called console show a session
// that needs two terminals or a server of the reader's; network_test.go covers
// those programs.
var block = regexp.MustCompile("(?s)```sh\n(.*?)```\n\n```text\n(.*?)```")

// TestReadmesDoWhatTheySay runs the commands of each example's README in a copy
// of its directory.
func TestReadmesDoWhatTheySay(t *testing.T) {
	readmes, err := filepath.Glob("*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, readme := range readmes {
		text, err := os.ReadFile(readme)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllStringSubmatch(string(text), -1)
		if n := strings.Count(string(text), "```sh\n"); n != len(blocks) {
			t.Errorf("%s has %d sh blocks, but %d with a text block after it", readme, n, len(blocks))
		}
		if len(blocks) == 0 {
			continue
		}
		ran++
		t.Run(filepath.Dir(readme), func(t *testing.T) { runBlocks(t, filepath.Dir(readme), blocks) })
	}
	if ran < 5 {
		t.Errorf("only %d READMEs have commands to run", ran)
	}
}

func runBlocks(t *testing.T, example string, blocks [][]string) {
	enarx := enarxBin(t)
	for _, program := range []string{"clang", "wasm-ld", debianRustc, "npm", "bash"} {
		tool(t, program)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		got := command{
			args: []string{"bash", "-euo", "pipefail", "-c", b[1]}, dir: dir,
			env: append(toolchainEnv(), "PATH="+filepath.Dir(enarx)+":"+os.Getenv("PATH")),
		}.run(t)
		sameAs(t, got, result{stdout: b[2]})
	}
}

// toolchainEnv lets compilers find their caches and settings, which the small
// environment of a run hides.
func toolchainEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "XDG_") && !strings.HasPrefix(kv, "ENARX_") {
			env = append(env, kv)
		}
	}
	return env
}
