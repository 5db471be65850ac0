// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ControlFD is the descriptor of the control socket in the engine child.
const ControlFD = 3

// Child says how to start the engine child.
type Child struct {
	// Args are the arguments after argv[0]; the encoded Spec is appended as
	// the last one.
	Args []string
	// Env is the child's whole environment; nil means what its Go runtime
	// needs to know so that it does not read and hold files of the host.
	Env []string
	// Control becomes descriptor 3 of the child. The caller keeps its own
	// copy and closes it.
	Control *os.File
	// Stdin, Stdout and Stderr become descriptors 0 to 2; nil means
	// /dev/null.
	Stdin, Stdout, Stderr *os.File
}

// StartChild executes the running ELF again as the engine child. It must be
// called before [PrepareRoot], and the child must touch no file until its
// parent tells it that PrepareRoot is done. The child inherits descriptors 0
// to 3 and no others, and starts a process namespace of its own where
// spec.PIDNS says that it can: inside it the parent has no number that could
// be signalled or traced.
func StartChild(spec *Spec, c Child) (*os.Process, error) {
	arg, err := spec.Encode()
	if err != nil {
		return nil, err
	}
	if c.Control == nil {
		return nil, fmt.Errorf("start engine child: it was given no control socket")
	}
	if err := closeOnExecAll(); err != nil {
		return nil, err
	}
	for _, l := range spec.Limits {
		// Through package syscall, which otherwise would give the child
		// the limit on open files that this process began with.
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: l.Value, Max: l.Value}); err != nil {
			return nil, fmt.Errorf("limit the Keep's %s to %d: %w", l.Name, l.Value, err)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start engine child: %w", err)
	}
	defer null.Close()
	files := []*os.File{c.Stdin, c.Stdout, c.Stderr, c.Control}
	for i, f := range files {
		if f == nil {
			files[i] = null
		}
	}
	argv := append([]string{"keep"}, c.Args...)
	attr := &os.ProcAttr{Env: c.Env, Files: files, Dir: "/"}
	if attr.Env == nil {
		attr.Env = RuntimeEnv(os.Getenv("GOMAXPROCS"))
	}
	argv = append(argv, string(arg))
	if spec.ChildFirst {
		back, err := offerToKernel()
		if err != nil {
			return nil, err
		}
		defer back()
	}
	if spec.PIDNS {
		attr.Sys = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		return startProcess(argv, attr)
	}
	attr.Sys = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return startFromLastingThread(argv, attr)
}

// RuntimeEnv is the environment of a Keep's process. It keeps the Go runtime
// from looking for the control group's share of processors, whose files it
// would hold open, and gives it that share instead: maxProcs, unless it is "".
func RuntimeEnv(maxProcs string) []string {
	env := []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0"}
	if maxProcs != "" {
		env = append(env, "GOMAXPROCS="+maxProcs)
	}
	return env
}

// closeOnExecAll keeps the child from inheriting what this process itself
// inherited: the sallyport first of all.
func closeOnExecAll() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	// Before Linux 5.11: one by one, up to the limit on descriptors.
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("start engine child: read the limit on descriptors: %w", err)
	}
	for fd := 3; fd < int(min(lim.Cur, maxDescriptors)); fd++ {
		unix.CloseOnExec(fd)
	}
	if lim.Cur > maxDescriptors {
		return fmt.Errorf("start engine child: %d descriptors may be open, at most %d can be checked; lower the limit or use Linux 5.11", lim.Cur, maxDescriptors)
	}
	return nil
}

// oomScore is this process's part in the kernel's choice of whom to end when
// memory runs out (proc_pid_oom_score_adj(5)).
const oomScore = "/proc/self/oom_score_adj"

// offerToKernel makes this process the first to end, for the child to inherit
// it, and returns how to take that back. The child cannot: it has no /proc
// when it runs a workload.
func offerToKernel() (back func(), err error) {
	own, err := os.ReadFile(oomScore)
	if err == nil {
		err = os.WriteFile(oomScore, []byte("1000"), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("make the engine child the first to end when memory runs out: %w", err)
	}
	return func() {
		// A parent that stays first in line loses its report only.
		_ = os.WriteFile(oomScore, own, 0)
	}, nil
}

func startProcess(argv []string, attr *os.ProcAttr) (*os.Process, error) {
	p, err := os.StartProcess("/proc/self/exe", argv, attr)
	if err != nil {
		return nil, fmt.Errorf("start engine child from /proc/self/exe: %w", err)
	}
	return p, nil
}

// startFromLastingThread starts a process whose parent-death signal cannot
// come early: Linux sends it when the thread that started the child ends, so
// that thread is held until this process ends.
func startFromLastingThread(argv []string, attr *os.ProcAttr) (*os.Process, error) {
	type result struct {
		p   *os.Process
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		p, err := startProcess(argv, attr)
		done <- result{p, err}
		select {}
	}()
	r := <-done
	return r.p, r.err
}
