// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package uki makes unified kernel images: a UEFI stub, which is a PE program
// (Microsoft's "PE Format"), with kernel, initial RAM file system and command
// line appended as sections, so that the firmware loads and measures one file.
//
// General tools that add sections to a program lay them out for programs:
// firmware faults on what binutils' objcopy 2.40 makes of some stubs. Here every
// section starts on a page in memory, its virtual size is the exact size of its
// data, which is what a stub measures, and the program's own sections stay where
// they are.
package uki

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Section is a section of a PE program.
type Section struct {
	Name string // at most 8 bytes: ".linux"
	Data []byte // as in memory, without the padding of the file
}

// Offsets in the headers of a PE32+ program.
const (
	offLfanew        = 0x3c // in the DOS header: where the PE signature is
	coffSize         = 24   // signature and COFF header
	offSections      = 6    // from the signature: number of sections
	offOptionalSize  = 20
	offMagic         = 24
	offSectionAlign  = 24 + 32
	offFileAlign     = 24 + 36
	offSizeOfImage   = 24 + 56
	offSizeOfHeaders = 24 + 60
	offChecksum      = 24 + 64
	offDirectories   = 24 + 112
	minOptionalSize  = 112
	securityEntry    = 4 // of the data directories: where a signature is
	sectionHeader    = 40

	magicPE32Plus = 0x20b
	// readOnlyData is IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ.
	readOnlyData = 0x40000040
	fileAlign    = 512
	pageSize     = 4096
)

var le = binary.LittleEndian

// program is a PE program whose headers have been checked.
type program struct {
	b       []byte
	pe      int // offset of the PE signature
	table   int // offset of the section headers
	headers int // size of all headers, which is where section headers must end
	count   int
	align   uint32 // of sections in memory
}

func parse(b []byte) (*program, error) {
	if len(b) > maxProgram {
		return nil, fmt.Errorf("%d bytes, the most accepted is %d", len(b), maxProgram)
	}
	if len(b) < 64 || string(b[:2]) != "MZ" {
		return nil, errors.New("no DOS header: not a PE program")
	}
	pe := le.Uint32(b[offLfanew:])
	if pe < 64 || uint64(pe)+coffSize+minOptionalSize > uint64(len(b)) || string(b[pe:pe+4]) != "PE\x00\x00" {
		return nil, errors.New("no PE signature: not a PE program")
	}
	p := &program{b: b, pe: int(pe)}
	h := b[p.pe:]
	optional := int(le.Uint16(h[offOptionalSize:]))
	p.count = int(le.Uint16(h[offSections:]))
	p.table = p.pe + coffSize + optional
	p.headers = int(le.Uint32(h[offSizeOfHeaders:]))
	p.align = le.Uint32(h[offSectionAlign:])
	switch magic := le.Uint16(h[offMagic:]); {
	case magic != magicPE32Plus:
		return nil, fmt.Errorf("optional header of type %#x, expected PE32+ (%#x)", magic, magicPE32Plus)
	case optional < minOptionalSize:
		return nil, fmt.Errorf("optional header of %d bytes, expected at least %d", optional, minOptionalSize)
	case p.count > maxSections:
		return nil, fmt.Errorf("%d sections, the most accepted is %d", p.count, maxSections)
	case p.headers > len(b) || p.table+p.count*sectionHeader > p.headers:
		return nil, errors.New("the headers do not fit into their own size")
	case le.Uint32(h[offFileAlign:]) != fileAlign:
		return nil, fmt.Errorf("file alignment %d, expected %d", le.Uint32(h[offFileAlign:]), fileAlign)
	case p.align == 0 || p.align&(p.align-1) != 0 || p.align > 1<<16:
		return nil, fmt.Errorf("section alignment %d", p.align)
	}
	return p, nil
}

// place is where a section is.
type place struct {
	name                               string
	virtualSize, address, rawSize, raw uint32
}

func (p *program) section(i int) place {
	h := p.b[p.table+i*sectionHeader:]
	return place{
		name:        strings.TrimRight(string(h[:8]), "\x00"),
		virtualSize: le.Uint32(h[8:]), address: le.Uint32(h[12:]),
		rawSize: le.Uint32(h[16:]), raw: le.Uint32(h[20:]),
	}
}

