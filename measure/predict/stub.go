// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// uki is a unified kernel image: the UEFI stub of systemd with sections for it.
type uki struct {
	file    *peFile
	version int // of the stub
	kernel  []byte
	initrd  []byte
	cmdline string
	osrel   []byte // nil without such a section
}

// stubMagic stands in the stub's section .sdmagic before its version.
const stubMagic = "#### LoaderInfo: systemd-stub "

// stubSections are the sections that a stub measures, in its order
// (src/boot/efi, stub.c and uki.c: the order of enum UnifiedSection).
var stubSections = map[int][]string{
	252: {".linux", ".osrel", ".cmdline", ".initrd", ".splash"},
	257: {".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".uname", ".sbat"},
}

// stubOthers are sections with a meaning to some stub that is not predicted
// here: they would add to the initrd or change what is started.
var stubOthers = []string{".ucode", ".dtb", ".dtbauto", ".hwids", ".pcrsig", ".pcrpkey", ".profile", ".efifw"}

// parseUKI reads a UKI. Stubs whose measurements were not compared with a real
// boot are refused, and so are sections that are not understood.
func parseUKI(b []byte) (*uki, error) {
	f, err := parsePE(b)
	if err != nil {
		return nil, fmt.Errorf("UKI: %w", err)
	}
	u := &uki{file: f}
	if u.version, err = stubVersion(b); err != nil {
		return nil, fmt.Errorf("UKI: %w", err)
	}
	if stubSections[u.version] == nil {
		return nil, fmt.Errorf("UKI: systemd-stub of version %d: what it measures is known for 252 and 257 only", u.version)
	}
	for _, s := range f.sections {
		if slices.Contains(stubOthers, s.name) {
			return nil, fmt.Errorf("UKI: section %s is not predicted here; build the image without it", s.name)
		}
	}
	var cmdline []byte
	for name, to := range map[string]*[]byte{".linux": &u.kernel, ".initrd": &u.initrd, ".cmdline": &cmdline, ".osrel": &u.osrel} {
		data, ok, err := f.section(name)
		if err != nil {
			return nil, fmt.Errorf("UKI: %w", err)
		}
		if !ok && name != ".osrel" {
			return nil, fmt.Errorf("UKI: no section %s", name)
		}
		*to = data
	}
	// The stub turns control characters at the end into blanks and drops those.
	u.cmdline = string(bytes.TrimRight(cmdline, " \t\r\n\x00"))
	if err := checkCmdline(u.cmdline); err != nil {
		return nil, fmt.Errorf("UKI: %w", err)
	}
	return u, nil
}

func stubVersion(b []byte) (int, error) {
	_, rest, ok := bytes.Cut(b, []byte(stubMagic))
	if !ok {
		return 0, fmt.Errorf("no systemd-stub in it")
	}
	n := 0
	for n < len(rest) && n < 5 && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	v, err := strconv.Atoi(string(rest[:n]))
	if err != nil {
		return 0, fmt.Errorf("systemd-stub without a version")
	}
	return v, nil
}

// sectionEvents are the two events that the stub makes of each section: its
// name and its contents.
func (u *uki) sectionEvents(event eventMaker) ([]Event, error) {
	var out []Event
	for _, name := range stubSections[u.version] {
		data, ok, err := u.file.section(name)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		what := map[string]string{".linux": "kernel", ".cmdline": "command line", ".initrd": "initrd"}[name]
		if what == "" {
			what = "UKI section " + name
		}
		out = append(out,
			event(what, evIPL, append([]byte(name), 0), "name of UKI section "+name),
			event(what, evIPL, data, fmt.Sprintf("UKI section %s, %d bytes", name, len(data))))
	}
	return out, nil
}

// loadedInitrd is what the stub hands to the kernel: the section, and from
// version 257 on a second archive with the section .osrel as a file, so that
// the initrd can tell which image it belongs to.
func (u *uki) loadedInitrd() []byte {
	if u.version < 257 || u.osrel == nil {
		return u.initrd
	}
	b := bytes.Clone(u.initrd)
	b = append(b, make([]byte, -len(b)&3)...)
	return appendStubArchive(b, "os-release", u.osrel)
}

// appendStubArchive is the stub's writer of one file in /.extra (cpio.c,
// pack_cpio_literal): newc with lower-case digits, but for the trailer.
func appendStubArchive(b []byte, name string, data []byte) []byte {
	header := func(ino, mode, size int, name string) {
		b = fmt.Appendf(b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ino, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0)
		b = append(append(b, name...), 0)
		b = append(b, make([]byte, -len(b)&3)...)
	}
	header(1, 0o40555, 0, ".extra")
	header(2, 0o100444, len(data), ".extra/"+name)
	b = append(b, data...)
	b = append(b, make([]byte, -len(b)&3)...)
	return fmt.Appendf(b, "070701%032d%08d%048d0000000B%08dTRAILER!!!\x00\x00\x00\x00", 0, 1, 0, 0)
}
