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

// An engine that is written in another language has a program of its own, with
// that language's C library, which lies inside the Keep's ELF and is executed
// from memory. The layers that a thread has to take on itself are applied
// before that by this program, where every thread can be reached; a program
// inherits them when it is executed, and so does every thread that it makes.
// What is left for the engine's program is the system call filter, which the
// kernel puts on all threads at once.

// memfdExec is MFD_EXEC of linux/memfd.h: without it a kernel that was told to
// (sysctl vm.memfd_noexec) makes memory that cannot be executed. Linux before
// 6.3 does not know it.
const memfdExec = 0x10

// Program is an executable file in sealed memory.
type Program struct{ fd int }

// LoadProgram copies an ELF to memory that nobody can change any more.
func LoadProgram(elf string) (*Program, error) {
	fd, err := unix.MemfdCreate("engine", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|memfdExec)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("engine", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("make memory for the engine's program: %w", err)
	}
	for b := unsafe.Slice(unsafe.StringData(elf), len(elf)); len(b) > 0; {
		n, err := unix.Write(fd, b)
		if err != nil && err != unix.EINTR {
			unix.Close(fd)
			return nil, fmt.Errorf("copy the engine's program (%d bytes) to memory: %w", len(elf), err)
		}
		b = b[max(n, 0):]
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("seal the engine's program: %w", err)
	}
	return &Program{fd}, nil
}

// Exec replaces this process by p. It returns on error only; then the child
// must end. Descriptors 0 to 3 stay open, all others close.
func (p *Program) Exec(argv, env []string) error {
	path, err := syscall.BytePtrFromString("")
	if err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return fmt.Errorf("execute the engine's program: %w", err)
	}
	vars, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return fmt.Errorf("execute the engine's program: %w", err)
	}
	if _, err := unix.FcntlInt(ControlFD, unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("execute the engine's program: keep its control socket open: %w", err)
	}
	_, _, e := syscall.Syscall6(unix.SYS_EXECVEAT, uintptr(p.fd), uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(unsafe.SliceData(args))), uintptr(unsafe.Pointer(unsafe.SliceData(vars))), unix.AT_EMPTY_PATH, 0)
	runtime.KeepAlive(args)
	runtime.KeepAlive(vars)
	return fmt.Errorf("execute the engine's program from memory: %w", e)
}

// SealEngine is [SealChild] for the engine's own program: it takes from it the
// system calls that the stage does not need. StageExec came before.
func SealEngine(spec *Spec, stage Stage) ([]Layer, error) {
	var p policy
	switch stage {
	case StageCompile:
		// Executing a program makes it traceable again.
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("hide the engine's memory from other processes: %w", err)
		}
		p = engineCompilePolicy(len(spec.Dirs) > 0)
	case StageRun:
		p = engineRunPolicy(len(spec.Dirs) > 0, spec.writable())
	default:
		return nil, fmt.Errorf("seal the engine's program: stage %d does not exist for it", stage)
	}
	l, err := restrictSyscalls(spec, p)
	if err != nil {
		return nil, err
	}
	return []Layer{l}, nil
}
