// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostproc

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// fakeProc writes cgroup and mountinfo, with ROOT replaced by root.
func fakeProc(t *testing.T, root, cgroup, mountinfo string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup": cgroup, "mountinfo": mountinfo} {
		text = strings.ReplaceAll(text, "ROOT", root)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestControlGroupsAreFound(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/memory/job/x", "")
	write(t, root+"/cpu/x", "")
	write(t, root+"/v2/unit/cgroup.subtree_control", "memory pids io\n")
	write(t, root+"/v2/unit/agent/cgroup.subtree_control", "\n")
	write(t, root+"/v2/bare/cgroup.subtree_control", "")
	v1 := "31 24 0:27 / ROOT/memory rw shared:9 - cgroup cgroup rw,memory\n" +
		"32 24 0:28 / ROOT/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"33 24 0:29 / ROOT/gone rw - cgroup cgroup rw,pids\n" +
		"34 24 0:30 / /proc rw - proc proc rw\n"
	v2 := "35 24 0:31 / ROOT/v2 rw - cgroup2 cgroup2 rw\n"
	for name, c := range map[string]struct {
		cgroup, mounts string
		want           []Hierarchy
	}{
		"version 1": {"4:memory:/job\n2:cpu,cpuacct:/\n3:pids:/\n0::/\n", v1, []Hierarchy{
			{Dir: root + "/memory/job", Controllers: []string{"memory"}}, {Dir: root + "/cpu", Controllers: []string{"cpu"}}}},
		"version 2, group above delegates": {"0::/unit/agent\n", v2, []Hierarchy{
			{Dir: root + "/v2/unit", Controllers: []string{"memory", "pids"}, V2: true}}},
		"version 2, nothing delegated": {"0::/bare\n", v2, nil},
		"outside the mount":            {"4:memory:/other\n", strings.ReplaceAll(v1, " / ROOT/memory", " /job ROOT/memory"), nil},
		"garbage":                      {"x\n:::\n", " - \n1 2 - cgroup\n- cgroup2 a b\n", nil},
		"empty":                        {"", "", nil},
	} {
		got := FindHierarchies(fakeProc(t, root, c.cgroup, c.mounts))
		if len(got) != len(c.want) || len(got) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, expected %+v", name, got, c.want)
		}
	}
	if FindHierarchies(root) != nil {
		t.Error("control groups without a /proc")
	}
}

func TestLimitsOfControlGroups(t *testing.T) {
	spec := Bounds{VCPUs: 2, MemoryBytes: 1 << 28, Tasks: 256}
	for _, c := range []struct {
		controller string
		v2         bool
		file       string
		value      string
	}{
		{"memory", true, "memory.max", "268435456"},
		{"memory", false, "memory.limit_in_bytes", "268435456"},
		{"cpu", true, "cpu.max", "200000 100000"},
		{"cpu", false, "cpu.cfs_quota_us", "200000"},
		{"pids", true, "pids.max", "256"},
		{"pids", false, "pids.max", "256"},
	} {
		fs := limitFiles(c.controller, c.v2, spec)
		if len(fs) == 0 || fs[0].name != c.file || fs[0].value != c.value {
			t.Errorf("%s: %+v, expected %s in %s", c.controller, fs, c.value, c.file)
		}
	}
	if fs := limitFiles("memory", true, Bounds{}); fs != nil {
		t.Errorf("no memory limit was asked for: %+v", fs)
	}
}

func TestOutOfMemoryIsSeen(t *testing.T) {
	for _, c := range []struct {
		v2         bool
		file, text string
		want       bool
	}{
		{true, "memory.events", "low 0\noom 1\noom_kill 1\n", true},
		{true, "memory.events", "low 0\noom 1\noom_kill 0\n", false},
		{false, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", true},
		{false, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", false},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, c.file), c.text)
		if got := OutOfMemory([]Group{{Dir: dir, Hierarchy: Hierarchy{V2: c.v2}}}); got != c.want {
			t.Errorf("%q: %v", c.text, got)
		}
	}
}
