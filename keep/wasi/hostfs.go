// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// hostFS is a directory of the host, for local runs.
type hostFS struct {
	fd int
	ro bool
}

// NewDirFS makes a tree of a directory of the host. The guest can do there
// what this process can, or only read with readOnly, but never reach anything
// outside: the kernel is only ever given single names relative to directories
// that are open, and told not to follow links. Only regular files,
// directories and links can be used; sockets, pipes and devices are seen but
// not opened. root stays the caller's and may be closed at once.
//
// A file system that is mounted inside the directory is part of it.
func NewDirFS(root *os.Root, readOnly bool) (FS, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("opening a directory for the workload: %w", err)
	}
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("opening a directory for the workload: %w", err)
	}
	fd := -1
	var derr error
	err = conn.Control(func(p uintptr) { fd, derr = openat(int(p), ".", dirFlags, 0) })
	if err == nil {
		err = derr
	}
	if err != nil {
		return nil, fmt.Errorf("opening a directory for the workload: %w", err)
	}
	return &hostFS{fd: fd, ro: readOnly}, nil
}

func (t *hostFS) root() dir {
	fd, err := openat(t.fd, ".", dirFlags, 0)
	if err != nil {
		fd = -1 // every use of it will fail with EBADF
	}
	return &hostDir{fs: t, fd: fd}
}

func (t *hostFS) readOnly() bool { return t.ro }
func (t *hostFS) setClock(Clock) {}

func (t *hostFS) Close() error {
	if t.fd < 0 {
		return nil
	}
	fd := t.fd
	t.fd = -1
	return unix.Close(fd)
}

// dirFlags open a directory for nothing but as the start of other calls.
const dirFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// openat is openat(2), again when a signal interrupts it.
func openat(fd int, name string, flags int, mode uint32) (int, error) {
	for {
		n, err := unix.Openat(fd, name, flags, mode)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// hostDir is an open directory.
type hostDir struct {
	fs *hostFS
	fd int
}

func (d *hostDir) close() { unix.Close(d.fd) }

func hostStat(st *unix.Stat_t) fileStat {
	f := fileStat{
		dev: st.Dev, ino: st.Ino, nlink: uint64(st.Nlink), size: uint64(st.Size),
		atim: nanos(st.Atim), mtim: nanos(st.Mtim), ctim: nanos(st.Ctim),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.typ = typeRegular
	case unix.S_IFDIR:
		f.typ = typeDirectory
	case unix.S_IFLNK:
		f.typ = typeSymlink
	case unix.S_IFCHR:
		f.typ = typeCharacter
	case unix.S_IFBLK:
		f.typ = typeBlock
	case unix.S_IFSOCK:
		f.typ = typeSocket
	}
	return f
}

// nanos is a time since 1970; earlier ones are 1970, as WASI has no sign.
func nanos(t unix.Timespec) uint64 {
	if t.Sec < 0 {
		return 0
	}
	return uint64(t.Sec)*1e9 + uint64(t.Nsec)
}

func (d *hostDir) stat() (fileStat, errno) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return fileStat{}, toErrno(err)
	}
	return hostStat(&st), errnoSuccess
}

func (d *hostDir) lookup(name string) (fileStat, errno) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fileStat{}, toErrno(err)
	}
	return hostStat(&st), errnoSuccess
}

func (d *hostDir) openDir(name string) (dir, errno) {
	fd, err := openat(d.fd, name, dirFlags, 0)
	if err != nil {
		return nil, toErrno(err)
	}
	return &hostDir{fs: d.fs, fd: fd}, errnoSuccess
}

