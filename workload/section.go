// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// The layout of SPEC.md, section 2. All integers are unsigned and big-endian.
const (
	magic      = "\x8eENARX\x1a\n"
	version    = 1
	headerSize = 16 // magic 8, version 4, number of sections 4
	entrySize  = 16 // type 4, flags 4, length 8

	flagCritical = 1 // a reader that does not know the section refuses the bundle
)

// Domains of the two digests (SPEC.md, section 5). The zero byte ends the
// text, so that no domain is the beginning of another.
const (
	digestDomain      = "Enarx-Bundle-v1\x00"
	precompiledDomain = "Enarx-Bundle-Precompiled-v1\x00"
)

// SectionType is the type of a section of a bundle.
type SectionType uint32

// The sections of version 1. Peers, the platform demand and signatures are
// reserved: this version gives them a number and a criticality, no content.
const (
	SectionConfig         SectionType = 1  // configuration, deterministic CBOR; required
	SectionModule         SectionType = 2  // the Wasm module or component; required
	SectionFileIndex      SectionType = 3  // paths and sizes of the files, deterministic CBOR
	SectionFileData       SectionType = 4  // the content of the files, one after the other
	SectionCARoots        SectionType = 5  // roots for outgoing TLS, PEM
	SectionSecrets        SectionType = 6  // names of secrets and where the guest sees them, deterministic CBOR
	SectionPeers          SectionType = 7  // reserved, critical: who may be at the other end of a connection
	SectionPlatformDemand SectionType = 8  // reserved, critical: what the Keep must prove to get this bundle
	SectionSignatures     SectionType = 9  // reserved, not critical: signatures over the rest
	SectionPrecompiled    SectionType = 10 // precompiled code, not critical; the only section outside the digest
)

// kinds says for every type of version 1 how it is called, whether it must be
// understood, whether this version does, and how long it may be.
var kinds = map[SectionType]struct {
	name     string
	critical bool
	known    bool
	max      uint64
}{
	SectionConfig:         {"config", true, true, MaxConfigSize},
	SectionModule:         {"module", true, true, MaxModuleSize},
	SectionFileIndex:      {"file-index", true, true, MaxFileIndexSize},
	SectionFileData:       {"file-data", true, true, MaxFileDataSize},
	SectionCARoots:        {"ca-roots", true, true, MaxCARootsSize},
	SectionSecrets:        {"secrets", true, true, MaxSecretsSize},
	SectionPeers:          {"peers", true, false, MaxOtherSize},
	SectionPlatformDemand: {"platform-demand", true, false, MaxOtherSize},
	SectionSignatures:     {"signatures", false, false, MaxOtherSize},
	SectionPrecompiled:    {"precompiled", false, true, MaxPrecompiledSize},
}

// String gives the name of the section, as messages and SPEC.md call it.
func (t SectionType) String() string {
	if k, ok := kinds[t]; ok {
		return k.name
	}
	return fmt.Sprintf("section %d", uint32(t))
}

// critical is the one value of the critical flag that t may have.
func (t SectionType) critical() bool { return kinds[t].critical }

// covered says that the digest of the bundle covers sections of type t.
func (t SectionType) covered() bool { return t != SectionPrecompiled }

func (t SectionType) max() uint64 {
	if k, ok := kinds[t]; ok {
		return k.max
	}
	return MaxOtherSize
}

// Class is the class of a [FormatError]. The test vectors name the class that
// each bad bundle must be refused with.
type Class string

// The classes.
const (
	ClassNotBundle Class = "not-a-bundle" // the magic is missing
	ClassVersion   Class = "version"      // a format version this package does not know
	ClassTruncated Class = "truncated"    // the bytes end too early
	ClassTrailing  Class = "trailing"     // bytes after the last section
	ClassLimit     Class = "limit"        // larger than allowed
	ClassTable     Class = "table"        // the section table breaks a rule
	ClassCritical  Class = "critical"     // a section that must be understood and is not
	ClassEncoding  Class = "encoding"     // not CBOR or PEM, or not in its canonical form
	ClassConfig    Class = "config"       // a value of the configuration breaks a rule
	ClassFiles     Class = "files"        // the file tree breaks a rule
)

// FormatError says why bytes are not a bundle.
type FormatError struct {
	Class   Class
	Section string // "header", "table" or the name of a section
	Offset  uint64 // where in the bundle that part or its bad byte begins, in bytes
	Reason  string // what was seen, what was expected, what to do
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("bundle: %s at offset %d: %s", e.Section, e.Offset, e.Reason)
}

// section is one section on its way in or out. Its content is the parts, one
// after the other.
type section struct {
	typ    SectionType
	parts  [][]byte
	size   uint64
	offset uint64 // of the content in the bundle, when parsed
}

func newSection(t SectionType, parts ...[]byte) section {
	s := section{typ: t, parts: parts}
	for _, p := range parts {
		s.size += uint64(len(p))
	}
	return s
}

func (s section) entry() []byte {
	var flags uint32
	if s.typ.critical() {
		flags = flagCritical
	}
	e := binary.BigEndian.AppendUint32(make([]byte, 0, entrySize), uint32(s.typ))
	e = binary.BigEndian.AppendUint32(e, flags)
	return binary.BigEndian.AppendUint64(e, s.size)
}

func (s section) sha256() (sum [32]byte) {
	h := sha256.New()
	for _, p := range s.parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

func header(sections int) []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	b = binary.BigEndian.AppendUint32(b, version)
	return binary.BigEndian.AppendUint32(b, uint32(sections))
}

// assemble writes the bundle of the sections, which are in order and within
// their limits.
func assemble(sections []section) []byte {
	size := headerSize + uint64(len(sections))*entrySize
	for _, s := range sections {
		size += s.size
	}
	b := append(make([]byte, 0, size), header(len(sections))...)
	for _, s := range sections {
		b = append(b, s.entry()...)
	}
	for _, s := range sections {
		for _, p := range s.parts {
			b = append(b, p...)
		}
	}
	return b
}

// digestOf computes the digest of the bundle that has these sections
// (SPEC.md, section 5).
func digestOf(sections []section) (d Digest) {
	covered := 0
	for _, s := range sections {
		if s.typ.covered() {
			covered++
		}
	}
	h := sha256.New()
	h.Write([]byte(digestDomain))
	h.Write(header(covered))
	for _, s := range sections {
		if !s.typ.covered() {
			continue
		}
		sum := s.sha256()
		h.Write(s.entry())
		h.Write(sum[:])
	}
	h.Sum(d[:0])
	return d
}

// precompiledDigest computes the digest of precompiled code in the bundle with
// digest d.
func precompiledDigest(d Digest, code section) (p PrecompiledDigest) {
	sum := code.sha256()
	h := sha256.New()
	h.Write([]byte(precompiledDomain))
	h.Write(d[:])
	h.Write(sum[:])
	h.Sum(p[:0])
	return p
}

// IsBundle says that b begins like a bundle. It looks at the first eight bytes
// only and promises nothing about the rest.
func IsBundle(b []byte) bool { return bytes.HasPrefix(b, []byte(magic)) }
