// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

// FS is a tree of files that can be pre-opened; [NewBundleFS], [NewScratchFS]
// and [NewDirFS] make one. The walk along paths, which is what keeps a guest
// inside, is not part of it: a tree knows single names only.
type FS interface {
	// root is a new handle of the tree's top.
	root() dir
	// readOnly says that nothing in the tree can be changed.
	readOnly() bool
	// setClock gives the tree the time for the files it changes.
	setClock(Clock)
	// Close frees the tree. A [System] closes the trees it was given.
	Close() error
}

// dir is an open directory. Every name is a single component: not empty, not
// "." or "..", without '/' and zero bytes; the walk sees to that. A symbolic
// link is never followed by any method.
type dir interface {
	stat() (fileStat, errno)
	lookup(name string) (fileStat, errno)
	// openDir opens a directory; ENOTDIR for anything else, links too.
	openDir(name string) (dir, errno)
	// openFile opens a regular file; EISDIR for a directory, ELOOP for a
	// link, EACCES for what is neither.
	openFile(name string, how openHow) (file, errno)
	readlink(name string) (string, errno)
	mkdir(name string) errno
	symlink(target, name string) errno
	unlink(name string) errno
	rmdir(name string) errno
	rename(name string, to dir, toName string) errno
	link(name string, to dir, toName string) errno
	setTimes(t fileTimes) errno
	setTimesOf(name string, t fileTimes) errno
	// list returns the entries without "." and "..", EOVERFLOW if there
	// are more than limit.
	list(limit int) ([]dirEntry, errno)
	sync() errno
	close()
}

// file is an open regular file. Offsets and sizes are in bytes.
type file interface {
	// readAt reads up to len(p) bytes, fewer only at the end of the file.
	readAt(p []byte, off uint64) (int, errno)
	writeAt(p []byte, off uint64) (int, errno)
	stat() (fileStat, errno)
	setSize(n uint64) errno
	allocate(off, n uint64) errno
	sync(dataOnly bool) errno
	setTimes(t fileTimes) errno
	close()
}

// openHow says how openFile opens.
type openHow struct {
	read, write         bool
	create, excl, trunc bool
}

// fileStat is what is known about a file; times in nanoseconds since 1970.
type fileStat struct {
	dev, ino         uint64
	typ              fileType
	nlink, size      uint64
	atim, mtim, ctim uint64
}

// fileTimes are new times; a nil one stays.
type fileTimes struct {
	atim, mtim *uint64
}

// dirEntry is one name in a directory.
type dirEntry struct {
	name string
	ino  uint64
	typ  fileType
}

// BundleFile is one file or directory of a bundle; the same fields as
// workload.BundleFile, which converts to it.
type BundleFile struct {
	Path string // absolute, slash-separated, clean: "/lib/python3.12/os.py"
	Dir  bool   // a directory (Data empty)
	Data []byte // not copied; it must not change
}
