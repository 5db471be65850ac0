// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"io"
	"strings"

	"github.com/enarx/enarx-go/image/deb"
	"github.com/enarx/enarx-go/image/disk"
	"github.com/enarx/enarx-go/image/uki"
)

// stubFile is where systemd's package has the stub.
const stubFile = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"

// readStub takes the stub out of its package.
func readStub(b []byte) (deb.Control, []byte, error) {
	p, err := deb.Open(b)
	if err != nil {
		return deb.Control{}, nil, err
	}
	var stub []byte
	err = p.Files(func(name string, size int64, r io.Reader) error {
		if name != stubFile {
			return nil
		}
		var err error
		stub, err = readBounded(r, name, size, maxStub)
		return err
	})
	if err == nil && stub == nil {
		err = fmt.Errorf("package %s has no %s: it is not systemd's package of the stub", p.Control.Package, stubFile)
	}
	return p.Control, stub, err
}

// uki makes the unified kernel image, and the disk around it.
func (b *builder) uki() error {
	if b.Stub == nil {
		return nil
	}
	control, stub, err := readStub(b.Stub)
	if err != nil {
		return fmt.Errorf("UEFI stub: %w", err)
	}
	m := &b.c.Manifest
	m.Inputs = append(m.Inputs, Input{Name: InputStub, Package: control.Package, Version: control.Version, SHA256: Digest(b.Stub)})
	// In the order in which a stub measures them. The stub brings .sbat.
	img, err := uki.Append(stub, []uki.Section{
		{Name: ".linux", Data: b.c.files[FileKernel]},
		{Name: ".osrel", Data: []byte(osRelease(m))},
		{Name: ".cmdline", Data: []byte(m.Cmdline)},
		{Name: ".initrd", Data: b.c.files[FileInitrd]},
		{Name: ".uname", Data: []byte(b.kp.release)},
	})
	if err != nil {
		return err
	}
	b.add(FileUKI, img)
	raw, err := diskOf(img)
	if err != nil {
		return err
	}
	b.add(FileDisk, raw)
	b.step("uki", "%d bytes, disk %d bytes", len(img), len(raw))
	return nil
}

// osRelease is the section .osrel: os-release(5) of the image.
func osRelease(m *Manifest) string {
	var s strings.Builder
	fmt.Fprintf(&s, "ID=enarx-keep\nNAME=\"Enarx Keep\"\nPRETTY_NAME=\"Enarx Keep %s\"\nVERSION_ID=%q\n", m.Release, m.Release)
	if m.Debug {
		s.WriteString("VARIANT_ID=debug\n")
	}
	return s.String()
}

// diskOf makes the disk that boots a unified kernel image.
func diskOf(img []byte) ([]byte, error) { return disk.New(img) }
