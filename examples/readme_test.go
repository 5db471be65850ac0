// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
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
		if len(readmeBlocks(t, readme)) > 0 {
			ran++
			t.Run(filepath.Dir(readme), func(t *testing.T) {
				t.Parallel()
				builtByReadme(t, filepath.Dir(readme))
			})
		}
	}
	if ran < 5 {
		t.Errorf("only %d READMEs have commands to run", ran)
	}
}

// readmeBlocks returns the commands of a README with what they print.
func readmeBlocks(t *testing.T, readme string) [][]string {
	t.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	blocks := block.FindAllStringSubmatch(string(text), -1)
	if n := strings.Count(string(text), "```sh\n"); n != len(blocks) {
		t.Errorf("%s has %d sh blocks, but %d with a text block after it", readme, n, len(blocks))
	}
	return blocks
}

// built holds, by example, a *workplace.
var built sync.Map

// workplace is a directory in which the commands of a README have run well,
// once dir is set.
type workplace struct {
	sync.Mutex
	dir string
}

// builtByReadme returns a copy of an example's directory in which the commands
// of its README have run, once for all tests, with the output that it shows.
func builtByReadme(t *testing.T, example string) string {
	t.Helper()
	v, _ := built.LoadOrStore(example, new(workplace))
	place := v.(*workplace)
	place.Lock()
	defer place.Unlock()
	if place.dir != "" {
		return place.dir
	}
	enarx := enarxBin(t)
	for _, program := range []string{"clang", "wasm-ld", debianRustc, "npm", "bash"} {
		tool(t, program)
	}
	scripts, err := filepath.Abs("../scripts")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(scratch, example+"-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	for _, b := range readmeBlocks(t, filepath.Join(example, "README.md")) {
		got := command{
			args: []string{"bash", "-euo", "pipefail", "-c", b[1]}, dir: dir,
			env: append(toolchainEnv(), "PATH="+filepath.Dir(enarx)+":"+scripts+":"+os.Getenv("PATH")),
		}.run(t)
		sameAs(t, got, result{stdout: b[2]})
	}
	if t.Failed() {
		t.FailNow()
	}
	place.dir = dir
	return dir
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
