// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package codecache

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const engineFile = "wazero-v1.12.0-amd64-linux/00ff"

func testKey(module string) Key {
	return Key{Keep: sha256.Sum256([]byte("keep")), Engine: "wazero v1.12.0", CPU: CPU(), Module: sha256.Sum256([]byte(module))}
}

func open(t testing.TB, dir string, o Options) *Cache {
	t.Helper()
	// What testing made may be listed by others.
	if err := os.Chmod(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// runDir is a Keep's cache directory with one compiled file.
func runDir(t testing.TB, code []byte) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, engineFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, code, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func store(t testing.TB, c *Cache, k Key, code []byte) {
	t.Helper()
	if err := c.Collect(k, runDir(t, code)); err != nil {
		t.Fatal(err)
	}
}

// fetch returns what a Keep would find, nil for a miss. After a miss its
// directory must hold no file.
func fetch(t testing.TB, c *Cache, k Key) []byte {
	t.Helper()
	run := rand.Text()
	dir, err := c.Lend(run)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release(run)
	hit, err := c.Fetch(k, dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := code(filepath.Join(dir, engineFile))
	if hit != (err == nil) {
		t.Fatalf("hit %v, but the file: %v", hit, err)
	}
	if !hit {
		if n := files(t, dir); n != 0 {
			t.Fatalf("a miss left %d files", n)
		}
		return nil
	}
	return b
}

// code is what the engine reads of a file: the part before the name.
func code(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return b[:binary.BigEndian.Uint64(b[len(b)-frameBytes+2:])], nil
}

// overwrite replaces a file that nobody may write to.
func overwrite(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, entryMode); err != nil {
		t.Fatal(err)
	}
}

func files(t testing.TB, dir string) int {
	t.Helper()
	n := 0
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func entryPath(dir string, k Key) string {
	id := k.id()
	return filepath.Join(dir, entryName(id))
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	c := open(t, dir, Options{})
	k := testKey("a")
	if fetch(t, c, k) != nil {
		t.Fatal("an empty cache has a hit")
	}
	code := bytes.Repeat([]byte("native code "), 100_000)
	store(t, c, k, code)
	if !bytes.Equal(fetch(t, c, k), code) {
		t.Fatal("the code came back changed")
	}
	again := open(t, dir, Options{})
	if !bytes.Equal(fetch(t, again, k), code) {
		t.Fatal("the code is gone after the cache was opened again")
	}
	store(t, c, testKey("empty"), []byte{})
	if b := fetch(t, c, testKey("empty")); b == nil || len(b) != 0 {
		t.Fatal("empty code is no entry")
	}
}

func TestEachFieldOfTheKeyCounts(t *testing.T) {
	c := open(t, t.TempDir(), Options{})
	k := testKey("a")
	store(t, c, k, []byte("x"))
	for name, other := range map[string]Key{
		"keep":   {sha256.Sum256(nil), k.Engine, k.CPU, k.Module},
		"engine": {k.Keep, "wazero v1.12.1", k.CPU, k.Module},
		"cpu":    {k.Keep, k.Engine, k.CPU + " ", k.Module},
		"module": {k.Keep, k.Engine, k.CPU, sha256.Sum256(nil)},
		"shift":  {k.Keep, k.Engine + k.CPU[:1], k.CPU[1:], k.Module},
	} {
		if fetch(t, c, other) != nil {
			t.Errorf("a key with another %s has a hit", name)
		}
	}
}

// TestInvariant11TamperedCodeIsNeverRun_EachByte changes every byte of an entry
// in turn.
func TestInvariant11TamperedCodeIsNeverRun_EachByte(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, Options{})
	k := testKey("a")
	store(t, c, k, []byte("some native code"))
	good, err := os.ReadFile(entryPath(dir, k))
	if err != nil || len(good) < frameBytes {
		t.Fatal(len(good), err)
	}
	var bad [][]byte
	for i := range good {
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(good)
			b[i] ^= bit
			bad = append(bad, b)
		}
		bad = append(bad, good[:i])
	}
	bad = append(bad, append(bytes.Clone(good), 0), append(bytes.Clone(good), good...))
	for i, b := range bad {
		overwrite(t, entryPath(dir, k), b)
		if fetch(t, c, k) != nil {
			t.Fatalf("tampered entry %d was accepted", i)
		}
		if _, err := os.Lstat(entryPath(dir, k)); !os.IsNotExist(err) {
			t.Fatalf("tampered entry %d was not deleted: %v", i, err)
		}
	}
	overwrite(t, entryPath(dir, k), good)
	if fetch(t, c, k) == nil {
		t.Fatal("the good entry is refused: this test proves nothing")
	}
}

func TestInvariant11TamperedCodeIsNeverRun_Moved(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, Options{})
	a, b := testKey("a"), testKey("b")
	store(t, c, a, []byte("code of a"))
	good, err := os.ReadFile(entryPath(dir, a))
	if err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(to string) error{
		"copy":      func(to string) error { return os.WriteFile(to, good, entryMode) },
		"symlink":   func(to string) error { return os.Symlink(entryPath(dir, a), to) },
		"directory": func(to string) error { return os.Mkdir(to, 0o700) },
		"fifo":      func(to string) error { return syscall.Mkfifo(to, 0o600) },
	} {
		if err := put(entryPath(dir, b)); err != nil {
			t.Fatal(err)
		}
		if fetch(t, c, b) != nil {
			t.Errorf("the entry of another module was accepted as a %s", name)
		}
		if _, err := os.Lstat(entryPath(dir, b)); !os.IsNotExist(err) {
			t.Errorf("%s was not deleted", name)
		}
	}
	// Another user's key: an entry made elsewhere.
	other := t.TempDir()
	store(t, open(t, other, Options{}), b, []byte("foreign"))
	foreign, err := os.ReadFile(entryPath(other, b))
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, entryPath(dir, b), foreign)
	if fetch(t, c, b) != nil {
		t.Error("an entry under another key was accepted")
	}
}

