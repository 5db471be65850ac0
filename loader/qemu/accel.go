// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"bufio"
	"io"
	"os"
	"strings"
)

// hardwareAssisted says whether KVM is likely to boot a kernel here, and what
// was seen. That /dev/kvm opens does not suffice: nested virtualisation of some
// kinds makes a machine and a CPU and then never gets through a kernel's start.
// Those have neither of the flags of the real extensions.
func hardwareAssisted() (ok bool, seen string) {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false, err.Error()
	}
	f.Close()
	flags := cpuFlags("/proc/cpuinfo")
	switch {
	case flags["vmx"]:
		return true, "/dev/kvm opens and the CPU has vmx"
	case flags["svm"]:
		return true, "/dev/kvm opens and the CPU has svm"
	}
	return false, "/dev/kvm opens, but the CPU shows neither vmx nor svm: it would not boot a kernel"
}

// cpuFlags are the flags of the first CPU.
func cpuFlags(path string) map[string]bool {
	const most = 64 << 10 // one CPU's entry has about 2 KiB
	flags := map[string]bool{}
	f, err := os.Open(path)
	if err != nil {
		return flags
	}
	defer f.Close()
	s := bufio.NewScanner(io.LimitReader(f, most))
	s.Buffer(nil, most)
	for s.Scan() {
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == "flags" {
			for _, f := range strings.Fields(value) {
				flags[f] = true
			}
			break
		}
	}
	return flags
}
