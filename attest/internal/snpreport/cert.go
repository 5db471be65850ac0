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
)

// Extensions of a VCEK (document 57230, X.509v3 extensions), all under
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
)

// endorsement is what the extensions of a VCEK say: for which chip and which
// firmware level AMD made the key.
type endorsement struct {
	product string
	tcb     TCB
	chipID  [64]byte
}

// parseCert reads one certificate within the limits.
func parseCert(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("certificate of %d bytes, expected at most %d", len(der), maxCertificate)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("not a certificate: %w", err)
	}
	if len(c.UnhandledCriticalExtensions) != 0 {
		return nil, fmt.Errorf("certificate with unknown critical extension %v", c.UnhandledCriticalExtensions[0])
	}
	return c, nil
}

// isVCEK says whether c claims to be a key of a chip.
func isVCEK(c *x509.Certificate) bool {
	return !c.IsCA && extension(c, OIDStructVersion) != nil
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

func extensionInt(c *x509.Certificate, name string, oid asn1.ObjectIdentifier) (uint8, error) {
	v := extension(c, oid)
	if v == nil {
		return 0, fmt.Errorf("VCEK without %s extension %v", name, oid)
	}
	var n int
	rest, err := asn1.Unmarshal(v, &n)
	if err != nil || len(rest) != 0 || n < 0 || n > 255 {
		return 0, fmt.Errorf("VCEK extension %s is no number from 0 to 255", name)
	}
	return uint8(n), nil
}

// readEndorsement reads the extensions of a VCEK.
func readEndorsement(c *x509.Certificate) (*endorsement, error) {
	var e endorsement
	if _, err := extensionInt(c, "structure version", OIDStructVersion); err != nil {
		return nil, err
	}
	var product string
	rest, err := asn1.Unmarshal(extension(c, OIDProduct), &product)
	if err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("VCEK without readable product name")
	}
	e.product = product
	e.tcb.hasFMC = extension(c, OIDFMC) != nil
	fields := []struct {
		name string
		oid  asn1.ObjectIdentifier
		to   *uint8
	}{
		{"boot loader", OIDBootloader, &e.tcb.Bootloader},
		{"TEE", OIDTEE, &e.tcb.TEE},
		{"SNP", OIDSNP, &e.tcb.SNP},
		{"microcode", OIDMicrocode, &e.tcb.Microcode},
	}
	if e.tcb.hasFMC {
		fields = append(fields, struct {
			name string
			oid  asn1.ObjectIdentifier
			to   *uint8
		}{"FMC", OIDFMC, &e.tcb.FMC})
	}
	for _, f := range fields {
		if *f.to, err = extensionInt(c, f.name, f.oid); err != nil {
			return nil, err
		}
	}
	// The hardware id is the raw extension value, no ASN.1 inside: 64 bytes,
	// or 8 on Turin, where CHIP_ID is the same padded with zeroes.
	id := extension(c, OIDHardwareID)
	if want := map[bool]int{false: 64, true: 8}[e.tcb.hasFMC]; len(id) != want {
		return nil, fmt.Errorf("VCEK hardware id of %d bytes, expected %d", len(id), want)
	}
	copy(e.chipID[:], id)
	return &e, nil
}

// vcekKey is the key of a VCEK, which is always on P-384.
func vcekKey(c *x509.Certificate) (*ecdsa.PublicKey, error) {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return nil, fmt.Errorf("VCEK key is not on P-384")
	}
	return key, nil
}

// CheckRoot says whether c can be a root at all: a self-signed CA in the form
// that AMD uses. Whose root it is, is the caller's question.
func CheckRoot(c *x509.Certificate) error {
	if !bytes.Equal(c.RawSubject, c.RawIssuer) {
		return fmt.Errorf("root certificate is not self-issued")
	}
	return checkIssued(c, c)
}

// checkIssued says whether parent, as a CA, signed c the way AMD signs:
// RSASSA-PSS with SHA-384.
func checkIssued(c, parent *x509.Certificate) error {
	if !parent.BasicConstraintsValid || !parent.IsCA || parent.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("%s is no certificate authority", shown(parent.Subject.CommonName))
	}
	key, ok := parent.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("key of %s is not RSA", shown(parent.Subject.CommonName))
	}
	if n := key.N.BitLen(); n < minRSABits || n > maxRSABits {
		return fmt.Errorf("key of %s has %d bits, expected %d to %d", shown(parent.Subject.CommonName), n, minRSABits, maxRSABits)
	}
	if !bytes.Equal(c.RawIssuer, parent.RawSubject) {
		return fmt.Errorf("%s was not issued by %s", shown(c.Subject.CommonName), shown(parent.Subject.CommonName))
	}
	if c.SignatureAlgorithm != x509.SHA384WithRSAPSS {
		return fmt.Errorf("%s is signed with %v, expected RSASSA-PSS with SHA-384", shown(c.Subject.CommonName), c.SignatureAlgorithm)
	}
	if err := c.CheckSignatureFrom(parent); err != nil {
		return fmt.Errorf("signature of %s on %s: %w", shown(parent.Subject.CommonName), shown(c.Subject.CommonName), err)
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
