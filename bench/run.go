// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// outcome is the line that enarx --json writes last on stderr, as far as the
// benchmarks read it.
type outcome struct {
	Exit struct {
		By     string
		Code   int
		Reason string
	}
	Steps []struct {
		Name string
		US   int64
	}
}

// outside is the time of a run that enarx has no name for: starting and ending
// its own process, and cleaning up.
const outside = "outside of all steps"

// timed runs a program to its end and demands what it prints.
func (b *bench) timed(want string, args ...string) (time.Duration, string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = b.env, &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	if stdout.String() != want {
		return 0, "", fmt.Errorf("%s: printed %q, expected %q", strings.Join(args, " "), &stdout, want)
	}
	return took, stderr.String(), nil
}

// result reads the last line of what enarx --json wrote to stderr.
func result(stderr string) (outcome, error) {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	var o outcome
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &o); err != nil {
		return o, fmt.Errorf("the last line of enarx --json is no JSON: %w: %q", err, lines[len(lines)-1])
	}
	return o, nil
}

func (b *bench) benchRun() error {
	const hello = "Hello, world!\n"
	fmt.Println("run: a warm hello, whole process, wall time: median (lowest)")
	for _, m := range []struct{ name, file string }{{"C", b.guests.helloC}, {"Go", b.guests.helloGo}} {
		runners := []struct {
			name string
			args []string
		}{
			{"enarx run", []string{filepath.Join(b.bin, "enarx"), "run", "--platform", "process", "--json", m.file}},
			{"wazero run -cachedir", []string{b.guests.wazero, "run", "-cachedir", filepath.Join(b.work, "wazero-cache"), m.file}},
			{"node (WASI)", []string{b.guests.node, "--no-warnings", "examples/testdata/wasi.mjs", "--", m.file}},
		}
		if b.guests.node == "" {
			runners = runners[:2]
			fmt.Println("  node is not installed: not compared")
		}
		all := make([]times, len(runners))
		var own steps
		for round := -2; round < b.rounds; round++ { // two rounds to warm the caches
			for i, r := range runners {
				took, stderr, err := b.timed(hello, r.args...)
				if err != nil {
					return err
				}
				if round < 0 {
					continue
				}
				all[i] = append(all[i], took)
				if i == 0 {
					o, err := result(stderr)
					if err != nil {
						return err
					}
					for _, s := range o.Steps {
						d := time.Duration(s.US) * time.Microsecond
						own.add(s.Name, d)
						took -= d
					}
					own.add(outside, took)
				}
			}
		}
		for i, r := range runners {
			fmt.Printf("  %-4s %-22s %v   %.2fx of enarx run\n", m.name, r.name, all[i], float64(all[i].median())/float64(all[0].median()))
		}
		above := all[0].median() - all[1].median()
		fmt.Printf("  %-4s %s\n", m.name, goal(above <= 25*time.Millisecond, fmt.Sprintf("enarx run is %.1f ms above the wazero CLI, at most 25 wanted", ms(above))))
		if len(all) > 2 {
			fmt.Printf("  %-4s %s\n", m.name, goal(all[0].median() < all[2].median()*3/4, "well under node (three quarters)"))
		}
		own.print()
	}
	return nil
}
