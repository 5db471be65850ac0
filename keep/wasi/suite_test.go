// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/keep/wasi"
	"github.com/enarx/enarx-go/keep/wasi/wasitest"
)

// suiteSize is the number of modules in testdata/wasi-testsuite. There is no
// list of expected failures: every one has to pass.
const suiteSize = 26

// testCase is the description beside a module of the conformance suite.
type testCase struct {
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	Root     string            `json:"root"`
	ExitCode uint32            `json:"exit_code"`
	Stdout   *string           `json:"stdout"`
	Stderr   *string           `json:"stderr"`
}

// TestConformance runs the prebuilt modules of WebAssembly/wasi-testsuite on
// host directories and in scratch trees.
func TestConformance(t *testing.T) {
	modules, err := filepath.Glob("testdata/wasi-testsuite/*/*.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) != suiteSize {
		t.Fatalf("found %d modules of the conformance suite, want %d", len(modules), suiteSize)
	}
	for _, m := range modules {
		name := strings.TrimSuffix(filepath.Base(m), ".wasm")
		t.Run(name, func(t *testing.T) { runCase(t, m, hostTree) })
		t.Run(name+"/scratch", func(t *testing.T) { runCase(t, m, scratchTree) })
	}
}

// hostTree is a fresh copy of a directory, as a host directory.
func hostTree(t *testing.T, dir string) wasi.FS {
	t.Helper()
	fresh := t.TempDir()
	if err := os.CopyFS(fresh, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	// The repository cannot hold an empty directory.
	if err := os.MkdirAll(filepath.Join(fresh, "writeable"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(fresh)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	tree, err := wasi.NewDirFS(root, false)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func runCase(t *testing.T, module string, tree func(*testing.T, string) wasi.FS) {
	wasm, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	var c testCase
	desc, err := os.ReadFile(strings.TrimSuffix(module, ".wasm") + ".json")
	if err == nil {
		err = json.Unmarshal(desc, &c)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cfg := wasi.Config{
		Args: append([]string{filepath.Base(module)}, c.Args...),
		FDs: []wasi.Descriptor{
			wasi.Stdin(wasi.NewStream(nil, nil)),
			wasi.Stdout(wasi.NewStream(nil, &stdout)),
			wasi.Stderr(wasi.NewStream(nil, &stderr)),
		},
	}
	for k, v := range c.Env {
		cfg.Env = append(cfg.Env, k+"="+v)
	}
	if c.Root != "" {
		cfg.Preopens = []wasi.Preopen{{Path: "/", FS: tree(t, filepath.Join(filepath.Dir(module), c.Root))}}
	}
	code, err := wasitest.Run(t.Context(), wasm, cfg)
	if err != nil {
		t.Fatalf("%v\nstderr: %s", err, stderr.String())
	}
	if code != c.ExitCode {
		t.Errorf("exit code %d, want %d\nstderr: %s", code, c.ExitCode, stderr.String())
	}
	if c.Stdout != nil && stdout.String() != *c.Stdout {
		t.Errorf("stdout %q, want %q", stdout.String(), *c.Stdout)
	}
	if c.Stderr != nil && stderr.String() != *c.Stderr {
		t.Errorf("stderr %q, want %q", stderr.String(), *c.Stderr)
	}
}

// scratchTree is a copy of a directory in memory.
func scratchTree(t *testing.T, dir string) wasi.FS {
	t.Helper()
	tree, err := wasi.NewScratchFS(wasi.ScratchLimits{Bytes: 1 << 20, Nodes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	files := []wasi.BundleFile{{Path: "/writeable", Dir: true}}
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir || d.Name() == ".gitignore" || d.Name() == "writeable" {
			return err
		}
		f := wasi.BundleFile{Path: "/" + strings.TrimPrefix(p, dir+"/"), Dir: d.IsDir()}
		if !f.Dir {
			f.Data, err = os.ReadFile(p)
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := wasi.FillScratch(tree, files); err != nil {
		t.Fatal(err)
	}
	return tree
}
