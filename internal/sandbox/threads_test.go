// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInvariant11ChildCannotTakeItsParentsThreads: a child under an attacker's
// control fills the Keep's limit on tasks. The parent then still gets the
// threads that it needs to outlive the child and report.
func TestInvariant11ChildCannotTakeItsParentsThreads(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, victim, "crowd", "64")
	// A user and process namespace as a Keep has them: tasks are counted in
	// there alone, and all of them end with the first.
	self, group := os.Getuid(), os.Getgid()
	if self == 0 {
		self, group = 65533, 65533 // Linux exempts the host's root from the limit
	}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 5, HostID: self, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 5, HostID: group, Size: 1}},
		Credential:  &syscall.Credential{Uid: 5, Gid: 5, NoSetGroups: true},
	}
	out, err := c.CombinedOutput()
	if c.Process == nil {
		t.Skipf("this host refuses user namespaces, without which a Keep has no limit on threads: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "full with ") || !strings.HasSuffix(string(out), "parent lives\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "operation not permitted") {
		t.Errorf("the child could raise its limit again:\n%s", out)
	}
}
