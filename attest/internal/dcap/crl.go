// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// parseCRL reads one revocation list.
func parseCRL(der []byte) (*x509.RevocationList, error) {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fault.New(attest.ReasonListFormat, "not a revocation list: %w", err)
	}
	if err := derform.Signed(der); err != nil {
		return nil, fault.New(attest.ReasonListFormat, "revocation list: %w", err)
	}
	if l.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return nil, fault.New(attest.ReasonListFormat, "signature algorithm %v, expected ECDSA with SHA-256", l.SignatureAlgorithm)
	}
	if l.NextUpdate.IsZero() {
		return nil, fault.New(attest.ReasonListFormat, "revocation list without a date of its next update")
	}
	// Critical extensions change what a list means (a list of changes, or of
	// some certificates only); Intel uses none, and none is understood here.
	for _, e := range l.Extensions {
		if e.Critical || derform.Narrows(e.Id) {
			return nil, fault.New(attest.ReasonListFormat, "extension that is not understood %v", e.Id)
		}
	}
	for _, r := range l.RevokedCertificateEntries {
		for _, e := range r.Extensions {
			if e.Critical || derform.Narrows(e.Id) {
				return nil, fault.New(attest.ReasonListFormat, "extension that is not understood %v of an entry", e.Id)
			}
		}
	}
	return l, nil
}

// ofIssuer gives the lists of an issuer, each proven to be signed with key.
func ofIssuer(lists []*x509.RevocationList, issuer []byte, key *ecdsa.PublicKey, sigs *signatures) ([]*x509.RevocationList, error) {
	var found []*x509.RevocationList
	for _, l := range lists {
		if !bytes.Equal(l.RawIssuer, issuer) {
			continue
		}
		if !sigs.verify(key, formDER, l.RawTBSRevocationList, l.Signature) {
			return nil, fault.New(attest.ReasonListForeign, "not signed by the issuer it names")
		}
		found = append(found, l)
	}
	if len(found) == 0 {
		return nil, fault.New(attest.ReasonListMissing, "missing")
	}
	return found, nil
}

// newest is the list of which the dates count: the latest that is current, and
// if none is, the latest that was. All of them revoke, so that a list more
// never makes anything better.
func newest(lists []*x509.RevocationList, at time.Time) *x509.RevocationList {
	best := lists[0]
	for _, l := range lists[1:] {
		if fresher(at, l.ThisUpdate, l.NextUpdate, best.ThisUpdate, best.NextUpdate) {
			best = l
		}
	}
	return best
}

// revoked says whether c stands in one of lists, for whatever reason and since
// whenever.
func revoked(lists []*x509.RevocationList, c *x509.Certificate) bool {
	for _, l := range lists {
		for _, r := range l.RevokedCertificateEntries {
			if r.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return true
			}
		}
	}
	return false
}
