// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/x509"

	"github.com/enarx/enarx-go/attest/internal/parallel"
)

// A verification without a memory of signatures computes three: the leaf's and
// the revocation list's, RSA, and the report's, ECDSA. None needs another's
// result, so they are computed at the same time, before the rows ask for them.
// The rows are made in their own order and do not notice.

// signatures checks the signatures of one verification. A nil one computes
// each when asked.
type signatures struct {
	memory *Signatures
	ahead  []*computed
	// The report's signature by the key of a leaf, which may yet turn out to
	// be nobody's.
	leaf      *x509.Certificate
	reportErr error
}

// computed is the result of one check, of exactly these bytes under exactly
// this certificate.
type computed struct {
	issuer *x509.Certificate
	signed []byte
	err    error
}

// check says whether issuer's signature on signed is good: because that is
// known of the same bytes, or by calling verify.
func (s *signatures) check(issuer *x509.Certificate, signed []byte, verify func() error) error {
	if s == nil {
		return verify()
	}
	for _, c := range s.ahead {
		if c.issuer == issuer && bytes.Equal(c.signed, signed) {
			return c.err
		}
	}
	c, work := s.begin(issuer, signed, verify)
	if work != nil {
		work()
	}
	return c.err
}

// begin gives the place of a result and the work that will fill it, which is
// nil for a signature that is remembered as good. Only good ones are
// remembered.
func (s *signatures) begin(issuer *x509.Certificate, signed []byte, verify func() error) (c *computed, work func()) {
	c = &computed{issuer: issuer, signed: signed}
	if s.memory == nil {
		return c, func() { c.err = verify() }
	}
	key := signatureKey(issuer.Raw, signed)
	if s.memory.has(key) {
		return c, nil
	}
	return c, func() {
		if c.err = verify(); c.err == nil {
			s.memory.remember(key)
		}
	}
}

// checkReport says whether the key of leaf signed r.
func (s *signatures) checkReport(r *Report, leaf *x509.Certificate) error {
	if s.leaf != nil && s.leaf == leaf {
		return s.reportErr
	}
	key, err := leafKey(leaf)
	if err != nil {
		return err
	}
	return r.CheckSignature(key)
}

// maxAhead bounds the lists whose signatures are computed ahead. A root has one;
// further ones are checked when their turn comes, if it does.
const maxAhead = 1

// checkAhead computes the signatures that a good verification with leaf, issued
// by one of list, is going to ask for. What checkIssued and checkList refuse
// without computing anything is left to them.
func (v *verification) checkAhead(leaf *x509.Certificate, list []candidate) {
	s := &v.signatures
	tasks := make([]func(), 0, 2+maxAhead)
	if key, err := leafKey(leaf); err == nil {
		s.leaf = leaf
		tasks = append(tasks, func() { s.reportErr = v.report.CheckSignature(key) })
	}
	add := func(issuer *x509.Certificate, algorithm x509.SignatureAlgorithm, signed []byte, verify func() error) {
		if algorithm != x509.SHA384WithRSAPSS || checkAuthority(issuer) != nil {
			return
		}
		c, work := s.begin(issuer, signed, verify)
		s.ahead = append(s.ahead, c)
		if work != nil {
			tasks = append(tasks, work)
		}
	}
	if len(list) > 0 {
		ca, root := list[0].ca, list[0].line.Root
		add(ca, leaf.SignatureAlgorithm, leaf.Raw, func() error { return leaf.CheckSignatureFrom(ca) })
		for i, l := range v.lists {
			if i < maxAhead && bytes.Equal(l.RawIssuer, root.RawSubject) {
				add(root, l.SignatureAlgorithm, l.Raw, func() error { return l.CheckSignatureFrom(root) })
			}
		}
	}
	parallel.Do(tasks)
}
