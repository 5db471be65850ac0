// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package deb

// Limits on what a package may make us read or hold. Sizes are in bytes.
const (
	// maxPackage bounds the package file: kernel packages have 20 to 60 MiB.
	maxPackage = 256 << 20
	// maxUnpacked bounds what its data unpack to: kernel packages have 35 MiB
	// with compressed modules and some 130 MiB without.
	maxUnpacked = 1 << 30
	// maxControl bounds the unpacked control archive, which holds scripts and
	// checksums of every file.
	maxControl = 8 << 20
	// maxField bounds the control file.
	maxField = 64 << 10
	// maxFiles bounds the entries of an archive; a kernel has some 4,000.
	maxFiles = 100_000
	// maxDict bounds the dictionary that one block of xz asks for: level 9,
	// the highest, has 64 MiB.
	maxDict = 64 << 20
)
