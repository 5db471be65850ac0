// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"encoding/binary"
	"fmt"
)

// guid is a GUID in the byte order of UEFI: the first three fields are
// little-endian.
type guid [16]byte

// newGUID makes a GUID of the fields of its usual text; the last holds the two
// groups at the end.
func newGUID(a uint32, b, c uint16, d uint64) guid {
	var g guid
	binary.LittleEndian.PutUint32(g[0:], a)
	binary.LittleEndian.PutUint16(g[4:], b)
	binary.LittleEndian.PutUint16(g[6:], c)
	binary.BigEndian.PutUint64(g[8:], d)
	return g
}

// GUIDs of the table at the end of OVMF (edk2, OvmfPkg/ResetVector/Ia16/
// ResetVectorVtf0.asm) and of QEMU's table of hashes (target/i386/sev.c).
var (
	guidFooter      = newGUID(0x96b582de, 0x1fb2, 0x45f7, 0xbaeaa366c55a082d)
	guidHashesTable = newGUID(0x7255371f, 0x3a3b, 0x4b04, 0x927b1da6efa8d454)
	guidResetBlock  = newGUID(0x00f771de, 0x1a7e, 0x4fcb, 0x890e68c77e2fb44e)
	guidSEVMetadata = newGUID(0xdc886566, 0x984a, 0x4798, 0xa75e5585a7bf67cc)
	guidTDXMetadata = newGUID(0xe47a6535, 0x984a, 0x4798, 0x865e4685a7bf8ec2)
)

// fourGiB is where a firmware image ends in the guest's address space.
const fourGiB = 1 << 32

// footerGap is the number of bytes after the table: the reset vector.
const footerGap = 32

// Section is one section of a firmware's metadata.
type Section struct {
	GPA  uint64
	Size uint64
	Type uint32
	// Only TDX metadata has these.
	Offset, RawSize uint32
	Attributes      uint32
}

// Firmware is what a firmware image says of itself.
type Firmware struct {
	image []byte
	table map[guid][]byte
}

// ParseFirmware reads the table of GUIDs at the end of an OVMF image. An image
// without one is a firmware without metadata; a damaged table is an error.
func ParseFirmware(image []byte) (*Firmware, error) {
	if n := len(image); n < minFirmware || n > maxFirmware || n%pageSize != 0 {
		return nil, fmt.Errorf("firmware of %d bytes, expected pages of %d up to %d; name the whole image (OVMF.fd, not OVMF_VARS)", n, pageSize, maxFirmware)
	}
	f := &Firmware{image: image, table: map[guid][]byte{}}
	if err := f.readTable(); err != nil {
		return nil, fmt.Errorf("firmware: %w", err)
	}
	return f, nil
}

// gpa is the guest physical address of the image's first byte.
func (f *Firmware) gpa() uint64 { return fourGiB - uint64(len(f.image)) }

// readTable walks the table backwards, as it is built: each entry ends in its
// size and its GUID.
func (f *Firmware) readTable() error {
	end := len(f.image) - footerGap
	if guid(f.image[end-16:end]) != guidFooter {
		return nil
	}
	total := int(binary.LittleEndian.Uint16(f.image[end-18:]))
	if total < 18 || total > end {
		return fmt.Errorf("table of %d bytes, expected 18 to %d", total, end)
	}
	b := f.image[end-total : end-18]
	for n := 0; len(b) > 0; n++ {
		if n == maxTableEntries {
			return fmt.Errorf("table has more than %d entries", maxTableEntries)
		}
		if len(b) < 18 {
			return fmt.Errorf("table entry of %d bytes, expected at least 18", len(b))
		}
		id, size := guid(b[len(b)-16:]), int(binary.LittleEndian.Uint16(b[len(b)-18:]))
		if size < 18 || size > len(b) {
			return fmt.Errorf("table entry of %d bytes, expected 18 to %d", size, len(b))
		}
		if _, twice := f.table[id]; twice {
			return fmt.Errorf("table entry %x stands twice", id)
		}
		f.table[id] = b[len(b)-size : len(b)-18]
		b = b[:len(b)-size]
	}
	return nil
}

// number reads the first four bytes of a table entry; ok is false if there is
// none.
func (f *Firmware) number(id guid) (v uint32, ok bool) {
	e := f.table[id]
	if len(e) < 4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(e), true
}

