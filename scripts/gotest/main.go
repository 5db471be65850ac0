// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Gotest runs all tests of the module, the quick packages first, and prints
// what a person needs: one line per package, the output of what failed, a
// list of everything that was skipped with its reason, and the count.
//
// It stands in front of go test for one reason: go test without -v does not
// say that a test was skipped, and a skipped test of security software must
// not look like a passed one. Arguments are handed to go test.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// slow matches the packages that run last: they build programs with other
// compilers, start real Keeps or wait for clocks.
var slow = regexp.MustCompile(`/(examples|bench|cmd/.*|loader/.*|agent|client|internal/sandbox)$`)

// machines matches the packages that boot virtual machines, emulated ones where
// there is no KVM. They come after all others: nothing is slower, and a machine
// beside a busy compiler takes longer than its deadline allows for.
var machines = regexp.MustCompile(`/(image|keep/guest|loader/qemu|measure/release)$`)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string
	Elapsed                       float64
}

// report collects the outcome of all tests.
type report struct {
	passed, failed int
	skips          []string
	output         map[string][]string // of running tests, by package and test
	broken         bool                // something failed that is no test, such as a build
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	list, err := exec.Command("go", "list", "./...").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest: go list:", err)
		return 1
	}
	var quick, rest, last []string
	for _, p := range strings.Fields(string(list)) {
		switch {
		case machines.MatchString(p):
			last = append(last, p)
		case slow.MatchString(p):
			rest = append(rest, p)
		default:
			quick = append(quick, p)
		}
	}
	r := &report{output: map[string][]string{}}
	for _, packages := range [][]string{quick, rest, last} {
		if len(packages) > 0 {
			r.goTest(args, packages)
		}
	}
	r.secondEngine(args)
	sort.Strings(r.skips)
	if len(r.skips) > 0 {
		fmt.Printf("\nSKIPPED, so not shown to work here (%d):\n", len(r.skips))
		for _, s := range r.skips {
			fmt.Println("  " + s)
		}
	}
	if r.broken && r.failed == 0 {
		r.failed = 1
	}
	fmt.Printf("\n%d passed, %d failed\n", r.passed, r.failed)
	if r.failed > 0 {
		return 1
	}
	return 0
}

// wasmtimeLives are the tests of whole Keeps that are run on the second engine
// too: one of each way in which code of the engine meets the sandbox, the limits
// and the streams. Compiling takes seconds in each.
const wasmtimeLives = "^Test(Deploy|ExitCodes|PanicStaysInside|TimeoutEndsASpinningWorkload|MemoryLimit|StdinIsPassedOnWhole|" +
	"BundleFilesAreReadOnly|BadModules|ListenTLS|ConnectTCP|Secrets|DevicesAndScratch|Invariant12.*)$"

// secondEngine runs the tests that every engine and every Keep has to pass once
// more on Wasmtime: engine and system interface in the test's own process, and
// whole lives of Keeps that are built with it.
func (r *report) secondEngine(args []string) {
	const name = "keep/engine/wasmtime"
	out, err := exec.Command("scripts/wasmtime", "env").Output()
	if err == nil {
		_, err = exec.LookPath("gcc")
	}
	if err != nil {
		if os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
			fmt.Fprintln(os.Stderr, "gotest: the tests on Wasmtime need gcc and the library:", err)
			r.broken = true
			return
		}
		r.skips = append(r.skips, name+" and all tests on it: gcc or the library is missing: "+err.Error())
		return
	}
	fmt.Println("\non Wasmtime:")
	r.goTest(append([]string{"-tags=enarx_wasmtime"}, args...), []string{"./keep/engine/...", "./keep/wasi"}, strings.Split(strings.TrimSpace(string(out)), "\n")...)
	dir, err := os.MkdirTemp("", "enarx-wasmtime-keep-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		r.broken = true
		return
	}
	defer os.RemoveAll(dir)
	keep := filepath.Join(dir, "keep")
	build := exec.Command("scripts/build", "keep", keep)
	build.Env = append(os.Environ(), "ENARX_ENGINE=wasmtime")
	// Keeps run as nobody where they can, who must be able to reach the file.
	if err := errors.Join(os.Chmod(dir, 0o755), build.Run()); err != nil {
		fmt.Fprintln(os.Stderr, "gotest: build a Keep with Wasmtime:", err)
		r.broken = true
		return
	}
	r.goTest(append([]string{"-run=" + wasmtimeLives}, args...), []string{"./keep"}, "ENARX_TEST_KEEP="+keep)
}

// goTest runs the tests of some packages and takes in what they say.
func (r *report) goTest(args, packages []string, env ...string) {
	cmd := exec.Command("go", append(append([]string{"test", "-json", "-count=1", "-timeout=20m"}, args...), packages...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest: go test:", err)
		r.broken = true
		return
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err != nil {
			if err != io.EOF {
				r.broken = true
			}
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		r.broken = true
	}
}

func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		os.Stdout.Write(line)
		return
	}
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.output[key] = append(r.output[key], e.Output)
	case "build-output":
		fmt.Print(e.Output)
	case "build-fail":
		r.broken = true
	case "pass", "fail", "skip":
		r.end(e, key)
		delete(r.output, key)
	}
}

// end takes in the end of a test, or of a package where e.Test is empty.
func (r *report) end(e event, key string) {
	if e.Test == "" {
		switch {
		case e.Action == "fail":
			r.broken = true
			fmt.Print(strings.Join(r.output[key], ""))
			fmt.Printf("FAIL\t%s\t%.1fs\n", e.Package, e.Elapsed)
		case e.Action == "pass":
			fmt.Printf("ok  \t%s\t%.1fs\n", e.Package, e.Elapsed)
		}
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		fmt.Printf("--- %s\n%s", key, strings.Join(r.output[key], ""))
	case "skip":
		r.skips = append(r.skips, key+": "+reason(r.output[key]))
	}
}

// reason finds what a test said when it skipped itself: the last line that
// go test did not write.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		s := strings.TrimSpace(output[i])
		if s != "" && !strings.HasPrefix(s, "--- ") && !strings.HasPrefix(s, "=== ") {
			return s
		}
	}
	return "no reason given"
}
