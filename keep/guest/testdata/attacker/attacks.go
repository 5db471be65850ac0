// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attacks in order: the last ones change what the process itself sees.
func attacks() []attack {
	return append(facts(), append(byName(), byCall()...)...)
}

// facts show the state of the machine.
func facts() []attack {
	return []attack{
		{"lockdown", read("/sys/kernel/security/lockdown")},
		{"modules", read("/proc/sys/kernel/modules_disabled")},
		{"network devices", list("/sys/class/net")},
		{"root", list("/")},
		{"devices", list("/dev")},
		{"first process", firstProcess},
		{"command line", read("/proc/cmdline")},
		{"autoprobe", read("/sys/bus/pci/drivers_autoprobe")},
		{"processes", processes},
		{"PCI drivers", list("/sys/bus/pci/drivers")},
		{"virtio drivers", list("/sys/bus/virtio/drivers")},
		{"packet socket", func() (string, error) { return call(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0) }},
	}
}

// firstProcess gives the lines of its state that show its seal.
func firstProcess() (string, error) {
	b, err := os.ReadFile("/proc/1/status")
	var out []string
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		switch k {
		case "CapEff", "CapPrm", "NoNewPrivs", "Seccomp", "Uid":
			out = append(out, k+"="+strings.Join(strings.Fields(v), ","))
		}
	}
	return strings.Join(out, " "), err
}

// processes counts those that are programs and not the kernel's own threads.
func processes() (string, error) {
	es, err := os.ReadDir("/proc")
	var names []string
	for _, e := range es {
		if b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline"); err == nil && len(b) > 0 && e.Name()[0] <= '9' {
			names = append(names, strings.TrimRight(strings.ReplaceAll(string(b), "\x00", " "), " "))
		}
	}
	return strings.Join(names, ", "), err
}

func byName() []attack {
	return []attack{
		{"open /dev/mem", open("/dev/mem")},
		{"open /dev/vport sallyport", open(port(0))},
		{"open /dev/vport words", open(port(1))},
		{"open /dev/tpmrm0", open("/dev/tpmrm0")},
		{"open /dev/tpm0", open("/dev/tpm0")},
		{"read /proc/kcore", read("/proc/kcore")},
		{"read event log by name", read("/sys/kernel/security/tpm0/binary_bios_measurements")},
		{"read memory of the first process", open("/proc/1/mem")},
		{"list root of the first process", list("/proc/1/root/")},
		{"read environment of the first process", read("/proc/1/environ")},
		{"sysrq crash", write("/proc/sysrq-trigger", "c")},
		{"allow modules", write("/proc/sys/kernel/modules_disabled", "0")},
		{"lift lockdown", write("/sys/kernel/security/lockdown", "none")},
		// It can: of its own namespace, which is bounded by the machine's.
		{"allow user namespaces", write("/proc/sys/user/max_user_namespaces", "9")},
		{"set core pattern", write("/proc/sys/kernel/core_pattern", "|/init")},
		{"bind drivers again", write("/sys/bus/pci/drivers_autoprobe", "1")},
		{"exempt itself from out of memory", write("/proc/self/oom_score_adj", "-1000")},
		{"make a file", func() (string, error) { return "", os.WriteFile("/x", nil, 0o600) }},
	}
}

// port is the n-th node of a virtio port.
func port(n int) string {
	es, err := os.ReadDir("/dev")
	if err != nil {
		return "?"
	}
	for _, e := range es {
		if !strings.HasPrefix(e.Name(), "vport") {
			continue
		}
		if n == 0 {
			return "/dev/" + e.Name()
		}
		n--
	}
	return "?"
}

func byCall() []attack {
	return []attack{
		{"load a module", func() (string, error) {
			fd, err := unix.MemfdCreate("m", 0)
			if err != nil {
				return "", err
			}
			return "", unix.FinitModule(fd, "", 0)
		}},
		{"remove a module", func() (string, error) { return "", unix.DeleteModule("pvpanic", 0) }},
		{"kexec", func() (string, error) { return call(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0) }},
		{"reboot into another kernel", func() (string, error) { return "", unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC) }},
		{"BPF", func() (string, error) { return call(unix.SYS_BPF, unix.BPF_PROG_LOAD, 0, 0) }},
		{"io_uring", func() (string, error) { return call(unix.SYS_IO_URING_SETUP, 1, 0) }},
		{"performance counters", func() (string, error) {
			_, err := unix.PerfEventOpen(&unix.PerfEventAttr{}, 0, -1, -1, 0)
			return "", err
		}},
		{"tracing", func() (string, error) { return call(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0, 0) }},
		{"I/O ports", func() (string, error) { return "", unix.Iopl(3) }},
		{"kernel log", func() (string, error) {
			_, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, make([]byte, 16))
			return "", err
		}},
		{"swap", func() (string, error) { return call(unix.SYS_SWAPON, 0, 0) }},
		{"clock", func() (string, error) { return "", unix.Settimeofday(&unix.Timeval{Sec: 1}) }},
		{"user namespace", func() (string, error) {
			p, err := os.StartProcess("/proc/self/exe", []string{"keep"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}})
			if err == nil {
				_, err = p.Wait()
			}
			return "", err
		}},
		{"network namespace", func() (string, error) { return "", unix.Unshare(unix.CLONE_NEWNET) }},
		{"debugfs", mount("debugfs")},
		{"securityfs", mount("securityfs")},
		{"configfs", mount("configfs")},
		{"devtmpfs", mount("devtmpfs")},
		{"ext4", mount("ext4")},
		{"device node", deviceNode},
		{"connection", func() (string, error) {
			c, err := net.DialTimeout("tcp", "10.0.2.2:80", time.Second)
			if err == nil {
				c.Close()
			}
			if op, ok := err.(*net.OpError); ok {
				err = op.Err
			}
			return "", err
		}},
	}
}

// deviceNode makes /dev/mem in a file system of the attacker's own.
func deviceNode() (string, error) {
	if err := unix.Mount("x", "/proc", "tmpfs", 0, ""); err != nil {
		return "", err
	}
	return "", unix.Mknod("/proc/mem", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 1)))
}
