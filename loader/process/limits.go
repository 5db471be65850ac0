// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

const (
	// maxStderr bounds what a Keep may print about its own failure. A Go
	// trace of a few dozen goroutines fits; more is dropped.
	maxStderr = 64 << 10
	// maxThreads bounds the tasks of a Keep, parent and engine child
	// together. A Go process with 1,000 sessions waits in one poller
	// thread; 256 leaves room for blocking calls.
	maxThreads = 256
	// maxOpenFiles bounds the descriptors per process: two for each of
	// 1,000 sessions and as many again.
	maxOpenFiles = 4096
	// maxVCPUs bounds a Keep's share of processors; more than the largest
	// machines have is a mistake.
	maxVCPUs = 4096
	// nobody is the user and group that owns nothing, by convention of
	// Linux distributions and the kernel's own overflow ID.
	nobody = 65534
)
