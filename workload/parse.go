// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
)

// Bundle is a parsed bundle. It refers to the bytes it was parsed from, which
// must not change while it is in use; whoever gets a slice from it must not
// write to it. A Bundle is safe for concurrent use.
type Bundle struct {
	sections []section
	config   Config
	files    []BundleFile
	digest   func() Digest // computed when it is first asked for
}

// Parse reads a bundle strictly: exactly the bytes that [Pack] makes, or a
// bundle of a later minor version whose additional sections need not be
// understood. It copies neither the module nor the files. The error is a
// [*FormatError]; on error there is no Bundle.
func Parse(b []byte) (*Bundle, error) {
	if len(b) > MaxBundleSize {
		return nil, &FormatError{ClassLimit, "header", 0, fmt.Sprintf("%d bytes, at most %d are allowed", len(b), MaxBundleSize)}
	}
	sections, err := readTable(b)
	if err != nil {
		return nil, err
	}
	u := &Bundle{sections: sections, digest: sync.OnceValue(func() Digest { return digestOf(sections) })}
	for _, t := range []SectionType{SectionConfig, SectionModule} {
		if u.find(t) == nil {
			return nil, &FormatError{ClassTable, "table", headerSize, fmt.Sprintf("the section %s is missing; pack the workload again", t)}
		}
	}
	if err := u.readConfig(); err != nil {
		return nil, err
	}
	if err := u.readFiles(); err != nil {
		return nil, err
	}
	if s := u.find(SectionCARoots); s != nil {
		again, err := normalRoots(s.parts[0])
		if err == nil && !bytes.Equal(again, s.parts[0]) {
			err = fmt.Errorf("not in canonical PEM form; pack the workload again")
		}
		if err != nil {
			return nil, s.fail(ClassEncoding, err)
		}
	}
	return u, nil
}