// openFile looks before it opens, because opening a device can do something
// by itself, and after, because what is there may have changed.
func (d *hostDir) openFile(name string, how openHow) (file, errno) {
	stat, rc := d.lookup(name)
	switch {
	case rc == errnoNoEnt && how.create:
	case rc != errnoSuccess:
		return nil, rc
	case how.excl:
		return nil, errnoExist
	default:
		if rc := openable(stat.typ); rc != errnoSuccess {
			return nil, rc
		}
	}
	flags := unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	switch {
	case how.write && how.read:
		flags |= unix.O_RDWR
	case how.write, how.trunc && !how.read:
		flags |= unix.O_WRONLY
	case how.trunc:
		flags |= unix.O_RDWR
	}
	if how.create {
		flags |= unix.O_CREAT
	}
	if how.excl {
		flags |= unix.O_EXCL
	}
	if d.fs.ro && flags&(unix.O_CREAT|unix.O_WRONLY|unix.O_RDWR) != 0 {
		return nil, errnoROFS
	}
	fd, err := openat(d.fd, name, flags, 0o666)
	if err != nil {
		return nil, toErrno(err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		rc = openable(hostStat(&st).typ)
	}
	if err == nil && rc == errnoSuccess && how.trunc {
		// Only now is it known to be a file.
		err = unix.Ftruncate(fd, 0)
	}
	if err != nil || rc != errnoSuccess {
		unix.Close(fd)
		return nil, max(rc, toErrno(err))
	}
	return &hostFile{fs: d.fs, fd: fd}, errnoSuccess
}

func openable(t fileType) errno {
	switch t {
	case typeRegular:
		return errnoSuccess
	case typeDirectory:
		return errnoIsDir
	case typeSymlink:
		return errnoLoop
	}
	return errnoAcces
}

func (d *hostDir) readlink(name string) (string, errno) {
	buf := make([]byte, defaultPathBytes)
	n, err := unix.Readlinkat(d.fd, name, buf)
	if err != nil {
		return "", toErrno(err)
	}
	if n == len(buf) {
		return "", errnoNameTooLong
	}
	return string(buf[:n]), errnoSuccess
}

// change runs a change unless the tree is read-only.
func (d *hostDir) change(do func() error) errno {
	if d.fs.ro {
		return errnoROFS
	}
	return toErrno(do())
}

func (d *hostDir) mkdir(name string) errno {
	return d.change(func() error { return unix.Mkdirat(d.fd, name, 0o777) })
}

func (d *hostDir) symlink(target, name string) errno {
	return d.change(func() error { return unix.Symlinkat(target, d.fd, name) })
}

func (d *hostDir) unlink(name string) errno {
	return d.change(func() error { return unix.Unlinkat(d.fd, name, 0) })
}

func (d *hostDir) rmdir(name string) errno {
	return d.change(func() error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
}

// other is the host directory that a name is moved or linked to.
func (d *hostDir) other(to dir, do func(to *hostDir) error) errno {
	h, ok := to.(*hostDir)
	switch {
	case !ok:
		return errnoXDev
	case h.fs.ro:
		return errnoROFS
	}
	return d.change(func() error { return do(h) })
}

func (d *hostDir) rename(name string, to dir, toName string) errno {
	return d.other(to, func(to *hostDir) error { return unix.Renameat2(d.fd, name, to.fd, toName, 0) })
}

func (d *hostDir) link(name string, to dir, toName string) errno {
	return d.other(to, func(to *hostDir) error { return unix.Linkat(d.fd, name, to.fd, toName, 0) })
}

func (d *hostDir) setTimes(t fileTimes) errno { return d.setTimesOf(".", t) }

func (d *hostDir) setTimesOf(name string, t fileTimes) errno {
	return d.change(func() error { return unix.UtimesNanoAt(d.fd, name, t.timespecs(), unix.AT_SYMLINK_NOFOLLOW) })
}

func (t fileTimes) timespecs() []unix.Timespec {
	one := func(v *uint64) unix.Timespec {
		if v == nil {
			return unix.Timespec{Nsec: unix.UTIME_OMIT}
		}
		return unix.NsecToTimespec(int64(*v))
	}
	return []unix.Timespec{one(t.atim), one(t.mtim)}
}

func (d *hostDir) sync() errno {
	fd, err := openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return toErrno(err)
	}
	defer unix.Close(fd)
	return toErrno(unix.Fsync(fd))
}

func (d *hostDir) list(limit int) ([]dirEntry, errno) {
	fd, err := openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, toErrno(err)
	}
	defer unix.Close(fd)
	list := []dirEntry{}
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, toErrno(err)
		case n == 0:
			return list, errnoSuccess
		}
		list = appendDirents(list, buf[:n])
		if len(list) > limit {
			return nil, errnoOverflow
		}
	}
}

// appendDirents reads struct linux_dirent64 (getdents64(2)): inode u64 at 0,
// record length u16 at 16, type u8 at 18, name to the first zero from 19.
func appendDirents(list []dirEntry, b []byte) []dirEntry {
	for len(b) >= 19 {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size < 19 || size > len(b) {
			return list
		}
		name, _, _ := strings.Cut(string(b[19:size]), "\x00")
		if name != "." && name != ".." && name != "" {
			list = append(list, dirEntry{name, binary.NativeEndian.Uint64(b), direntType(b[18])})
		}
		b = b[size:]
	}
	return list
}

func direntType(t byte) fileType {
	switch t {
	case unix.DT_REG:
		return typeRegular
	case unix.DT_DIR:
		return typeDirectory
	case unix.DT_LNK:
		return typeSymlink
	case unix.DT_CHR:
		return typeCharacter
	case unix.DT_BLK:
		return typeBlock
	case unix.DT_SOCK:
		return typeSocket
	}
	return typeUnknown
}

// hostFile is an open regular file.
type hostFile struct {
	fs *hostFS
	fd int
}

func (f *hostFile) close() { unix.Close(f.fd) }

func (f *hostFile) readAt(p []byte, off uint64) (int, errno) {
	// No file is that long, but the kernel says EINVAL instead of nothing.
	p = p[:min(uint64(len(p)), math.MaxInt64-min(off, math.MaxInt64))]
	n := 0
	for n < len(p) {
		m, err := unix.Pread(f.fd, p[n:], int64(off+uint64(n)))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, toErrno(err)
		case m == 0:
			return n, errnoSuccess
		}
		n += m
	}
	return n, errnoSuccess
}

func (f *hostFile) writeAt(p []byte, off uint64) (int, errno) {
	n := 0
	for n < len(p) {
		m, err := unix.Pwrite(f.fd, p[n:], int64(off+uint64(n)))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, toErrno(err)
		}
		n += m
	}
	return n, errnoSuccess
}

func (f *hostFile) stat() (fileStat, errno) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fileStat{}, toErrno(err)
	}
	return hostStat(&st), errnoSuccess
}

func (f *hostFile) setSize(n uint64) errno { return toErrno(unix.Ftruncate(f.fd, int64(n))) }

func (f *hostFile) allocate(off, n uint64) errno {
	return toErrno(unix.Fallocate(f.fd, 0, int64(off), int64(n)))
}

func (f *hostFile) sync(dataOnly bool) errno {
	if dataOnly {
		return toErrno(unix.Fdatasync(f.fd))
	}
	return toErrno(unix.Fsync(f.fd))
}

func (f *hostFile) setTimes(t fileTimes) errno {
	if f.fs.ro {
		return errnoROFS
	}
	return toErrno(unix.UtimesNanoAt(f.fd, "", t.timespecs(), unix.AT_EMPTY_PATH))
}
