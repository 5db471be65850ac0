// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Fields of the setup header (Linux, Documentation/arch/x86/boot.rst).
const (
	setupSects     = 0x1f1
	setupMagic     = 0x202 // "HdrS"
	setupVersion   = 0x206
	setupKernelVer = 0x20e
	setupLoader    = 0x210
	setupFlags     = 0x211
	setupInitrd    = 0x218 // address, then size
	setupHeapEnd   = 0x224
	setupCmdline   = 0x228
	setupInitrdMax = 0x22c
	setupXLoad     = 0x236
	setupEnd       = 0x268
)

// checkKernel says whether b is a bzImage with the header fields used here.
func checkKernel(b []byte) error {
	if len(b) < setupEnd || string(b[setupMagic:setupMagic+4]) != "HdrS" {
		return fmt.Errorf("kernel: %d bytes without a Linux setup header; name a bzImage", len(b))
	}
	if v := binary.LittleEndian.Uint16(b[setupVersion:]); v < 0x20c {
		return fmt.Errorf("kernel: boot protocol %#x, expected at least 0x20c", v)
	}
	return nil
}

// KernelVersion is the version that a bzImage says it has, as "6.12.9 (…)".
func KernelVersion(b []byte) (string, error) {
	if err := checkKernel(b); err != nil {
		return "", err
	}
	at := int(binary.LittleEndian.Uint16(b[setupKernelVer:])) + 0x200
	if at == 0x200 || at >= len(b) {
		return "", fmt.Errorf("kernel: header names no version")
	}
	text, _, ok := bytes.Cut(b[at:min(len(b), at+256)], []byte{0})
	if !ok {
		return "", fmt.Errorf("kernel: version string without an end")
	}
	return string(text), nil
}

// kernelAtLeast says whether a bzImage's version is at least major.minor.
func kernelAtLeast(b []byte, major, minor int) (bool, error) {
	text, err := KernelVersion(b)
	if err != nil {
		return false, err
	}
	var x, y int
	if n, _ := fmt.Sscanf(text, "%d.%d", &x, &y); n != 2 {
		return false, fmt.Errorf("kernel: version %.40q is not understood", text)
	}
	return x > major || x == major && y >= minor, nil
}

// Where QEMU's q35 machine puts things in memory (hw/i386/x86.c and pc_q35.c).
const (
	qemuRealAddr    = 0x10000
	qemuCmdlineAddr = 0x20000
	qemuACPIData    = 0x28000    // kept free below the top of low memory
	q35LowMemory    = 0xb0000000 // from this much memory on, …
	q35Below4G      = 0x80000000 // … this much of it lies below 4 GiB
)

// patchKernel gives the kernel as QEMU hands it to firmware that does not ask for
// the file as it is: with the setup header filled in as for a BIOS boot
// (hw/i386/x86.c, x86_load_linux).
func patchKernel(kernel []byte, initrdSize, memoryMiB int) ([]byte, error) {
	if err := checkKernel(kernel); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	b := bytes.Clone(kernel)
	b[setupLoader] = 0xb0
	b[setupFlags] |= 0x80
	le.PutUint16(b[setupHeapEnd:], qemuCmdlineAddr-qemuRealAddr-0x200)
	le.PutUint32(b[setupCmdline:], qemuCmdlineAddr)
	if initrdSize == 0 {
		return b, nil
	}
	low := uint64(memoryMiB) << 20
	if low >= q35LowMemory {
		low = q35Below4G
	}
	top := uint64(le.Uint32(b[setupInitrdMax:]))
	if le.Uint16(b[setupXLoad:])&2 != 0 { // XLF_CAN_BE_LOADED_ABOVE_4G
		top = 0xffffffff
	}
	if low < qemuACPIData+1 {
		return nil, fmt.Errorf("%d MiB of memory cannot hold an initrd", memoryMiB)
	}
	top = min(top, low-qemuACPIData-1)
	if uint64(initrdSize) > top {
		return nil, fmt.Errorf("initrd of %d bytes does not fit into %d MiB of memory", initrdSize, memoryMiB)
	}
	le.PutUint32(b[setupInitrd:], uint32((top-uint64(initrdSize))&^0xfff))
	le.PutUint32(b[setupInitrd+4:], uint32(initrdSize))
	return b, nil
}
