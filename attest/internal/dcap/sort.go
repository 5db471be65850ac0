// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"crypto/x509"
	"fmt"
)

// IsPCK says whether c has the name of a PCK certificate. Like everything in
// this file it is for sorting many certificates and proves nothing.
func IsPCK(c *x509.Certificate) bool { return !c.IsCA && c.Subject.CommonName == pckName }

// Certificates are those that the quote brings; nil if they cannot be read.
func (q *Quote) Certificates() []*x509.Certificate {
	if q.certType != certLeaf && q.certType != certChain {
		return nil
	}
	ders, err := splitPEM(q.certData)
	if err != nil {
		return nil
	}
	var certs []*x509.Certificate
	for _, der := range ders {
		if len(der) > maxCertificate {
			return nil
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		certs = append(certs, c)
	}
	return certs
}

// PCK is the PCK certificate that the quote brings, or nil.
func (q *Quote) PCK() *x509.Certificate {
	for _, c := range q.Certificates() {
		if IsPCK(c) {
			return c
		}
	}
	return nil
}

// Model is the platform model that a PCK certificate names, FMSPC and PCEID in
// lower-case hexadecimal.
func Model(pck *x509.Certificate) (fmspc, pceID string, err error) {
	p, err := parsePlatform(pck)
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("%x", p.fmspc), fmt.Sprintf("%x", p.pceID), nil
}

// SplitPEM gives the DER of each certificate in b, under the strict rules by
// which a verifier of this package reads it.
func SplitPEM(b []byte) ([][]byte, error) { return splitPEM(b) }
