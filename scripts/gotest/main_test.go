// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

func TestReportCountsAndKeepsReasons(t *testing.T) {
	r := &report{output: map[string][]string{}}
	for _, line := range []string{
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: no clang here\n"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestB","Elapsed":0}`,
		`{"Action":"fail","Package":"p","Test":"TestC","Elapsed":0}`,
		`{"Action":"fail","Package":"p","Elapsed":1}`,
	} {
		r.line([]byte(line))
	}
	if r.passed != 1 || r.failed != 1 || !r.broken {
		t.Errorf("%d passed, %d failed, broken %v; expected 1, 1, true", r.passed, r.failed, r.broken)
	}
	if want := []string{"p TestB: b_test.go:7: no clang here"}; !slices.Equal(r.skips, want) {
		t.Errorf("skips are %q, expected %q", r.skips, want)
	}
	if len(r.output) != 0 {
		t.Errorf("output of %d tests is still held", len(r.output))
	}
}

// TestABrokenBuildIsAFailure guards the exit code: a package that does not
// compile has no failing test.
func TestABrokenBuildIsAFailure(t *testing.T) {
	r := &report{output: map[string][]string{}}
	r.line([]byte(`{"ImportPath":"p [p.test]","Action":"build-fail"}`))
	if !r.broken {
		t.Error("a build failure went unnoticed")
	}
}

func TestSlowPackages(t *testing.T) {
	for path, want := range map[string]bool{
		"m/examples": true, "m/cmd/enarx": true, "m/loader/process": true, "m/bench": true,
		"m/attest": false, "m/workload/enarxtoml": false, "m/client": true, "m/keep/session": false,
	} {
		if got := slow.MatchString(path); got != want {
			t.Errorf("slow(%q) = %v", path, got)
		}
	}
}
