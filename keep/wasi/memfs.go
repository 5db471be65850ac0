// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"errors"
	"fmt"
	"math"
	"path"
	"sort"
	"strings"
	"sync/atomic"
)

// ScratchLimits bound a tree in memory. Both are required.
type ScratchLimits struct {
	// Bytes is what all files may hold together. Names and the tree itself
	// are not counted; Nodes bounds them.
	Bytes uint64
	// Nodes is the number of files, directories and links.
	Nodes int
}

// memFS is a tree in memory, read-only over a bundle or writable and bounded.
type memFS struct {
	dev    uint64
	top    *memNode
	writes bool
	clock  Clock
	limits ScratchLimits
	bytes  uint64 // held by all files
	nodes  int
	inodes uint64
	// devices says that the tree has nodes to write to, though nothing in
	// it can be changed.
	devices bool
}

// devices numbers the trees of this process, so that a guest can tell them
// apart. The numbers of host devices are larger in practice, and no check
// depends on it.
var devices atomic.Uint64

// NewBundleFS makes a read-only tree of files; parent directories need no
// entry of their own. Their data is not copied. All times are 1970, so that a
// run does not depend on when a bundle was packed. The error names the file
// whose path is not absolute and clean, or is there twice.
func NewBundleFS(files []BundleFile) (FS, error) {
	t := newMemFS(false)
	for i := range files {
		if err := t.addFile(&files[i]); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// NewScratchFS makes an empty tree that can be written, within limits.
func NewScratchFS(limits ScratchLimits) (FS, error) {
	if limits.Bytes == 0 || limits.Nodes <= 0 {
		return nil, errors.New("a scratch tree needs limits of bytes and nodes greater than zero")
	}
	t := newMemFS(true)
	t.limits = limits
	return t, nil
}

func newMemFS(writes bool) *memFS {
	t := &memFS{dev: devices.Add(1), writes: writes}
	t.top = t.node(typeDirectory)
	t.top.parent = t.top
	return t
}

func (t *memFS) node(typ fileType) *memNode {
	t.inodes++
	now := uint64(0)
	if t.clock != nil && t.writes {
		now = t.clock.Realtime()
	}
	n := &memNode{fs: t, typ: typ, ino: t.inodes, links: 1, atim: now, mtim: now, ctim: now}
	if typ == typeDirectory {
		n.entries = make(map[string]*memNode)
	}
	return n
}

func (t *memFS) addFile(f *BundleFile) error {
	if f.Path != "/" && (!strings.HasPrefix(f.Path, "/") || path.Clean(f.Path) != f.Path || strings.IndexByte(f.Path, 0) >= 0) {
		return fmt.Errorf("bundle file %.80q: the path has to be absolute and clean", f.Path)
	}
	at := t.top
	parts := strings.Split(strings.Trim(f.Path, "/"), "/")
	for i, name := range parts {
		last := i == len(parts)-1
		if name == "" {
			break // the root
		}
		if len(name) > maxNameBytes || i >= maxDepth {
			return fmt.Errorf("bundle file %.80q: a name has at most %d bytes and a path %d names", f.Path, maxNameBytes, maxDepth)
		}
		next := at.entries[name]
		isDir := !last || f.Dir
		switch {
		case next == nil && isDir:
			next = t.node(typeDirectory)
			next.parent = at
			at.entries[name] = next
		case next == nil:
			next = t.node(typeRegular)
			next.data = f.Data
			at.entries[name] = next
		case last && !isDir, next.typ != typeDirectory:
			return fmt.Errorf("bundle file %.80q is there twice, or is a directory and a file", f.Path)
		}
		at = next
	}
	if at == t.top && !f.Dir {
		return errors.New("bundle file \"/\" has to be a directory")
	}
	return nil
}

func (t *memFS) root() dir        { return memDir{t.top} }
func (t *memFS) readOnly() bool   { return !t.writes && !t.devices }
func (t *memFS) setClock(c Clock) { t.clock = c }
func (t *memFS) Close() error     { t.top = t.node(typeDirectory); t.bytes, t.nodes = 0, 0; return nil }

// memNode is a file, directory or link. It lives as long as it is in a
// directory or open.
type memNode struct {
	fs               *memFS
	typ              fileType
	ino              uint64
	links            int // names that lead here
	open             int // handles, for giving back the bytes of unlinked files
	data             []byte
	entries          map[string]*memNode // directory
	parent           *memNode            // directory
	target           string              // link
	node             *Node               // of a tree of devices
	atim, mtim, ctim uint64
}

func (n *memNode) stat() fileStat {
	size := uint64(len(n.data))
	if n.typ == typeSymlink {
		size = uint64(len(n.target))
	}
	return fileStat{
		dev: n.fs.dev, ino: n.ino, typ: n.typ, nlink: uint64(n.links), size: size,
		atim: n.atim, mtim: n.mtim, ctim: n.ctim,
	}
}

// touch notes a change.
func (n *memNode) touch() {
	if n.fs.clock != nil {
		n.mtim = n.fs.clock.Realtime()
		n.ctim = n.mtim
	}
}

func (n *memNode) set(t fileTimes) errno {
	if !n.fs.writes {
		return errnoROFS
	}
	if t.atim != nil {
		n.atim = *t.atim
	}
	if t.mtim != nil {
		n.mtim = *t.mtim
	}
	if n.fs.clock != nil {
		n.ctim = n.fs.clock.Realtime()
	}
	return errnoSuccess
}

// release gives back what a file took, once neither a name nor a handle is
// left.
func (n *memNode) release() {
	if n.links <= 0 && n.open == 0 {
		n.fs.bytes -= uint64(len(n.data))
		n.data = nil
	}
}

// resize makes a file n bytes long, with zeros at the end.
func (n *memNode) resize(size uint64) errno {
	have := uint64(len(n.data))
	if size <= have {
		n.fs.bytes -= have - size
		n.data = n.data[:size]
		return errnoSuccess
	}
	if size-have > n.fs.limits.Bytes-n.fs.bytes {
		return errnoNoSpc
	}
	if size > uint64(cap(n.data)) {
		// Grow by a quarter, for appends, but never reserve more than the
		// tree may hold.
		reserve := min(max(size, have+have/4), have+n.fs.limits.Bytes-n.fs.bytes, math.MaxInt)
		grown := make([]byte, have, reserve)
		copy(grown, n.data)
		n.data = grown
	}
	n.data = n.data[:size]
	clear(n.data[have:])
	n.fs.bytes += size - have
	return errnoSuccess
}

// memDir is an open directory.
type memDir struct{ n *memNode }

func (d memDir) stat() (fileStat, errno) { return d.n.stat(), errnoSuccess }
func (d memDir) sync() errno             { return errnoSuccess }
func (d memDir) close()                  {}

func (d memDir) get(name string) (*memNode, errno) {
	if n := d.n.entries[name]; n != nil {
		return n, errnoSuccess
	}
	return nil, errnoNoEnt
}

func (d memDir) lookup(name string) (fileStat, errno) {
	n, rc := d.get(name)
	if rc == errnoSuccess {
		n, rc = n.load()
	}
	if rc != errnoSuccess {
		return fileStat{}, rc
	}
	return n.stat(), errnoSuccess
}

func (d memDir) openDir(name string) (dir, errno) {
	if name == "." {
		return d, errnoSuccess
	}
	n, rc := d.get(name)
	switch {
	case rc != errnoSuccess:
		return nil, rc
	case n.typ != typeDirectory:
		return nil, errnoNotDir
	}
	return memDir{n}, errnoSuccess
}

func (d memDir) openFile(name string, how openHow) (file, errno) {
	n, rc := d.get(name)
	if rc == errnoNoEnt && how.create {
		n, rc = d.create(name, typeRegular)
	} else if rc == errnoSuccess && how.excl {
		return nil, errnoExist
	}
	switch {
	case rc != errnoSuccess:
		return nil, rc
	case n.typ == typeDirectory:
		return nil, errnoIsDir
	case n.typ == typeSymlink:
		return nil, errnoLoop
	case (how.write || how.trunc) && !d.n.fs.writes:
		return nil, errnoROFS
	}
	if n, rc = n.load(); rc != errnoSuccess {
		return nil, rc
	}
	if how.trunc {
		n.resize(0)
		n.touch()
	}
	n.open++
	return &memFile{n: n}, errnoSuccess
}

// create puts a new node into the directory.
func (d memDir) create(name string, typ fileType) (*memNode, errno) {
	t := d.n.fs
	switch {
	case !t.writes:
		return nil, errnoROFS
	case d.n.entries[name] != nil:
		return nil, errnoExist
	case d.n.links == 0:
		return nil, errnoNoEnt // the directory itself was removed
	case t.nodes >= t.limits.Nodes:
		return nil, errnoNoSpc
	}
	t.nodes++
	n := t.node(typ)
	if typ == typeDirectory {
		n.parent = d.n
	}
	d.n.entries[name] = n
	d.n.touch()
	return n, errnoSuccess
}

func (d memDir) readlink(name string) (string, errno) {
	n, rc := d.get(name)
	switch {
	case rc != errnoSuccess:
		return "", rc
	case n.typ != typeSymlink:
		return "", errnoInval
	}
	return n.target, errnoSuccess
}

func (d memDir) mkdir(name string) errno {
	_, rc := d.create(name, typeDirectory)
	return rc
}

func (d memDir) symlink(target, name string) errno {
	n, rc := d.create(name, typeSymlink)
	if rc == errnoSuccess {
		n.target = target
	}
	return rc
}

// remove takes a name out of the directory.
func (d memDir) remove(name string, n *memNode) {
	delete(d.n.entries, name)
	d.n.touch()
	if n.links--; n.links == 0 {
		n.fs.nodes--
	}
	n.release()
}

func (d memDir) unlink(name string) errno {
	n, rc := d.get(name)
	switch {
	case rc != errnoSuccess:
		return rc
	case !d.n.fs.writes:
		return errnoROFS
	case n.typ == typeDirectory:
		return errnoIsDir
	}
	d.remove(name, n)
	return errnoSuccess
}

func (d memDir) rmdir(name string) errno {
	n, rc := d.get(name)
	switch {
	case rc != errnoSuccess:
		return rc
	case !d.n.fs.writes:
		return errnoROFS
	case n.typ != typeDirectory:
		return errnoNotDir
	case len(n.entries) > 0:
		return errnoNotEmpty
	}
	d.remove(name, n)
	return errnoSuccess
}

func (d memDir) rename(name string, toDir dir, toName string) errno {
	to, ok := toDir.(memDir)
	if !ok || to.n.fs != d.n.fs {
		return errnoXDev
	}
	n, rc := d.get(name)
	switch {
	case rc != errnoSuccess:
		return rc
	case !d.n.fs.writes:
		return errnoROFS
	case to.n.links == 0:
		return errnoNoEnt
	}
	if n.typ == typeDirectory {
		for a := to.n; ; a = a.parent {
			if a == n {
				return errnoInval // into itself
			}
			if a == a.parent {
				break
			}
		}
	}
	if old := to.n.entries[toName]; old != nil {
		switch {
		case old == n:
			return errnoSuccess
		case n.typ == typeDirectory && old.typ != typeDirectory:
			return errnoNotDir
		case n.typ != typeDirectory && old.typ == typeDirectory:
			return errnoIsDir
		case len(old.entries) > 0:
			return errnoNotEmpty
		}
		to.remove(toName, old)
	}
	delete(d.n.entries, name)
	to.n.entries[toName] = n
	if n.typ == typeDirectory {
		n.parent = to.n
	}
	d.n.touch()
	to.n.touch()
	return errnoSuccess
}

func (d memDir) link(name string, toDir dir, toName string) errno {
	to, ok := toDir.(memDir)
	if !ok || to.n.fs != d.n.fs {
		return errnoXDev
	}
	n, rc := d.get(name)
	switch {
	case rc != errnoSuccess:
		return rc
	case !d.n.fs.writes:
		return errnoROFS
	case n.typ == typeDirectory:
		return errnoPerm
	case to.n.entries[toName] != nil:
		return errnoExist
	case to.n.links == 0:
		return errnoNoEnt
	case d.n.fs.nodes+n.links > d.n.fs.limits.Nodes:
		return errnoNoSpc // names take room too
	}
	n.links++
	to.n.entries[toName] = n
	to.n.touch()
	return errnoSuccess
}

func (d memDir) setTimes(t fileTimes) errno { return d.n.set(t) }

func (d memDir) setTimesOf(name string, t fileTimes) errno {
	n, rc := d.get(name)
	if rc != errnoSuccess {
		return rc
	}
	return n.set(t)
}

func (d memDir) list(limit int) ([]dirEntry, errno) {
	if len(d.n.entries) > limit {
		return nil, errnoOverflow
	}
	list := make([]dirEntry, 0, len(d.n.entries))
	for name, n := range d.n.entries {
		list = append(list, dirEntry{name, n.ino, n.typ})
	}
	// The same bundle shows the same order in every run.
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list, errnoSuccess
}
