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
	"fmt"
	"io"
	"os"
	"os/exec"
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

// goTest runs the tests of some packages and takes in what they say.
func (r *report) goTest(args, packages []string) {
	cmd := exec.Command("go", append(append([]string{"test", "-json", "-count=1", "-timeout=20m"}, args...), packages...)...)
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
