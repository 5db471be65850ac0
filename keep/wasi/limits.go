// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

// Limits bound what a guest can make the system interface hold or do in one
// call. A zero field means the default.
type Limits struct {
	// OpenFDs is the number of descriptors open at once; default 1024, what
	// Unix programs expect.
	OpenFDs int
	// PathBytes is the length of a path; default 4096, as PATH_MAX.
	PathBytes uint32
	// IOVecs is the number of buffers of one read or write; default 1024,
	// as IOV_MAX.
	IOVecs uint32
	// Subscriptions is the number of events that one poll can wait for;
	// default 4096: every descriptor for reading and writing, and timers.
	Subscriptions uint32
	// DirEntries is the number of entries of a directory that can be
	// listed; default 1,000,000. A listing is held in memory.
	DirEntries int
	// ArgBytes is the length of all arguments and environment variables
	// together, with their terminating zeros; default 4 MiB.
	ArgBytes int
}

const (
	defaultOpenFDs       = 1024
	defaultPathBytes     = 4096
	defaultIOVecs        = 1024
	defaultSubscriptions = 4096
	defaultDirEntries    = 1_000_000
	defaultArgBytes      = 4 << 20

	// maxSymlinks is how many links one path may lead through, as on Linux.
	maxSymlinks = 40
	// maxDepth is how many directories below its start a path may be while
	// it is walked; each is a kernel descriptor on a host directory.
	maxDepth = 128
	// maxNameBytes is the length of one name, as NAME_MAX.
	maxNameBytes = 255
	// maxGather is up to how many bytes several buffers of one write are
	// copied together, to save system calls.
	maxGather = 8 << 10
	// maxCount and maxArgBytes bound what a Limits can be set to.
	maxCount    = 1 << 16
	maxArgBytes = 1 << 28
	// maxLoaded is the most that a file may hold whose content is made when
	// it is opened: some times what a chain of certificates takes.
	maxLoaded = 64 << 10
	// firstDir is the lowest number of a pre-opened directory.
	firstDir = 3
)

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def32 := func(v *uint32, d uint32) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.OpenFDs, defaultOpenFDs)
	def32(&l.PathBytes, defaultPathBytes)
	def32(&l.IOVecs, defaultIOVecs)
	def32(&l.Subscriptions, defaultSubscriptions)
	def(&l.DirEntries, defaultDirEntries)
	def(&l.ArgBytes, defaultArgBytes)
	// Products of these with the sizes of what they count stay below 4 GiB.
	l.IOVecs = min(l.IOVecs, maxCount)
	l.Subscriptions = min(l.Subscriptions, maxCount)
	l.ArgBytes = min(l.ArgBytes, maxArgBytes)
	return l
}
