// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// Limits on certificates.
const (
	// maxIntermediates bounds the certificates that a chain is searched in.
	maxIntermediates = attest.MaxHints
	// maxText bounds each text of a TPM's maker.
	maxText = 64
)

// Identifiers of the TCG EK Credential Profile for TPM Family 2.0, 2.5.
var (
	oidSAN          = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidEKU          = asn1.ObjectIdentifier{2, 23, 133, 8, 1} // tcg-kp-EKCertificate
	oidAKU          = asn1.ObjectIdentifier{2, 23, 133, 8, 3} // tcg-kp-AIKCertificate
	oidManufacturer = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	oidModel        = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	oidVersion      = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
)

// Device is what a certificate says about the TPM (EK Credential Profile,
// 3.2.9). All of it is the maker's word.
type Device struct {
	// Manufacturer is the vendor id, such as "id:53544D20" (TCG TPM Vendor ID
	// Registry: four ASCII characters in hexadecimal).
	Manufacturer, Model, Version string
}

// String names the TPM for people, as "STM ST33HTPHAHB4, version id:00490004".
func (d Device) String() string {
	if d == (Device{}) {
		return "a TPM that its certificate does not name"
	}
	maker := d.Manufacturer
	var raw []byte
	if _, err := fmt.Sscanf(strings.TrimPrefix(maker, "id:"), "%x", &raw); err == nil && len(raw) == 4 {
		raw = bytes.TrimRight(raw, " \x00")
		if !slices.ContainsFunc(raw, func(c byte) bool { return c <= ' ' || c > '~' }) {
			maker = string(raw)
		}
	}
	return fmt.Sprintf("%s %s, version %s", maker, d.Model, d.Version)
}

// ParseCertificate reads a certificate as it comes out of a TPM's NV memory:
// what follows the DER must be only zeros or only 0xff, with which an index is
// filled up. padding is how many bytes that are.
func ParseCertificate(b []byte) (c *x509.Certificate, padding int, err error) {
	if len(b) > attest.MaxTPMCertificate {
		return nil, 0, fmt.Errorf("certificate of %d bytes, expected at most %d", len(b), attest.MaxTPMCertificate)
	}
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(b, &outer)
	if err != nil {
		return nil, 0, fmt.Errorf("no certificate in DER: %w", err)
	}
	for _, fill := range []byte{0x00, 0xff} {
		if !slices.ContainsFunc(rest, func(x byte) bool { return x != fill }) {
			c, err = x509.ParseCertificate(outer.FullBytes)
			return c, len(rest), err
		}
	}
	return nil, 0, fmt.Errorf("certificate with %d bytes after its end that are not padding", len(rest))
}

// DeviceOf reads what a certificate says about its TPM.
func DeviceOf(c *x509.Certificate) (Device, error) {
	var d Device
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSAN) {
			continue
		}
		rdns, err := directoryName(e.Value)
		if err != nil {
			return Device{}, fmt.Errorf("subject alternative name: %w", err)
		}
		for _, set := range rdns {
			for _, a := range set {
				s, ok := a.Value.(string)
				to := map[string]*string{oidManufacturer.String(): &d.Manufacturer, oidModel.String(): &d.Model, oidVersion.String(): &d.Version}[a.Type.String()]
				if to == nil {
					continue
				}
				if !ok || *to != "" || s == "" || len(s) > maxText {
					return Device{}, fmt.Errorf("subject alternative name: attribute %v is empty, too long, no text, or there twice", a.Type)
				}
				*to = s
			}
		}
	}
	return d, nil
}

// directoryName reads GeneralNames (RFC 5280, 4.2.1.6) that have at most one
// directoryName.
func directoryName(der []byte) (pkix.RDNSequence, error) {
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) != 0 {
		return nil, errors.New("not in DER")
	}
	var rdns pkix.RDNSequence
	for _, n := range names {
		if n.Class != asn1.ClassContextSpecific || n.Tag != 4 {
			continue
		}
		if rdns != nil {
			return nil, errors.New("two directory names")
		}
		if rest, err := asn1.Unmarshal(n.Bytes, &rdns); err != nil || len(rest) != 0 {
			return nil, errors.New("directory name not in DER")
		}
	}
	return rdns, nil
}