// check demands that every section is in the file, and returns where the last
// ends in memory.
func (p *program) check() (end uint32, err error) {
	for i := range p.count {
		s := p.section(i)
		if uint64(s.raw)+uint64(s.rawSize) > uint64(len(p.b)) {
			return 0, fmt.Errorf("section %q ends outside the file", s.name)
		}
		top := uint64(s.address) + uint64(max(s.virtualSize, s.rawSize))
		if top > maxProgram {
			return 0, fmt.Errorf("section %q ends at %#x in memory, the most accepted is %#x", s.name, top, maxProgram)
		}
		end = max(end, uint32(top))
	}
	return end, nil
}

// Sections returns the sections of a program, with as many bytes of each as it
// has in memory. They share the memory of b.
func Sections(b []byte) ([]Section, error) {
	p, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("PE program: %w", err)
	}
	if _, err := p.check(); err != nil {
		return nil, fmt.Errorf("PE program: %w", err)
	}
	var all []Section
	for i := range p.count {
		s := p.section(i)
		n := min(s.virtualSize, s.rawSize)
		all = append(all, Section{Name: s.name, Data: b[s.raw : s.raw+n : s.raw+n]})
	}
	return all, nil
}

// Append returns the program stub with sections added. A signature of the stub
// would not cover them, so a signed stub is refused.
func Append(stub []byte, sections []Section) ([]byte, error) {
	p, err := parse(stub)
	if err != nil {
		return nil, fmt.Errorf("UEFI stub: %w", err)
	}
	end, err := p.check()
	if err != nil {
		return nil, fmt.Errorf("UEFI stub: %w", err)
	}
	if err := p.admit(sections); err != nil {
		return nil, fmt.Errorf("UEFI stub: %w", err)
	}
	size := up(len(stub), fileAlign)
	for _, s := range sections {
		size += up(len(s.Data), fileAlign)
	}
	if size > maxProgram {
		return nil, fmt.Errorf("unified kernel image of %d bytes, the most accepted is %d", size, maxProgram)
	}
	out := make([]byte, up(len(stub), fileAlign), size)
	copy(out, stub)
	for i, s := range sections {
		end = uint32(up(int(end), pageSize))
		h := out[p.table+(p.count+i)*sectionHeader:][:sectionHeader]
		copy(h, s.Name)
		le.PutUint32(h[8:], uint32(len(s.Data)))
		le.PutUint32(h[12:], end)
		le.PutUint32(h[16:], uint32(up(len(s.Data), fileAlign)))
		le.PutUint32(h[20:], uint32(len(out)))
		le.PutUint32(h[36:], readOnlyData)
		out = append(out, s.Data...)
		out = append(out, make([]byte, up(len(out), fileAlign)-len(out))...)
		end += uint32(len(s.Data))
	}
	h := out[p.pe:]
	le.PutUint16(h[offSections:], uint16(p.count+len(sections)))
	le.PutUint32(h[offSizeOfImage:], uint32(up(int(end), max(int(p.align), pageSize))))
	le.PutUint32(h[offChecksum:], 0) // UEFI does not ask for it
	return out, nil
}

// admit says whether sections can be added.
func (p *program) admit(sections []Section) error {
	if free := (p.headers - p.table) / sectionHeader; p.count+len(sections) > free {
		return fmt.Errorf("its headers have room for %d sections, needed are %d", free, p.count+len(sections))
	}
	// Room that is not empty belongs to something, such as a bound import.
	for _, c := range p.b[p.table+p.count*sectionHeader:][:len(sections)*sectionHeader] {
		if c != 0 {
			return errors.New("the room behind its section headers is in use")
		}
	}
	var names []string
	for i := range p.count {
		s := p.section(i)
		names = append(names, s.name)
		if s.raw != 0 && int(s.raw) < p.headers {
			return fmt.Errorf("section %q lies in the headers", s.name)
		}
	}
	for _, s := range sections {
		if s.Name == "" || len(s.Name) > 8 || slices.Contains(names, s.Name) {
			return fmt.Errorf("section name %q is empty, longer than 8 bytes or taken", s.Name)
		}
		if len(s.Data) == 0 {
			return fmt.Errorf("section %q is empty", s.Name)
		}
		names = append(names, s.Name)
	}
	if entry := p.pe + offDirectories + securityEntry*8; entry+8 <= p.table && le.Uint64(p.b[entry:]) != 0 {
		return errors.New("it is signed, and the signature would not cover what is added; use the unsigned one")
	}
	return nil
}

// up rounds n up to a multiple of a power of two.
func up(n, to int) int { return (n + to - 1) &^ (to - 1) }
