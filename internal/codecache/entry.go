// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package codecache

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An entry is: code, name, length of the name (2 bytes), length of the code (8
// bytes), magic (8 bytes), HMAC-SHA256 over the entry's id and everything
// before it (32 bytes). Integers are big-endian. The code comes first because
// the engine reads the entry itself: what it reads ends before the name.
const (
	magic        = "enarxcc2"
	trailerBytes = 2 + 8 + len(magic)
	tagBytes     = sha256.Size
	frameBytes   = trailerBytes + tagBytes
)

// entryMode lets every user read an entry that it is lent and nobody write it,
// its owner included; see the package comment.
const entryMode = 0o444

var errCorrupt = errors.New("entry is corrupt")

// Fetch places the code of k into the directory into, under the name that the
// engine gave it, and says whether there was any. The directory is one that
// Lend made. A damaged entry is deleted and is a miss.
func (c *Cache) Fetch(k Key, into string) (hit bool, err error) {
	id := k.id()
	name := entryName(id)
	info, err := c.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errCorrupt
	}
	if err == nil {
		err = c.link(name, id, into)
	}
	switch {
	case err == nil:
		// The time of last use, for eviction; best effort.
		now := time.Now()
		_ = c.root.Chtimes(name, now, now)
		return true, nil
	case errors.Is(err, errCorrupt):
		if err := c.root.RemoveAll(name); err != nil {
			return false, fmt.Errorf("remove a damaged entry of the code cache: %w", err)
		}
		return false, nil
	case full(err):
		return false, nil
	}
	return false, fmt.Errorf("fetch from the code cache: %w", err)
}

// full says whether err is about space and no fault of anybody.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// link checks an entry and gives it its second name in the directory into.
func (c *Cache) link(entry string, id [sha256.Size]byte, into string) error {
	f, err := c.root.OpenFile(entry, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return errCorrupt // evicted just now, which is a miss as well
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	name, err := c.verify(f, info, id)
	if err != nil {
		return err
	}
	out, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := linkFile(c.root, entry, out, name); err != nil {
		return err
	}
	// The name may have got another file since it was opened: only the one
	// that was checked may stay.
	if now, err := out.Lstat(name); err != nil || !os.SameFile(now, info) {
		return errors.Join(errCorrupt, err, out.Remove(name))
	}
	return nil
}

// verify checks the tag of an entry and then what it says, and returns the
// name of the engine's file.
func (c *Cache) verify(f *os.File, info fs.FileInfo, id [sha256.Size]byte) (string, error) {
	size := info.Size()
	if !info.Mode().IsRegular() || info.Mode().Perm()&^entryMode != 0 || size < int64(frameBytes) || size > maxEntryBytes+int64(frameBytes+maxNameBytes) {
		return "", errCorrupt
	}
	mac := c.mac(id)
	n, err := io.CopyBuffer(onlyWriter{mac}, io.NewSectionReader(f, 0, size-int64(tagBytes)), make([]byte, copyBytes))
	if err != nil || n != size-int64(tagBytes) {
		return "", corrupt(err)
	}
	end := make([]byte, min(size, int64(maxNameBytes+frameBytes)))
	if _, err := f.ReadAt(end, size-int64(len(end))); err != nil {
		return "", corrupt(err)
	}
	end, tag := end[:len(end)-tagBytes], end[len(end)-tagBytes:]
	if !hmac.Equal(tag, mac.Sum(nil)) {
		return "", errCorrupt
	}
	end, trailer := end[:len(end)-trailerBytes], end[len(end)-trailerBytes:]
	nameLen := int(binary.BigEndian.Uint16(trailer))
	codeLen := binary.BigEndian.Uint64(trailer[2:])
	if string(trailer[2+8:]) != magic || nameLen > len(end) || codeLen > maxEntryBytes || int64(frameBytes)+int64(nameLen)+int64(codeLen) != size {
		return "", errCorrupt
	}
	name := string(end[len(end)-nameLen:])
	if !validName(name) {
		return "", errCorrupt
	}
	return name, nil
}

// linkFile gives the file from in the root old the name to in the root new as
// well. Its directory there can be entered by others, as the whole root may
// belong to one of them.
func linkFile(old *os.Root, from string, new *os.Root, to string) error {
	if err := makeDirOf(new, to, 0o755); err != nil {
		return err
	}
	src, err := old.Open(path.Dir(from))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := new.Open(path.Dir(to))
	if err != nil {
		return err
	}
	defer dst.Close()
	err = unix.Linkat(int(src.Fd()), path.Base(from), int(dst.Fd()), path.Base(to), 0)
	switch {
	case err == unix.ENOENT:
		return errCorrupt // evicted just now
	case err != nil:
		return fmt.Errorf("link %s: %w", to, err)
	}
	return nil
}

// makeDirOf makes the directory that name is in, if it is missing.
func makeDirOf(root *os.Root, name string, mode fs.FileMode) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	if err := root.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return root.Chmod(dir, mode) // past the user's umask
}

// onlyWriter hides what is behind it from io.Copy, which would otherwise take
// a buffer of its own choice.
type onlyWriter struct{ io.Writer }

// corrupt turns an early end into errCorrupt and leaves other errors.
func corrupt(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCorrupt
	}
	return err
}

// validName says whether name is one that an engine gives its file: at most a
// directory and a file, both with plain names.
func validName(name string) bool {
	parts := strings.Split(name, "/")
	if len(name) > maxNameBytes || len(parts) > maxNameParts {
		return false
	}
	for _, p := range parts {
		if p == "" || p[0] == '.' {
			return false
		}
		for _, c := range []byte(p) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '+') {
				return false
			}
		}
	}
	return true
}