// TestInvariant11TamperedCodeIsNeverRun_ThroughTheLink tries to change an entry
// as the user that a Keep runs as, where that is the entry's owner too.
func TestInvariant11TamperedCodeIsNeverRun_ThroughTheLink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	c := open(t, dir, Options{})
	k := testKey("a")
	store(t, c, k, []byte("native code"))
	lent, err := c.Lend("run-1")
	if err != nil {
		t.Fatal(err)
	}
	if hit, err := c.Fetch(k, lent); !hit || err != nil {
		t.Fatal(hit, err)
	}
	file := filepath.Join(lent, engineFile)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Root's capabilities override modes. A Keep has none: as here, where one
	// thread takes the identity of another user for files only.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{lent, filepath.Dir(file)} {
			if err := os.Chown(d, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		root, err := unix.Open(lent, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(root)
		file = fmt.Sprintf("/proc/self/fd/%d/%s", root, engineFile) // the way there is closed to others
		unix.Setfsuid(65534)
		unix.Setfsgid(65534)
		defer unix.Setfsuid(0)
		defer unix.Setfsgid(0)
	}
	for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_RDONLY | unix.O_TRUNC, unix.O_WRONLY | unix.O_APPEND} {
		fd, err := unix.Open(file, flags|unix.O_CLOEXEC, 0)
		if err != unix.EACCES {
			t.Errorf("opened with flags %#x: descriptor %d, error %v, expected EACCES", flags, fd, err)
		}
	}
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	unix.Close(fd)
	// What it can do is to lose its own link.
	if err := unix.Unlink(file); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		unix.Setfsuid(0)
		unix.Setfsgid(0)
	}
	after, err := os.ReadFile(entryPath(dir, k))
	if err != nil || !bytes.Equal(before, after) {
		t.Fatalf("the entry is changed: %v", err)
	}
}

// TestWritableEntryIsAMiss: whoever could write it may do so after the check.
func TestWritableEntryIsAMiss(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	c := open(t, dir, Options{})
	k := testKey("a")
	store(t, c, k, []byte("native code"))
	if err := os.Chmod(entryPath(dir, k), 0o644); err != nil {
		t.Fatal(err)
	}
	if fetch(t, c, k) != nil {
		t.Fatal("an entry that its owner can write was lent")
	}
}

func TestLentDirectoriesAreTheRunsOwn(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "cache"), Options{})
	for _, name := range []string{"", ".", "..", "a/b", "../entries", ".hidden"} {
		if dir, err := c.Lend(name); err == nil {
			t.Errorf("lent %q as %s", name, dir)
		}
		if err := c.Release(name); err != nil {
			t.Errorf("release %q: %v", name, err)
		}
	}
	if _, err := c.Lend("run"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lend("run"); err == nil {
		t.Error("one directory was lent twice")
	}
	outside := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lent := filepath.Join(c.root.Name(), lentDir, "run")
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(lent, "wazero")); err != nil {
		t.Fatal(err)
	}
	if err := c.Release("run"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(lent); !os.IsNotExist(err) {
		t.Errorf("released, and %v", err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a link in a lent directory was followed: %v", err)
	}
}

// TestLinkInALentDirectoryIsNotFollowed has a hostile Keep prepare its
// directory before the code comes.
func TestLinkInALentDirectoryIsNotFollowed(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "cache"), Options{})
	store(t, c, testKey("a"), []byte("native code"))
	lent, err := c.Lend("run")
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(lent, filepath.Dir(engineFile))); err != nil {
		t.Fatal(err)
	}
	if hit, err := c.Fetch(testKey("a"), lent); hit || err == nil {
		t.Errorf("fetched through a link: %v, %v", hit, err)
	}
	if n := files(t, outside); n != 0 {
		t.Errorf("%d files at the other end of the link", n)
	}
}

func TestDirectoryOfOthersIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"group":        func(d string) error { return os.Chmod(d, 0o750) },
		"world":        func(d string) error { return os.Chmod(d, 0o701) },
		"entries open": func(d string) error { return os.Chmod(filepath.Join(d, entriesDir), 0o777) },
		"key readable": func(d string) error { return os.Chmod(filepath.Join(d, keyFile), 0o640) },
		"key short":    func(d string) error { return os.WriteFile(filepath.Join(d, keyFile), []byte("k"), 0o600) },
		"key link": func(d string) error {
			if err := os.Rename(filepath.Join(d, keyFile), filepath.Join(d, "elsewhere")); err != nil {
				return err
			}
			return os.Symlink("/dev/zero", filepath.Join(d, keyFile))
		},
		"entries link": func(d string) error {
			if err := os.Rename(filepath.Join(d, entriesDir), filepath.Join(d, "elsewhere")); err != nil {
				return err
			}
			return os.Symlink("elsewhere", filepath.Join(d, entriesDir))
		},
	} {
		dir := filepath.Join(t.TempDir(), "cache")
		open(t, dir, Options{})
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if c, err := Open(dir, Options{}); err == nil {
			c.Close()
			t.Errorf("%s: the cache was opened", name)
		}
	}
	if os.Geteuid() != 0 {
		t.Log("not root: cannot give a directory to another user")
		return
	}
	dir := filepath.Join(t.TempDir(), "cache")
	open(t, dir, Options{})
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "65534") {
		t.Errorf("another user's cache: %v", err)
	}
}

// TestInvariant4HostileInputIsBounded_RunDirectory has a hostile program fill
// its cache directory with what an engine would not.
func TestInvariant4HostileInputIsBounded_RunDirectory(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("not for you"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, fill := range map[string]func(dir string) error{
		"symlink":     func(d string) error { return os.Symlink(secret, filepath.Join(d, "code")) },
		"link to dir": func(d string) error { return os.Symlink("/etc", filepath.Join(d, "wazero")) },
		"fifo":        func(d string) error { return syscall.Mkfifo(filepath.Join(d, "code"), 0o600) },
		"deep":        func(d string) error { return os.MkdirAll(filepath.Join(d, "a/b/c"), 0o700) },
		"hidden":      func(d string) error { return os.WriteFile(filepath.Join(d, ".code"), nil, 0o600) },
		"odd name":    func(d string) error { return os.WriteFile(filepath.Join(d, "co de"), nil, 0o600) },
		"two":         func(d string) error { return writeMany(d, 2) },
		"many":        func(d string) error { return writeMany(d, 10*maxFiles) },
		"huge":        func(d string) error { return sparse(filepath.Join(d, "code"), maxEntryBytes+1) },
	} {
		dir := t.TempDir()
		c := open(t, dir, Options{})
		from := t.TempDir()
		if err := fill(from); err != nil {
			t.Fatal(err)
		}
		if err := c.Collect(testKey(name), from); err == nil {
			t.Errorf("%s: collected", name)
		}
		if n := files(t, filepath.Join(dir, entriesDir)); n != 0 {
			t.Errorf("%s: %d files in the cache", name, n)
		}
	}
}

func writeMany(dir string, n int) error {
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("code", i)), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func sparse(name string, size int64) error {
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return err
	}
	return os.Truncate(name, size)
}

func TestNothingOrUnfinishedIsNotCollected(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, Options{})
	from := t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "code.123.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Collect(testKey("a"), from); err != nil || fetch(t, c, testKey("a")) != nil {
		t.Fatalf("an unfinished file: %v", err)
	}
}

func TestExistingEntryIsNotReplaced(t *testing.T) {
	c := open(t, t.TempDir(), Options{})
	store(t, c, testKey("a"), []byte("first"))
	store(t, c, testKey("a"), []byte("second"))
	if string(fetch(t, c, testKey("a"))) != "first" {
		t.Error("an entry was replaced")
	}
}

