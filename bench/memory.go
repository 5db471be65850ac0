// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// benchMemory creates Keeps that nobody claims and reads how much memory their
// processes take. PSS counts a page that n processes share as 1/n in each, so
// the sum over a process tree is what that tree costs beside its neighbours.
func (b *bench) benchMemory() error {
	fmt.Println("memory: unclaimed process Keeps, PSS of the whole Keep (all its processes)")
	for _, n := range []int{1, 10} {
		pss, processes, err := b.keepsPSS(n)
		if err != nil {
			return err
		}
		each := float64(pss) / float64(n) / (1 << 20)
		fmt.Printf("  %2d Keeps: %5.1f MiB each, in %.1f processes each\n", n, each, float64(processes)/float64(n))
		fmt.Printf("  %s\n", goal(each <= 20, "at most 20 MiB"))
	}
	return nil
}

func (b *bench) keepsPSS(n int) (pss int64, processes int, err error) {
	a, err := b.startAgent()
	if err != nil {
		return 0, 0, err
	}
	defer a.stop()
	for range n {
		req, err := http.NewRequest("POST", a.url+"/v1/keeps", strings.NewReader(`{"platform":"process"}`))
		if err != nil {
			return 0, 0, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", rand.Text()+rand.Text())
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, 0, err
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return 0, 0, fmt.Errorf("create: %s", resp.Status)
		}
	}
	time.Sleep(500 * time.Millisecond) // let the Keeps come to rest
	for _, pid := range descendants(a.cmd.Process.Pid) {
		v, err := processPSS(pid)
		if err != nil {
			return 0, 0, err
		}
		pss += v
		processes++
	}
	if processes < n {
		return 0, 0, fmt.Errorf("%d Keeps were created, but the agent has %d processes below it", n, processes)
	}
	return pss, processes, nil
}

// descendants lists the processes below pid (proc(5), task/TID/children).
func descendants(pid int) []int {
	var found []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				found = append(append(found, child), descendants(child)...)
			}
		}
	}
	return found
}

// processPSS reads the proportional set size in bytes (proc(5), smaps_rollup,
// in KiB).
func processPSS(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			n, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no Pss line", f.Name())
}