// metadata gives the bytes from the place that an entry points to, counted
// from the image's end.
func (f *Firmware) metadata(id guid) ([]byte, error) {
	if _, there := f.table[id]; !there {
		return nil, nil
	}
	off, ok := f.number(id)
	if !ok || off < 16 || uint64(off) > uint64(len(f.image)) {
		return nil, fmt.Errorf("lies %d bytes before the end of an image of %d", off, len(f.image))
	}
	return f.image[len(f.image)-int(off):], nil
}

// sectionCount reads the header that both kinds of metadata share: signature,
// length, version and number of sections. SEV counts the header in length, and
// so does TDX.
func sectionCount(b []byte, signature string, size int) (int, error) {
	if string(b[:4]) != signature {
		return 0, fmt.Errorf("signature %q, expected %q", b[:4], signature)
	}
	le := binary.LittleEndian
	length, version, n := le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	if version != 1 {
		return 0, fmt.Errorf("version %d, expected 1", version)
	}
	if n > maxTableEntries || uint64(length) < 16+uint64(n)*uint64(size) || uint64(length) > uint64(len(b)) {
		return 0, fmt.Errorf("%d sections in %d bytes, of which %d are there", n, length, len(b))
	}
	return int(n), nil
}

// SNP gives the sections of OVMF's SEV metadata
// (OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm), in order; none if there is no
// such metadata.
func (f *Firmware) SNP() ([]Section, error) {
	out, err := f.snpSections()
	if err != nil {
		return nil, fmt.Errorf("firmware: SEV metadata: %w", err)
	}
	return out, nil
}

func (f *Firmware) snpSections() ([]Section, error) {
	b, err := f.metadata(guidSEVMetadata)
	if b == nil || err != nil {
		return nil, err
	}
	const size = 12
	n, err := sectionCount(b, "ASEV", size)
	if err != nil {
		return nil, err
	}
	out, pages := []Section{}, uint64(0)
	for i := range n {
		d := b[16+i*size:]
		le := binary.LittleEndian
		s := Section{GPA: uint64(le.Uint32(d)), Size: uint64(le.Uint32(d[4:])), Type: le.Uint32(d[8:])}
		pages += s.Size / pageSize
		if s.GPA%pageSize != 0 || s.Size%pageSize != 0 || s.Size == 0 || pages > maxMetadataPages {
			return nil, fmt.Errorf("section %d at %#x of %#x bytes: not whole pages, or more than %d in all", i, s.GPA, s.Size, maxMetadataPages)
		}
		out = append(out, s)
	}
	return out, nil
}

// TDX gives the sections of TDVF metadata (Intel TDX Virtual Firmware Design
// Guide, section 11.2, tables 11-1 and 11-2), in order; none if there is no such
// metadata.
func (f *Firmware) TDX() ([]Section, error) {
	out, err := f.tdxSections()
	if err != nil {
		return nil, fmt.Errorf("firmware: TDX metadata: %w", err)
	}
	return out, nil
}

func (f *Firmware) tdxSections() ([]Section, error) {
	b, err := f.metadata(guidTDXMetadata)
	if b == nil || err != nil {
		return nil, err
	}
	const size = 32
	n, err := sectionCount(b, "TDVF", size)
	if err != nil {
		return nil, err
	}
	out, pages := []Section{}, uint64(0)
	for i := range n {
		d := b[16+i*size:]
		le := binary.LittleEndian
		s := Section{
			Offset: le.Uint32(d), RawSize: le.Uint32(d[4:]), GPA: le.Uint64(d[8:]), Size: le.Uint64(d[16:]),
			Type: le.Uint32(d[24:]), Attributes: le.Uint32(d[28:]),
		}
		if s.GPA%pageSize != 0 || s.Size%pageSize != 0 || s.GPA >= 1<<52 || s.Size > maxMetadataPages*pageSize {
			return nil, fmt.Errorf("section %d at %#x of %#x bytes: not whole pages, or too many", i, s.GPA, s.Size)
		}
		if uint64(s.RawSize) > s.Size || uint64(s.Offset)+uint64(s.RawSize) > uint64(len(f.image)) {
			return nil, fmt.Errorf("section %d: %d bytes at %d of an image of %d for %d bytes of memory", i, s.RawSize, s.Offset, len(f.image), s.Size)
		}
		if pages += s.Size / pageSize; pages > maxMetadataPages {
			return nil, fmt.Errorf("sections of more than %d pages", maxMetadataPages)
		}
		out = append(out, s)
	}
	return out, nil
}
