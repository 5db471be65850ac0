// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package uki

import (
	"bytes"
	"debug/pe"
	"strings"
	"testing"
)

// stub is a PE program with one section and room for seven more.
func stub() []byte {
	b := make([]byte, 0x600)
	copy(b, "MZ")
	le.PutUint32(b[offLfanew:], 0x40)
	h := b[0x40:]
	copy(h, "PE\x00\x00")
	le.PutUint16(h[4:], 0x8664)
	le.PutUint16(h[offSections:], 1)
	le.PutUint16(h[offOptionalSize:], 240)
	le.PutUint16(h[offMagic:], magicPE32Plus)
	le.PutUint32(h[offSectionAlign:], 4096)
	le.PutUint32(h[offFileAlign:], fileAlign)
	le.PutUint32(h[offSizeOfImage:], 0x2000)
	le.PutUint32(h[offSizeOfHeaders:], 0x400)
	le.PutUint32(h[offChecksum:], 0x1234)
	le.PutUint32(h[24+108:], 16)
	s := b[0x40+24+240:]
	copy(s, ".text")
	le.PutUint32(s[8:], 0x150)
	le.PutUint32(s[12:], 0x1000)
	le.PutUint32(s[16:], 0x200)
	le.PutUint32(s[20:], 0x400)
	copy(b[0x400:], "code")
	return b
}

func sections() []Section {
	return []Section{
		{".linux", bytes.Repeat([]byte("kernel"), 1500)},
		{".osrel", []byte("ID=x")},
		{".initrd", bytes.Repeat([]byte{7}, 512)},
	}
}

// TestAppend reads the result with the standard library's reader.
func TestAppend(t *testing.T) {
	b, err := Append(stub(), sections())
	if err != nil {
		t.Fatal(err)
	}
	f, err := pe.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Sections) != 4 || f.Sections[0].Name != ".text" || f.Sections[0].VirtualAddress != 0x1000 {
		t.Fatalf("%d sections, the first is %+v", len(f.Sections), f.Sections[0])
	}
	h := f.OptionalHeader.(*pe.OptionalHeader64)
	end := uint32(0x1150)
	for i, s := range sections() {
		got := f.Sections[i+1]
		data, err := got.Data()
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != s.Name || got.VirtualSize != uint32(len(s.Data)) || !bytes.Equal(data[:len(s.Data)], s.Data) || strings.Trim(string(data[len(s.Data):]), "\x00") != "" {
			t.Errorf("section %s came out as %+v", s.Name, got.SectionHeader)
		}
		if got.VirtualAddress%pageSize != 0 || got.VirtualAddress < end || got.Offset%fileAlign != 0 || got.Size%fileAlign != 0 {
			t.Errorf("section %s lies at %#x in memory and %#x in the file", s.Name, got.VirtualAddress, got.Offset)
		}
		end = got.VirtualAddress + got.VirtualSize
	}
	if h.SizeOfImage < end || h.SizeOfImage%4096 != 0 || h.SizeOfImage >= end+4096 || h.CheckSum != 0 {
		t.Errorf("size of the image %#x with an end at %#x, checksum %#x", h.SizeOfImage, end, h.CheckSum)
	}
	got, err := Sections(b)
	if err != nil || len(got) != 4 || !bytes.Equal(got[1].Data, sections()[0].Data) {
		t.Errorf("%d sections, %v", len(got), err)
	}
	again, err := Append(stub(), sections())
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("a second time it is different: %v", err)
	}
}

// TestInvariant4HostileInputIsBounded_BadStubs breaks one field at a time.
func TestInvariant4HostileInputIsBounded_BadStubs(t *testing.T) {
	const pe, table = 0x40, 0x40 + 24 + 240
	for name, c := range map[string]struct {
		change func(b []byte)
		want   string
	}{
		"no DOS header":      {func(b []byte) { b[0] = 'X' }, "no DOS header"},
		"header outside":     {func(b []byte) { le.PutUint32(b[offLfanew:], 0xfffffff0) }, "no PE signature"},
		"header at the end":  {func(b []byte) { le.PutUint32(b[offLfanew:], 0x5f0) }, "no PE signature"},
		"32 bits":            {func(b []byte) { le.PutUint16(b[pe+offMagic:], 0x10b) }, "expected PE32+"},
		"short header":       {func(b []byte) { le.PutUint16(b[pe+offOptionalSize:], 4) }, "optional header of 4 bytes"},
		"many sections":      {func(b []byte) { le.PutUint16(b[pe+offSections:], 0xffff) }, "the most accepted is"},
		"headers too large":  {func(b []byte) { le.PutUint32(b[pe+offSizeOfHeaders:], 0xffffffff) }, "do not fit"},
		"headers too small":  {func(b []byte) { le.PutUint32(b[pe+offSizeOfHeaders:], table) }, "do not fit"},
		"file alignment":     {func(b []byte) { le.PutUint32(b[pe+offFileAlign:], 32) }, "file alignment"},
		"section alignment":  {func(b []byte) { le.PutUint32(b[pe+offSectionAlign:], 3) }, "section alignment"},
		"section outside":    {func(b []byte) { le.PutUint32(b[table+16:], 0x1000) }, "outside the file"},
		"section wraps":      {func(b []byte) { le.PutUint32(b[table+20:], 0xffffffff) }, "outside the file"},
		"section high up":    {func(b []byte) { le.PutUint32(b[table+12:], 0xfffff000) }, "in memory"},
		"section in headers": {func(b []byte) { le.PutUint32(b[table+20:], 0x200) }, "lies in the headers"},
		"signed":             {func(b []byte) { b[pe+offDirectories+securityEntry*8] = 1 }, "it is signed"},
		"room in use":        {func(b []byte) { b[table+sectionHeader+3] = 1 }, "is in use"},
		"no room":            {func(b []byte) { le.PutUint32(b[pe+offSizeOfHeaders:], table+2*sectionHeader) }, "have room for 2 sections"},
		"name taken":         {func(b []byte) { copy(b[table:], ".linux") }, "empty, longer than 8 bytes or taken"},
	} {
		b := stub()
		c.change(b)
		if _, err := Append(b, sections()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected an error with %q", name, err, c.want)
		}
	}
	for name, s := range map[string][]Section{"no name": {{"", []byte("x")}}, "long name": {{".verylong", []byte("x")}}, "empty": {{".linux", nil}}, "twice": {{".a", []byte("x")}, {".a", []byte("x")}}} {
		if _, err := Append(stub(), s); err == nil {
			t.Errorf("section %s: appended", name)
		}
	}
	for n := range stub() {
		if _, err := Append(stub()[:n], sections()); err == nil {
			t.Errorf("cut to %d bytes, and appended to", n)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add(stub())
	whole, err := Append(stub(), sections())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		before, err := Sections(b)
		if err != nil {
			return
		}
		out, err := Append(b, []Section{{".new", []byte("data")}})
		if err != nil {
			return
		}
		after, err := Sections(out)
		if err != nil || len(after) != len(before)+1 || string(after[len(before)].Data) != "data" {
			t.Errorf("%d sections became %d: %v", len(before), len(after), err)
		}
	})
}
