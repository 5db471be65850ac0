// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package loadertest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/loader"
)

func newTalk(k loader.Keep) *bufio.Scanner { return bufio.NewScanner(k.Channel()) }

// stock is what a Keep could leave behind.
type stock struct {
	descriptors []string
	children    []int
	mounts      int
	groups      []string
}

func takeStock(t testing.TB) stock {
	t.Helper()
	var s stock
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		// The listing's own descriptor and the poller's don't count.
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && !strings.HasPrefix(to, "anon_inode:[event") {
			s.descriptors = append(s.descriptors, fd.Name()+" "+to)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	s.mounts = bytes.Count(mounts, []byte("\n"))
	s.children = descendants(os.Getpid())
	// Ours carry our process ID in their name; other tests run beside us.
	s.groups, err = filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/*/enarx-keep-*-%d-*", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s stock) compare(t testing.TB) {
	t.Helper()
	var now stock
	for range 50 { // the kernel's own cleaning takes a moment
		now = takeStock(t)
		if len(now.children) <= len(s.children) && len(now.descriptors) <= len(s.descriptors) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(now.descriptors) > len(s.descriptors) {
		t.Errorf("descriptors left open: %v, before %v", now.descriptors, s.descriptors)
	}
	if len(now.children) > len(s.children) {
		t.Errorf("processes left: %v, before %v", now.children, s.children)
	}
	if now.mounts != s.mounts {
		t.Errorf("%d mounts, before %d", now.mounts, s.mounts)
	}
	for _, g := range now.groups {
		if !slices.Contains(s.groups, g) {
			t.Errorf("control group left: %s", g)
		}
	}
}

// descendants are the living processes below one.
func descendants(pid int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	below := map[int][]int{}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		var p, parent int
		var state string
		fmt.Sscanf(string(b), "%d", &p)
		fmt.Sscanf(string(b[bytes.LastIndexByte(b, ')')+1:]), "%s %d", &state, &parent)
		below[parent] = append(below[parent], p)
	}
	all := slices.Clone(below[pid])
	for i := 0; i < len(all); i++ {
		all = append(all, below[all[i]]...)
	}
	return all
}

// endsWithin says whether a process ends within a time.
func endsWithin(pid int, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// alive says whether a process exists and is no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := strings.TrimSpace(string(b[bytes.LastIndexByte(b, ')')+1:]))
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
