// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Write puts the image into directory dir, whole or not at all: the files are
// written beside it, and the finished directory takes its place in one step. An
// image that is there already is replaced; anything else that is there is left
// alone, and an error.
func (c *Contents) Write(dir string) (*Image, error) {
	if err := c.write(filepath.Clean(dir)); err != nil {
		return nil, fmt.Errorf("writing image %s: %w", dir, err)
	}
	return &Image{Dir: dir, Manifest: c.Manifest}, nil
}

// CheckTarget says before a build whether [Contents.Write] would leave dir
// alone.
func CheckTarget(dir string) error {
	_, err := replaceable(filepath.Clean(dir))
	return err
}

func (c *Contents) write(dir string) error {
	replace, err := replaceable(dir)
	if err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	removeStale(parent)
	tmp, err := os.MkdirTemp(parent, stalePrefix+"*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // also the image that was replaced
	held, err := os.Open(tmp)
	if err != nil {
		return err
	}
	defer held.Close()
	tryLock(held)
	for _, f := range c.Manifest.Files {
		if err := writeSynced(filepath.Join(tmp, f.Name), c.files[f.Name]); err != nil {
			return err
		}
	}
	if err := writeSynced(filepath.Join(tmp, FileManifest), c.files[FileManifest]); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := syncDir(tmp); err != nil {
		return err
	}
	if replace {
		err = exchange(tmp, dir)
	} else {
		err = os.Rename(tmp, dir)
	}
	if err != nil {
		return err
	}
	return syncDir(parent)
}

// stalePrefix begins the names of directories that are being written.
const stalePrefix = ".enarx-image-"

// removeStale removes what builds have left that were killed. A build that is
// alive holds the lock of its directory. A directory with anything in it that
// is no file of an image is not ours, whatever its name.
func removeStale(parent string) {
	left, err := filepath.Glob(filepath.Join(parent, stalePrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		if st, err := os.Lstat(dir); err != nil || !st.IsDir() {
			continue
		}
		if ours, err := replaceable(dir); err != nil || !ours {
			continue
		}
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if tryLock(f) {
			os.RemoveAll(dir)
		}
		f.Close()
	}
}

// replaceable says whether dir has an image, and fails if it has anything else.
func replaceable(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	known := map[string]bool{FileManifest: true}
	for _, name := range fileOrder {
		known[name] = true
	}
	for _, e := range entries {
		if !known[e.Name()] {
			return false, fmt.Errorf("%s is there and has %s, which is no file of an image; name another directory", dir, e.Name())
		}
	}
	return true, nil
}

// writeSynced writes a file that everybody may read, whatever the umask.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = writeSparse(f, data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// writeSparse leaves out blocks of zeros, of which a disk has many.
func writeSparse(f *os.File, data []byte) error {
	const block = 64 << 10
	zeros := make([]byte, block)
	for at := 0; at < len(data); at += block {
		b := data[at:min(at+block, len(data))]
		if bytes.Equal(b, zeros[:len(b)]) {
			continue
		}
		if _, err := f.WriteAt(b, int64(at)); err != nil {
			return err
		}
	}
	return f.Truncate(int64(len(data)))
}

// syncDir makes the names in a directory last. Systems that cannot do that for
// a directory say so with an error that is none of ours.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	d.Sync()
	return nil
}