// readTable reads header and section table and cuts the rest into sections.
func readTable(b []byte) ([]section, error) {
	if !IsBundle(b) {
		return nil, &FormatError{ClassNotBundle, "header", 0, "this is not a bundle; make one with \"enarx workload pack\""}
	}
	if len(b) < headerSize {
		return nil, truncated("header", 0, headerSize, len(b))
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != version {
		return nil, &FormatError{ClassVersion, "header", 8, fmt.Sprintf("format version %d, this program reads version %d; use a newer enarx, or pack again with this one", v, version)}
	}
	count := binary.BigEndian.Uint32(b[12:])
	if count == 0 || count > MaxSections {
		return nil, &FormatError{ClassLimit, "header", 12, fmt.Sprintf("%d sections, expected 1 to %d", count, MaxSections)}
	}
	body := headerSize + int(count)*entrySize
	if len(b) < body {
		return nil, truncated("table", headerSize, body, len(b))
	}
	sections := make([]section, count)
	at := uint64(body)
	for i := range sections {
		off := headerSize + i*entrySize
		s, err := readEntry(b[off:off+entrySize], uint64(off))
		if err != nil {
			return nil, err
		}
		if i > 0 && s.typ <= sections[i-1].typ {
			return nil, &FormatError{ClassTable, "table", uint64(off), fmt.Sprintf("%s after %s: types must ascend", s.typ, sections[i-1].typ)}
		}
		if s.size > uint64(len(b))-at {
			return nil, truncated(s.typ.String(), at, int(at+s.size), len(b))
		}
		s.offset = at
		s.parts = [][]byte{b[at : at+s.size : at+s.size]}
		at += s.size
		sections[i] = s
	}
	if at != uint64(len(b)) {
		return nil, &FormatError{ClassTrailing, "table", at, fmt.Sprintf("%d bytes follow the last section, expected the end; fetch or pack the bundle again", uint64(len(b))-at)}
	}
	return sections, nil
}

func readEntry(e []byte, off uint64) (section, error) {
	s := section{typ: SectionType(binary.BigEndian.Uint32(e)), size: binary.BigEndian.Uint64(e[8:])}
	flags := binary.BigEndian.Uint32(e[4:])
	fail := func(c Class, format string, args ...any) (section, error) {
		return section{}, &FormatError{c, "table", off, fmt.Sprintf("%s: ", s.typ) + fmt.Sprintf(format, args...)}
	}
	kind, listed := kinds[s.typ]
	critical := flags&flagCritical != 0
	switch {
	case s.typ == 0:
		return fail(ClassTable, "0 is not a section type")
	case flags&^flagCritical != 0:
		return fail(ClassTable, "flags %#x, expected 0 or 1", flags)
	case listed && critical != kind.critical:
		return fail(ClassTable, "critical is %t, expected %t", critical, kind.critical)
	case critical && !kind.known:
		return fail(ClassCritical, "must be understood and is not known to this version; use a newer enarx and Keep runtime")
	case s.size == 0:
		return fail(ClassTable, "is empty; it must be left out instead")
	case s.size > s.typ.max():
		return fail(ClassLimit, "%d bytes, at most %d are allowed", s.size, s.typ.max())
	}
	return s, nil
}

func truncated(section string, off uint64, want, have int) error {
	return &FormatError{ClassTruncated, section, off, fmt.Sprintf("ends at %d, expected %d bytes at least; the copy is incomplete, fetch it again", have, want)}
}

func (s *section) fail(c Class, err error) error {
	return &FormatError{c, s.typ.String(), s.offset, err.Error()}
}

func (u *Bundle) find(t SectionType) *section {
	for i := range u.sections {
		if u.sections[i].typ == t {
			return &u.sections[i]
		}
	}
	return nil
}

func (u *Bundle) readConfig() error {
	s := u.find(SectionConfig)
	c, err := decodeConfig(s.parts[0])
	if err != nil {
		return s.fail(ClassEncoding, err)
	}
	if s := u.find(SectionSecrets); s != nil {
		if c.Secrets, err = decodeSecrets(s.parts[0]); err != nil {
			return s.fail(ClassEncoding, err)
		}
	}
	if err := c.Validate(); err != nil {
		return s.fail(ClassConfig, err)
	}
	u.config = c
	return nil
}

func (u *Bundle) readFiles() error {
	si, sd := u.find(SectionFileIndex), u.find(SectionFileData)
	if si == nil {
		if sd != nil {
			return sd.fail(ClassFiles, fmt.Errorf("there is no file-index that says what it is"))
		}
		return u.checkPlaces()
	}
	index, err := decodeIndex(si.parts[0])
	if err != nil {
		return si.fail(ClassEncoding, err)
	}
	var data []byte
	if sd != nil {
		data = sd.parts[0]
	}
	if u.files, err = cutFiles(index, data); err != nil {
		return si.fail(ClassFiles, err)
	}
	return u.checkPlaces()
}

func (u *Bundle) checkPlaces() error {
	if err := checkPlaces(u.config, u.files); err != nil {
		return u.find(SectionConfig).fail(ClassFiles, err)
	}
	return nil
}

// Digest is the identity of the workload. It is computed at the first call, in
// one pass over the bundle, so that who does not need it does not wait for it.
func (u *Bundle) Digest() Digest { return u.digest() }

// Config is a copy of the configuration, with the declared secrets.
func (u *Bundle) Config() Config { return u.config.Clone() }

// Module is the Wasm module or component, a part of the parsed bytes.
func (u *Bundle) Module() []byte { return u.find(SectionModule).parts[0] }

// Files are the files and directories, every directory before what is in it.
// Data are parts of the parsed bytes; an empty file has nil.
func (u *Bundle) Files() []BundleFile { return slices.Clone(u.files) }

// CARoots are the roots for outgoing TLS as PEM text, a part of the parsed
// bytes, or nil if the Keep's own set applies. They are PEM blocks of type
// CERTIFICATE; whoever uses them parses each and refuses the run if one fails.
func (u *Bundle) CARoots() []byte { return u.content(SectionCARoots) }

// Precompiled is the precompiled code and its digest, or nil if there is none.
// The bundle's digest does not cover it: it must not be run without a check of
// its own.
func (u *Bundle) Precompiled() ([]byte, PrecompiledDigest) {
	s := u.find(SectionPrecompiled)
	if s == nil {
		return nil, PrecompiledDigest{}
	}
	return s.parts[0], precompiledDigest(u.Digest(), *s)
}

func (u *Bundle) content(t SectionType) []byte {
	if s := u.find(t); s != nil {
		return s.parts[0]
	}
	return nil
}

// Package gives back what a bundle was packed from, for packing it again with
// something changed. Sections that this version does not know are lost, so the
// identity of the result is another one even if nothing was changed.
func (u *Bundle) Package() Package {
	return Package{Config: u.Config(), Module: u.Module(), Files: u.Files(), CARoots: u.CARoots(),
		Precompiled: u.content(SectionPrecompiled)}
}

// SectionInfo describes one section of a bundle, for people.
type SectionInfo struct {
	Type     SectionType
	Name     string
	Critical bool
	Covered  bool     // by the bundle's digest
	Offset   uint64   // of the content in the bundle, in bytes
	Size     uint64   // of the content, in bytes
	SHA256   [32]byte // of the content; for the module that of the .wasm file
}

// SectionList describes all sections, in the order of the bundle. It hashes
// their content anew.
func (u *Bundle) SectionList() []SectionInfo {
	list := make([]SectionInfo, len(u.sections))
	for i, s := range u.sections {
		list[i] = SectionInfo{s.typ, s.typ.String(), s.typ.critical(), s.typ.covered(), s.offset, s.size, s.sha256()}
	}
	return list
}
