// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !enarx_wasmtime || !cgo

package sandbox

import (
	"errors"
	"unsafe"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Host is what the running kernel offers to this package.
type Host struct {
	// LandlockABI is the Landlock version that can be enforced, 0 for none.
	LandlockABI int
	// Seccomp says that system call filters with process kill work.
	Seccomp bool
	// MountAPI says that PrepareRoot's system calls exist (Linux 5.12).
	MountAPI bool
}

// Probe asks the kernel what it has. It changes nothing.
func Probe() Host {
	return Host{LandlockABI: landlockABI(), Seccomp: hasSeccomp(), MountAPI: hasMountAPI()}
}

// landlockABI is the version that restrictLandlock can enforce. go-landlock
// treats a kernel of version 6 or later whose signal scoping is broken
// (Landlock erratum 2) as version 5, so we must not ask it for more.
func landlockABI() int {
	v, err := ll.LandlockGetABIVersion()
	if err != nil || v < 1 {
		return 0
	}
	if v >= 6 {
		if errata, err := ll.LandlockGetErrata(); err != nil || errata&2 == 0 {
			return 5
		}
	}
	return v
}

func hasSeccomp() bool {
	action := uint32(unix.SECCOMP_RET_KILL_PROCESS)
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	return e == 0
}

func hasMountAPI() bool {
	var attr unix.MountAttr
	// Nothing to set is no error to a kernel that knows the call.
	err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &attr)
	return !errors.Is(err, unix.ENOSYS)
}
