// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
)

// peSection is one section of a PE file.
type peSection struct {
	name        string
	virtualSize uint32
	rawSize     uint32
	raw         uint32 // offset in the file
}

// peFile is what of a PE32+ file (Microsoft PE format) a measurement needs.
type peFile struct {
	b           []byte
	checksum    int // offset of the optional header's CheckSum
	certEntry   int // offset of the certificate table's directory entry
	headers     int // SizeOfHeaders
	certificate int // size of the certificate table, at the file's end
	sections    []peSection
}

// Offsets and sizes of the PE format.
const (
	peOffset        = 0x3c // in the DOS header: where the PE header is
	peHeader        = 24   // signature and COFF header
	peMagic64       = 0x20b
	peChecksum      = 64  // in the optional header
	peHeadersSize   = 60  // in the optional header
	peDirCount      = 108 // in the optional header of PE32+
	peDirs          = 112 // in the optional header of PE32+
	peCertDir       = 4   // index of the certificate table
	peSectionHeader = 40
)

// parsePE reads the headers of a PE32+ file.
func parsePE(b []byte) (*peFile, error) {
	le := binary.LittleEndian
	if len(b) < 64 || b[0] != 'M' || b[1] != 'Z' {
		return nil, fmt.Errorf("not a PE file: no MZ at its start")
	}
	at := uint64(le.Uint32(b[peOffset:]))
	if at+peHeader+peDirs > uint64(len(b)) || !bytes.Equal(b[at:at+4], []byte("PE\x00\x00")) {
		return nil, fmt.Errorf("not a PE file: no PE header at %#x", at)
	}
	pe := int(at)
	count, optional := int(le.Uint16(b[pe+6:])), int(le.Uint16(b[pe+20:]))
	opt := pe + peHeader
	if le.Uint16(b[opt:]) != peMagic64 || optional < peDirs || count > maxPESections {
		return nil, fmt.Errorf("PE file with magic %#x, optional header of %d bytes and %d sections, expected PE32+ with at most %d", le.Uint16(b[opt:]), optional, count, maxPESections)
	}
	f := &peFile{b: b, checksum: opt + peChecksum, headers: int(le.Uint32(b[opt+peHeadersSize:]))}
	table := opt + optional
	if table+count*peSectionHeader > f.headers || f.headers > len(b) {
		return nil, fmt.Errorf("PE file: headers of %d bytes, section table ends at %d, file has %d", f.headers, table+count*peSectionHeader, len(b))
	}
	if n := le.Uint32(b[opt+peDirCount:]); n > peCertDir && optional >= peDirs+(peCertDir+1)*8 {
		f.certEntry = opt + peDirs + peCertDir*8
		if err := f.readCertificate(); err != nil {
			return nil, err
		}
	}
	for i := range count {
		if err := f.readSection(b[table+i*peSectionHeader:]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// readCertificate reads where signatures are: they may only be the file's
// end, since nothing says how firmware hashes what follows them.
func (f *peFile) readCertificate() error {
	le := binary.LittleEndian
	off, size := uint64(le.Uint32(f.b[f.certEntry:])), uint64(le.Uint32(f.b[f.certEntry+4:]))
	if size != 0 && off+size != uint64(len(f.b)) {
		return fmt.Errorf("PE file: signatures of %d bytes at %d are not the end of a file of %d", size, off, len(f.b))
	}
	f.certificate = int(size)
	return nil
}

func (f *peFile) readSection(h []byte) error {
	le := binary.LittleEndian
	s := peSection{
		name:        string(bytes.TrimRight(h[:8], "\x00")),
		virtualSize: le.Uint32(h[8:]), rawSize: le.Uint32(h[16:]), raw: le.Uint32(h[20:]),
	}
	if uint64(s.raw)+uint64(s.rawSize) > uint64(len(f.b)) {
		return fmt.Errorf("PE file: section %q of %d bytes at %d of %d", s.name, s.rawSize, s.raw, len(f.b))
	}
	f.sections = append(f.sections, s)
	return nil
}

// section gives the bytes of the only section of that name as they lie in
// memory.
func (f *peFile) section(name string) (data []byte, ok bool, err error) {
	for _, s := range f.sections {
		if s.name != name {
			continue
		}
		if ok {
			return nil, false, fmt.Errorf("PE file: section %q stands twice", name)
		}
		if s.virtualSize > s.rawSize {
			return nil, false, fmt.Errorf("PE file: section %q has %d bytes in memory and %d in the file", name, s.virtualSize, s.rawSize)
		}
		data, ok = f.b[s.raw:s.raw+s.virtualSize], true
	}
	return data, ok, nil
}

// authenticode is the digest that firmware measures and signatures are made
// over (Windows Authenticode Portable Executable Signature Format, "Calculating
// the PE Image Hash"): everything but the checksum, the directory entry of the
// signatures and the signatures.
func (f *peFile) authenticode() ([32]byte, error) {
	h := sha256.New()
	if err := f.hashImage(h); err != nil {
		return [32]byte{}, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// hashImage writes what Authenticode covers to a hash.
func (f *peFile) hashImage(h hash.Hash) error {
	h.Write(f.b[:f.checksum])
	rest := f.checksum + 4
	if f.certEntry != 0 {
		h.Write(f.b[rest:f.certEntry])
		rest = f.certEntry + 8
	}
	if rest > f.headers {
		return fmt.Errorf("PE file: headers of %d bytes, of which the optional header takes %d", f.headers, rest)
	}
	h.Write(f.b[rest:f.headers])
	done := uint64(f.headers)
	sorted := slices.Clone(f.sections)
	slices.SortStableFunc(sorted, func(a, b peSection) int { return cmp.Compare(a.raw, b.raw) })
	for _, s := range sorted {
		h.Write(f.b[s.raw : s.raw+s.rawSize])
		done += uint64(s.rawSize)
	}
	end := uint64(len(f.b) - f.certificate)
	if done > end {
		return fmt.Errorf("PE file: headers and sections of %d bytes in a file of %d: sections overlap", done, end)
	}
	h.Write(f.b[done:end])
	return nil
}

func authenticode(b []byte) ([32]byte, error) {
	f, err := parsePE(b)
	if err != nil {
		return [32]byte{}, err
	}
	return f.authenticode()
}