func TestSizeIsBoundedByLastUse(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, Options{MaxBytes: 4000})
	code := make([]byte, 1000)
	for i, name := range []string{"a", "b", "c"} {
		store(t, c, testKey(name), code)
		old := time.Now().Add(time.Duration(i-10) * time.Minute)
		if err := os.Chtimes(entryPath(dir, testKey(name)), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if fetch(t, c, testKey("a")) == nil { // the oldest, now the last used
		t.Fatal("a is missing")
	}
	stale := []string{filepath.Join(dir, entriesDir, "00.tmp"), filepath.Join(dir, "keep-digest.X.tmp")}
	long := time.Now().Add(-2 * staleAfter)
	for _, name := range stale {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
	}
	store(t, c, testKey("d"), code)
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if got := fetch(t, c, testKey(name)) != nil; got != want {
			t.Errorf("%s: in the cache %v, expected %v", name, got, want)
		}
	}
	for _, name := range stale {
		if _, err := os.Lstat(name); !os.IsNotExist(err) {
			t.Errorf("a stale temporary file was not removed: %s", name)
		}
	}
	store(t, c, testKey("too large"), make([]byte, 5000))
	if fetch(t, c, testKey("too large")) != nil || fetch(t, c, testKey("d")) == nil {
		t.Error("an entry larger than the cache changed it")
	}
}

func TestFullDiskIsAMiss(t *testing.T) {
	// What the kernel says when a disk is full, from every step of a write.
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if !full(fmt.Errorf("write: %w", &os.PathError{Op: "write", Err: e})) {
			t.Errorf("%v is not seen as a full disk", e)
		}
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = place(root, "code", func(w io.Writer) error {
		w.Write([]byte("half"))
		return syscall.ENOSPC
	})
	if !errors.Is(err, syscall.ENOSPC) || files(t, root.Name()) != 0 {
		t.Errorf("%v, %d files left", err, files(t, root.Name()))
	}
}

// TestFullDisk_Real fills a small file system.
func TestFullDisk_Real(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: cannot mount a small file system; TestFullDiskIsAMiss covers the code")
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Logf("mount: %v; TestFullDiskIsAMiss covers the code", err)
		return
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	small, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	if err := small.Collect(testKey("a"), runDir(t, make([]byte, 1<<20))); err != nil {
		t.Errorf("a full disk is an error: %v", err)
	}
	if n := files(t, filepath.Join(dir, entriesDir)); n != 0 {
		t.Errorf("%d files left on the full disk", n)
	}
}

func TestConcurrentRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := Open(dir, Options{MaxBytes: 50_000})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for j := range 20 {
				m := fmt.Sprint((i + j) % 8)
				want := bytes.Repeat([]byte(m), 10_000)
				if got := fetch(t, c, testKey(m)); got != nil && !bytes.Equal(got, want) {
					t.Errorf("module %s got other code", m)
				} else if got == nil {
					store(t, c, testKey(m), want)
				}
			}
		}()
	}
	wg.Wait()
	if n := files(t, filepath.Join(dir, entriesDir)); n == 0 || n > 5 {
		t.Errorf("%d entries, expected 1 to 5", n)
	}
}

func FuzzEntry(f *testing.F) {
	dir := f.TempDir()
	c := open(f, dir, Options{})
	k := testKey("fuzz")
	store(f, c, k, []byte("code"))
	good, err := os.ReadFile(entryPath(dir, k))
	if err != nil || len(good) == 0 {
		f.Fatal("no seed", err)
	}
	f.Add(good)
	f.Add(good[len(good)-frameBytes:])
	f.Fuzz(func(t *testing.T, b []byte) {
		overwrite(t, entryPath(dir, k), b)
		if hit := fetch(t, c, k) != nil; hit != bytes.Equal(b, good) {
			t.Fatalf("%d bytes: hit %v", len(b), hit)
		}
	})
}

func BenchmarkFetch(b *testing.B) {
	c := open(b, b.TempDir(), Options{})
	k := testKey("bench")
	store(b, c, k, make([]byte, 9_400_000)) // a Go program's
	b.SetBytes(9_400_000)
	for b.Loop() {
		c.Release("bench")
		into, err := c.Lend("bench")
		if err != nil {
			b.Fatal(err)
		}
		if hit, err := c.Fetch(k, into); !hit || err != nil {
			b.Fatal(hit, err)
		}
	}
}
