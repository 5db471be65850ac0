// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Command pcrs is the first process of a machine that a test boots: it prints
// what the machine's TPM measured to the serial port and powers off.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("pcrs:", err)
	}
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	for _, dir := range []string{"/sys", "/dev"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := syscall.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	if err := syscall.Mount("securityfs", "/sys/kernel/security", "securityfs", 0, ""); err != nil {
		return err
	}
	if err := syscall.Mknod("/dev/ttyS0", syscall.S_IFCHR|0o600, 4<<8|64); err != nil && err != syscall.EEXIST {
		return err
	}
	f, err := os.OpenFile("/dev/ttyS0", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintln(f)
	for i := range 24 {
		b, err := os.ReadFile(fmt.Sprintf("/sys/class/tpm/tpm0/pcr-sha256/%d", i))
		fmt.Fprintf(f, "pcr %d %s %v\n", i, b, err)
	}
	b, err := os.ReadFile("/sys/kernel/security/tpm0/binary_bios_measurements")
	fmt.Fprintf(f, "log %x %v\n", b, err)
	fmt.Fprintf(f, "bye\n")
	return nil
}
