// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// Extensions of a VCEK or VLEK (document 57230, X.509v3 extensions), all under
// 1.3.6.1.4.1.3704.1.
var (
	OIDStructVersion = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 1}
	OIDProduct       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 2}
	OIDBootloader    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 3, 1}
	OIDTEE           = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 3, 2}
	OIDSNP           = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 3, 3}
	OIDMicrocode     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 3, 8}
	OIDFMC           = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 3, 9}
	OIDHardwareID    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 4}
	OIDProvider      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 5}

	oidTCB = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 3}
)

// endorsement is what the extensions of a leaf say: for which chip (VCEK) or
// provider (VLEK) and which firmware level AMD made the key.
type endorsement struct {
	product  string
	tcb      TCB
	chipID   [64]byte // of a VCEK
	provider string   // of a VLEK: the CSP id
}

// parseCert reads one certificate within the limits.
func parseCert(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fault.New(attest.ReasonTooLarge, "certificate of %d bytes, expected at most %d", len(der), maxCertificate)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("not a certificate: %w", err)
	}
	if err := derform.Signed(der); err != nil {
		return nil, err
	}
	if len(c.UnhandledCriticalExtensions) != 0 {
		return nil, fmt.Errorf("certificate with unknown critical extension %v", c.UnhandledCriticalExtensions[0])
	}
	return c, nil
}

// isLeaf says whether c claims to be a key that signs reports.
func isLeaf(c *x509.Certificate) bool {
	return !c.IsCA && extension(c, OIDStructVersion) != nil
}

// leafKind is the signing key (KeyVCEK or KeyVLEK) that a leaf claims to be: a
// VCEK names a chip, a VLEK a provider, and nothing names both or neither.
func leafKind(c *x509.Certificate) (uint8, error) {
	chip, provider := extension(c, OIDHardwareID) != nil, extension(c, OIDProvider) != nil
	switch {
	case chip && !provider:
		return KeyVCEK, nil
	case provider && !chip:
		return KeyVLEK, nil
	}
	return KeyNone, fault.New(attest.ReasonKey, "%s is neither VCEK nor VLEK: hardware id present: %v, provider present: %v", shown(c.Subject.CommonName), chip, provider)
}

// keyName names a signing key for people.
func keyName(kind uint8) string {
	switch kind {
	case KeyVCEK:
		return "VCEK"
	case KeyVLEK:
		return "VLEK"
	}
	return "no key"
}

// extension is the value of the extension, or nil if there is none.
func extension(c *x509.Certificate, oid asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(oid) {
			return e.Value
		}
	}
	return nil
}

func smallInt(name string, der []byte) (uint8, error) {
	var n int
	rest, err := asn1.Unmarshal(der, &n)
	if err != nil || len(rest) != 0 || n < 0 || n > 255 {
		return 0, fmt.Errorf("certificate extension %s is no number from 0 to 255", name)
	}
	return uint8(n), nil
}

func extensionInt(c *x509.Certificate, name string, oid asn1.ObjectIdentifier) (uint8, error) {
	v := extension(c, oid)
	if v == nil {
		return 0, fmt.Errorf("certificate without %s extension %v", name, oid)
	}
	return smallInt(name, v)
}

func extensionText(c *x509.Certificate, name string, oid asn1.ObjectIdentifier) (string, error) {
	var s string
	rest, err := asn1.Unmarshal(extension(c, oid), &s)
	if err != nil || len(rest) != 0 || s == "" {
		return "", fmt.Errorf("certificate without readable %s", name)
	}
	return s, nil
}

// readEndorsement reads the extensions of a leaf of the given kind in the
// layout of its product line: with FMC (Turin) or without.
func readEndorsement(c *x509.Certificate, kind uint8, hasFMC bool) (*endorsement, error) {
	var e endorsement
	version, err := extensionInt(c, "structure version", OIDStructVersion)
	if err != nil {
		return nil, err
	}
	if want := map[bool]uint8{false: 0, true: 1}[hasFMC]; version != want {
		return nil, fault.New(attest.ReasonKey, "certificate of structure version %d, expected %d for this product line", version, want)
	}
	if e.product, err = extensionText(c, "product name", OIDProduct); err != nil {
		return nil, err
	}
	if e.tcb, err = readTCB(c, hasFMC); err != nil {
		return nil, err
	}
	if kind == KeyVLEK {
		e.provider, err = extensionText(c, "provider", OIDProvider)
		return &e, err
	}
	// The hardware id is the raw extension value, no ASN.1 inside: 64 bytes,
	// or 8 on Turin, where CHIP_ID is the same padded with zeroes.
	id := extension(c, OIDHardwareID)
	if want := map[bool]int{false: 64, true: 8}[hasFMC]; len(id) != want {
		return nil, fmt.Errorf("VCEK hardware id of %d bytes, expected %d", len(id), want)
	}
	copy(e.chipID[:], id)
	return &e, nil
}

