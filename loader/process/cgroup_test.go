// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/loader"
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
		want           []hierarchy
	}{
		"version 1": {"4:memory:/job\n2:cpu,cpuacct:/\n3:pids:/\n0::/\n", v1, []hierarchy{
			{dir: root + "/memory/job", controllers: []string{"memory"}}, {dir: root + "/cpu", controllers: []string{"cpu"}}}},
		"version 2, group above delegates": {"0::/unit/agent\n", v2, []hierarchy{
			{dir: root + "/v2/unit", controllers: []string{"memory", "pids"}, v2: true}}},
		"version 2, nothing delegated": {"0::/bare\n", v2, nil},
		"outside the mount":            {"4:memory:/other\n", strings.ReplaceAll(v1, " / ROOT/memory", " /job ROOT/memory"), nil},
		"garbage":                      {"x\n:::\n", " - \n1 2 - cgroup\n- cgroup2 a b\n", nil},
		"empty":                        {"", "", nil},
	} {
		got := findHierarchies(fakeProc(t, root, c.cgroup, c.mounts))
		if len(got) != len(c.want) || len(got) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, expected %+v", name, got, c.want)
		}
	}
	if findHierarchies(root) != nil {
		t.Error("control groups without a /proc")
	}
}

func TestLimitsOfControlGroups(t *testing.T) {
	spec := loader.Spec{VCPUs: 2, MemoryBytes: 1 << 28}
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
	if fs := limitFiles("memory", true, loader.Spec{}); fs != nil {
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
		if got := outOfMemory([]group{{dir: dir, hierarchy: hierarchy{v2: c.v2}}}); got != c.want {
			t.Errorf("%q: %v", c.text, got)
		}
	}
}

// TestNoWeakerPlanAfterAStronger holds a loader to the isolation that worked.
func TestNoWeakerPlanAfterAStronger(t *testing.T) {
	l := New()
	n := need{asNobody: true}
	if len(l.choose(n)) < 2 && l.host.MountAPI {
		t.Fatal("only one plan to begin with: this test proves nothing")
	}
	strong := l.choose(n)[0]
	l.worked(n, strong)
	if got := l.choose(n); len(got) != 1 || got[0] != strong {
		t.Errorf("plans after one has worked: %+v", got)
	}
}

func TestPlansGoFromStrongToWeak(t *testing.T) {
	for _, euid := range []int{0, 1000} {
		ps := plans(euid, true)
		if !ps[0].userNS || !ps[0].namespaces || ps[len(ps)-1].namespaces {
			t.Errorf("user %d: %+v", euid, ps)
		}
		for _, p := range ps {
			if euid != 0 && (p.user != euid || p.namespaces && !p.userNS) {
				t.Errorf("an ordinary user cannot do %+v", p)
			}
			if p.dropTo() != 0 && (euid != 0 || p.userNS) {
				t.Errorf("%+v drops to %d", p, p.dropTo())
			}
		}
	}
}
