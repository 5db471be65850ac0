// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// TestMain lets the test binary be the peers that plainTLS starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && len(os.Args[1]) > 5 && os.Args[1][:5] == "peer-" {
		if err := peer(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestQuantiles(t *testing.T) {
	var v times
	for i := 100; i > 0; i-- {
		v = append(v, time.Duration(i)*time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := v.quantile(q); got != want*time.Millisecond {
			t.Errorf("quantile %v is %v, expected %v ms", q, got, int64(want))
		}
	}
	if got := times(nil).median(); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

// TestPlainTLSPeers checks the peer that our throughput is compared with: it
// must deliver every byte, through four processes.
func TestPlainTLSPeers(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{env: os.Environ()}
	took, err := b.plainTLS(self)
	if err != nil {
		t.Fatal(err)
	}
	if took <= 0 {
		t.Errorf("moving %d MiB took %v", floodMiB, took)
	}
	t.Logf("%.0f MiB/s", floodMiB/took.Seconds())
}

func TestMemoryOfAProcessTree(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if got := descendants(os.Getpid()); !slices.Contains(got, cmd.Process.Pid) {
		t.Fatalf("descendants are %v, expected %d among them", got, cmd.Process.Pid)
	}
	pss, err := processPSS(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if pss < 1<<20 || pss > 1<<32 {
		t.Errorf("this process has a PSS of %d bytes", pss)
	}
}

func TestResultIsTheLastLine(t *testing.T) {
	o, err := result("enarx: something\n{\"exit\":{\"by\":\"workload\",\"code\":0},\"steps\":[{\"name\":\"boot\",\"us\":1500}]}\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Steps) != 1 || o.Steps[0].Name != "boot" || o.Steps[0].US != 1500 || o.Exit.By != "workload" {
		t.Errorf("read %+v", o)
	}
	if _, err := result("enarx: error: no JSON\n"); err == nil {
		t.Error("a line that is no JSON was read")
	}
}

func TestParseBenchmarks(t *testing.T) {
	all, err := parseBenchmarks("goos: linux\nBenchmarkTDX-2   \t     20\t       129206 B/cold\t  937.4 µs/cold\t 0 ns/op\nBenchmarkSGX\t3\t1 µs/warm\nPASS\n")
	if err != nil || len(all) != 2 || all["TDX"]["B/cold"] != 129206 || all["TDX"]["µs/cold"] != 937.4 || all["SGX"]["µs/warm"] != 1 {
		t.Errorf("%v, %v", all, err)
	}
	for _, bad := range []string{"", "PASS\n", "BenchmarkTDX 3 x µs/cold\n"} {
		if all, err := parseBenchmarks(bad); err == nil {
			t.Errorf("%q gives %v", bad, all)
		}
	}
}
