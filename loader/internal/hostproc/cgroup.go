// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostproc

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

	"github.com/enarx/enarx-go/loader"
)

// GroupPrefix begins the name of every control group that loaders make.
// Cleanup removes no other.
const GroupPrefix = "enarx-keep-"

// wanted are the controllers that bound a Keep.
var wanted = []string{"memory", "pids", "cpu"}

// Hierarchy is a mounted tree of control groups in which we may make one.
type Hierarchy struct {
	Dir         string   // existing group below which ours go
	Controllers []string // of memory, pids and cpu, those that it has
	V2          bool
}

// FindHierarchies reads which control groups we are in and where they are
// mounted (cgroups(7), proc_pid_mountinfo(5)); proc is "/proc/self". It gives
// those that this process may write.
func FindHierarchies(proc string) []Hierarchy {
	own := ownGroups(proc + "/cgroup")
	f, err := os.Open(proc + "/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []Hierarchy
	have := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) < 3 {
			continue
		}
		h := Hierarchy{V2: kind[0] == "cgroup2"}
		var path string
		switch kind[0] {
		case "cgroup2":
			path, ok = own[""]
		case "cgroup":
			path, ok = "", false
			for _, c := range strings.Split(kind[2], ",") {
				if slices.Contains(wanted, c) {
					h.Controllers = append(h.Controllers, c)
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
		h.Dir = filepath.Join(fields[4], rel)
		if h.V2 {
			h.Dir, h.Controllers = delegated(h.Dir, fields[4])
		}
		h.Controllers = slices.DeleteFunc(h.Controllers, func(c string) bool { return have[c] })
		if len(h.Controllers) == 0 || unix.Access(h.Dir, unix.W_OK) != nil {
			continue
		}
		for _, c := range h.Controllers {
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

// Bounds are the limits of one Keep's control groups. Zero means no limit,
// but for Tasks.
type Bounds struct {
	MemoryBytes uint64
	VCPUs       int
	Tasks       int
}

// Group is a control group of one Keep.
type Group struct {
	Dir string
	Hierarchy
}

// Groups are the groups that a Keep called id will have.
func Groups(hs []Hierarchy, id string) []Group {
	var gs []Group
	for _, h := range hs {
		gs = append(gs, Group{filepath.Join(h.Dir, GroupPrefix+id), h})
	}
	return gs
}

// Has says whether one of the groups has a controller.
func Has(gs []Group, controller string) bool {
	return slices.ContainsFunc(gs, func(g Group) bool { return slices.Contains(g.Controllers, controller) })
}

// Make creates the group and sets its limits. A limit that was asked for and
// cannot be set is an error.
func (g Group) Make(b Bounds) error {
	if err := os.Mkdir(g.Dir, 0o755); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	for _, c := range g.Controllers {
		for _, f := range limitFiles(c, g.V2, b) {
			err := os.WriteFile(filepath.Join(g.Dir, f.name), []byte(f.value), 0)
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

// limitFiles are the files that bound a controller.
func limitFiles(controller string, v2 bool, b Bounds) []limitFile {
	const period = 100_000 // microseconds, the kernel's default
	quota := strconv.Itoa(b.VCPUs * period)
	bytes := strconv.FormatUint(b.MemoryBytes, 10)
	switch {
	case controller == "pids":
		return []limitFile{{"pids.max", strconv.Itoa(b.Tasks), false}}
	case controller == "cpu" && b.VCPUs > 0 && v2:
		return []limitFile{{"cpu.max", quota + " " + strconv.Itoa(period), false}}
	case controller == "cpu" && b.VCPUs > 0:
		// The quota is absent from kernels without bandwidth control.
		return []limitFile{{"cpu.cfs_quota_us", quota, true}}
	case controller == "memory" && b.MemoryBytes > 0 && v2:
		return []limitFile{{"memory.max", bytes, false}, {"memory.swap.max", "0", true}}
	case controller == "memory" && b.MemoryBytes > 0:
		return []limitFile{{"memory.limit_in_bytes", bytes, false}, {"memory.memsw.limit_in_bytes", bytes, true}}
	}
	return nil
}

// Add puts a process into the group.
func (g Group) Add(pid int) error {
	if err := os.WriteFile(g.Dir+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("put the Keep into its control group: %w", err)
	}
	return nil
}

// Layers describes the group's limits for the user.
func (g Group) Layers(b Bounds) []loader.Layer {
	var ls []loader.Layer
	for _, c := range g.Controllers {
		for _, f := range limitFiles(c, g.V2, b) {
			now, err := os.ReadFile(filepath.Join(g.Dir, f.name))
			if err != nil {
				continue
			}
			ls = append(ls, loader.Layer{Name: "cgroup " + c, Applied: true, Detail: f.name + " " + strings.TrimSpace(string(now))})
			break
		}
	}
	return ls
}

// OutOfMemory says whether the kernel has killed a process of the group for
// its memory limit.
func OutOfMemory(gs []Group) bool {
	for _, g := range gs {
		name := "/memory.oom_control"
		if g.V2 {
			name = "/memory.events"
		}
		b, err := os.ReadFile(g.Dir + name)
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

// RemoveGroup kills what is left in a control group and removes it.
func RemoveGroup(dir string) error {
	deadline := time.Now().Add(GoneTimeout)
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
