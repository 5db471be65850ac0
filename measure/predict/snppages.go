// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

// Page types of a launch (SNP firmware ABI, table 67).
const (
	pageNormal  = 1
	pageVMSA    = 2
	pageZero    = 3
	pageBlank   = 4 // "unmeasured": the contents are not
	pageSecrets = 5
	pageCPUID   = 6
)

// Section types of OVMF's SEV metadata.
const (
	sectionMemory  = 1
	sectionSecrets = 2
	sectionCPUID   = 3
	sectionSVSMCAA = 4
	sectionHashes  = 0x10
)

// vmsaGPA is the address under which a VMSA page is measured: all ones,
// aligned, in 48 bits.
const vmsaGPA = 0xfffffffff000

// update takes one page into the digest: PAGE_INFO (SNP firmware ABI, section
// 8.17.2, table 69) of 0x70 bytes.
func (l *sevLaunch) update(kind byte, gpa uint64, contents [sha512.Size384]byte) {
	const size = 0x70
	b := make([]byte, 0, size)
	b = append(append(b, l.digest...), contents[:]...)
	b = binary.LittleEndian.AppendUint16(b, size)
	b = append(b, kind, 0, 0, 0, 0, 0) // no IMI page, no permissions for VMPL 3 to 1
	b = binary.LittleEndian.AppendUint64(b, gpa)
	sum := sha512.Sum384(b)
	l.digest = sum[:]
}

// pages takes whole pages of data.
func (l *sevLaunch) pages(gpa uint64, data []byte, e Event) {
	sum := sha512.Sum384(data)
	for off := 0; off < len(data); off += pageSize {
		l.update(pageNormal, gpa+uint64(off), sha512.Sum384(data[off:off+pageSize]))
	}
	e.Type, e.Digest = "normal pages", sum[:]
	e.Detail = fmt.Sprintf("%d pages at %#x", len(data)/pageSize, gpa)
	l.events = append(l.events, e)
}

// blank takes pages whose contents are not measured.
func (l *sevLaunch) blank(kind byte, name string, s Section, size uint64) {
	for off := uint64(0); off < size; off += pageSize {
		l.update(kind, s.GPA+off, [sha512.Size384]byte{})
	}
	l.events = append(l.events, Event{Component: "firmware", Type: name, Digest: make([]byte, sha512.Size384),
		Detail: fmt.Sprintf("%d pages at %#x, contents not measured", size/pageSize, s.GPA)})
}

// snp computes the digest of SNP: the firmware's pages, the sections that its
// metadata names, and the processors' save areas.
func (l *sevLaunch) snp() error {
	l.digest = make([]byte, sha512.Size384)
	if l.o.FirmwareHash != nil {
		l.digest = append([]byte(nil), l.o.FirmwareHash...)
		l.events = append(l.events, Event{Component: "firmware", Type: "normal pages", Digest: l.digest, Detail: "launch digest after the firmware, as given"})
	} else {
		l.pages(l.fw.gpa(), l.fw.image, Event{Component: "firmware"})
	}
	if err := l.sections(); err != nil {
		return err
	}
	return l.vmsas(l.o.Features, func(page []byte, e Event) {
		sum := sha512.Sum384(page)
		l.update(pageVMSA, vmsaGPA, sum)
		e.Digest = sum[:]
		l.events = append(l.events, e)
	})
}

// sections takes what the metadata names, in its order; EC2 loads the CPUID
// page after all others.
func (l *sevLaunch) sections() error {
	all, err := l.fw.SNP()
	if err != nil {
		return err
	}
	hashed := false
	var late []Section
	for i, s := range all {
		switch s.Type {
		case sectionMemory:
			if l.o.VMM == GCE {
				l.blank(pageBlank, "unmeasured pages", s, s.Size)
				continue
			}
			l.zero(s)
		case sectionSecrets:
			l.blank(pageSecrets, "secrets page", s, pageSize)
		case sectionCPUID:
			if l.o.VMM == EC2 {
				late = append(late, s)
				continue
			}
			l.blank(pageCPUID, "CPUID page", s, pageSize)
		case sectionSVSMCAA:
			l.zero(s)
		case sectionHashes:
			if l.hashes == nil {
				l.zero(s)
				continue
			}
			if err := l.hashesPage(s); err != nil {
				return err
			}
			hashed = true
		default:
			return fmt.Errorf("firmware metadata: section %d of type %#x, which is not known; this firmware is newer than this program", i, s.Type)
		}
	}
	for _, s := range late {
		l.blank(pageCPUID, "CPUID page", s, pageSize)
	}
	if l.hashes != nil && !hashed {
		return fmt.Errorf("firmware metadata has no section for kernel hashes; take a firmware that does, such as Debian's OVMF.amdsev.fd")
	}
	return nil
}

// zero takes a section of zero pages.
func (l *sevLaunch) zero(s Section) { l.blank(pageZero, "zero pages", s, s.Size) }

// hashesPage takes the page that holds the table of hashes.
func (l *sevLaunch) hashesPage(s Section) error {
	gpa, _ := l.fw.number(guidHashesTable)
	table, off := l.hashes.bytes(), int(gpa%pageSize)
	if s.Size != pageSize || uint64(gpa)-uint64(off) != s.GPA || off+len(table) > pageSize {
		return fmt.Errorf("firmware: hashes table at %#x does not lie in its section of %d bytes at %#x", gpa, s.Size, s.GPA)
	}
	page := make([]byte, pageSize)
	copy(page[off:], table)
	l.pages(s.GPA, page, Event{Component: "hashes page"})
	l.events = append(l.events, l.hashes.events()...)
	return nil
}
