// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Image is an image in a directory.
type Image struct {
	Dir      string
	Manifest Manifest
}

// Path returns where a file of the image lies.
func (i *Image) Path(name string) string { return filepath.Join(i.Dir, name) }

// KeepDigest is the SHA-256 digest of the Keep runtime in the image, in
// lower-case hexadecimal.
func (i *Image) KeepDigest() string {
	in, _ := i.Manifest.Input(InputKeep)
	return in.SHA256
}

// DamagedError says that a file of an image is not what its manifest says.
type DamagedError struct {
	File     string // its name in the image
	Seen     string
	Expected string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is %s, the manifest says %s; build the image again", e.File, e.Seen, e.Expected)
}

// Open reads the manifest of the image in dir and compares the files names, or
// all of the image's files if none is named, with it. The first that differs is
// reported as a *[DamagedError].
//
// That a directory agrees with its own manifest says that it is undamaged, not
// where it comes from: what a Keep was started from is for its measurement to
// say.
func Open(ctx context.Context, dir string, names ...string) (*Image, error) {
	i, err := OpenManifest(dir)
	if err != nil {
		return nil, err
	}
	m := &i.Manifest
	for _, name := range names {
		if _, ok := m.File(name); !ok {
			return nil, fmt.Errorf("opening image %s: it has no file %s", dir, name)
		}
	}
	for _, f := range m.Files {
		if len(names) > 0 && !slices.Contains(names, f.Name) {
			continue
		}
		if err := verifyFile(ctx, dir, f); err != nil {
			return nil, fmt.Errorf("opening image %s: %w", dir, err)
		}
	}
	return i, nil
}

// OpenManifest reads the manifest of the image in dir and looks at no other
// file.
func OpenManifest(dir string) (*Image, error) {
	b, err := readFile(filepath.Join(dir, FileManifest), maxManifest)
	if err != nil {
		return nil, fmt.Errorf("opening image %s: %w", dir, err)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("opening image %s: %w", dir, err)
	}
	return &Image{Dir: dir, Manifest: *m}, nil
}

func verifyFile(ctx context.Context, dir string, want File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	expected := fmt.Sprintf("%d bytes with sha256:%s", want.Size, want.SHA256)
	f, err := os.Open(filepath.Join(dir, want.Name))
	if errors.Is(err, os.ErrNotExist) {
		return &DamagedError{File: want.Name, Seen: "missing", Expected: expected}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() != want.Size {
		return &DamagedError{File: want.Name, Seen: fmt.Sprintf("%d bytes (%s)", st.Size(), st.Mode()), Expected: expected}
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, want.Size+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", want.Name, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != want.Size || got != want.SHA256 {
		return &DamagedError{File: want.Name, Seen: fmt.Sprintf("%d bytes with sha256:%s", n, got), Expected: expected}
	}
	return nil
}

// Read returns a file of the image, compared with the manifest while it is
// read: what is returned is what the manifest names.
func (i *Image) Read(name string) ([]byte, error) {
	want, ok := i.Manifest.File(name)
	if !ok {
		return nil, fmt.Errorf("image %s has no file %s", i.Dir, name)
	}
	b, err := readFile(i.Path(name), want.Size)
	if err != nil {
		return nil, err
	}
	if got := Digest(b); got != want.SHA256 {
		return nil, &DamagedError{File: name, Seen: fmt.Sprintf("%d bytes with sha256:%s", len(b), got),
			Expected: fmt.Sprintf("%d bytes with sha256:%s", want.Size, want.SHA256)}
	}
	return b, nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > limit {
		return nil, fmt.Errorf("%s is no regular file of at most %d bytes", path, limit)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return b, err
}

// DefaultDir is where `enarx image build` puts an image unless it is told
// otherwise, and where a loader looks for one: the directory "image" beside the
// executable exe if there is one, else one in the user's cache.
func DefaultDir(exe string) (string, error) {
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	beside := filepath.Join(filepath.Dir(exe), "image")
	if _, err := os.Stat(filepath.Join(beside, FileManifest)); err == nil {
		return beside, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no image beside %s, and no directory for caches: %w; name the image's directory", exe, err)
	}
	return filepath.Join(cache, "enarx", "image"), nil
}
