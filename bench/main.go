// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Bench measures Enarx against named peers on the machine at hand and prints
// ratios; make bench runs it. It drives the programs that make build has made,
// as a user would, and measures nothing from inside them; part verify alone runs
// the benchmarks of a package.
//
//	run      warm enarx run of a C and a Go hello (platform process, all
//	         isolation on) against the wazero CLI with its compile cache and
//	         Node.js's WASI on the same modules, and enarx's own steps
//	deploy   an attested deployment to an agent on loopback (sim), by steps
//	stdout   standard output through the attested channel against a native
//	         program's through a plain TLS connection and a TCP relay
//	memory   what one unclaimed process Keep takes, in PSS
//	waves    200 attested Keeps in waves of 20
//	vm       Keeps in virtual machines: start against a bare boot of the same
//	         kernel, channel against process Keeps, memory, eight at once
//	verify   evidence of real hardware, against go-sev-guest, go-tdx-guest and
//	         bare signature checks; rates, allocations and 64 at the same time
//
// How to read it: the runs of all peers are interleaved, so that a disturbance
// hits all of them; values are medians, with the lowest in brackets. A single
// number of one machine means little, a ratio within one run means something.
// A goal that is missed is printed as missed; it is no error, because the
// machine may be busy.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// bench holds what all measurements share.
type bench struct {
	rounds int
	bin    string // directory of enarx and keep
	work   string // scratch directory, removed at the end
	env    []string
	guests guests
}

var parts = []struct {
	name string
	run  func(*bench) error
}{
	{"run", (*bench).benchRun},
	{"deploy", (*bench).benchDeploy},
	{"stdout", (*bench).benchStdout},
	{"memory", (*bench).benchMemory},
	{"waves", (*bench).benchWaves},
	{"vm", (*bench).benchVM},
	{"verify", (*bench).benchVerify},
}

func main() {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "peer-") {
		if err := peer(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", os.Args[1]+":", err)
			os.Exit(1)
		}
		return
	}
	rounds := flag.Int("rounds", 21, "how often each thing is measured")
	only := flag.String("only", "", "comma-separated parts to run: run, deploy, stdout, memory, waves, vm, verify")
	bin := flag.String("bin", "bin", "directory of enarx and keep")
	flag.Parse()
	if *only == "verify" { // which needs neither programs nor guests
		if err := (&bench{rounds: max(*rounds, 1)}).benchVerify(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := start(*rounds, *only, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start(rounds int, only, bin string) error {
	abs, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	for _, name := range []string{"enarx", "keep"} {
		if _, err := os.Stat(filepath.Join(abs, name)); err != nil {
			return fmt.Errorf("%w; make build makes it", err)
		}
	}
	work, err := os.MkdirTemp("", "enarx-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &bench{rounds: max(rounds, 1), bin: abs, work: work}
	b.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + work,
		"XDG_CACHE_HOME=" + filepath.Join(work, "cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(work, "config"),
		"XDG_STATE_HOME=" + filepath.Join(work, "state"),
	}
	if b.guests, err = buildGuests(work); err != nil {
		return err
	}
	var failed []error
	for _, p := range parts {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.name) {
			continue
		}
		if err := p.run(b); err != nil {
			fmt.Printf("  could not be measured: %v\n", err)
			failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
		}
		fmt.Println()
	}
	return errors.Join(failed...)
}
