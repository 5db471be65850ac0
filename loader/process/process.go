// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// Loader starts Keeps of platform process. It may be used by many goroutines.
// Make one with [New].
type Loader struct {
	host         sandbox.Host
	noNamespaces bool // tests: behave as if the host refused them

	groupsOnce sync.Once
	groups     []hostproc.Hierarchy

	mu     sync.Mutex
	chosen map[need]plan // the plans that worked
}

var _ loader.Loader = (*Loader)(nil)

// New returns a loader. It asks the kernel what it has and changes nothing.
func New() *Loader {
	return &Loader{host: sandbox.Probe(), chosen: map[need]plan{}}
}

// hierarchies finds the writable control groups, once per loader.
func (l *Loader) hierarchies() []hostproc.Hierarchy {
	l.groupsOnce.Do(func() { l.groups = hostproc.FindHierarchies("/proc/self") })
	return l.groups
}

// Platform implements loader.Loader.
func (l *Loader) Platform() string { return "process" }

// Probe implements loader.Loader. The platform is usable wherever system call
// filters work; every other row that is not OK is a layer that Keeps will do
// without.
func (l *Loader) Probe(ctx context.Context) loader.Report {
	r := loader.Report{
		Platform: l.Platform(),
		Visible:  "the host sees everything inside: memory, files and streams",
	}
	r.Checks = append(r.Checks, l.seccompCheck(), l.landlockCheck(), l.namespaceCheck(), l.cgroupCheck(), procCheck())
	r.Usable = l.host.Seccomp && r.Checks[len(r.Checks)-1].OK
	return r
}

func (l *Loader) seccompCheck() loader.Check {
	c := loader.Check{Name: "system call filter (seccomp)", OK: l.host.Seccomp, Seen: "available"}
	if !c.OK {
		c.Seen = "not available"
		c.Remedy = "boot a kernel with CONFIG_SECCOMP_FILTER (Linux 4.14 or later); platform process does not work without it"
	}
	return c
}

func (l *Loader) landlockCheck() loader.Check {
	c := loader.Check{Name: "file rules (Landlock)", OK: l.host.LandlockABI > 0, Seen: fmt.Sprintf("version %d", l.host.LandlockABI)}
	if !c.OK {
		c.Seen = "not available"
		c.Remedy = "boot Linux 5.13 or later with landlock among the lsm= modules"
	}
	return c
}

func (l *Loader) namespaceCheck() loader.Check {
	c := loader.Check{Name: "namespaces"}
	if !l.host.MountAPI {
		c.Seen = "the kernel is older than Linux 5.12"
		c.Remedy = "boot Linux 5.12 or later"
		return c
	}
	err := error(nil)
	for _, p := range l.usable(plans(os.Geteuid(), true)) {
		if !p.namespaces {
			break
		}
		if err = p.try(); err == nil {
			c.OK = true
			c.Seen = "user, process, network, mount, ipc, uts, cgroup"
			if !p.userNS {
				c.Seen = "process, network, mount, ipc, uts, cgroup"
			}
			return c
		}
	}
	c.Seen = fmt.Sprintf("refused: %v", err)
	c.Remedy = "allow user namespaces (sysctl user.max_user_namespaces above 0; kernel.apparmor_restrict_unprivileged_userns=0), or run as root outside a container"
	return c
}

func (l *Loader) cgroupCheck() loader.Check {
	c := loader.Check{Name: "control groups"}
	for _, h := range l.hierarchies() {
		for _, name := range h.Controllers {
			if c.Seen != "" {
				c.Seen += ", "
			}
			c.Seen += name
		}
		c.OK = true
	}
	if !c.OK {
		c.Seen = "none writable"
		c.Remedy = "run the agent from its systemd unit (Delegate=yes), or as root; without them memory is bounded per process by rlimits"
	}
	return c
}

func procCheck() loader.Check {
	c := loader.Check{Name: "/proc", OK: true, Seen: "mounted"}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		c.OK = false
		c.Seen = err.Error()
		c.Remedy = "mount proc on /proc; the Keep file is executed through it"
	}
	return c
}
