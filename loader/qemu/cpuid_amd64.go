// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

// cpuid executes CPUID with subleaf 0.
func cpuid(leaf uint32) (eax, ebx uint32)

// encryptionBits are the position of the encryption bit in page table entries
// and the number of address bits lost to it: CPUID 0x8000001F, EBX bits 5:0 and
// 11:6 (AMD64 Architecture Programmer's Manual, volume 3, appendix E). Where
// the CPU has none, QEMU refuses the zeros.
func encryptionBits() (position, reduced int) {
	if highest, _ := cpuid(0x80000000); highest < 0x8000001f {
		return 0, 0
	}
	_, ebx := cpuid(0x8000001f)
	return int(ebx & 63), int(ebx >> 6 & 63)
}
