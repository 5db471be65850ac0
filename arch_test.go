// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarx

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests of this file hold the architecture. A rule that they state is not
// a suggestion, and a list in them is not extended just to make them pass: an
// import that a list refuses is a question about the design, to be answered in
// RATIONALE.md first.

const module = "github.com/enarx/enarx-go"

// goPackage is what go list says of one package of this module.
type goPackage struct {
	ImportPath, Dir, Doc string
	GoFiles              []string
	TestGoFiles          []string
	XTestGoFiles         []string
	Imports              []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,TestGoFiles,XTestGoFiles,Imports", "./...")
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []goPackage
	for dec := json.NewDecoder(bytes.NewReader(b)); ; {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	if len(ps) == 0 {
		t.Fatal("go list named no package: nothing would be checked")
	}
	return ps
}

// projectFiles returns the paths of all files of the project, committed or
// about to be, without what .gitignore leaves out.
func projectFiles(t *testing.T) []string {
	t.Helper()
	b, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v (the tests of the repository need a git checkout)", err)
	}
	var files []string
	for _, f := range strings.Split(string(b), "\x00") {
		if f == "" {
			continue
		}
		if fi, err := os.Lstat(f); err == nil && fi.Mode().IsRegular() {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		t.Fatal("git ls-files named no file: nothing would be checked")
	}
	return files
}

// layers says which packages of this module a package may import (DESIGN §4).
// The first matching row counts; "…" stands for a package and all below it. A
// package that no row matches fails: new packages find their place here first.
var layers = []struct {
	from string
	to   []string
}{
	// What is verified and by whom: pure code, see also TestVerifiersArePure.
	{"internal/claims", nil},
	{"attest", []string{"internal/claims"}},
	{"attest/collateral/item", []string{"attest", "attest/snp", "attest/nitro", "attest/internal…"}},
	{"attest/collateral", []string{"attest", "attest/collateral/item", "attest/internal…"}},
	{"attest/evidence", []string{"attest", "attest/cmw", "attest/evidencebundle", "attest/nitro", "attest/internal…"}},
	{"attest/attesttest…", []string{"attest…", "internal/claims"}},
	{"attest/sim/simhw", []string{"attest", "attest/sim", "attest/internal…"}},
	{"attest/appraisal", []string{"attest…", "policy", "internal/claims"}},
	{"attest/ear…", []string{"attest", "attest/appraisal", "attest/ear"}},
	{"attest/evidencebundle", []string{"attest", "attest/cmw"}},
	{"attest/replay", []string{"attest…", "measure", "policy/policytoml"}},
	{"attest/call", []string{"attest…", "measure", "policy/policytoml"}},
	{"attest/…", []string{"attest", "attest/internal…", "internal/claims", "internal/detcbor"}},
	{"measure…", []string{"attest", "attest/sim", "attest/tdx", "attest/vtpm", "attest/internal/eventlog", "measure…", "image", "image/cpio", "internal/dsse", "internal/detcbor"}},
	{"policy", []string{"attest", "internal/claims"}},
	{"policy/policytoml", []string{"attest…"}}, // the client's side: TOML
	{"audit", []string{"attest", "policy", "workload", "internal/dsse", "internal/detcbor"}},

	// What runs inside the TEE. The client's side (TOML), the host's side
	// (agent, loader) and verifiers are out of reach.
	{"workload", []string{"internal/detcbor"}},
	{"workload/enarxtoml", []string{"workload"}},
	{"sallyport", []string{"internal/detcbor"}},
	{"keep/keeptest", []string{"…"}}, // whole deployments in one test process
	{"keep/engine", nil},
	{"keep/engine/…", []string{"keep/engine…"}},
	{"keep/wasi…", []string{"keep/engine…", "keep/wasi…"}},
	{"keep…", []string{"keep…", "workload", "sallyport", "attest", "internal…"}}, // keep/guest: first process of a VM
	{"cmd/keep…", []string{"keep…", "workload", "sallyport", "attest", "internal/sandbox"}},

	// The untrusted host.
	{"loader…", []string{"loader…", "attest", "image", "internal…"}},
	{"agent…", []string{"agent…", "loader…", "sallyport", "workload", "attest", "attest/sim", "attest/sim/simhw", "internal…"}},

	// The tenant. keep/session is the channel that client and Keep share.
	{"client…", []string{"client…", "agent/api", "attest…", "audit", "measure", "policy", "workload", "sallyport", "keep/session", "internal…"}},
	{"cmd/enarx-verify", []string{"attest/call", "attest/evidencebundle"}},
	{"cmd/enarx…", []string{"agent…", "attest…", "audit", "client…", "image…", "keep/session", "loader…", "measure…", "policy…", "sallyport", "workload…", "internal…"}},

	// The Keep image. Predictions of what it measures to are in measure.
	{"image…", []string{"image…", "internal…"}},

	// Small leaves, and programs beside the product.
	{"internal/…", nil},
	{"scripts/…", nil},
	{"examples…", nil},
	{"bench…", []string{"attest", "loader…"}}, // starts Keeps as the agent does
	{"", nil},
}

// matches says whether a package path relative to the module falls under a
// pattern of layers.
func matches(pattern, path string) bool {
	base, tree := strings.CutSuffix(pattern, "…")
	if !tree {
		return path == base
	}
	if base == "" {
		return true
	}
	return path == base || strings.HasPrefix(path, strings.TrimSuffix(base, "/")+"/")
}

func relative(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func TestImportsFollowTheLayers(t *testing.T) {
	for _, p := range listPackages(t) {
		from, _ := relative(p.ImportPath)
		row := -1
		for i, l := range layers {
			if matches(l.from, from) {
				row = i
				break
			}
		}
		if row < 0 {
			t.Errorf("%s has no row in layers: give it one that says what it may import", p.ImportPath)
			continue
		}
	imports:
		for _, imp := range p.Imports {
			to, own := relative(imp)
			if !own {
				continue
			}
			for _, allowed := range layers[row].to {
				if matches(allowed, to) {
					continue imports
				}
			}
			t.Errorf("%s imports %s, which the layers do not allow", from, to)
		}
	}
}

// TestInvariant8KeepIsSmall_AllowedModules is the allow list of foreign code
// inside the Keep. Each line says why it is there.
func TestInvariant8KeepIsSmall_AllowedModules(t *testing.T) {
	needCommand(t, "cmd/keep")
	allowed := map[string]string{
		"github.com/tetratelabs/wazero":                 "the WebAssembly engine",
		"github.com/hashicorp/yamux":                    "streams over the sallyport's one byte channel",
		"github.com/fxamacker/cbor/v2":                  "bundle, evidence message and start configuration are CBOR",
		"github.com/x448/float16":                       "needed by fxamacker/cbor",
		"github.com/landlock-lsm/go-landlock":           "Landlock rules of parent and engine child",
		"kernel.org/pub/linux/libs/security/libcap/psx": "needed by go-landlock: one system call on all threads",
		"github.com/google/go-tpm":                      "commands to the TPM of platform vtpm",
		"golang.org/x/sys":                              "system calls that package syscall does not have",
		"golang.org/x/crypto/x509roots/fallback":        "CA roots when the bundle brings none; never the host's files",
		"golang.org/x/crypto":                           "needed by x509roots",
	}
	for _, path := range keepDeps(t, "{{if and .Module (not .Standard)}}{{.Module.Path}}{{end}}") {
		if path != module && allowed[path] == "" {
			t.Errorf("cmd/keep depends on module %s, which is not on the list", path)
		}
	}
}

// TestInvariant8KeepIsSmall_ForbiddenPackages names what must not be in the
// Keep even though some allowed module could bring it.
func TestInvariant8KeepIsSmall_ForbiddenPackages(t *testing.T) {
	needCommand(t, "cmd/keep")
	forbidden := map[string]string{
		"net/http":                        "a Keep speaks TLS and the sallyport; HTTP is a large parser of hostile bytes",
		"plugin":                          "no code from outside",
		"testing":                         "test hooks stay in tests",
		"text/template":                   "reflection over data; nothing in a Keep prints pages",
		"encoding/gob":                    "no strict decoding",
		"os/user":                         "reads the host's files",
		"runtime/cgo":                     "the Keep is one static ELF made from Go source",
		"net/http/pprof":                  "shows memory",
		"expvar":                          "shows state",
		"log/syslog":                      "tells the host",
		"database/sql":                    "no use",
		"html/template":                   "no use",
		"go/parser":                       "no use",
		"github.com/pelletier/go-toml/v2": "the Keep parses the canonical bundle only",
	}
	deps := keepDeps(t, "{{.ImportPath}}")
	if len(deps) < 20 {
		t.Fatalf("go list named only %d packages of cmd/keep: nothing would be checked", len(deps))
	}
	for _, path := range deps {
		if why := forbidden[path]; why != "" {
			t.Errorf("cmd/keep depends on %s: %s", path, why)
		}
		if own, ok := relative(path); ok && own != "attest" && strings.HasSuffix(own, "test") {
			t.Errorf("cmd/keep depends on %s, which is for tests", own)
		}
	}
}

// TestInvariant8KeepIsSmall_Wasmtime holds the two programs of a Keep with
// Wasmtime: the one that holds the keys has no foreign code and no engine, and
// the engine's own has nothing that could hold a key or open a file.
func TestInvariant8KeepIsSmall_Wasmtime(t *testing.T) {
	list := func(pkg, tags, cgo string) map[string]bool {
		cmd := exec.Command("go", "list", "-deps", "-e", "-tags="+tags, "-f", "{{.ImportPath}}{{if .Module}}\n{{.Module.Path}}{{end}}", pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo, "GOOS=linux", "GOARCH=amd64")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", pkg, err)
		}
		deps := map[string]bool{}
		for _, d := range strings.Fields(string(out)) {
			deps[d] = true
		}
		return deps
	}
	outer := list("./cmd/keep", "enarx_wasmtime", "0")
	for _, d := range []string{"runtime/cgo", "github.com/tetratelabs/wazero", "github.com/bytecodealliance/wasmtime-go/v39"} {
		if outer[d] {
			t.Errorf("the process that holds the keys depends on %s", d)
		}
	}
	inner := list("./cmd/keep/engine", "enarx_wasmtime,netgo,osusergo", "1")
	allowed := map[string]bool{module: true, "github.com/bytecodealliance/wasmtime-go/v39": true, "github.com/fxamacker/cbor/v2": true,
		"github.com/x448/float16": true, "golang.org/x/sys": true}
	engine := module + "/keep/engine/wasmtime"
	if !outer[module+"/keep/session"] || !inner[engine] || !inner["runtime/cgo"] {
		t.Fatal("go list did not name what the programs are made of: nothing would be checked")
	}
	for d := range inner {
		host, _, _ := strings.Cut(d, "/")
		own := d == module || strings.HasPrefix(d, module+"/")
		foreign := strings.Contains(host, ".") && !own
		ok := !foreign
		for a := range allowed {
			ok = ok || d == a || strings.HasPrefix(d, a+"/")
		}
		switch {
		case !ok:
			t.Errorf("the engine's program depends on %s, which is not on the list", d)
		case d == "crypto/tls" || d == "net" || d == "os/user" || d == module+"/keep/session" || d == module+"/keep/quote" || d == module+"/sallyport":
			t.Errorf("the engine's program depends on %s, which has no place in it", d)
		}
	}
}

// TestInvariant8KeepIsSmall_ListIsCommitted compares the Keep with
// cmd/keep/tcb.txt.
func TestInvariant8KeepIsSmall_ListIsCommitted(t *testing.T) {
	needCommand(t, "cmd/keep")
	if out, err := exec.Command("go", "run", "./scripts/tcb").CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
}

func keepDeps(t *testing.T, format string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", format, "./cmd/keep")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps ./cmd/keep: %v", err)
	}
	return strings.Fields(string(out))
}

