// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
)

// A guest that has taken QEMU over is the host's user that QEMU runs as: the
// loader's own, or nobody, like the QEMU of every other Keep. What that user can
// read and whom it can trace is the business of Landlock: each process of a Keep
// is in a domain of its own, where there are the system's programs, a few devices
// and what it was given as descriptors. A process in a domain traces none
// outside of it, and where Landlock has the scopes (version 6) signals none.

// reachable are the files that QEMU and swtpm, or the libraries that they are
// linked with, open by their names. What does not exist is left out.
var reachable = struct{ read, use []string }{
	read: []string{
		"/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store",
		"/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime",
		"/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies", "/etc/gnutls",
		"/sys/devices/system", "/sys/kernel/mm", "/sys/module", "/proc/cpuinfo", "/proc/meminfo", "/proc/sys/vm",
	},
	use: []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/kvm", "/dev/sev"},
}

// Rights of Landlock on files (linux/landlock.h): those of each version.
const (
	readFiles  = ll.AccessFSExecute | ll.AccessFSReadFile | ll.AccessFSReadDir
	useDevices = ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev
	keepFiles  = ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSReadDir | ll.AccessFSRemoveFile | ll.AccessFSMakeReg | ll.AccessFSTruncate
	mapUsers   = ll.AccessFSReadFile | ll.AccessFSWriteFile
)

// handled are the rights that a version of Landlock knows: what is not granted
// of them is denied.
func handled(version int) ll.RulesetAttr {
	a := ll.RulesetAttr{HandledAccessFS: ll.AccessFSRefer - 1}
	if version >= 2 {
		a.HandledAccessFS |= ll.AccessFSRefer
	}
	if version >= 3 {
		a.HandledAccessFS |= ll.AccessFSTruncate
	}
	if version >= 4 {
		a.HandledAccessNet = ll.AccessNetBindTCP | ll.AccessNetConnectTCP
	}
	if version >= 5 {
		a.HandledAccessFS |= ll.AccessFSIoctlDev
	}
	if version >= 6 {
		a.Scoped = ll.ScopeAbstractUnixSocket | ll.ScopeSignal
	}
	return a
}

// confine puts the calling thread, and with it what is started from it, into a
// domain of its own. The goroutine must be locked to it for good. program is
// what will be started, state a directory that it keeps files in, or nil, and
// apart are places that it must not reach even if it lies in one with them. What
// Landlock cannot do on this kernel is left to the user's rights: confine says
// then that it did nothing.
func confine(program string, state *os.File, apart []string) (version int, err error) {
	version = sandbox.Probe().LandlockABI
	if version == 0 {
		return 0, nil
	}
	attr := handled(version)
	rules, err := ll.LandlockCreateRuleset(&attr, 0)
	if err != nil {
		return 0, fmt.Errorf("confine %s: make a Landlock rule set: %w", program, err)
	}
	defer unix.Close(rules)
	allow := func(path string, rights uint64) error {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) {
			return nil // nothing to allow
		}
		if err != nil {
			return fmt.Errorf("confine %s: %s: %w", program, path, err)
		}
		defer unix.Close(fd)
		return grant(rules, fd, rights&attr.HandledAccessFS)
	}
	for _, path := range append(beside(program, apart), reachable.read...) {
		if err := allow(path, readFiles); err != nil {
			return 0, err
		}
	}
	for _, path := range reachable.use {
		if err := allow(path, useDevices); err != nil {
			return 0, err
		}
	}
	if os.Geteuid() != 0 {
		// The user mapping of the new process is written from this thread.
		if err := allow("/proc", mapUsers); err != nil {
			return 0, err
		}
	}
	if state != nil {
		if err := grant(rules, int(state.Fd()), keepFiles&attr.HandledAccessFS); err != nil {
			return 0, err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("confine %s: set no-new-privileges: %w", program, err)
	}
	if err := ll.LandlockRestrictSelf(rules, 0); err != nil {
		return 0, fmt.Errorf("confine %s: apply Landlock version %d: %w", program, version, err)
	}
	return version, nil
}

// grant allows rights below what fd is.
func grant(rules, fd int, rights uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("look at what Landlock is to allow: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ll.AccessFSExecute | ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev
	}
	if err := ll.LandlockAddPathBeneathRule(rules, &ll.PathBeneathAttr{AllowedAccess: rights, ParentFd: fd}, 0); err != nil {
		return fmt.Errorf("add a Landlock rule: %w", err)
	}
	return nil
}

// beside are the program and the directories that came with it: those of its
// prefix, or the one that it lies in where that is no directory of programs. One
// that any of apart lies in is left out.
func beside(program string, apart []string) []string {
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	dirs, bin := []string{program}, filepath.Dir(program)
	candidates := []string{bin}
	if filepath.Base(bin) == "bin" {
		for _, name := range []string{"lib", "lib64", "libexec", "share"} {
			candidates = append(candidates, filepath.Join(filepath.Dir(bin), name))
		}
	}
	for _, dir := range candidates {
		holds := func(path string) bool {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				path = real
			}
			rel, err := filepath.Rel(dir, path)
			return err != nil || filepath.IsLocal(rel)
		}
		if !slices.ContainsFunc(apart, holds) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
