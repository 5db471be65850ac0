// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package codecache

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	testLimit = 1 << 20
	// testSettle is longer than the steps of the kernel's clock and than what
	// a test takes from a change to a look.
	testSettle = 500 * time.Millisecond
)

func openFast(t *testing.T, dir string) *Cache {
	c := open(t, dir, Options{})
	c.settle = testSettle
	return c
}

// settledFile is a file whose status changed long enough ago to be remembered.
func settledFile(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keep")
	if err := os.WriteFile(name, content, 0o700); err != nil {
		t.Fatal(err)
	}
	time.Sleep(testSettle + 50*time.Millisecond)
	return name
}

func digest(t *testing.T, c *Cache, name string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := c.Digest(f, testLimit)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// remembered says whether the digest of a file would come from memory.
func remembered(t *testing.T, c *Cache, name string) bool {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := stateOf(f)
	if err != nil {
		t.Fatal(err)
	}
	_, ok := c.recall(s)
	return ok
}

// TestDigestOfAChangedFileIsNotRemembered changes a remembered file in each way
// that leaves as much as possible as it was.
func TestDigestOfAChangedFileIsNotRemembered(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	c := openFast(t, dir)
	content := bytes.Repeat([]byte("keep"), 1000)
	name := settledFile(t, content)
	if digest(t, c, name) != sha256.Sum256(content) {
		t.Fatal("wrong digest")
	}
	if !remembered(t, c, name) || digest(t, c, name) != sha256.Sum256(content) {
		t.Fatal("the digest is not remembered: this test proves nothing")
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(content)
	other[500] ^= 1
	for how, change := range map[string]func() error{
		"in place": func() error { return os.WriteFile(name, other, 0o700) },
		"by another of the same name": func() error {
			if err := os.WriteFile(name+".new", other, 0o700); err != nil {
				return err
			}
			return os.Rename(name+".new", name)
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil { // as a forger would
			t.Fatal(err)
		}
		if remembered(t, c, name) || digest(t, c, name) != sha256.Sum256(other) {
			t.Errorf("changed %s: the old digest is remembered", how)
		}
	}
	if remembered(t, c, name) {
		t.Error("a file that has just changed is remembered: a further change might not show")
	}
}

func TestDigestOfAFileThatOthersCanWriteIsNotRemembered(t *testing.T) {
	t.Parallel()
	c := openFast(t, filepath.Join(t.TempDir(), "cache"))
	group := settledFile(t, []byte("keep"))
	if err := os.Chmod(group, 0o770); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"group": group}
	if os.Geteuid() == 0 {
		files["owner"] = filepath.Join(t.TempDir(), "keep")
		if err := os.WriteFile(files["owner"], []byte("keep"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(files["owner"], 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(testSettle + 50*time.Millisecond)
	for who, name := range files {
		if digest(t, c, name) != sha256.Sum256([]byte("keep")) || remembered(t, c, name) {
			t.Errorf("%s: a file that others can write is remembered", who)
		}
	}
}

// TestDigestMemoryIsAuthentic changes every byte of the memory in turn.
func TestDigestMemoryIsAuthentic(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	c := openFast(t, dir)
	content := []byte("keep runtime")
	name := settledFile(t, content)
	digest(t, c, name)
	memo := filepath.Join(dir, digestFile)
	good, err := os.ReadFile(memo)
	if err != nil || len(good) != memoBytes {
		t.Fatal(len(good), err)
	}
	var bad [][]byte
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		bad = append(bad, b, good[:i])
	}
	for i, b := range append(bad, append(bytes.Clone(good), 0)) {
		overwrite(t, memo, b)
		if remembered(t, c, name) {
			t.Fatalf("changed memory %d was believed", i)
		}
	}
	if digest(t, c, name) != sha256.Sum256(content) || !remembered(t, c, name) {
		t.Error("a broken memory is not replaced")
	}
	// The memory of another user.
	other := openFast(t, filepath.Join(t.TempDir(), "cache"))
	overwrite(t, filepath.Join(other.root.Name(), digestFile), good)
	if remembered(t, other, name) {
		t.Error("a memory under another key was believed")
	}
}