// needCommand skips a test of a program that is not written yet.
func needCommand(t *testing.T, dir string) {
	t.Helper()
	if found, _ := filepath.Glob(filepath.Join(dir, "*.go")); len(found) == 0 {
		t.Skipf("%s has no Go file yet", dir)
	}
}

// pure are the packages that decide about trust. They take bytes and a time
// and give an answer; nothing in them can reach for the world.
var pure = []string{"attest/collateral/item", "attest/nitro",
	"internal/claims", "internal/dsse", "internal/detcbor", "attest", "attest/internal…", "attest/sim",
	"attest/evidencebundle", "attest/replay", "attest/call",
	"attest/cmw", "attest/snp", "attest/tdx", "attest/sgx", "attest/vtpm", "attest/evidence", "attest/appraisal", "attest/ear", "policy", "audit", "workload"}

func TestVerifiersArePure(t *testing.T) {
	forbiddenImport := regexp.MustCompile(`^(net|net/http|os|os/exec|io/ioutil|syscall|golang\.org/x/sys/.*|log|log/slog|math/rand|math/rand/v2|crypto/rand)$`)
	checked := 0
	for _, p := range listPackages(t) {
		path, _ := relative(p.ImportPath)
		isPure := false
		for _, pattern := range pure {
			isPure = isPure || matches(pattern, path)
		}
		if !isPure {
			continue
		}
		checked++
		for _, imp := range p.Imports {
			if forbiddenImport.MatchString(imp) {
				t.Errorf("%s imports %s: a verifier is pure", path, imp)
			}
		}
		for _, f := range p.GoFiles {
			noClock(t, filepath.Join(p.Dir, f))
		}
	}
	if checked == 0 {
		t.Fatal("no pure package found: nothing was checked")
	}
}

// noClock reports uses of functions of package time that read a clock.
func noClock(t *testing.T, file string) {
	t.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, nil, 0)
	if err != nil {
		t.Error(err)
		return
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
			switch sel.Sel.Name {
			case "Now", "Since", "Until", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc", "Sleep":
				t.Errorf("%s: time.%s: in a verifier time is an argument", fset.Position(n.Pos()), sel.Sel.Name)
			}
		}
		return true
	})
}
