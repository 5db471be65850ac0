// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	dir := t.TempDir()
	for name, lines := range map[string]int{"a.go": 251, "b.s": 9, "c.go": 100} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("x\n", lines)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type module = struct{ Path, Version string }
	packages := []pkg{
		{ImportPath: "own/p", Dir: dir, Module: &module{"own", ""}, GoFiles: []string{"a.go"}, SFiles: []string{"b.s"}},
		{ImportPath: "far/x", Dir: dir, Module: &module{"far", "v1.0.0"}, GoFiles: []string{"c.go"}},
		{ImportPath: "far/y", Dir: dir, Module: &module{"far", "v1.0.0"}, GoFiles: []string{"c.go"}},
		{ImportPath: "io", Standard: true},
	}
	got, err := summarise(packages, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"own own/p at most 500 lines\n", "module far v1.0.0 200 lines\n", "std io\n"} {
		if !strings.Contains(string(got), line) {
			t.Errorf("the summary lacks %q:\n%s", line, got)
		}
	}

	packages[0].CgoFiles = []string{"d.go"}
	if _, err := summarise(packages, io.Discard); err == nil {
		t.Error("a package with cgo was accepted")
	}
}

func TestDifferenceNamesBothSides(t *testing.T) {
	if d := difference([]byte("a\nb\n"), []byte("a\nb\n")); d != "" {
		t.Errorf("equal texts differ: %q", d)
	}
	d := difference([]byte("a\nold\n"), []byte("a\nnew\n"))
	if !strings.Contains(d, "- old") || !strings.Contains(d, "+ new") || strings.Contains(d, " a\n") {
		t.Errorf("difference is %q", d)
	}
}
