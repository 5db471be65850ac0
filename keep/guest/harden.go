// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// setting is one file of /proc/sys and the value that it gets.
type setting struct {
	name, value string
	// since is the kernel version that brought it, for one that a kernel
	// of an image may not have yet. Others must exist.
	since string
	why   string
}

// settings are made once all modules are loaded, before anything from outside
// is read.
var settings = []setting{
	{"kernel/modules_disabled", "1", "", "no code enters the kernel any more"},
	{"kernel/kexec_load_disabled", "1", "", "no other kernel is started from this one"},
	{"kernel/sysrq", "0", "", "no keyboard or console commands the kernel"},
	{"kernel/unprivileged_bpf_disabled", "1", "", "no program in the kernel's BPF machine; cannot be undone"},
	{"kernel/io_uring_disabled", "2", "6.6", "system calls that no filter sees"},
	{"kernel/perf_event_paranoid", "3", "", "no performance counters"},
	{"kernel/yama/ptrace_scope", "3", "", "nobody traces anybody; cannot be undone"},
	{"kernel/dmesg_restrict", "1", "", "the kernel's log tells addresses"},
	{"kernel/kptr_restrict", "2", "", "no kernel addresses in proc"},
	{"kernel/randomize_va_space", "2", "", "addresses differ from run to run"},
	{"kernel/core_pattern", "/dev/null/core", "", "no core dump, and no program that takes one"},
	{"fs/suid_dumpable", "0", "", "no core dump of a process that changed its user"},
	{"kernel/modprobe", "", "", "the kernel starts no program to find a module"},
	{"kernel/usermodehelper/bset", "0 0", "", "a program that the kernel starts has no capability"},
	{"kernel/usermodehelper/inheritable", "0 0", "", "a program that the kernel starts has no capability"},
	{"dev/tty/ldisc_autoload", "0", "", "line disciplines were a source of kernel bugs"},
	{"kernel/panic_on_oops", "1", "", "a kernel that has stumbled does not go on"},
	{"kernel/panic", "-1", "", "a panic ends the machine at once"},
	// The kernel ends the engine child first, then the Keep's parent, never
	// this process, which reports it. Only when nothing is left to end does
	// the kernel panic.
	{"vm/panic_on_oom", "0", "", "running out of memory ends the Keep, with a report"},
	{"vm/oom_kill_allocating_task", "0", "", "the one to end is chosen by its score"},
}

// lastSettings are made when the Keep's parent process has its namespaces. It
// still makes a mount namespace and a process namespace, for its root directory
// and its child.
var lastSettings = []setting{
	{"user/max_user_namespaces", "0", "", "nobody else becomes root of a namespace"},
	{"user/max_net_namespaces", "0", "", "nothing left to be made"},
	{"user/max_ipc_namespaces", "0", "", "nothing left to be made"},
	{"user/max_uts_namespaces", "0", "", "nothing left to be made"},
	{"user/max_cgroup_namespaces", "0", "", "nothing left to be made"},
}

// apply makes settings below root, which is /proc/sys.
func apply(root string, settings []setting) error {
	for _, s := range settings {
		err := writeFile(root+"/"+s.name, s.value)
		if errors.Is(err, os.ErrNotExist) && s.since != "" {
			continue // the system call filters hold without it
		}
		if err != nil {
			return fmt.Errorf("harden the kernel: set %s to %q (%s): %w", s.name, s.value, s.why, err)
		}
	}
	return nil
}

// sealBuses keeps what the host plugs in from now on from being driven by
// anything: drivers parse what devices say.
func sealBuses(sys string) error {
	files, err := filepath.Glob(sys + "/bus/*/drivers_autoprobe")
	if err != nil || len(files) == 0 {
		return fmt.Errorf("keep devices from being plugged in: no bus has drivers_autoprobe (%v)", err)
	}
	for _, f := range files {
		if err := writeFile(f, "0"); err != nil {
			return fmt.Errorf("keep devices from being plugged in: %w", err)
		}
	}
	return nil
}

// checkNoNetwork refuses a machine with a network device: a Keep's sockets are
// streams of the sallyport, and a network stack that faces the host is code that
// nobody needs.
func checkNoNetwork(class string) error {
	entries, err := os.ReadDir(class)
	if err != nil {
		return fmt.Errorf("look for network devices: %w", err)
	}
	for _, e := range entries {
		if e.Name() != "lo" {
			return fmt.Errorf("the machine has the network device %s; start it without any", e.Name())
		}
	}
	return nil
}

// useTSC makes the kernel count time by the CPU's counter. In a TEE nothing else
// will do: the paravirtual clock is a page that the host writes, and the timers
// are devices of the host's (invariant 5).
func useTSC(sys string) error {
	const want = "tsc"
	file := sys + "/devices/system/clocksource/clocksource0/current_clocksource"
	is, err := readSmall(file)
	if err == nil && is != want {
		if err = writeFile(file, want); err == nil {
			is, err = readSmall(file)
		}
	}
	if err != nil {
		return fmt.Errorf("clock source: %w", err)
	}
	if is != want {
		return fmt.Errorf("clock source: the kernel counts time by %q and does not take %q; start the Keep on a CPU with an invariant TSC and show it to the machine", is, want)
	}
	return nil
}

const securityfs = "/sys/kernel/security"

// lockDown raises the kernel's lockdown to confidentiality: even root reads and
// writes no kernel memory, by no way that the kernel knows
// (kernel_lockdown(7)).
func lockDown() error {
	const (
		file = securityfs + "/lockdown"
		want = "confidentiality"
	)
	if err := unix.Mount("securityfs", securityfs, "securityfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount securityfs: %w", err)
	}
	is := func() bool {
		s, err := readSmall(file)
		return err == nil && strings.Contains(s, "["+want+"]")
	}
	if is() {
		return nil
	}
	if err := writeFile(file, want); err != nil {
		return fmt.Errorf("lock the kernel down: %w; the kernel must be built with SECURITY_LOCKDOWN_LSM and have lockdown among its lsm= modules", err)
	}
	if !is() {
		return fmt.Errorf("lock the kernel down: it did not take %q", want)
	}
	return nil
}
