// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// agent is a running enarx agent of the benchmark's own, on loopback.
type agent struct {
	cmd    *exec.Cmd
	url    string
	state  string
	stderr bytes.Buffer
}

// startAgent starts an agent and waits until it answers.
func (b *bench) startAgent() (*agent, error) {
	state, err := os.MkdirTemp(b.work, "agent-")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	l.Close()
	a := &agent{url: "http://" + address, state: state}
	a.cmd = exec.Command(filepath.Join(b.bin, "enarx"), "agent", "--listen", address, "--state", state)
	a.cmd.Env, a.cmd.Stderr = b.env, &a.stderr
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if a.healthy(time.Second) == nil {
			return a, nil
		}
	}
	a.stop()
	return nil, fmt.Errorf("enarx agent did not answer on %s within 10 s\n%s", a.url, &a.stderr)
}

func (a *agent) healthy(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", a.url+"/v1/health", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("/v1/health says " + resp.Status)
	}
	return nil
}

func (a *agent) stop() {
	a.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(45*time.Second, func() { a.cmd.Process.Kill() })
	a.cmd.Wait()
	timer.Stop()
}

// deploy is the command line of an attested deployment to a.
func (b *bench) deploy(a *agent, rest ...string) []string {
	return append([]string{filepath.Join(b.bin, "enarx"), "deploy", "--host", a.url, "--platform", "sim",
		"--insecure-sim-root", filepath.Join(a.state, "sim-root.pem")}, rest...)
}

// notOurs matches the steps that the goal of a deployment leaves out: starting
// the Keep and compiling or running the module.
func notOurs(step string) bool {
	for _, s := range []string{"start", "compile", "run"} {
		if strings.Contains(step, s) {
			return true
		}
	}
	return false
}

func (b *bench) benchDeploy() error {
	fmt.Println("deploy: attested, sim, agent on loopback, C hello: median (lowest)")
	a, err := b.startAgent()
	if err != nil {
		return err
	}
	defer a.stop()
	var whole, own times
	var all steps
	for round := -1; round < b.rounds; round++ {
		took, stderr, err := b.timed("Hello, world!\n", b.deploy(a, "--json", b.guests.helloC)...)
		if err != nil {
			return err
		}
		if round < 0 {
			continue
		}
		o, err := result(stderr)
		if err != nil {
			return err
		}
		entire, rest := took, took
		for _, s := range o.Steps {
			d := time.Duration(s.US) * time.Microsecond
			all.add(s.Name, d)
			took -= d
			if notOurs(s.Name) {
				rest -= d
			}
		}
		all.add(outside, took)
		whole, own = append(whole, entire), append(own, rest)
	}
	fmt.Printf("  whole process                        %v\n", whole)
	fmt.Printf("  without Keep start, compile and run  %v\n", own)
	fmt.Printf("  %s\n", goal(own.median() <= 60*time.Millisecond, "at most 60 ms without Keep start and module compile"))
	all.print()
	return nil
}

// benchWaves starts 200 attested Keeps, 20 at a time, each with an argument of
// its own that must come back.
func (b *bench) benchWaves() error {
	const waves, width = 10, 20
	fmt.Printf("waves: %d attested Keeps (sim) in waves of %d\n", waves*width, width)
	a, err := b.startAgent()
	if err != nil {
		return err
	}
	defer a.stop()
	var mu sync.Mutex
	var each, health times
	var failures []error
	start := time.Now()
	for w := range waves {
		var wg sync.WaitGroup
		for i := range width {
			name := fmt.Sprintf("keep-%d-%d", w, i)
			wg.Go(func() {
				took, _, err := b.timed("Hello, "+name+"!\n", b.deploy(a, b.guests.helloC, "--", name)...)
				mu.Lock()
				defer mu.Unlock()
				each = append(each, took)
				if err != nil {
					failures = append(failures, err)
				}
			})
		}
		asked := time.Now()
		if err := a.healthy(10 * time.Second); err != nil {
			failures = append(failures, err)
		}
		health = append(health, time.Since(asked))
		wg.Wait()
	}
	fmt.Printf("  all in %.1f s; one: median %.0f ms, slowest %.0f ms; the agent's health answered in at most %.0f ms\n",
		time.Since(start).Seconds(), ms(each.median()), ms(each.quantile(1)), ms(health.quantile(1)))
	fmt.Printf("  %s\n", goal(len(failures) == 0, fmt.Sprintf("%d of %d attested and correct", len(each)-len(failures), waves*width)))
	return errors.Join(failures...)
}
