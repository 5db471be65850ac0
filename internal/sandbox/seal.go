// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stage is a step in the life of the engine child.
type Stage int

// The stages of the engine child.
const (
	// StageCompile is for checking and compiling the module: the cache
	// directory and executable memory are still in reach.
	StageCompile Stage = 1
	// StageRun is for guest code: no executable memory can be made any
	// more, the cache is out of reach, and without lent directories no file
	// can be opened at all.
	StageRun Stage = 2
	// StageExec is for executing the engine's own program, if it has one, in
	// place of this one: everything but the system call filters, which
	// [SealEngine] adds in that program. The cache directory is out of
	// reach from then on.
	StageExec Stage = 3
)

// SealParent takes from the Keep's parent process everything that it does not
// need to serve its sallyport, its child and its sessions. Afterwards it can
// open no file, make no process and no socket but a Unix socket pair. On error
// the Keep must end.
func SealParent(spec *Spec) ([]Layer, error) {
	layers, err := dropPower(spec)
	if err != nil {
		return nil, err
	}
	l, err := restrictLandlock(spec, reach{signals: true})
	if err != nil {
		return nil, err
	}
	layers = append(layers, l)
	l, err = restrictSyscalls(spec, parentPolicy())
	if err != nil {
		return nil, err
	}
	return append(layers, l), nil
}

// First is what the first process of a machine may do beside waiting for the
// Keep and ending the machine.
type First struct {
	// Files are directories below which it may open files that are there,
	// to read and write them: the kernel's interfaces to the CPU's reports.
	Files []string
	// Reports allows the two requests of AMD's report device.
	Reports bool
}

// SealFirst takes from the first process of a machine everything but waiting
// for the Keep, saying how it ended, ending the machine, and what f has. It
// stays the machine's root, with one capability, CAP_SYS_BOOT. On error the
// machine must end.
func SealFirst(spec *Spec, f First) ([]Layer, error) {
	layers, err := dropPowerBut(unix.CAP_SYS_BOOT)
	if err != nil {
		return nil, err
	}
	l, err := restrictLandlock(spec, reach{signals: true, files: f.Files})
	if err != nil {
		return nil, err
	}
	layers = append(layers, l)
	l, err = restrictSyscalls(spec, firstPolicy(f))
	if err != nil {
		return nil, err
	}
	return append(layers, l), nil
}

// SealChild takes from the engine child everything that the stage does not
// need. StageCompile comes first, StageRun second, each once. On error the
// child must end.
func SealChild(spec *Spec, stage Stage) ([]Layer, error) {
	var layers []Layer
	var r reach
	var p policy
	switch stage {
	case StageCompile:
		var err error
		if layers, err = dropPower(spec); err != nil {
			return nil, err
		}
		if err = leaveThreads(spec); err != nil {
			return nil, err
		}
		r = reach{dirs: true, cacheRead: true, cacheWrite: true}
		p = compilePolicy(len(spec.Dirs) > 0, spec.Cache != nil)
	case StageExec:
		layers, err := dropPower(spec)
		if err != nil {
			return nil, err
		}
		if err = leaveThreads(spec); err != nil {
			return nil, err
		}
		l, err := restrictLandlock(spec, reach{dirs: true})
		if err != nil {
			return nil, err
		}
		return append(layers, l), nil
	case StageRun:
		r = reach{dirs: true}
		p = runPolicy(len(spec.Dirs) > 0, spec.writable())
	default:
		return nil, fmt.Errorf("seal engine child: stage %d does not exist", stage)
	}
	// A second Landlock layer is needed only where the first one allowed
	// the cache and files can still be opened.
	if stage == StageCompile || spec.Cache != nil && len(spec.Dirs) > 0 {
		l, err := restrictLandlock(spec, r)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	l, err := restrictSyscalls(spec, p)
	if err != nil {
		return nil, err
	}
	return append(layers, l), nil
}

// dropPower gives up the user, all capabilities and any way to new ones, and
// hides the process's memory from other processes of the same user.
func dropPower(spec *Spec) ([]Layer, error) {
	if spec.DropTo != 0 {
		if err := switchUser(spec.DropTo); err != nil {
			return nil, err
		}
	}
	return dropPowerBut()
}

func dropPowerBut(keep ...uint) ([]Layer, error) {
	if err := dropCapabilities(keep...); err != nil {
		return nil, err
	}
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		return nil, fmt.Errorf("set no-new-privileges on every thread: %w (is the program built with CGO_ENABLED=0?)", e)
	}
	// After the user switch, which sets this flag anew.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("hide the Keep's memory from other processes: %w", err)
	}
	return []Layer{
		{"capabilities", true, fmt.Sprintf("%d left", len(keep))},
		{"no new privileges", true, "on every thread"},
		{"memory", true, "not traceable, no core dump"},
	}, nil
}

// leaveThreads keeps the child from using up the threads that it shares with
// its parent, which would end when it needs one more and cannot have it. Linux
// counts the tasks of both, and compares with the limit of the one that asks:
// a lower limit of the child is a reserve for the parent. Without capabilities
// the child cannot raise it again.
func leaveThreads(spec *Spec) error {
	for _, l := range spec.Limits {
		if l.Resource != unix.RLIMIT_NPROC {
			continue
		}
		v := l.Value - l.Value/parentShare
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: v, Max: v}); err != nil {
			return fmt.Errorf("limit the engine child's %s to %d: %w", l.Name, v, err)
		}
	}
	return nil
}

func switchUser(id int) error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("give up supplementary groups: %w", err)
	}
	if err := syscall.Setresgid(id, id, id); err != nil {
		return fmt.Errorf("switch to group %d: %w", id, err)
	}
	if err := syscall.Setresuid(id, id, id); err != nil {
		return fmt.Errorf("switch to user %d: %w", id, err)
	}
	return nil
}

// dropCapabilities empties the effective, permitted and inheritable sets of
// every thread, but for those to keep, which it leaves in the first two. The bounding set needs no emptying: execve is denied, and
// no-new-privileges keeps it from adding anything.
func dropCapabilities(keep ...uint) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for _, c := range keep {
		data[c/32].Effective |= 1 << (c % 32)
		data[c/32].Permitted |= 1 << (c % 32)
	}
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data[0])), 0)
	runtime.KeepAlive(&hdr)
	runtime.KeepAlive(&data)
	if e != 0 {
		return fmt.Errorf("drop capabilities on every thread: %w (is the program built with CGO_ENABLED=0?)", e)
	}
	return nil
}

// restrictSyscalls loads p as a seccomp filter on every thread.
func restrictSyscalls(spec *Spec, p policy) (Layer, error) {
	if !spec.Seccomp {
		return Layer{"seccomp", false, "the kernel has no seccomp; boot a kernel with CONFIG_SECCOMP_FILTER"}, nil
	}
	prog, err := assemble(p, unix.Getpid())
	if err != nil {
		return Layer{}, err
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	// The flag puts the filter on every thread or on none.
	r, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if e != 0 {
		return Layer{}, fmt.Errorf("load the system call filter %q: %w", p.name, e)
	}
	if r != 0 {
		return Layer{}, fmt.Errorf("load the system call filter %q: thread %d could not take it", p.name, r)
	}
	return Layer{"seccomp", true, fmt.Sprintf("%s: %d system calls allowed, others kill", p.name, p.allowed())}, nil
}