// place writes a file of mode entryMode under a temporary name and renames it
// when write has returned nil; otherwise nothing is left.
func place(root *os.Root, name string, write func(io.Writer) error) (err error) {
	temp := name + "." + rand.Text() + tempSuffix
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = root.Remove(temp) // it may be gone already
		}
	}()
	if err = write(f); err == nil {
		err = f.Chmod(entryMode)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return root.Rename(temp, name)
}

// Collect stores the one file that the engine has left in the directory from,
// as the code of k. It is called when the Keep has ended, and is nothing to do
// if there is no file, an entry exists already, or the disk is full. Files
// that an engine would not leave are an error, and nothing is stored.
func (c *Cache) Collect(k Key, from string) error {
	id := k.id()
	if _, err := c.root.Lstat(entryName(id)); err == nil {
		return nil
	}
	src, err := os.OpenRoot(from)
	if err != nil {
		return fmt.Errorf("collect compiled code: %w", err)
	}
	defer src.Close()
	name, err := findOne(src)
	if err != nil || name == "" {
		return err
	}
	f, size, err := openHostile(src, name)
	if err != nil {
		return fmt.Errorf("collect compiled code: %w", err)
	}
	defer f.Close()
	if size+int64(frameBytes+len(name)) > c.max {
		return nil
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.evict(size + int64(frameBytes+len(name))); err != nil {
		return err
	}
	if err := c.pack(f, id, name, size); err != nil && !full(err) {
		return fmt.Errorf("store in the code cache: %w", err)
	}
	return nil
}

// openHostile opens a file that a hostile program may have made.
func openHostile(src *os.Root, name string) (*os.File, int64, error) {
	f, err := src.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxEntryBytes) {
		err = fmt.Errorf("%s is %v of %d bytes, expected a regular file of at most %d", name, info.Mode(), info.Size(), maxEntryBytes)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// findOne finds the only file in a directory and in the directories in it, ""
// if there is none. Unfinished files of an engine that was killed don't count.
func findOne(src *os.Root) (string, error) {
	var found []string
	seen := 0
	var walk func(dir string, depth int) error
	walk = func(dir string, depth int) error {
		d, err := src.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		list, err := d.ReadDir(maxFiles + 1)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for _, e := range list {
			name := path.Join(dir, e.Name())
			if seen++; seen > maxFiles {
				return fmt.Errorf("more than %d files in it", maxFiles)
			}
			switch {
			case strings.HasSuffix(name, tempSuffix):
			case e.IsDir() && depth < maxNameParts:
				if err := walk(name, depth+1); err != nil {
					return err
				}
			case e.Type().IsRegular() && validName(name):
				found = append(found, name)
			default:
				return fmt.Errorf("%q in it is nothing that an engine makes", name)
			}
		}
		return nil
	}
	if err := walk(".", 1); err != nil {
		return "", fmt.Errorf("collect compiled code: %w", err)
	}
	if len(found) > 1 {
		return "", fmt.Errorf("collect compiled code: %d files in it, an engine makes one", len(found))
	}
	return strings.Join(found, ""), nil
}

// pack writes an entry.
func (c *Cache) pack(code io.Reader, id [sha256.Size]byte, name string, size int64) error {
	trailer := append([]byte(name), binary.BigEndian.AppendUint16(nil, uint16(len(name)))...)
	trailer = append(binary.BigEndian.AppendUint64(trailer, uint64(size)), magic...)
	return place(c.root, entryName(id), func(w io.Writer) error {
		mac := c.mac(id)
		both := io.MultiWriter(w, mac)
		n, err := io.CopyBuffer(both, io.LimitReader(code, size), make([]byte, copyBytes))
		if err != nil {
			return err
		}
		if n != size {
			return fmt.Errorf("%s became shorter while it was read", name)
		}
		if _, err := both.Write(trailer); err != nil {
			return err
		}
		_, err = w.Write(mac.Sum(nil))
		return err
	})
}

// lock keeps two processes from evicting for the same space. It is released
// by the kernel if we die.
func (c *Cache) lock() (unlock func(), err error) {
	f, err := c.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the code cache: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the code cache: %w", err)
	}
	return func() { f.Close() }, nil
}

type stored struct {
	name string
	size int64
	used time.Time
}

// sweep removes what killed runs have left beside the entries' directory.
func (c *Cache) sweep() {
	list, err := fs.ReadDir(c.root.FS(), ".")
	if err != nil {
		return // it only takes room
	}
	for _, e := range list {
		info, err := e.Info()
		if err == nil && strings.HasSuffix(e.Name(), tempSuffix) && time.Since(info.ModTime()) > staleAfter {
			_ = c.root.Remove(e.Name())
		}
	}
}

// evict removes the entries that were not used for the longest time until
// room is free below the bound, and what killed runs have left.
func (c *Cache) evict(room int64) error {
	c.sweep()
	d, err := c.root.Open(entriesDir)
	if err != nil {
		return fmt.Errorf("list the code cache: %w", err)
	}
	list, err := d.ReadDir(-1)
	d.Close()
	if err != nil {
		return fmt.Errorf("list the code cache: %w", err)
	}
	var all []stored
	total := room
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			continue // another process has just removed it
		}
		name := entriesDir + "/" + e.Name()
		if strings.HasSuffix(name, tempSuffix) && time.Since(info.ModTime()) > staleAfter {
			_ = c.root.Remove(name)
			continue
		}
		total += info.Size()
		all = append(all, stored{name, info.Size(), info.ModTime()})
	}
	slices.SortFunc(all, func(a, b stored) int { return a.used.Compare(b.used) })
	for _, s := range all {
		if total <= c.max {
			break
		}
		if err := c.root.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make room in the code cache: %w", err)
		}
		total -= s.size
	}
	return nil
}
