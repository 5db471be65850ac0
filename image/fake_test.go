// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/enarx/enarx-go/image"
)

// The fakes of this file have the shape of the real things and a thousandth of
// their size, so that tests can build images by the dozen.

// pack makes a Debian package of names and contents, in pairs.
func pack(t testing.TB, name, version string, files ...string) []byte {
	t.Helper()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\n", name, version)
	b := []byte("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", tarball(t, "./control", control)}, {"data.tar.xz", pressed(t, tarball(t, files...))}} {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		b = append(b, m.data...)
		if len(m.data)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

func tarball(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, files[i+1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pressed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 1 << 16, CheckSum: xz.CRC32}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// fakeBzImage has the magic numbers of the x86 boot protocol.
func fakeBzImage() string {
	b := make([]byte, 2048)
	binary.LittleEndian.PutUint16(b[0x1fe:], 0xaa55)
	copy(b[0x202:], "HdrS\x0f\x02")
	copy(b[0x400:], "kernel")
	return string(b)
}

// fakeModule is an ELF object with a section .modinfo and nothing else.
func fakeModule(depends string) string {
	names := "\x00.modinfo\x00.shstrtab\x00"
	info := "license=GPL\x00depends=" + depends + "\x00name=x\x00"
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 1)  // relocatable
	le.PutUint16(b[18:], 62) // x86-64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[40:], uint64(64+len(names)+len(info)))
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[58:], 64)
	le.PutUint16(b[60:], 3)
	le.PutUint16(b[62:], 2)
	b = append(b, names+info...)
	section := func(name, kind, offset, size int) {
		h := make([]byte, 64)
		le.PutUint32(h, uint32(name))
		le.PutUint32(h[4:], uint32(kind))
		le.PutUint64(h[24:], uint64(offset))
		le.PutUint64(h[32:], uint64(size))
		le.PutUint64(h[48:], 1)
		b = append(b, h...)
	}
	section(0, 0, 0, 0)
	section(1, 1, 64+len(names), len(info))
	section(10, 3, 64, len(names))
	return string(b)
}

const moduleDir = "./lib/modules/6.12.1-fake/"

// fakeKernel is a kernel package in which virtio_console is a module with a
// dependency and virtio_pci is built in.
func fakeKernel(t testing.TB, more ...string) []byte {
	t.Helper()
	files := []string{
		"./boot/vmlinuz-6.12.1-fake", fakeBzImage(),
		moduleDir + "modules.builtin", "kernel/drivers/virtio/virtio_pci.ko\n",
		moduleDir + "kernel/drivers/char/virtio_console.ko", fakeModule("virtio-ring"),
		moduleDir + "kernel/drivers/virtio/virtio_ring.ko", fakeModule(""),
		moduleDir + "kernel/drivers/virt/coco/tsm.ko.xz", string(pressed(t, []byte(fakeModule("configfs")))),
		moduleDir + "kernel/fs/configfs/configfs.ko.xz", string(pressed(t, []byte(fakeModule("")))),
		moduleDir + "kernel/drivers/virt/coco/sev-guest.ko.xz", string(pressed(t, []byte(fakeModule("tsm")))),
		moduleDir + "kernel/net/never.ko", fakeModule(""),
	}
	return pack(t, "linux-image-6.12.1-fake", "6.12.1-1", append(files, more...)...)
}

// fakeStub is a PE program with one section and room for more headers.
func fakeStub(t testing.TB) []byte {
	t.Helper()
	return pack(t, "systemd-boot-efi", "252.1-1", "./usr/lib/systemd/boot/efi/linuxx64.efi.stub", string(fakePE()))
}

func fakePE() []byte {
	b := make([]byte, 0x600)
	le := binary.LittleEndian
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], 0x40)
	h := b[0x40:]
	copy(h, "PE\x00\x00")
	le.PutUint16(h[4:], 0x8664)
	le.PutUint16(h[6:], 1)
	le.PutUint16(h[20:], 240)
	le.PutUint16(h[24:], 0x20b)
	le.PutUint32(h[24+32:], 4096)
	le.PutUint32(h[24+36:], 512)
	le.PutUint32(h[24+56:], 0x2000)
	le.PutUint32(h[24+60:], 0x400)
	le.PutUint32(h[24+108:], 16)
	s := b[0x40+24+240:]
	copy(s, ".sbat")
	le.PutUint32(s[8:], 5)
	le.PutUint32(s[12:], 0x1000)
	le.PutUint32(s[16:], 0x200)
	le.PutUint32(s[20:], 0x400)
	copy(b[0x400:], "sbat,")
	return b
}

// fakeKeep is an ELF that the kernel could start, and would fault in.
func fakeKeep() []byte {
	b := make([]byte, 4096)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 2)
	binary.LittleEndian.PutUint16(b[18:], 62)
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	copy(b[100:], "the Keep runtime")
	return b
}

func fakeInputs(t testing.TB) image.Inputs {
	t.Helper()
	return image.Inputs{Keep: fakeKeep(), Kernel: fakeKernel(t), Stub: fakeStub(t), Release: "0.0.1", Engine: "none v0", Commit: strings.Repeat("ab", 20)}
}

func build(t testing.TB, in image.Inputs) *image.Contents {
	t.Helper()
	c, err := image.Build(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// allFiles are the names of the files of a whole image.
var allFiles = []string{image.FileKernel, image.FileInitrd, image.FileCmdline, image.FileCmdlineSNP, image.FileUKI, image.FileDisk, image.FileSBOM}

func TestFakesAreWholeImages(t *testing.T) {
	c := build(t, fakeInputs(t))
	var names []string
	for _, f := range c.Manifest.Files {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, allFiles) {
		t.Errorf("files %v, expected %v", names, allFiles)
	}
	want := []string{"00-virtio_ring.ko", "01-virtio_console.ko", "02-configfs.ko.xz", "03-tsm.ko.xz", "04-sev-guest.ko.xz"}
	if !slices.Equal(c.Manifest.Modules, want) {
		t.Errorf("modules %v, expected %v", c.Manifest.Modules, want)
	}
	if p := c.Manifest.Platforms(); !slices.Equal(p, []string{"vm", "vtpm", "snp"}) {
		t.Errorf("platforms %v", p)
	}
}
