// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package deb reads Debian binary packages (deb(5)): an ar archive of
// debian-binary, control.tar and data.tar. It needs no program of the host, so
// that an image can be built on any operating system.
//
// A package is data from elsewhere. Whoever cares which one it is compares its
// digest first; what is read after that is bounded all the same.
package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// Control is what a package says of itself.
type Control struct {
	Package, Version, Architecture string
}

// Package is an opened package.
type Package struct {
	Control Control
	data    member
}

// member is a member of the ar archive, still compressed.
type member struct {
	name  string
	bytes []byte
}

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// Open reads the package's control file; its data are read by [Package.Files].
// It keeps b.
func Open(b []byte) (*Package, error) {
	members, err := readAr(b)
	if err != nil {
		return nil, fmt.Errorf("debian package: %w", err)
	}
	if len(members) != 3 || members[0].name != "debian-binary" || string(members[0].bytes) != "2.0\n" ||
		!strings.HasPrefix(members[1].name, "control.tar") || !strings.HasPrefix(members[2].name, "data.tar") {
		return nil, errors.New("debian package: expected the members debian-binary (2.0), control.tar and data.tar, in this order")
	}
	p := &Package{data: members[2]}
	err = walk(members[1], maxControl, func(name string, size int64, r io.Reader) error {
		if name != "control" {
			return nil
		}
		if size > maxField {
			return fmt.Errorf("control file of %d bytes, the most accepted is %d", size, maxField)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		p.Control = parseControl(string(text))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("debian package: %s: %w", members[1].name, err)
	}
	if p.Control.Package == "" || p.Control.Version == "" {
		return nil, errors.New("debian package: its control file names no package and version")
	}
	return p, nil
}

// Files calls visit for every regular file in the package's data, by its path
// without leading "./". A visit need not read. The first error ends it.
func (p *Package) Files(visit func(name string, size int64, r io.Reader) error) error {
	if err := walk(p.data, maxUnpacked, visit); err != nil {
		return fmt.Errorf("package %s: %s: %w", p.Control.Package, p.data.name, err)
	}
	return nil
}

// readAr splits an ar archive (the common format without long names).
func readAr(b []byte) ([]member, error) {
	if len(b) > maxPackage {
		return nil, fmt.Errorf("%d bytes, the most accepted is %d", len(b), maxPackage)
	}
	rest, ok := bytes.CutPrefix(b, []byte(arMagic))
	if !ok {
		return nil, errors.New("no ar archive")
	}
	var members []member
	for len(rest) > 0 && len(members) < 4 {
		if len(rest) < arHeader || string(rest[58:60]) != "`\n" {
			return nil, errors.New("ar: member header is damaged or cut short")
		}
		name := strings.TrimSuffix(strings.TrimRight(string(rest[:16]), " "), "/")
		digits := strings.TrimRight(string(rest[48:58]), " ")
		size, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("ar: member %q has a size of %q", name, digits)
		}
		rest = rest[arHeader:]
		if uint64(len(rest)) < size {
			return nil, fmt.Errorf("ar: member %q is cut short", name)
		}
		members = append(members, member{name, rest[:size:size]})
		rest = rest[size:]
		if size%2 == 1 && len(rest) > 0 {
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		return nil, errors.New("ar: more members than a package has")
	}
	return members, nil
}

// unpack is the reader of a member's tar archive.
func unpack(m member, limit int64) (io.Reader, error) {
	switch ext := strings.TrimPrefix(path.Ext(m.name), "."); ext {
	case "tar":
		return bytes.NewReader(m.bytes), nil
	case "gz":
		return gzip.NewReader(bytes.NewReader(m.bytes))
	case "xz":
		return newXZ(m.bytes, limit)
	default:
		return nil, fmt.Errorf("compressed with %q, expected xz, gz or nothing", ext)
	}
}

// walk visits the regular files of a tar archive. The first name counts: an
// archive that has one twice is refused.
func walk(m member, limit int64, visit func(name string, size int64, r io.Reader) error) error {
	r, err := unpack(m, limit)
	if err != nil {
		return err
	}
	bounded := &io.LimitedReader{R: r, N: limit}
	seen := map[string]bool{}
	for tr := tar.NewReader(bounded); ; {
		h, err := tr.Next()
		switch {
		case err == io.EOF && bounded.N > 0:
			return drain(bounded)
		case bounded.N <= 0:
			return fmt.Errorf("unpacks to more than the accepted %d bytes", limit)
		case err != nil:
			return fmt.Errorf("tar: %w", err)
		case len(seen) >= maxFiles:
			return fmt.Errorf("more than the accepted %d files", maxFiles)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := strings.TrimPrefix(h.Name, "./")
		if seen[name] {
			return fmt.Errorf("file %q is there twice", name)
		}
		seen[name] = true
		if err := visit(name, h.Size, tr); err != nil {
			return err
		}
	}
}

// drain reads on to the end, where the compression's checksums are.
func drain(r *io.LimitedReader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if r.N <= 0 {
		return errors.New("data follow the end of the archive")
	}
	return nil
}

// parseControl reads the fields that we ask for.
func parseControl(text string) Control {
	var c Control
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Package":
			c.Package = value
		case "Version":
			c.Version = value
		case "Architecture":
			c.Architecture = value
		}
	}
	return c
}
