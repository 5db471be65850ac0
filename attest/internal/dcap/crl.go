// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
)

// parseCRL reads one revocation list.
func parseCRL(der []byte) (*x509.RevocationList, error) {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("not a revocation list: %w", err)
	}
	if l.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return nil, fmt.Errorf("signature algorithm %v, expected ECDSA with SHA-256", l.SignatureAlgorithm)
	}
	if l.NextUpdate.IsZero() {
		return nil, fmt.Errorf("revocation list without a date of its next update")
	}
	// Critical extensions change what a list means (a list of changes, or of
	// some certificates only); Intel uses none, and none is understood here.
	for _, e := range l.Extensions {
		if e.Critical {
			return nil, fmt.Errorf("unknown critical extension %v", e.Id)
		}
	}
	for _, r := range l.RevokedCertificateEntries {
		for _, e := range r.Extensions {
			if e.Critical {
				return nil, fmt.Errorf("unknown critical extension %v of an entry", e.Id)
			}
		}
	}
	return l, nil
}

// findCRL gives the one list of an issuer, proven to be signed with key.
func findCRL(lists []*x509.RevocationList, issuer []byte, key *ecdsa.PublicKey, cache *Cache) (*x509.RevocationList, error) {
	var found *x509.RevocationList
	for _, l := range lists {
		if !bytes.Equal(l.RawIssuer, issuer) {
			continue
		}
		if found != nil && !bytes.Equal(found.Raw, l.Raw) {
			return nil, fmt.Errorf("two different lists of the same issuer")
		}
		found = l
	}
	if found == nil {
		return nil, fmt.Errorf("missing")
	}
	if !cache.verifyASN1(key, found.RawTBSRevocationList, found.Signature) {
		return nil, fmt.Errorf("not signed by the issuer it names")
	}
	return found, nil
}

// revoked says whether c stands in l, for whatever reason and since whenever.
func revoked(l *x509.RevocationList, c *x509.Certificate) bool {
	for _, r := range l.RevokedCertificateEntries {
		if r.SerialNumber.Cmp(c.SerialNumber) == 0 {
			return true
		}
	}
	return false
}
