// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

// Limits on what comes from outside. Sizes are in bytes.
const (
	// maxFirmware bounds a firmware image: QEMU maps at most 16 MiB of flash
	// below 4 GiB, OVMF has 4.
	maxFirmware = 16 << 20
	// minFirmware is one page: what is above the reset vector.
	minFirmware = pageSize
	// maxTableEntries bounds the entries of a GUIDed table and the sections of
	// a metadata table: OVMF has fewer than ten of each.
	maxTableEntries = 64
	// maxMetadataPages bounds the pages that metadata sections name, each of
	// which costs one hash: 1 GiB; OVMF has some 40.
	maxMetadataPages = 1 << 18
	// maxVCPUs bounds the processors: KVM takes 4,096 at most.
	maxVCPUs = 4096
	// maxCmdline bounds a kernel command line: x86 takes 2,048 bytes.
	maxCmdline = 4096
	// maxMemory is what 40 physical address bits give, in MiB.
	maxMemory = 1 << 20
	// maxPESections bounds a PE file's sections: a UKI has some 15.
	maxPESections = 96
)

const pageSize = 4096
