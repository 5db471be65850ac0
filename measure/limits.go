// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package measure

// Limits on what comes from outside. Sizes are in bytes.
const (
	// maxFile bounds a signed file: 1,024 entries of the largest size, in
	// base64, stay below it.
	maxFile = 1 << 20
	// maxEntries bounds one file: releases times platforms times engines,
	// many years of them.
	maxEntries = 1024
	// maxText bounds release, engine and component names.
	maxText = 64
	// maxComponents bounds the parts of one measurement: a UKI has some 25,
	// a TD's registers 40, a guest of 4,096 vCPUs is not listed.
	maxComponents = 256
	// maxLaunchNumber bounds vCPUs and MiB of memory.
	maxLaunchNumber = 1 << 24
	// maxLinked bounds what is linked into a program: a linker's argument has
	// at most 128 KiB on Linux.
	maxLinked = 96 << 10
	// maxKeyFile bounds a key file; an Ed25519 key in PEM has some 120.
	maxKeyFile = 16 << 10
	// maxKeys bounds the public keys of one file.
	maxKeys = 16
)
