// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestInvariant1NoSilentDowngrade_Landlock asks for a Landlock version that the
// kernel does not have: the process must not go on with a lesser one.
func TestInvariant1NoSilentDowngrade_Landlock(t *testing.T) {
	v := Probe().LandlockABI + 1
	if v >= len(landlockConfigs) {
		t.Logf("this kernel has every Landlock version known here (%d)", v-1)
		return
	}
	o := runVictim(t, "asks-too-much", strconv.Itoa(v))
	if o.sealed || o.code != 3 || !strings.Contains(o.out, "Landlock") {
		t.Errorf("asked for Landlock %d: %+v", v, o)
	}
}

// TestInvariant1NoSilentDowngrade_Root has a process without the right to mount
// asked to build its root directory.
func TestInvariant1NoSilentDowngrade_Root(t *testing.T) {
	f, err := os.Open(victim)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := exec.Command("/proc/self/fd/3", "root")
	c.ExtraFiles = []*os.File{f}
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := c.Output()
	if err != nil || !strings.Contains(string(out), "operation not permitted") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestUnknownStageIsRefused(t *testing.T) {
	for _, s := range []Stage{0, 3, -1} {
		if _, err := SealChild(&Spec{}, s); err == nil {
			t.Errorf("stage %d was accepted", s)
		}
	}
}

func TestStartChildNeedsAControlSocket(t *testing.T) {
	if _, err := StartChild(&Spec{}, Child{}); err == nil {
		t.Error("a child was started without a control socket")
	}
}
