// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/image/cpio"
	"github.com/enarx/enarx-go/image/uki"
	"github.com/enarx/enarx-go/internal/guestport"
)

// Check looks into the files of an image: that they hold what the manifest says
// of them, and nothing beside it. [Open] compares digests, which whoever makes
// an image can make match; Check finds a manifest that does not tell the truth.
// That the image is the one that its inputs give is for a rebuild to say.
func (i *Image) Check() error {
	kernel, err := i.Read(FileKernel)
	if err != nil {
		return err
	}
	if err := checkKernel(kernel); err != nil {
		return fmt.Errorf("%s: %w", FileKernel, err)
	}
	ram, err := i.Read(FileInitrd)
	if err != nil {
		return err
	}
	if err := i.Manifest.checkInitrd(ram); err != nil {
		return fmt.Errorf("%s: %w", FileInitrd, err)
	}
	for name, text := range map[string]string{FileCmdline: i.Manifest.Cmdline, FileCmdlineSNP: i.Manifest.CmdlineSNP} {
		if debug := slices.Contains(strings.Fields(text), guestport.DebugWord); debug != i.Manifest.Debug {
			return fmt.Errorf("%s: debug is %v in the manifest and %v in the command line", name, i.Manifest.Debug, debug)
		}
	}
	if _, ok := i.Manifest.File(FileUKI); !ok {
		return nil
	}
	img, err := i.Read(FileUKI)
	if err != nil {
		return err
	}
	if err := i.Manifest.checkUKI(img, kernel, ram); err != nil {
		return fmt.Errorf("%s: %w", FileUKI, err)
	}
	raw, err := i.Read(FileDisk)
	if err != nil {
		return err
	}
	if want, err := diskOf(img); err != nil || !bytes.Equal(raw, want) {
		return fmt.Errorf("%s is not the disk that boots %s (%v)", FileDisk, FileUKI, err)
	}
	return nil
}

// checkInitrd compares an initial RAM file system with the manifest.
func (m *Manifest) checkInitrd(b []byte) error {
	entries, err := cpio.Read(b)
	if err != nil {
		return err
	}
	keep, _ := m.Input(InputKeep)
	dir := path.Base(guestport.ModulesDir)
	var modules []string
	for _, e := range entries {
		switch {
		case e.Name == "init":
			if got := Digest(e.Data); got != keep.SHA256 || e.Mode != cpio.Regular|0o755 {
				return fmt.Errorf("/init has sha256:%s and mode %#o, the manifest says that the Keep runtime has sha256:%s", got, e.Mode, keep.SHA256)
			}
		case path.Dir(e.Name) == dir:
			modules = append(modules, path.Base(e.Name))
		case e.Mode&cpio.TypeMask == cpio.Regular:
			return fmt.Errorf("%s is in it, which no Keep image has", e.Name)
		}
	}
	if !slices.Equal(modules, m.Modules) {
		return fmt.Errorf("it has the modules %v, the manifest says %v", modules, m.Modules)
	}
	if !slices.ContainsFunc(entries, func(e cpio.Entry) bool { return e.Name == "init" }) {
		return errors.New("it has no /init")
	}
	return nil
}

// unused are sections with a meaning to UEFI stubs (systemd-stub(7)) that no Keep
// image has: they would add to the initial RAM file system, describe hardware or
// choose among command lines.
var unused = []string{".ucode", ".dtb", ".dtbauto", ".hwids", ".efifw", ".splash", ".pcrsig", ".pcrpkey", ".profile"}

// checkUKI compares the sections of a unified kernel image with the files that
// they were made from.
func (m *Manifest) checkUKI(b, kernel, ram []byte) error {
	sections, err := uki.Sections(b)
	if err != nil {
		return err
	}
	want := map[string][]byte{".linux": kernel, ".initrd": ram, ".cmdline": []byte(m.Cmdline), ".osrel": []byte(osRelease(m))}
	seen := map[string]bool{}
	for _, s := range sections {
		if seen[s.Name] || slices.Contains(unused, s.Name) {
			return fmt.Errorf("section %s is there twice, or is one that no Keep image has", s.Name)
		}
		seen[s.Name] = true
		data, ok := want[s.Name]
		if !ok {
			continue
		}
		if !bytes.Equal(s.Data, data) {
			return fmt.Errorf("section %s is not what the manifest says", s.Name)
		}
		delete(want, s.Name)
	}
	for name := range want {
		return fmt.Errorf("it has no section %s", name)
	}
	return nil
}

// Platforms lists the platforms that an image with this manifest can serve: a
// kernel without the drivers of a TEE cannot be attested in it.
func (m *Manifest) Platforms() []string {
	p := []string{"vm"}
	if _, ok := m.File(FileUKI); ok {
		p = append(p, "vtpm")
	}
	for _, tee := range []struct{ platform, module string }{{"snp", "sev-guest"}, {"tdx", "tdx-guest"}} {
		for _, name := range m.Modules {
			if strings.Contains(name, "-"+tee.module+".ko") {
				p = append(p, tee.platform)
			}
		}
	}
	return p
}
