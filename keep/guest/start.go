// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
)

// Role is the argument that makes the program the Keep's parent process in a
// machine; the argument after it names the devices that it inherits.
const Role = "vm"

const namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// Scores by which the kernel chooses whom to end when memory runs out
// (proc_pid_oom_score_adj(5)): the engine child gives itself the highest.
const (
	oomParent = "-500"
	oomNever  = "-1000"
)

// parent is the Keep's parent process, started and waiting for its Spec.
type parent struct {
	proc   *os.Process
	spec   *os.File // where the Spec goes
	stderr *os.File // what the process says
}

// setLimits sets the Keep's limits on this process, for the Keep to inherit: it
// could lower what the kernel begins with, and not raise it, which in a small
// machine is less than a Keep needs.
func setLimits(limits []sandbox.Limit) error {
	for _, l := range limits {
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: l.Value, Max: l.Value}); err != nil {
			return fmt.Errorf("limit the machine's %s to %d: %w", l.Name, l.Value, err)
		}
	}
	return nil
}

// startParent starts the running ELF again as the Keep's parent process, as
// the loader of platform process does: alone in its namespaces, where it is
// root and outside is nobody. It gets the sallyport as descriptor 3, the Spec
// as 4, and the devices from 5 on.
func startParent(sallyport *os.File, devices string, files []*os.File) (*parent, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start the Keep: %w", err)
	}
	defer null.Close()
	specRead, specWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the Keep: pipe for its sandbox spec: %w", err)
	}
	defer specRead.Close()
	stderr, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the Keep: pipe for its words: %w", err)
	}
	defer theirs.Close()
	// The child inherits the score, and with it the lowest that it may give
	// itself.
	if err := writeFile("/proc/self/oom_score_adj", oomParent); err != nil {
		return nil, fmt.Errorf("start the Keep: %w", err)
	}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}}
	proc, err := os.StartProcess("/proc/self/exe", []string{"keep", Role, devices}, &os.ProcAttr{
		Env: sandbox.RuntimeEnv(""), Dir: "/",
		Files: append([]*os.File{null, null, theirs, sallyport, specRead}, files...),
		Sys: &syscall.SysProcAttr{
			Setsid: true, Cloneflags: namespaceFlags,
			UidMappings: ids, GidMappings: ids,
			GidMappingsEnableSetgroups: true, Credential: &syscall.Credential{},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start the Keep: %w", err)
	}
	if err := writeFile("/proc/self/oom_score_adj", oomNever); err != nil {
		return nil, fmt.Errorf("keep the first process from ending for want of memory: %w", err)
	}
	return &parent{proc, specWrite, stderr}, nil
}

// newSpec is the Keep's sandbox in a machine: every layer, or no Keep.
func newSpec(host sandbox.Host) (*sandbox.Spec, error) {
	if host.LandlockABI == 0 || !host.Seccomp || !host.MountAPI {
		return nil, fmt.Errorf("the image's kernel has Landlock version %d, seccomp %v, mount API %v; a Keep needs all three", host.LandlockABI, host.Seccomp, host.MountAPI)
	}
	return &sandbox.Spec{
		MountNS: true, PIDNS: true, LandlockABI: host.LandlockABI, Seccomp: true,
		ChildFirst: true,
		Limits: []sandbox.Limit{
			{Resource: unix.RLIMIT_CORE, Name: "core dumps", Value: 0},
			{Resource: unix.RLIMIT_MEMLOCK, Name: "locked memory", Value: 0},
			{Resource: unix.RLIMIT_MSGQUEUE, Name: "message queues", Value: 0},
			{Resource: unix.RLIMIT_NOFILE, Name: "open files", Value: maxOpenFiles},
			{Resource: unix.RLIMIT_NPROC, Name: "threads", Value: maxThreads},
		},
	}, nil
}

// send lets the Keep go.
func (p *parent) send(spec *sandbox.Spec) error {
	b, err := spec.Encode()
	if err != nil {
		return err
	}
	if _, err := p.spec.Write(b); err != nil {
		return fmt.Errorf("send the Keep its sandbox spec: %w", err)
	}
	return p.spec.Close()
}
