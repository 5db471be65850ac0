// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
)

// oidSGX is the extension of a PCK certificate that names the platform and its
// TCB (PCK certificate and CRL profile specification, section 1.3.5).
var oidSGX = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}

// Numbers below oidSGX, and below the TCB's (oidSGX.2).
const (
	sgxPPID  = 1
	sgxTCB   = 2
	sgxPCEID = 3
	sgxFMSPC = 4
	// Of the platform CA only: section 1.3.5, "Platform Instance ID".
	sgxInstance = 6
	// sgxConfiguration has three flags, each its own attribute below it.
	sgxConfiguration = 7

	tcbPCESVN = 17 // 1 to 16 are the components
	tcbCPUSVN = 18
)

// platform is what a PCK certificate says of its platform.
type platform struct {
	ppid       [16]byte
	components [16]uint8
	pceSVN     uint16
	pceID      [2]byte
	fmspc      [6]byte
	instance   []byte // platform instance id, 16 bytes, or nil
	config     string // for people; empty if the certificate does not say
}

type attribute struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

// parsePlatform reads the SGX extension. Every field that is compared later
// must be there exactly once.
func parsePlatform(c *x509.Certificate) (*platform, error) {
	var raw []byte
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSGX) {
			raw = e.Value // Go's parser refuses a second one
		}
	}
	fields, err := attributes(raw, oidSGX)
	if err != nil {
		return nil, fmt.Errorf("PCK certificate: SGX extension: %w", err)
	}
	p := &platform{}
	for _, f := range []struct {
		name string
		id   int
		to   []byte
	}{{"PPID", sgxPPID, p.ppid[:]}, {"PCEID", sgxPCEID, p.pceID[:]}, {"FMSPC", sgxFMSPC, p.fmspc[:]}} {
		v, ok := fields[f.id]
		if !ok || v.Class != asn1.ClassUniversal || v.Tag != asn1.TagOctetString || v.IsCompound || len(v.Bytes) != len(f.to) {
			return nil, fmt.Errorf("PCK certificate: %s is no octet string of %d bytes", f.name, len(f.to))
		}
		copy(f.to, v.Bytes)
	}
	if v, ok := fields[sgxInstance]; ok {
		if v.Class != asn1.ClassUniversal || v.Tag != asn1.TagOctetString || v.IsCompound || len(v.Bytes) != 16 {
			return nil, fmt.Errorf("PCK certificate: platform instance id is no octet string of 16 bytes")
		}
		p.instance = v.Bytes
	}
	if v, ok := fields[sgxConfiguration]; ok {
		if err := p.parseConfiguration(v.FullBytes); err != nil {
			return nil, fmt.Errorf("PCK certificate: configuration: %w", err)
		}
	}
	if err := p.parseTCB(fields[sgxTCB].FullBytes); err != nil {
		return nil, fmt.Errorf("PCK certificate: TCB: %w", err)
	}
	return p, nil
}

// parseConfiguration reads how the platform was set up when it was certified.
// Nothing is decided by it.
func (p *platform) parseConfiguration(raw []byte) error {
	fields, err := attributes(raw, append(oidSGX[:len(oidSGX):len(oidSGX)], sgxConfiguration))
	if err != nil {
		return err
	}
	var words []string
	for i, name := range []string{"dynamic platform", "cached keys", "SMT"} {
		v, ok := fields[i+1]
		if !ok {
			continue
		}
		var on bool
		if rest, err := asn1.Unmarshal(v.FullBytes, &on); err != nil || len(rest) != 0 {
			return fmt.Errorf("%s is no yes or no", name)
		}
		words = append(words, fmt.Sprintf("%s %v", name, on))
	}
	p.config = strings.Join(words, ", ")
	return nil
}

func (p *platform) parseTCB(raw []byte) error {
	fields, err := attributes(raw, append(oidSGX[:len(oidSGX):len(oidSGX)], sgxTCB))
	if err != nil {
		return err
	}
	for i := range p.components {
		n, err := smallInteger(fields, i+1, 0xff)
		if err != nil {
			return fmt.Errorf("component %d: %w", i+1, err)
		}
		p.components[i] = uint8(n)
	}
	n, err := smallInteger(fields, tcbPCESVN, 0xffff)
	if err != nil {
		return fmt.Errorf("PCESVN: %w", err)
	}
	p.pceSVN = uint16(n)
	return nil
}

// attributes reads a sequence of (identifier, value) pairs whose identifiers
// are base with one number after it.
func attributes(raw []byte, base asn1.ObjectIdentifier) (map[int]asn1.RawValue, error) {
	if len(raw) == 0 || len(raw) > maxExtension {
		return nil, fmt.Errorf("%d bytes, expected 1 to %d", len(raw), maxExtension)
	}
	var list []attribute
	rest, err := asn1.Unmarshal(raw, &list)
	if err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("no sequence of attributes")
	}
	m := make(map[int]asn1.RawValue, len(list))
	for _, a := range list {
		if len(a.ID) != len(base)+1 || !a.ID[:len(base)].Equal(base) {
			return nil, fmt.Errorf("attribute %v, expected one below %v", a.ID, base)
		}
		n := a.ID[len(base)]
		if _, twice := m[n]; twice {
			return nil, fmt.Errorf("attribute %v twice", a.ID)
		}
		m[n] = a.Value
	}
	return m, nil
}

// smallInteger reads an INTEGER in its one form in DER (X.690, section 8.3).
func smallInteger(fields map[int]asn1.RawValue, id int, limit int64) (int64, error) {
	v, ok := fields[id]
	if !ok {
		return 0, fmt.Errorf("missing")
	}
	b := v.Bytes
	if v.Class != asn1.ClassUniversal || v.Tag != asn1.TagInteger || v.IsCompound || len(b) == 0 || len(b) > 4 ||
		b[0] >= 0x80 || len(b) > 1 && b[0] == 0 && b[1] < 0x80 {
		return 0, fmt.Errorf("no number from 0 to %d", limit)
	}
	n := int64(0)
	for _, x := range b {
		n = n<<8 | int64(x)
	}
	if n > limit {
		return 0, fmt.Errorf("no number from 0 to %d", limit)
	}
	return n, nil
}
