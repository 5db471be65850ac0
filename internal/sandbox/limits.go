// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

const (
	// maxSpecBytes bounds an encoded Spec. 64 directories with two paths of
	// 4,096 bytes each would be larger, but paths are short in practice and
	// the whole must fit into one pipe buffer so that the loader's write
	// cannot block.
	maxSpecBytes = 60 << 10
	// maxDirs bounds the lent directories: each one is a mount, and 64 is
	// far beyond what a command line holds.
	maxDirs = 64
	// maxPath is Linux's PATH_MAX, including the final zero byte.
	maxPath = 4096
	// maxFilter is the kernel's BPF_MAXINSNS: a longer seccomp program is
	// refused.
	maxFilter = 4096
	// maxDescriptors bounds the loop over descriptors on kernels without
	// close_range(2); the loader allows a Keep far fewer.
	maxDescriptors = 65536
	// parentShare is the part of the Keep's limit on threads that the engine
	// child cannot reach: a quarter, 64 of the 256 that the process loader
	// sets. The parent waits in pollers and needs a dozen.
	parentShare = 4
	// maxLimits is how many resource limits Linux has (RLIM_NLIMITS).
	maxLimits = 16
)
