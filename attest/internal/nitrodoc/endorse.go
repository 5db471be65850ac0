// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"
)

// This file looks at revocation lists without judging a document, for those who
// fetch and keep them. A verification does not rest on it.

// ListPoint is where an issuer of a document's chain says that its revocation
// list is.
type ListPoint struct {
	// URL is the address in what the issuer issued, as it stands there.
	URL string
	// Issuers are the certificates from below the root down to the issuer;
	// none if it is the root itself.
	Issuers [][]byte
}

// ListPoints proves the document's chain under the root, and gives the addresses
// in it. Those of an unproven chain would be anybody's.
func (d *Document) ListPoints(root *x509.Certificate) ([]ListPoint, error) {
	chain, err := d.readChain(root)
	if err == nil {
		err, _ = d.checkSignatures(chain, nil)
	}
	if err != nil {
		return nil, err
	}
	var points []ListPoint
	for i, c := range chain[1:] {
		for _, u := range c.CRLDistributionPoints {
			p := ListPoint{URL: u}
			for _, issuer := range chain[1 : i+1] {
				p.Issuers = append(p.Issuers, issuer.Raw)
			}
			points = append(points, p)
		}
	}
	return points, nil
}

// SpeaksFor says whether a list is one that c's issuer keeps for c, by what the
// two say of themselves. It proves nothing and is for sorting many lists.
func SpeaksFor(der []byte, c *x509.Certificate) bool {
	l, err := parseList(der)
	return err == nil && l.speaksFor(c)
}

// Endorsement is a list that was followed to the root. Its dates are read and
// not judged.
type Endorsement struct {
	// From and Until are the list's dates, with Until no later than the end
	// of any certificate between it and the root.
	From, Until time.Time
	// Number of the list, or nil.
	Number *big.Int
}

// CheckList checks that the last of issuers, or the root if there is none,
// signed the list, for certificates that name the address url. The issuers must
// lead to the root.
func CheckList(root *x509.Certificate, issuers [][]byte, der []byte, url string) (*Endorsement, error) {
	if root == nil {
		return nil, fmt.Errorf("no root was given")
	}
	if len(issuers) >= maxBundle {
		return nil, fmt.Errorf("%d issuers, expected fewer than %d", len(issuers), maxBundle)
	}
	l, err := parseList(der)
	if err != nil {
		return nil, err
	}
	issuer, until := root, l.NextUpdate
	for i, b := range issuers {
		c, err := parseCert(b)
		if err == nil {
			err = checkAuthority(c, len(issuers)-1-i)
		}
		if err == nil {
			err = checkIssuer(c, issuer)
		}
		if err == nil {
			err = c.CheckSignatureFrom(issuer)
		}
		if err != nil {
			return nil, fmt.Errorf("issuer %d of the list: %w", i+1, err)
		}
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
		issuer = c
	}
	switch {
	case !bytes.Equal(l.RawIssuer, issuer.RawSubject):
		return nil, fmt.Errorf("list of %s, expected one of %s", shown(l.Issuer.CommonName), shown(issuer.Subject.CommonName))
	case issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return nil, fmt.Errorf("%s may not sign revocation lists", shown(issuer.Subject.CommonName))
	case l.point != "" && l.point != url:
		return nil, fmt.Errorf("list for the address %s, expected %s", shown(l.point), shown(url))
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("list of %s: %w", shown(issuer.Subject.CommonName), err)
	}
	return &Endorsement{From: l.ThisUpdate, Until: until, Number: l.Number}, nil
}