// readTCB reads the firmware level. Components that the line does not have are
// reserved and must be zero: a level that cannot be told from the report's
// bytes is not one that can be compared.
func readTCB(c *x509.Certificate, hasFMC bool) (TCB, error) {
	t := TCB{hasFMC: hasFMC}
	fields := []struct {
		name string
		oid  asn1.ObjectIdentifier
		to   *uint8
	}{
		{"boot loader", OIDBootloader, &t.Bootloader},
		{"TEE", OIDTEE, &t.TEE},
		{"SNP", OIDSNP, &t.SNP},
		{"microcode", OIDMicrocode, &t.Microcode},
		{"FMC", OIDFMC, &t.FMC},
	}
	if !hasFMC {
		fields = fields[:len(fields)-1]
	}
	for _, f := range fields {
		var err error
		if *f.to, err = extensionInt(c, f.name, f.oid); err != nil {
			return TCB{}, err
		}
	}
next:
	for _, e := range c.Extensions {
		if len(e.Id) <= len(oidTCB) || !e.Id[:len(oidTCB)].Equal(oidTCB) {
			continue
		}
		for _, f := range fields {
			if e.Id.Equal(f.oid) {
				continue next
			}
		}
		if n, err := smallInt("of a TCB component", e.Value); err != nil || n != 0 {
			return TCB{}, fmt.Errorf("certificate with unknown TCB component %v", e.Id)
		}
	}
	return t, nil
}

// leafKey is the key of a VCEK or VLEK, which is always on P-384.
func leafKey(c *x509.Certificate) (*ecdsa.PublicKey, error) {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return nil, fault.New(attest.ReasonKey, "key of %s is not on P-384", shown(c.Subject.CommonName))
	}
	return key, nil
}

// CheckRoot says whether c can be a root at all: a self-signed CA in the form
// that AMD uses. Whose root it is, is the caller's question.
func CheckRoot(c *x509.Certificate) error {
	if !bytes.Equal(c.RawSubject, c.RawIssuer) {
		return fmt.Errorf("root certificate is not self-issued")
	}
	return checkIssued(c, c, nil)
}

// CheckIssued says whether parent, as an authority, signed c the way AMD
// signs. It is for those who build certificates into a program and want to
// know that they belong together.
func CheckIssued(c, parent *x509.Certificate) error { return checkIssued(c, parent, nil) }

// checkIssued says whether parent, as a CA, signed c the way AMD signs:
// RSASSA-PSS with SHA-384. Only the signature itself is ever remembered.
func checkIssued(c, parent *x509.Certificate, sigs *signatures) error {
	if err := checkAuthority(parent); err != nil {
		return err
	}
	if !bytes.Equal(c.RawIssuer, parent.RawSubject) {
		return fmt.Errorf("%s was not issued by %s", shown(c.Subject.CommonName), shown(parent.Subject.CommonName))
	}
	if c.SignatureAlgorithm != x509.SHA384WithRSAPSS {
		return fmt.Errorf("%s is signed with %v, expected RSASSA-PSS with SHA-384", shown(c.Subject.CommonName), c.SignatureAlgorithm)
	}
	if err := sigs.check(parent, c.Raw, func() error { return c.CheckSignatureFrom(parent) }); err != nil {
		return fmt.Errorf("signature of %s on %s: %w", shown(parent.Subject.CommonName), shown(c.Subject.CommonName), err)
	}
	return nil
}

// checkAuthority says whether c may sign certificates, with a key of AMD's kind.
func checkAuthority(c *x509.Certificate) error {
	if !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("%s is no certificate authority", shown(c.Subject.CommonName))
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("key of %s is not RSA", shown(c.Subject.CommonName))
	}
	if n := key.N.BitLen(); n < minRSABits || n > maxRSABits {
		return fmt.Errorf("key of %s has %d bits, expected %d to %d", shown(c.Subject.CommonName), n, minRSABits, maxRSABits)
	}
	return nil
}

// validAt says whether at lies within c's validity, both ends included
// (RFC 5280, section 4.1.2.5).
func validAt(c *x509.Certificate, at time.Time) bool {
	return !at.Before(c.NotBefore) && !at.After(c.NotAfter)
}

// shown bounds text from outside before it goes into a row; package attest
// escapes what a terminal must not see.
func shown(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	if s == "" {
		return "(no name)"
	}
	return s
}
