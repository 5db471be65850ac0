// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/disk"
	"github.com/enarx/enarx-go/image/uki"
	"github.com/enarx/enarx-go/internal/guestport"
)

func write(t testing.TB, c *image.Contents) *image.Image {
	t.Helper()
	i, err := c.Write(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestImageComesBack(t *testing.T) {
	c := build(t, fakeInputs(t))
	i := write(t, c)
	got, err := image.Open(context.Background(), i.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	for _, name := range allFiles {
		b, err := got.Read(name)
		if err != nil || !bytes.Equal(b, c.File(name)) {
			t.Errorf("%s: %v", name, err)
		}
		st, err := os.Stat(i.Path(name))
		if err != nil || st.Mode() != 0o644 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	if d, err := got.Compare(c); d != nil || err != nil {
		t.Errorf("%v, %v", d, err)
	}
	if got.KeepDigest() != image.Digest(fakeKeep()) {
		t.Errorf("Keep digest %s", got.KeepDigest())
	}
}

// TestOpenNamesTheDamagedFile changes, cuts, grows and removes every file.
func TestOpenNamesTheDamagedFile(t *testing.T) {
	i := write(t, build(t, fakeInputs(t)))
	for _, name := range allFiles {
		good, err := os.ReadFile(i.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(good)
		changed[len(changed)/2] ^= 1
		for how, b := range map[string][]byte{"changed": changed, "cut": good[:len(good)-1], "grown": append(bytes.Clone(good), 0), "removed": nil} {
			if err := os.Remove(i.Path(name)); err != nil {
				t.Fatal(err)
			}
			if b != nil {
				if err := os.WriteFile(i.Path(name), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var damaged *image.DamagedError
			if _, err := image.Open(context.Background(), i.Dir); !errors.As(err, &damaged) || damaged.File != name {
				t.Errorf("%s %s: %v", name, how, err)
			}
			// Who needs another file only is not stopped by it.
			other := image.FileKernel
			if name == other {
				other = image.FileInitrd
			}
			if _, err := image.Open(context.Background(), i.Dir, other); err != nil {
				t.Errorf("%s %s, and %s cannot be opened: %v", name, how, other, err)
			}
			if err := os.WriteFile(i.Path(name), good, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := image.Open(context.Background(), i.Dir); err != nil {
		t.Errorf("all put back: %v", err)
	}
}

// TestCheckFindsALie makes images whose digests match and whose manifest is
// not true: a Keep runtime, a module, a command line that are others.
func TestCheckFindsALie(t *testing.T) {
	honest := build(t, fakeInputs(t))
	in := fakeInputs(t)
	in.Keep[200] ^= 1
	other := build(t, in)
	in = fakeInputs(t)
	in.Debug = true
	debug := build(t, in)
	for name, lie := range map[string]func(m *image.Manifest, swap func(name string, from *image.Contents)){
		"another Keep runtime": func(m *image.Manifest, swap func(string, *image.Contents)) { swap(image.FileInitrd, other) },
		"another image for UEFI": func(m *image.Manifest, swap func(string, *image.Contents)) {
			swap(image.FileUKI, other)
		},
		"another disk": func(m *image.Manifest, swap func(string, *image.Contents)) { swap(image.FileDisk, other) },
		"debug unsaid": func(m *image.Manifest, swap func(string, *image.Contents)) {
			swap(image.FileCmdline, debug)
			swap(image.FileCmdlineSNP, debug)
			m.Cmdline, m.CmdlineSNP = debug.Manifest.Cmdline, debug.Manifest.CmdlineSNP
		},
		"debug unsaid on snp": func(m *image.Manifest, swap func(string, *image.Contents)) {
			swap(image.FileCmdlineSNP, debug)
			m.CmdlineSNP = debug.Manifest.CmdlineSNP
		},
		"module unsaid": func(m *image.Manifest, _ func(string, *image.Contents)) { m.Modules = m.Modules[1:] },
		"no kernel":     nil,
	} {
		i := write(t, honest)
		m := i.Manifest
		m.Files = append([]image.File{}, m.Files...)
		put := func(name string, b []byte) {
			if err := os.WriteFile(i.Path(name), b, 0o644); err != nil {
				t.Fatal(err)
			}
			for k := range m.Files {
				if m.Files[k].Name == name {
					m.Files[k] = image.File{Name: name, Size: int64(len(b)), SHA256: image.Digest(b)}
				}
			}
		}
		if lie == nil {
			put(image.FileKernel, []byte("no kernel"))
		} else {
			lie(&m, func(name string, from *image.Contents) { put(name, from.File(name)) })
		}
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		put(image.FileManifest, text)
		lied, err := image.Open(context.Background(), i.Dir)
		if err != nil {
			t.Errorf("%s: the digests match, and: %v", name, err)
			continue
		}
		if err := lied.Check(); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// TestCheckFindsWhatAStubWouldRead makes images for UEFI that have all that the
// manifest says, and something beside it that the stub hands to the kernel.
func TestCheckFindsWhatAStubWouldRead(t *testing.T) {
	honest := build(t, fakeInputs(t))
	for _, name := range []string{".ucode", ".dtb", ".profile", ".initrd", ".cmdline"} {
		img, err := uki.Append(honest.File(image.FileUKI), []uki.Section{{Name: ".other", Data: []byte("more")}})
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.LastIndex(img[:0x400], []byte(".other\x00\x00"))
		copy(img[at:at+8], append([]byte(name), 0, 0, 0)[:8])
		raw, err := disk.New(img)
		if err != nil {
			t.Fatal(err)
		}
		i := write(t, honest)
		m := i.Manifest
		m.Files = slices.Clone(m.Files)
		put := func(name string, b []byte) {
			if err := os.WriteFile(i.Path(name), b, 0o644); err != nil {
				t.Fatal(err)
			}
			if k := slices.IndexFunc(m.Files, func(f image.File) bool { return f.Name == name }); k >= 0 {
				m.Files[k] = image.File{Name: name, Size: int64(len(b)), SHA256: image.Digest(b)}
			}
		}
		put(image.FileUKI, img)
		put(image.FileDisk, raw)
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		put(image.FileManifest, text)
		lied, err := image.Open(context.Background(), i.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := lied.Check(); err == nil || !strings.Contains(err.Error(), "section "+name) {
			t.Errorf("%s beside what the manifest says: %v", name, err)
		}
	}
}

// TestCompareNamesTheFirstDifference changes one thing at a time.
func TestCompareNamesTheFirstDifference(t *testing.T) {
	base := build(t, fakeInputs(t))
	for name, c := range map[string]struct {
		change     func(in *image.Inputs)
		file, part string
	}{
		"Keep runtime": {func(in *image.Inputs) { in.Keep[300] ^= 1 }, image.FileInitrd, `entry "init"`},
		"module": {func(in *image.Inputs) {
			in.Kernel = fakeKernel(t, moduleDir+"kernel/drivers/misc/pvpanic/pvpanic.ko", fakeModule(""))
		}, image.FileInitrd, `entry "proc" in place of "modules/05-pvpanic.ko"`},
		"debug":   {func(in *image.Inputs) { in.Debug = true }, image.FileCmdline, "from byte"},
		"stub":    {func(in *image.Inputs) { in.Stub = nil }, image.FileUKI, ""},
		"release": {func(in *image.Inputs) { in.Release = "0.0.2" }, image.FileUKI, "section .osrel"},
		"commit":  {func(in *image.Inputs) { in.Commit = "" }, image.FileManifest, "from byte"},
	} {
		in := fakeInputs(t)
		c.change(&in)
		d, err := write(t, base).Compare(build(t, in))
		if err != nil || d == nil || d.File != c.file || !strings.HasPrefix(d.Part, c.part) {
			t.Errorf("%s: %v, %v; expected %s (%s)", name, d, err, c.file, c.part)
		}
	}
}

// TestDebugImageIsMarked holds that the mark is in the measured command lines of
// debug images and of no other.
func TestDebugImageIsMarked(t *testing.T) {
	for _, debug := range []bool{false, true} {
		in := fakeInputs(t)
		in.Debug = debug
		m := build(t, in).Manifest
		for _, line := range []string{m.Cmdline, m.CmdlineSNP} {
			words := strings.Fields(line)
			marked, console := false, false
			for _, w := range words {
				marked = marked || w == guestport.DebugWord
				console = console || strings.HasPrefix(w, "console=") || strings.HasPrefix(w, "earlyprintk")
			}
			if marked != debug || console != debug {
				t.Errorf("debug %v: marked %v, console %v in %q", debug, marked, console, line)
			}
		}
		if m.Debug != debug {
			t.Errorf("debug %v: manifest says %v", debug, m.Debug)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	dynamic := fakeKeep()
	dynamic[32], dynamic[54], dynamic[56] = 64, 56, 1 // one program header,
	dynamic[64] = 3                                   // PT_INTERP
	for name, c := range map[string]struct {
		change func(in *image.Inputs)
		want   string
	}{
		"no ELF":             {func(in *image.Inputs) { in.Keep = []byte("#!/bin/sh") }, "is no ELF"},
		"linked dynamically": {func(in *image.Inputs) { in.Keep = dynamic }, "linked dynamically"},
		"no release":         {func(in *image.Inputs) { in.Release = "" }, "is no Go program"},
		"no kernel":          {func(in *image.Inputs) { in.Kernel = fakeStub(t) }, "it is no kernel package"},
		"kernel too old": {func(in *image.Inputs) {
			old := []byte(fakeBzImage())
			old[0x206] = 2
			in.Kernel = pack(t, "linux", "1", "./boot/vmlinuz-1", string(old))
		}, "boot protocol 2.02"},
		"no module": {func(in *image.Inputs) {
			in.Kernel = pack(t, "linux", "1", "./boot/vmlinuz-1", fakeBzImage())
		}, "has no module virtio_pci, and it is not built in"},
		"circle of modules": {func(in *image.Inputs) {
			in.Kernel = pack(t, "linux", "1", "./boot/vmlinuz-1", fakeBzImage(),
				moduleDir+"kernel/a/virtio_pci.ko", fakeModule("virtio"), moduleDir+"kernel/a/virtio.ko", fakeModule("virtio_pci"))
		}, "depends on itself"},
		"compressed otherwise": {func(in *image.Inputs) {
			in.Kernel = pack(t, "linux", "1", "./boot/vmlinuz-1", fakeBzImage(), moduleDir+"kernel/a/virtio_pci.ko.zst", "x")
		}, "compressed in a way"},
		"no stub":           {func(in *image.Inputs) { in.Stub = fakeKernel(t) }, "is not systemd's package of the stub"},
		"signed stub":       {func(in *image.Inputs) { in.Stub = stubWith(t, func(b []byte) { b[0x40+24+112+32] = 1 }) }, "it is signed"},
		"command line":      {func(in *image.Inputs) { in.Cmdline = "two\nlines" }, "printable ASCII"},
		"long command line": {func(in *image.Inputs) { in.Cmdline = strings.Repeat("x", 2048) }, "expected 1 to 2047"},
	} {
		in := fakeInputs(t)
		c.change(&in)
		if _, err := image.Build(context.Background(), in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected an error with %q", name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := image.Build(ctx, fakeInputs(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func stubWith(t *testing.T, change func([]byte)) []byte {
	b := fakePE()
	change(b)
	return pack(t, "systemd-boot-efi", "1", "./usr/lib/systemd/boot/efi/linuxx64.efi.stub", string(b))
}

// TestSBOM holds what CycloneDX demands of a document and what we promise.
func TestSBOM(t *testing.T) {
	c := build(t, fakeInputs(t))
	var doc struct {
		Format, SpecVersion string
		SerialNumber        string
		Components          []struct {
			Type, Name, Version, PURL string
			Ref                       string `json:"bom-ref"`
			Hashes                    []struct{ Alg, Content string }
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	text := bytes.Replace(c.File(image.FileSBOM), []byte(`"bomFormat"`), []byte(`"format"`), 1)
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Format != "CycloneDX" || doc.SpecVersion != "1.6" || !strings.HasPrefix(doc.SerialNumber, "urn:uuid:") || len(doc.SerialNumber) != 45 {
		t.Errorf("%+v", doc)
	}
	refs := map[string]bool{"image": true}
	for _, c := range doc.Components {
		if refs[c.Ref] {
			t.Errorf("reference %q is there twice", c.Ref)
		}
		refs[c.Ref] = true
		if strings.ContainsAny(strings.TrimPrefix(c.PURL, "pkg:"), "+:") {
			t.Errorf("%q is not escaped", c.PURL)
		}
	}
	for _, d := range doc.Dependencies {
		for _, on := range append(d.DependsOn, d.Ref) {
			if !refs[on] {
				t.Errorf("%s depends on %s, which is no component", d.Ref, on)
			}
		}
	}
	for _, want := range []string{"keep", "kernel", "stub", "module:04-sev-guest.ko.xz"} {
		if !refs[want] {
			t.Errorf("no component %s", want)
		}
	}
	if bytes.Contains(text, []byte("timestamp")) {
		t.Error("a time is in it")
	}
}
