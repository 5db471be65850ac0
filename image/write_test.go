// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/enarx/enarx-go/image"
)

// TestInvariant12NothingHalfDone_LeftoversOfOthersStay puts directories beside an
// image: what a killed build has left is removed, and nothing else, whatever it
// is called.
func TestInvariant12NothingHalfDone_LeftoversOfOthersStay(t *testing.T) {
	c := build(t, fakeInputs(t))
	parent := t.TempDir()
	put := func(names ...string) {
		t.Helper()
		path := filepath.Join(append([]string{parent}, names...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(".enarx-image-1", image.FileKernel) // of a build that was killed
	put(".enarx-image-2", image.FileKernel) // with a file of somebody's
	put(".enarx-image-2", "thesis")         //
	put(".image-cache", "picture")          // of another program
	put("elsewhere", image.FileKernel)      // behind a link
	if err := os.Symlink("elsewhere", filepath.Join(parent, ".enarx-image-3")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(filepath.Join(parent, "image")); err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{
		".enarx-image-1": false, ".enarx-image-2/thesis": true, ".image-cache/picture": true, ".enarx-image-3": true, "elsewhere/" + image.FileKernel: true,
	} {
		if _, err := os.Lstat(filepath.Join(parent, name)); (err == nil) != stays {
			t.Errorf("%s: %v, expected to be there: %v", name, err, stays)
		}
	}
	left, err := filepath.Glob(filepath.Join(parent, ".enarx-image-*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left beside the image: %v, %v", left, err)
	}
}
