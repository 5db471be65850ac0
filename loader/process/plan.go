// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
)

const namespaceFlags = unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// plan is one way to isolate a Keep's process, of several that a host may
// allow.
type plan struct {
	userNS     bool // in a user namespace, where it is root without power outside
	namespaces bool // in process, network, mount, IPC, UTS and cgroup namespaces
	user       int  // host user that the Keep is, in the end
}

// need is what a Keep demands of a plan.
type need struct {
	asNobody bool // the Keep can be user nobody
	paths    bool // the Keep uses directories of the host
}

// plans lists the ways from strongest to weakest. asNobody says whether the
// Keep can be someone else than the loader's own user.
func plans(euid int, asNobody bool) []plan {
	var ps []plan
	users := []int{euid}
	if euid == 0 && asNobody {
		users = []int{nobody, euid}
	}
	for _, u := range users {
		ps = append(ps, plan{userNS: true, namespaces: true, user: u})
	}
	if euid == 0 {
		for _, u := range users {
			ps = append(ps, plan{namespaces: true, user: u})
		}
	}
	for _, u := range users {
		ps = append(ps, plan{user: u})
	}
	return ps
}

// attr gives the process attributes of a plan.
func (p plan) attr() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if p.namespaces {
		a.Cloneflags = namespaceFlags
	}
	switch {
	case p.userNS:
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: p.user, Size: 1}}
		gid := p.user
		if p.user == os.Geteuid() {
			gid = os.Getegid()
		}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
		if os.Geteuid() == 0 {
			// Only a privileged loader may let the Keep drop its
			// supplementary groups.
			a.GidMappingsEnableSetgroups = true
			a.Credential = &syscall.Credential{}
		}
	case !p.namespaces && p.user != os.Geteuid():
		a.Credential = &syscall.Credential{Uid: uint32(p.user), Gid: uint32(p.user)}
	}
	return a
}

// dropTo is the user that the Keep must switch to itself: it begins as real
// root only where that is the one way to build its root directory.
func (p plan) dropTo() int {
	if p.namespaces && !p.userNS && p.user != 0 {
		return p.user
	}
	return 0
}

// refused says whether err means that the host does not allow a plan, as
// opposed to a plan that went wrong.
func refused(err error) bool {
	for _, e := range []error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOSPC, unix.EUSERS, unix.ENOSYS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errAllRefused is the error when not even a bare process could be started.
func errAllRefused(err error) error {
	return fmt.Errorf("start the Keep's process: %w; the Keep file must be an executable of this machine that its user may execute", err)
}

// try says whether the host allows p, by a process that is made and then finds
// nothing to execute.
func (p plan) try() error {
	proc, err := os.StartProcess("/proc/self/fd/-", []string{"keep"}, &os.ProcAttr{Env: []string{}, Dir: "/", Sys: p.attr()})
	if err == nil { // cannot be: there is no such descriptor
		proc.Kill()
		proc.Wait()
		return errors.New("a file that does not exist was executed")
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// choose gives the plans to try for a Keep: the one that has worked before, or
// all of them. Once a plan has worked, a weaker one is never taken instead: a
// host that runs out of namespaces gets an error, not a weaker Keep.
func (l *Loader) choose(n need) []plan {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.chosen[n]; ok {
		return []plan{p}
	}
	ps := l.usable(plans(os.Geteuid(), n.asNobody))
	if !n.paths {
		return ps
	}
	// Without a mount namespace, another user could not walk the way to
	// the directories.
	return slices.DeleteFunc(ps, func(p plan) bool { return !p.namespaces && p.user != os.Geteuid() })
}

// usable removes the plans that this kernel cannot carry out.
func (l *Loader) usable(ps []plan) []plan {
	if l.host.MountAPI && !l.noNamespaces {
		return ps
	}
	var out []plan
	for _, p := range ps {
		if !p.namespaces {
			out = append(out, p)
		}
	}
	return out
}

func (l *Loader) worked(n need, p plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chosen[n] = p
}

// layers describes a plan for the user.
func (p plan) layers() []sandbox.Layer {
	const remedy = "the host refuses namespaces; allow user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0) or run as root"
	var ls []sandbox.Layer
	if p.userNS {
		ls = append(ls, sandbox.Layer{Name: "user namespace", Applied: true, Detail: fmt.Sprintf("root inside is user %d outside", p.user)})
	} else {
		ls = append(ls, sandbox.Layer{Name: "user namespace", Detail: remedy})
	}
	for _, n := range []string{"process", "network", "mount", "ipc", "uts", "cgroup"} {
		l := sandbox.Layer{Name: n + " namespace", Applied: p.namespaces, Detail: "new and empty"}
		if !p.namespaces {
			l.Detail = remedy
		}
		ls = append(ls, l)
	}
	own := sandbox.Layer{Name: "own user", Applied: p.user != os.Geteuid(), Detail: fmt.Sprintf("user %d", p.user)}
	if !own.Applied {
		own.Detail = "the Keep is the same host user as its loader; a loader that is root, lends no directory and has a Keep file that others may execute uses user 65534"
	}
	return append(ls, own)
}
