// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package cpio writes and reads the archive that Linux unpacks as its initial
// root file system: the "new ASCII" format of cpio, newc, as the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst describes it.
//
// What is written depends on the entries and on nothing else. Everything that
// would tell where or when an archive was made is fixed: inodes count from 1,
// owner and group are 0, the modification time is 0, no file has two links.
package cpio

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Types of entries, the upper bits of Mode, as in stat(2).
const (
	TypeMask = 0o170000
	Dir      = 0o040000
	Regular  = 0o100000
	Char     = 0o020000
)

const (
	magic      = "070701"
	headerSize = 110 // magic and 13 numbers of 8 hexadecimal digits
	trailer    = "TRAILER!!!"
)

// Entry is one file of an archive.
type Entry struct {
	Name         string // relative, without leading slash: "dev/console"
	Mode         uint32 // type and permissions
	Major, Minor uint32 // of a device
	Data         []byte // of a regular file
}

// Write writes an archive of entries in their order. A directory must come
// before what it holds, since the kernel does not make it by itself.
func Write(w io.Writer, entries []Entry) error {
	seen := map[string]uint32{}
	for i, e := range entries {
		if err := check(e, seen); err != nil {
			return err
		}
		seen[e.Name] = e.Mode & TypeMask
		if err := writeEntry(w, e, i+1); err != nil {
			return err
		}
	}
	return writeEntry(w, Entry{Name: trailer}, 0)
}

// check refuses what the kernel would unpack to something else than was meant.
func check(e Entry, seen map[string]uint32) error {
	if err := checkName(e.Name); err != nil {
		return err
	}
	if _, ok := seen[e.Name]; ok {
		return fmt.Errorf("cpio: entry %q is there twice", e.Name)
	}
	if i := strings.LastIndexByte(e.Name, '/'); i >= 0 && seen[e.Name[:i]] != Dir {
		return fmt.Errorf("cpio: entry %q comes before its directory", e.Name)
	}
	return checkEntry(e)
}

func checkEntry(e Entry) error {
	switch t := e.Mode & TypeMask; {
	case t != Dir && t != Regular && t != Char:
		return fmt.Errorf("cpio: entry %q has mode %#o, expected a directory, a regular file or a character device", e.Name, e.Mode)
	case e.Mode&^(TypeMask|0o7777) != 0:
		return fmt.Errorf("cpio: entry %q has mode %#o, which has unknown bits", e.Name, e.Mode)
	case t != Regular && len(e.Data) != 0:
		return fmt.Errorf("cpio: entry %q has data and is no regular file", e.Name)
	case t != Char && (e.Major != 0 || e.Minor != 0):
		return fmt.Errorf("cpio: entry %q has a device number and is no device", e.Name)
	case len(e.Data) > maxData:
		return fmt.Errorf("cpio: entry %q has %d bytes, the most accepted is %d", e.Name, len(e.Data), maxData)
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxName || name == trailer || strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("cpio: %.80q is no name for an entry", name)
	}
	for _, part := range strings.Split(name, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("cpio: name %.80q is not a clean relative path", name)
		}
	}
	return nil
}

func writeEntry(w io.Writer, e Entry, inode int) error {
	links := 1
	if e.Mode&TypeMask == Dir {
		links = 2
	}
	header := fmt.Appendf(nil, "%s%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", magic,
		inode, e.Mode, 0, 0, links, 0, len(e.Data), 0, 0, e.Major, e.Minor, len(e.Name)+1, 0)
	header = append(header, e.Name...)
	header = append(header, make([]byte, 1+pad(headerSize+len(e.Name)+1))...)
	if _, err := w.Write(header); err != nil {
		return err
	}
	if _, err := w.Write(e.Data); err != nil {
		return err
	}
	_, err := w.Write(make([]byte, pad(len(e.Data))))
	return err
}

// pad is how many bytes follow n to reach a multiple of 4.
func pad(n int) int { return -n & 3 }

var errCut = errors.New("cpio: the archive is cut short")

// Read reads an archive. It accepts what [Write] writes and nothing else: an
// archive with an owner, a date or trailing bytes is an error. The entries'
// data share the memory of b.
func Read(b []byte) ([]Entry, error) {
	var entries []Entry
	seen := map[string]uint32{}
	for {
		e, rest, err := readEntry(b, len(entries)+1)
		if err != nil {
			return nil, err
		}
		b = rest
		if e.Name == trailer {
			break
		}
		if err := check(e, seen); err != nil {
			return nil, err
		}
		seen[e.Name] = e.Mode & TypeMask
		if entries = append(entries, e); len(entries) > maxEntries {
			return nil, fmt.Errorf("cpio: more than %d entries", maxEntries)
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("cpio: %d bytes follow the end of the archive", len(b))
	}
	return entries, nil
}

func readEntry(b []byte, inode int) (e Entry, rest []byte, err error) {
	if len(b) < headerSize {
		return e, nil, errCut
	}
	if string(b[:6]) != magic {
		return e, nil, fmt.Errorf("cpio: entry %d begins with %q, expected %q", inode, b[:6], magic)
	}
	var n [13]uint32
	for i := range n {
		if n[i], err = hex8(b[6+8*i:][:8]); err != nil {
			return e, nil, err
		}
	}
	mode, size, nameSize := n[1], n[6], n[11]
	if nameSize < 2 || nameSize > maxName+1 || size > maxData {
		return e, nil, fmt.Errorf("cpio: entry %d has a name of %d bytes and %d bytes of data, the most accepted is %d and %d", inode, nameSize, size, maxName+1, maxData)
	}
	b = b[headerSize:]
	end := int(nameSize) + pad(headerSize+int(nameSize))
	if len(b) < end || len(b)-end < int(size)+pad(int(size)) {
		return e, nil, errCut
	}
	name := b[:nameSize-1]
	e = Entry{Name: string(name), Mode: mode, Major: n[9], Minor: n[10], Data: b[end:][:size:size]}
	if size == 0 {
		e.Data = nil
	}
	padding := string(b[nameSize-1:end]) + string(b[end+int(size):][:pad(int(size))])
	if strings.Trim(padding, "\x00") != "" {
		return e, nil, fmt.Errorf("cpio: padding of entry %q is not zero", e.Name)
	}
	links := uint32(1)
	if mode&TypeMask == Dir {
		links = 2
	}
	ino := uint32(inode)
	if e.Name == trailer {
		ino = 0
		if mode != 0 || size != 0 || e.Major != 0 || e.Minor != 0 {
			return e, nil, errors.New("cpio: the trailer says more than that it is one")
		}
	}
	if n[0] != ino || n[2] != 0 || n[3] != 0 || n[4] != links || n[5] != 0 || n[7] != 0 || n[8] != 0 || n[12] != 0 {
		return e, nil, fmt.Errorf("cpio: entry %q has inode %d, owner %d:%d, %d links, time %d, device %d:%d, check %d; expected %d, 0:0, %d, 0, 0:0, 0",
			e.Name, n[0], n[2], n[3], n[4], n[5], n[7], n[8], n[12], ino, links)
	}
	return e, b[end+int(size)+pad(int(size)):], nil
}

// hex8 reads 8 lower-case hexadecimal digits.
func hex8(b []byte) (uint32, error) {
	s := string(b)
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil || strings.ToLower(s) != s || strings.ContainsAny(s, "+_") {
		return 0, fmt.Errorf("cpio: %q is no number of 8 hexadecimal digits", b)
	}
	return uint32(v), nil
}
