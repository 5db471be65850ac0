// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/enarx/enarx-go/image/cpio"
	"github.com/enarx/enarx-go/image/uki"
)

// Difference is the first file in which two images differ, and where in it.
type Difference struct {
	File string `json:"file"`
	// Part is the entry of initrd, the section of uki.efi or the byte where
	// the difference begins.
	Part string `json:"part,omitempty"`
	// Seen is the image's, Expected what a rebuild gives.
	Seen     string `json:"seen"`
	Expected string `json:"expected"`
}

func (d *Difference) String() string {
	where := d.File
	if d.Part != "" {
		where += " (" + d.Part + ")"
	}
	return fmt.Sprintf("%s: seen %s, expected %s", where, d.Seen, d.Expected)
}

// Compare compares an image with one that was built from the same inputs and
// returns the first difference, in the order of the manifest's files, then of
// the manifest itself. It returns nil if there is none.
func (i *Image) Compare(c *Contents) (*Difference, error) {
	for _, name := range append(fileOrder[:len(fileOrder):len(fileOrder)], FileManifest) {
		limit := int64(maxFile)
		seen, err := readFile(i.Path(name), limit)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		expected, ok := c.files[name]
		d := &Difference{File: name, Seen: "no such file", Expected: "no such file"}
		if err == nil {
			d.Seen = describe(seen)
		}
		if ok {
			d.Expected = describe(expected)
		}
		if (err == nil) != ok {
			return d, nil
		}
		if !ok || bytes.Equal(seen, expected) {
			continue
		}
		d.Part = differsAt(name, seen, expected)
		return d, nil
	}
	return nil, nil
}

func describe(b []byte) string { return fmt.Sprintf("%d bytes with sha256:%s", len(b), Digest(b)) }

// differsAt says in which part of a file two versions of it differ first.
func differsAt(name string, a, b []byte) string {
	switch name {
	case FileInitrd:
		ea, erra := cpio.Read(a)
		eb, errb := cpio.Read(b)
		if erra == nil && errb == nil {
			return firstEntry(ea, eb)
		}
	case FileUKI:
		sa, erra := uki.Sections(a)
		sb, errb := uki.Sections(b)
		if erra == nil && errb == nil {
			for i := range min(len(sa), len(sb)) {
				if sa[i].Name != sb[i].Name || !bytes.Equal(sa[i].Data, sb[i].Data) {
					return "section " + sb[i].Name
				}
			}
		}
	}
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return fmt.Sprintf("from byte %d on", n)
}

func firstEntry(a, b []cpio.Entry) string {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if x.Name != y.Name {
			return fmt.Sprintf("entry %q in place of %q", x.Name, y.Name)
		}
		if x.Mode != y.Mode || x.Major != y.Major || x.Minor != y.Minor || !bytes.Equal(x.Data, y.Data) {
			return fmt.Sprintf("entry %q", y.Name)
		}
	}
	return fmt.Sprintf("%d entries in place of %d", len(a), len(b))
}
