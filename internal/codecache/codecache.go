// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package codecache keeps the native code that local runs have compiled, so
// that the second run of a module need not compile again.
//
// Only `enarx run` on platform process uses it. A Keep in a TEE never reads
// it: there, code that the host could have written would be the end of every
// promise.
//
// # Use
//
//	cache, err := codecache.Open(dir, codecache.Options{})
//	runDir, err := cache.Lend(run)
//	... a Keep starts with runDir as its cache directory ...
//	hit, err := cache.Fetch(key, runDir)   // before the Keep compiles
//	... the Keep runs and ends ...
//	if !hit { err = cache.Collect(key, runDir) }
//	err = cache.Release(run)
//
// A Keep sees runDir, which holds at most its own module's code, and never the
// cache. An error of any of the calls costs time, not correctness: the run
// goes on without the cache. A full disk is not even an error.
//
// # Why an entry can be trusted
//
// Native code is executed as it is found, so an entry must be what this user's
// own Keep wrote. Three things see to that. The directory belongs to the user
// and is closed to all others (0700), or Open refuses it. Each entry carries an
// HMAC-SHA256 under a random key of the user, kept in a file of its own beside
// the entries' directory; a changed, truncated, renamed or foreign entry is
// deleted and counts as a miss. And the key of an entry covers all that the
// code depends on: the Keep ELF, the engine, the CPU's features and the module.
//
// What a hostile module gains: it is compiled inside the engine child, which
// may write runDir before guest code runs. If it finds a flaw in the compiler,
// it can choose the bytes that Collect stores, under the key of this same
// module and no other, because the key is computed outside from the module's
// digest. Whoever runs that module later runs what the module's author could
// have done by the flaw anyway, in the same sandbox. An existing entry is never
// replaced, and Collect reads runDir as hostile: one regular file of bounded
// size, no symbolic links.
//
// Whoever can write as this user can read the key and forge entries; such a
// person can also replace the enarx program.
package codecache

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/cpu"
)

// Key says what compiled code depends on. Every field takes part.
type Key struct {
	Keep   [sha256.Size]byte // SHA-256 of the Keep ELF
	Engine string            // name and version, as the engine shows them
	CPU    string            // see [CPU]
	Module [sha256.Size]byte // SHA-256 of the module
}

// CPU describes the features of this machine's processor that compilers look
// at, as one opaque text.
func CPU() string {
	return fmt.Sprintf("%+v%+v", cpu.X86, cpu.ARM64)
}

// id is the entry's name: the SHA-256 of the key's fields, each with its
// length before it.
func (k Key) id() [sha256.Size]byte {
	h := sha256.New()
	for _, field := range []string{"enarx code cache key 1", string(k.Keep[:]), k.Engine, k.CPU, string(k.Module[:])} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		io.WriteString(h, field)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Options of a cache. The zero value is right for users.
type Options struct {
	// MaxBytes bounds all entries together; 0 means DefaultMaxBytes.
	MaxBytes int64
}

// Cache is an open cache. It may be used by many goroutines and processes at
// once.
type Cache struct {
	root *os.Root
	key  [keyBytes]byte
	max  int64

	settle time.Duration // settleTime; tests shorten it
}

const (
	entriesDir = "entries"
	lentDir    = "lent"
	keyFile    = "key"
	lockFile   = "lock"
)

// Open opens the cache in dir and makes it if it is missing. It refuses a
// directory that is not the user's alone.
func Open(dir string, o Options) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the code cache: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the code cache: %w", err)
	}
	c := &Cache{root: root, max: o.MaxBytes, settle: settleTime}
	if c.max <= 0 {
		c.max = DefaultMaxBytes
	}
	if err := c.prepare(dir); err != nil {
		root.Close()
		return nil, err
	}
	return c, nil
}

// Close releases the cache.
func (c *Cache) Close() error { return c.root.Close() }

func (c *Cache) prepare(dir string) error {
	for _, name := range []string{entriesDir, lentDir} {
		if err := c.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the code cache: %w", err)
		}
	}
	for _, name := range []string{".", entriesDir, lentDir} {
		info, err := c.root.Lstat(name)
		if err != nil {
			return fmt.Errorf("open the code cache: %w", err)
		}
		if !info.IsDir() || !private(info) {
			return fmt.Errorf("code cache %s is %v of user %d, expected a directory of mode 0700 of user %d: others could have put code there; remove it",
				filepath.Join(dir, name), info.Mode(), owner(info), os.Geteuid())
		}
	}
	return c.loadKey(dir)
}

// Lend makes an empty directory for one Keep, beside the entries so that they
// can be linked into it, and returns its path. The name is the run's own: a
// plain file name that no other run uses.
func (c *Cache) Lend(run string) (string, error) {
	if !validName(run) || strings.Contains(run, "/") {
		return "", fmt.Errorf("lend a directory of the code cache: %q is no plain name", run)
	}
	if err := c.root.Mkdir(lentDir+"/"+run, 0o700); err != nil {
		return "", fmt.Errorf("lend a directory of the code cache: %w", err)
	}
	return filepath.Join(c.root.Name(), lentDir, run), nil
}

// Release removes the directory that Lend made for a run that has ended, if it
// is there. It may be called for a run of another process.
func (c *Cache) Release(run string) error {
	if !validName(run) || strings.Contains(run, "/") {
		return nil // Lend made none
	}
	if err := c.root.RemoveAll(lentDir + "/" + run); err != nil {
		return fmt.Errorf("take back a directory of the code cache: %w", err)
	}
	return nil
}

// private says whether a file is the user's alone.
func private(info fs.FileInfo) bool {
	return owner(info) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// loadKey reads the user's key, made at first use.
func (c *Cache) loadKey(dir string) error {
	f, err := c.root.OpenFile(keyFile, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err = c.makeKey(); err == nil {
			f, err = c.root.OpenFile(keyFile, os.O_RDONLY, 0)
		}
	}
	if err != nil {
		return fmt.Errorf("open the code cache's key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open the code cache's key: %w", err)
	}
	if !info.Mode().IsRegular() || !private(info) || info.Size() != keyBytes {
		return fmt.Errorf("code cache key %s is %v of %d bytes of user %d, expected a file of mode 0600 of %d bytes of user %d; remove it and the entries beside it",
			filepath.Join(dir, keyFile), info.Mode(), info.Size(), owner(info), keyBytes, os.Geteuid())
	}
	if _, err := io.ReadFull(f, c.key[:]); err != nil {
		return fmt.Errorf("read the code cache's key: %w", err)
	}
	return nil
}

// makeKey writes a new key unless another process has been faster.
func (c *Cache) makeKey() error {
	var key [keyBytes]byte
	rand.Read(key[:])
	temp := keyFile + "." + rand.Text() + tempSuffix
	f, err := c.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer c.root.Remove(temp)
	_, err = f.Write(key[:])
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	// A link, unlike a rename, never replaces a key that others use.
	if err := c.root.Link(temp, keyFile); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (c *Cache) mac(id [sha256.Size]byte) hash.Hash {
	h := hmac.New(sha256.New, c.key[:])
	h.Write(id[:])
	return h
}

func entryName(id [sha256.Size]byte) string {
	return entriesDir + "/" + hex.EncodeToString(id[:])
}
