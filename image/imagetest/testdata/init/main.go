// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command init is booted in place of the Keep runtime: it loads the image's
// modules, says on the console what it sees, and powers the machine off.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	// From here on the console is ours: a kernel message in the middle of a
	// line would make it another.
	const consoleOff = 6 // syslog(2), SYSLOG_ACTION_CONSOLE_OFF
	if _, err := unix.Klogctl(consoleOff, nil); err != nil {
		fmt.Println("init: console:", err)
	}
	unix.Mount("proc", "/proc", "proc", 0, "")
	unix.Mount("sysfs", "/sys", "sysfs", 0, "")
	cmdline, err := os.ReadFile("/proc/cmdline")
	fmt.Printf("init: cmdline %s %v\n", strings.TrimSpace(string(cmdline)), err)
	entries, err := os.ReadDir("/modules")
	fmt.Printf("init: %d modules %v\n", len(entries), err)
	for _, e := range entries {
		fmt.Printf("init: module %s: %v\n", e.Name(), load("/modules/"+e.Name()))
	}
	ports, err := os.ReadDir("/sys/class/virtio-ports")
	fmt.Printf("init: %d ports %v\n", len(ports), err)
	for _, p := range ports {
		name, err := os.ReadFile("/sys/class/virtio-ports/" + p.Name() + "/name")
		fmt.Printf("init: port %s %v\n", strings.TrimSpace(string(name)), err)
	}
	for i := range 16 {
		if pcr, err := os.ReadFile(fmt.Sprintf("/sys/class/tpm/tpm0/pcr-sha256/%d", i)); err == nil {
			fmt.Printf("init: PCR %d %s\n", i, strings.ToLower(strings.TrimSpace(string(pcr))))
		}
	}
	fmt.Println("init: bye")
	unix.Sync()
	fmt.Println(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if strings.HasSuffix(path, ".xz") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	return unix.FinitModule(int(f.Fd()), "", flags)
}
