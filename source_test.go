// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarx

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// panics may be raised in these files. Everywhere else whatever goes wrong is
// an error: no input reaches a panic.
var panics = map[string]string{
	"attest/leaf.go":                       "constant encoder options",
	"attest/message.go":                    "constant decoder options",
	"attest/internal/parallel/parallel.go": "passes on a task's own, out of its goroutine",
	"internal/detcbor/detcbor.go":          "constant encoder options",
	"sallyport/message.go":                 "constant encoder options",
	"internal/wat/read.go":                 "recovered in module.go",
	"internal/wat/module.go":               "passes on what is not its own",
	"keep/wasi/system.go":                  "proc_exit; every engine recovers *ExitError",
	"keep/wasi/proc.go":                    "proc_raise; every engine recovers *ExitError",
}

// TestInvariant4HostileInputIsBounded_PanicsAreListed finds every panic in the
// product.
func TestInvariant4HostileInputIsBounded_PanicsAreListed(t *testing.T) {
	for _, p := range listPackages(t) {
		path, _ := relative(p.ImportPath)
		if strings.HasPrefix(path, "scripts/") || strings.HasPrefix(path, "examples") || strings.HasSuffix(path, "test") && path != "attest" {
			continue
		}
		for _, f := range p.GoFiles {
			name := strings.TrimPrefix(path+"/"+f, "/")
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, 0)
			if err != nil {
				t.Error(err)
				continue
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && panics[name] == "" {
					if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
						t.Errorf("%s panics: return an error", name)
					}
				}
				return true
			})
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range listPackages(t) {
		if len(p.GoFiles) > 0 && len(p.Doc) < 20 {
			t.Errorf("%s has no package comment; it is the package's manual", p.ImportPath)
		}
		switch base := filepath.Base(p.ImportPath); base {
		case "pkg", "util", "utils", "common", "helpers", "misc", "shared", "lib":
			t.Errorf("%s: the name %q says only that nobody decided", p.ImportPath, base)
		}
	}
}

const licence = "// Copyright The Enarx in Go Authors\n// SPDX-License-Identifier: Apache-2.0\n"

func TestGoFilesAreFormattedAndLicensed(t *testing.T) {
	for _, f := range projectFiles(t) {
		if filepath.Ext(f) != ".go" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.HasPrefix(b, []byte(licence)) {
			t.Errorf("%s does not begin with the two licence lines", f)
		}
		if g, err := format.Source(b); err != nil {
			t.Errorf("%s: %v", f, err)
		} else if !bytes.Equal(g, b) {
			t.Errorf("%s is not formatted: gofmt -w %s", f, f)
		}
	}
}

// unsafeFiles may import unsafe although their names do not say so.
var unsafeFiles = map[string]string{
	"internal/sandbox/probe.go": "seccomp(2) takes a pointer",
	"internal/sandbox/seal.go":  "capset(2) and seccomp(2) take pointers",
	"workload/bundle_test.go":   "shows that a parsed bundle shares the memory it was parsed from",
}

func TestUnsafeHasAFileName(t *testing.T) {
	for _, f := range projectFiles(t) {
		if filepath.Ext(f) != ".go" || strings.HasSuffix(f, "_unsafe.go") || strings.HasSuffix(f, "_unsafe_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, imp := range tree.Imports {
			if imp.Path.Value == `"unsafe"` && unsafeFiles[f] == "" {
				t.Errorf("%s imports unsafe: only files named *_unsafe.go may, so that a reviewer finds them all", f)
			}
		}
	}
}

// TestNothingOfThisMachineIsInTheTree looks for paths of the checkout it runs
// in and for hosts of this machine's package sources, which end up in files
// through copied output and help nobody else.
func TestNothingOfThisMachineIsInTheTree(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var forbidden []string
	if strings.Count(dir, "/") > 1 {
		forbidden = append(forbidden, dir)
	}
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range strings.FieldsFunc(string(out), func(r rune) bool { return strings.ContainsRune("\n,|", r) }) {
		host, isURL := strings.CutPrefix(strings.Replace(v, "http://", "https://", 1), "https://")
		switch {
		case isURL:
			host, _, _ = strings.Cut(host, "/")
			forbidden = append(forbidden, host)
		case strings.HasPrefix(v, "/"):
			forbidden = append(forbidden, v)
		}
	}
	for _, f := range projectFiles(t) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, s := range forbidden {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s contains something of this machine: %q", f, s)
			}
		}
	}
}

// TestFuzzTargetsAreSeeded refuses a fuzz target that begins with nothing: as
// a test it would pass without having looked at a byte.
func TestFuzzTargetsAreSeeded(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, f := range append(p.TestGoFiles, p.XTestGoFiles...) {
			file := filepath.Join(p.Dir, f)
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, d := range tree.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") || fn.Type.Params.NumFields() != 1 {
					continue
				}
				corpus, _ := filepath.Glob(filepath.Join(p.Dir, "testdata/fuzz", fn.Name.Name, "*"))
				if len(corpus) == 0 && !seeds(fn) {
					t.Errorf("%s: %s has no seed: call f.Add or put a corpus into testdata/fuzz/%s", file, fn.Name.Name, fn.Name.Name)
				}
			}
		}
	}
}

// seeds says whether a fuzz target adds seeds itself or hands its *testing.F
// to a function that does.
func seeds(fn *ast.FuncDecl) bool {
	if len(fn.Type.Params.List[0].Names) == 0 {
		return false
	}
	name, found := fn.Type.Params.List[0].Names[0].Name, false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Add" && fmt.Sprint(sel.X) == name {
			found = true
		}
		for _, arg := range call.Args {
			if id, ok := arg.(*ast.Ident); ok && id.Name == name {
				found = true
			}
		}
		return !found
	})
	return found
}

// TestEveryDependencyHasAReason demands a line in RATIONALE.md for each module
// that go.mod requires directly.
func TestEveryDependencyHasAReason(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	rationale, err := os.ReadFile("RATIONALE.md")
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.Fields(string(out))
	if len(modules) == 0 {
		t.Fatal("go list named no dependency: nothing was checked")
	}
	version := regexp.MustCompile(`/v[0-9]+$`)
	for _, m := range modules {
		name := strings.TrimPrefix(version.ReplaceAllString(m, ""), "github.com/")
		if !bytes.Contains(rationale, []byte("| "+name+" |")) {
			t.Errorf("RATIONALE.md has no line for %s: why is it better than forty lines of our own?", m)
		}
	}
}

// TestNoConflictIsCommitted finds what a merge has left behind: a document with
// both sides of a conflict still builds.
func TestNoConflictIsCommitted(t *testing.T) {
	for _, f := range projectFiles(t) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, mark := range []string{"\n<<<<<<< ", "\n>>>>>>> "} {
			if bytes.Contains(b, []byte(mark)) {
				t.Errorf("%s has %q: a merge was not finished", f, mark[1:])
			}
		}
	}
}
