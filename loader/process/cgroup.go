// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/loader"
)

// groupPrefix begins the name of every control group that this package makes.
// Cleanup removes no other.
const groupPrefix = "enarx-keep-"

// wanted are the controllers that bound a Keep.
var wanted = []string{"memory", "pids", "cpu"}

// hierarchy is a mounted tree of control groups in which we may make one.
type hierarchy struct {
	dir         string   // existing group below which ours go
	controllers []string // of wanted, those that it has
	v2          bool
}

// hierarchies finds the writable ones, once per loader.
func (l *Loader) hierarchies() []hierarchy {
	l.groupsOnce.Do(func() { l.groups = findHierarchies("/proc/self") })
	return l.groups
}

// findHierarchies reads which control groups we are in and where they are
// mounted (cgroups(7), proc_pid_mountinfo(5)).
func findHierarchies(proc string) []hierarchy {
	own := ownGroups(proc + "/cgroup")
	f, err := os.Open(proc + "/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []hierarchy
	have := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) < 3 {
			continue
		}
		h := hierarchy{v2: kind[0] == "cgroup2"}
		var path string
		switch kind[0] {
		case "cgroup2":
			path, ok = own[""]
		case "cgroup":
			path, ok = "", false
			for _, c := range strings.Split(kind[2], ",") {
				if slices.Contains(wanted, c) {
					h.controllers = append(h.controllers, c)
					path, ok = own[c], true
				}
			}
		default:
			ok = false
		}
		rel, err := filepath.Rel(fields[3], path)
		if !ok || err != nil || strings.HasPrefix(rel, "..") {
			continue
		}
		h.dir = filepath.Join(fields[4], rel)
		if h.v2 {
			h.dir, h.controllers = delegated(h.dir, fields[4])
		}
		h.controllers = slices.DeleteFunc(h.controllers, func(c string) bool { return have[c] })
		if len(h.controllers) == 0 || unix.Access(h.dir, unix.W_OK) != nil {
			continue
		}
		for _, c := range h.controllers {
			have[c] = true
		}
		out = append(out, h)
	}
	return out
}

// ownGroups maps controllers ("" for version 2) to our group's path.
func ownGroups(file string) map[string]string {
	own := map[string]string{}
	b, err := os.ReadFile(file)
	if err != nil {
		return own
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, c := range strings.Split(parts[1], ",") {
			own[c] = parts[2]
		}
	}
	return own
}

// delegated finds the version 2 group at dir or just above it that hands the
// wanted controllers to groups below. The one above is what a systemd unit
// with DelegateSubgroup= gives: a group that holds processes cannot hand out
// controllers.
func delegated(dir, mount string) (string, []string) {
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if !strings.HasPrefix(d, mount) {
			break
		}
		b, err := os.ReadFile(d + "/cgroup.subtree_control")
		if err != nil {
			continue
		}
		var cs []string
		for _, c := range strings.Fields(string(b)) {
			if slices.Contains(wanted, c) {
				cs = append(cs, c)
			}
		}
		if len(cs) > 0 {
			return d, cs
		}
	}
	return dir, nil
}

// group is a control group of one Keep.
type group struct {
	dir string
	hierarchy
}

// groupPaths are the groups that a Keep called id will have.
func (l *Loader) groupPaths(spec loader.Spec) []group {
	if spec.MemoryBytes == 0 && spec.VCPUs == 0 {
		return nil // no limit was asked for; rlimits hold
	}
	var gs []group
	for _, h := range l.hierarchies() {
		gs = append(gs, group{filepath.Join(h.dir, groupPrefix+spec.ID), h})
	}
	return gs
}

// make creates the group and sets its limits. A limit that was asked for and
// cannot be set is an error.
func (g group) make(spec loader.Spec) error {
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	for _, c := range g.controllers {
		for _, f := range limitFiles(c, g.v2, spec) {
			err := os.WriteFile(filepath.Join(g.dir, f.name), []byte(f.value), 0)
			if err != nil && !(f.optional && errors.Is(err, os.ErrNotExist)) {
				return fmt.Errorf("limit the Keep: %w", err)
			}
		}
	}
	return nil
}

type limitFile struct {
	name, value string
	optional    bool // not on every kernel
}

// limitFiles are the files that bound a controller for spec.
func limitFiles(controller string, v2 bool, spec loader.Spec) []limitFile {
	const period = 100_000 // microseconds, the kernel's default
	quota := strconv.Itoa(spec.VCPUs * period)
	bytes := strconv.FormatUint(spec.MemoryBytes, 10)
	switch {
	case controller == "pids":
		return []limitFile{{"pids.max", strconv.Itoa(maxThreads), false}}
	case controller == "cpu" && spec.VCPUs > 0 && v2:
		return []limitFile{{"cpu.max", quota + " " + strconv.Itoa(period), false}}
	case controller == "cpu" && spec.VCPUs > 0:
		// The quota is absent from kernels without bandwidth control.
		return []limitFile{{"cpu.cfs_quota_us", quota, true}}
	case controller == "memory" && spec.MemoryBytes > 0 && v2:
		return []limitFile{{"memory.max", bytes, false}, {"memory.swap.max", "0", true}}
	case controller == "memory" && spec.MemoryBytes > 0:
		return []limitFile{{"memory.limit_in_bytes", bytes, false}, {"memory.memsw.limit_in_bytes", bytes, true}}
	}
	return nil
}

// add puts a process into the group.
func (g group) add(pid int) error {
	if err := os.WriteFile(g.dir+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("put the Keep into its control group: %w", err)
	}
	return nil
}

// layer describes the group's limits for the user.
func (g group) layers(spec loader.Spec) []sandbox.Layer {
	var ls []sandbox.Layer
	for _, c := range g.controllers {
		for _, f := range limitFiles(c, g.v2, spec) {
			b, err := os.ReadFile(filepath.Join(g.dir, f.name))
			if err != nil {
				continue
			}
			ls = append(ls, sandbox.Layer{Name: "cgroup " + c, Applied: true, Detail: f.name + " " + strings.TrimSpace(string(b))})
			break
		}
	}
	return ls
}

// outOfMemory says whether the kernel has killed a process of the group for
// its memory limit.
func outOfMemory(gs []group) bool {
	for _, g := range gs {
		name := "/memory.oom_control"
		if g.v2 {
			name = "/memory.events"
		}
		b, err := os.ReadFile(g.dir + name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == "oom_kill" && v != "0" {
				return true
			}
		}
	}
	return false
}

// removeGroup kills what is left in a control group and removes it.
func removeGroup(dir string) error {
	deadline := time.Now().Add(goneTimeout)
	for pause := 500 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove control group %s: %w; end its processes and remove the directory", dir, err)
		}
		killGroup(dir)
		time.Sleep(pause)
	}
}

// killGroup signals every process of a group. Its errors show in the removal.
func killGroup(dir string) {
	if os.WriteFile(dir+"/cgroup.kill", []byte("1"), 0) == nil {
		return
	}
	for _, pid := range members(dir) {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		// The number could have changed hands since it was read; what
		// the descriptor holds cannot.
		if slices.Contains(members(dir), pid) {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		unix.Close(fd)
	}
}

// members are the processes of a group, as numbers of our process namespace.
func members(dir string) []int {
	b, err := os.ReadFile(dir + "/cgroup.procs")
	if err != nil {
		return nil
	}
	var pids []int
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}
