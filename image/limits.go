// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

// Limits on what comes from outside. Sizes are in bytes.
const (
	// MaxPackage bounds the file of a package: a kernel's has 20 to 60 MiB.
	MaxPackage = 256 << 20
	// maxKeep bounds the Keep runtime; it has some 12 MiB.
	maxKeep = 128 << 20
	// maxKernel bounds the kernel; a distribution's has 12 to 15 MiB.
	maxKernel = 64 << 20
	// maxModule bounds a kernel module, unpacked; the largest of a cloud
	// kernel has some 5 MiB.
	maxModule = 16 << 20
	// maxModules bounds the modules of a kernel package; a distribution's
	// largest kernel has some 5,000.
	maxModules = 20_000
	// maxList bounds the kernel's list of what is built in.
	maxList = 1 << 20
	// maxStub bounds the UEFI stub; systemd's have some 90 KiB.
	maxStub = 1 << 20
	// maxManifest bounds manifest.json; ours has some 4 KiB.
	maxManifest = 256 << 10
	// maxLock bounds a lock file: 200 bytes for each of a few packages.
	maxLock = 64 << 10
	// maxCmdline bounds the kernel command line (COMMAND_LINE_SIZE of x86 is
	// 2,048 with its NUL).
	maxCmdline = 2047
	// maxFile bounds a file of an image: disk.raw, the largest, has some 40 MiB.
	maxFile = 512 << 20
	// maxNames bounds the inputs, files and modules of a manifest.
	maxNames = 64
)
