// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestInvariant7Reproducible_NoClockAndNoDice holds that the packages that make
// an image cannot ask for what differs from build to build.
func TestInvariant7Reproducible_NoClockAndNoDice(t *testing.T) {
	forbidden := map[string]string{"time": "the clock", "math/rand": "chance", "math/rand/v2": "chance", "crypto/rand": "chance",
		"os/user": "the user", "net": "the network", "os/exec": "the programs of the machine"}
	checked := 0
	for _, pattern := range []string{"*.go", "cpio/*.go", "deb/*.go", "uki/*.go", "disk/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			checked++
			tree, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range tree.Imports {
				path, err := strconv.Unquote(imp.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if what := forbidden[path]; what != "" {
					t.Errorf("%s imports %s: an image does not depend on %s", f, path, what)
				}
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d files were checked", checked)
	}
}

// TestInvariant7Reproducible_Image builds an image twice, under another umask,
// time zone, language and directory, and compares all of it.
func TestInvariant7Reproducible_Image(t *testing.T) {
	first := write(t, build(t, fakeInputs(t)))
	for k, v := range map[string]string{"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "HOME": t.TempDir(), "SOURCE_DATE_EPOCH": "1234567890"} {
		t.Setenv(k, v)
	}
	t.Chdir(t.TempDir())
	old := umask(0o077)
	second, err := build(t, fakeInputs(t)).Write("a/much/longer/path/to/the/image")
	umask(old)
	if err != nil {
		t.Fatal(err)
	}
	names := append([]string{"manifest.json"}, allFiles...)
	for _, name := range names {
		a, err := os.ReadFile(first.Path(name))
		b, err2 := os.ReadFile(second.Path(name))
		if err != nil || err2 != nil || string(a) != string(b) {
			t.Errorf("%s differs: %v, %v", name, err, err2)
		}
		sa, _ := os.Stat(first.Path(name))
		sb, _ := os.Stat(second.Path(name))
		if sa.Mode() != sb.Mode() {
			t.Errorf("%s has mode %v and %v", name, sa.Mode(), sb.Mode())
		}
	}
}