// checkLeaf holds c to the EK Credential Profile: it is no CA, and it is for
// what its key is used for here, to receive secrets or to sign quotes.
func checkLeaf(c *x509.Certificate, endorsement bool) error {
	if c.BasicConstraintsValid && c.IsCA {
		return errors.New("the certificate is that of a certification authority, not of a TPM's key")
	}
	if endorsement {
		return checkEndorsement(c)
	}
	return checkAttestation(c)
}

func checkEndorsement(c *x509.Certificate) error {
	switch {
	case !slices.ContainsFunc(c.UnknownExtKeyUsage, oidEKU.Equal):
		return fmt.Errorf("the certificate is not for an endorsement key: extended key usage %v is missing", oidEKU)
	case c.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) == 0:
		return errors.New("the certificate's key is not for encryption (key usage)")
	}
	return nil
}

// checkAttestation refuses what else issuers of TPMs' certificates may certify:
// keys that only decrypt, and keys of servers. Google's certificates have no
// extended usage, or that of endorsement keys for keys that sign.
func checkAttestation(c *x509.Certificate) error {
	switch {
	case c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("the certificate's key is not for signatures (key usage)")
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0:
		return nil
	case !slices.ContainsFunc(c.UnknownExtKeyUsage, func(id asn1.ObjectIdentifier) bool { return id.Equal(oidAKU) || id.Equal(oidEKU) }):
		return fmt.Errorf("the certificate is not for a TPM's key: extended key usage %v is missing", oidAKU)
	}
	return nil
}

// Chain checks leaf, the certificate of a TPM's key, up to one of roots, at the
// given time, and returns the chain with the leaf first. Intermediates are
// hostile. The subject alternative name of leaf, which is critical and which
// package x509 does not read, was read with [DeviceOf]; every other extension
// that is critical and unknown refuses.
func Chain(leaf *x509.Certificate, roots, intermediates []*x509.Certificate, endorsement bool, at time.Time) ([]*x509.Certificate, error) {
	if len(roots) == 0 {
		return nil, fault.New(attest.ReasonRoot, "no root was named")
	}
	for _, r := range roots {
		// Package x509 would end a chain at its beginning, if that is a root.
		if !r.BasicConstraintsValid || !r.IsCA {
			return nil, fault.New(attest.ReasonRoot, "%s was named as a root, and is no certification authority", name(r))
		}
	}
	if err := checkLeaf(leaf, endorsement); err != nil {
		return nil, fault.New(attest.ReasonKey, "%v", err)
	}
	if _, err := DeviceOf(leaf); err != nil {
		return nil, fault.New(attest.ReasonChain, "%v", err)
	}
	c := *leaf
	c.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), oidSAN.Equal)
	rootPool, otherPool := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range roots {
		rootPool.AddCert(r)
	}
	for _, x := range intermediates[:min(len(intermediates), maxIntermediates)] {
		if derform.Checkable(x.PublicKey) == nil {
			otherPool.AddCert(x)
		}
	}
	chains, err := c.Verify(x509.VerifyOptions{Roots: rootPool, Intermediates: otherPool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, chainError(err, at)
	}
	best := chains[0]
	for _, ch := range chains {
		if len(ch) < len(best) {
			best = ch
		}
	}
	best = slices.Clone(best)
	best[0] = leaf
	return best, nil
}

// chainError gives what package x509 says its reason.
func chainError(err error, at time.Time) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if at.Before(invalid.Cert.NotBefore) {
			return fault.New(attest.ReasonCertNotYetValid, "%s begins on %s", name(invalid.Cert), invalid.Cert.NotBefore.UTC().Format(time.RFC3339))
		}
		return fault.New(attest.ReasonCertExpired, "%s ended on %s", name(invalid.Cert), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &unknown):
		return fault.New(attest.ReasonRoot, "issued by %q, which leads to none of the roots named", clip(unknown.Cert.Issuer.String()))
	}
	return fault.New(attest.ReasonChain, "%v", err)
}

func name(c *x509.Certificate) string {
	if s := c.Subject.String(); s != "" {
		return fmt.Sprintf("the certificate of %q", clip(s))
	}
	return "the certificate of the TPM's key"
}

func clip(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}
