// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Inputs are what an image is made of: whole files, whose digests the caller
// has compared with what is pinned ([Lock]).
type Inputs struct {
	Keep   []byte // the Keep runtime, a static ELF
	Kernel []byte // Debian package of the kernel
	Stub   []byte // Debian package of the UEFI stub; without it there is no uki.efi and no disk.raw
	Debug  bool
	Commit string // source commit for the manifest, if known

	// Release and Engine are read from the Keep runtime if they are empty.
	Release, Engine string
	// Cmdline replaces the command line of the image, for tests of
	// measurements: such an image is nobody's release.
	Cmdline string
	// Step is called after each step of the build, if it is not nil.
	Step func(name, detail string)
}

// Contents is a whole image in memory.
type Contents struct {
	Manifest Manifest
	files    map[string][]byte
}

// File returns the bytes of a file, or nil. They must not be changed.
func (c *Contents) File(name string) []byte { return c.files[name] }

// Build makes an image. The same inputs give the same bytes.
func Build(ctx context.Context, in Inputs) (*Contents, error) {
	b := &builder{Inputs: in, c: &Contents{files: map[string][]byte{}}}
	for _, step := range []func() error{b.keep, b.kernel, b.cmdlines, b.initrd, b.uki, b.sbom, b.manifest} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.c, nil
}

type builder struct {
	Inputs
	c       *Contents
	kp      *kernelPackage
	modules []moduleFile // in load order
}

func (b *builder) step(name, format string, args ...any) {
	if b.Step != nil {
		b.Step(name, fmt.Sprintf(format, args...))
	}
}

func (b *builder) add(name string, data []byte) {
	b.c.files[name] = data
}

func (b *builder) keep() error {
	if err := checkKeep(b.Keep); err != nil {
		return err
	}
	m := &b.c.Manifest
	m.Version, m.Arch, m.Debug, m.Commit = ManifestVersion, "amd64", b.Debug, b.Commit
	m.Release, m.Engine = b.Release, b.Engine
	if m.Release == "" || m.Engine == "" {
		release, engine, err := describeKeep(b.Keep)
		if err != nil {
			return err
		}
		m.Release, m.Engine = release, engine
	}
	m.Inputs = append(m.Inputs, Input{Name: InputKeep, SHA256: Digest(b.Keep)})
	b.step("keep", "%s, %s", m.Release, m.Engine)
	return nil
}

func (b *builder) kernel() error {
	k, err := readKernel(b.Kernel)
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	b.kp = k
	b.c.Manifest.Inputs = append(b.c.Manifest.Inputs,
		Input{Name: InputKernel, Package: k.control.Package, Version: k.control.Version, SHA256: Digest(b.Kernel)})
	b.add(FileKernel, k.image)
	b.step("kernel", "%s", k.release)
	return nil
}

func (b *builder) cmdlines() error {
	m := &b.c.Manifest
	m.Cmdline, m.CmdlineSNP = Cmdlines(b.Debug)
	if b.Cmdline != "" {
		m.Cmdline, m.CmdlineSNP = b.Cmdline, b.Cmdline+" "+join(snpWords)
	}
	if err := checkCmdline(m.Cmdline); err != nil {
		return err
	}
	if err := checkCmdline(m.CmdlineSNP); err != nil {
		return err
	}
	b.add(FileCmdline, []byte(m.Cmdline))
	b.add(FileCmdlineSNP, []byte(m.CmdlineSNP))
	return nil
}

// checkCmdline demands one line of printable ASCII that the kernel takes whole.
func checkCmdline(s string) error {
	if s == "" || len(s) > maxCmdline {
		return fmt.Errorf("command line of %d bytes, expected 1 to %d", len(s), maxCmdline)
	}
	if i := bytes.IndexFunc([]byte(s), func(r rune) bool { return r < 0x20 || r > 0x7e }); i >= 0 {
		return fmt.Errorf("command line has %#x at byte %d, expected printable ASCII", s[i], i)
	}
	return nil
}

func (b *builder) initrd() error {
	order, err := b.kp.loadOrder()
	if err != nil {
		return err
	}
	b.modules = order
	cpio, names, err := initrd(b.Keep, order)
	if err != nil {
		return err
	}
	b.c.Manifest.Modules = names
	b.add(FileInitrd, cpio)
	b.step("initrd", "%d bytes, %d modules", len(cpio), len(names))
	return nil
}

func (b *builder) manifest() error {
	m := &b.c.Manifest
	for _, name := range fileOrder {
		if data, ok := b.c.files[name]; ok {
			m.Files = append(m.Files, File{Name: name, Size: int64(len(data)), SHA256: Digest(data)})
		}
	}
	text, err := m.Encode()
	if err != nil {
		return err
	}
	if _, err := ParseManifest(text); err != nil {
		return err
	}
	b.add(FileManifest, text)
	return nil
}

// fileOrder is the order of the files in a manifest.
var fileOrder = []string{FileKernel, FileInitrd, FileCmdline, FileCmdlineSNP, FileUKI, FileDisk, FileSBOM}

// Encode returns the manifest as it is stored.
func (m *Manifest) Encode() ([]byte, error) {
	c := *m
	if c.Modules == nil {
		c.Modules = []string{}
	}
	text, err := json.MarshalIndent(&c, "", "  ")
	return append(text, '\n'), err
}

// Input returns the input of a role.
func (m *Manifest) Input(name string) (Input, bool) {
	i := slices.IndexFunc(m.Inputs, func(in Input) bool { return in.Name == name })
	if i < 0 {
		return Input{}, false
	}
	return m.Inputs[i], true
}

// File returns what the manifest says of a file.
func (m *Manifest) File(name string) (File, bool) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return File{}, false
	}
	return m.Files[i], true
}

// Digest is how manifests write a SHA-256 digest.
func Digest(b []byte) string {
	d := sha256.Sum256(b)
	return hex.EncodeToString(d[:])
}
