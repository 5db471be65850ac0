// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/vtpm"
)

// vtpm picks what the file brings, and of the relying party's own what may
// issue it or the endorsement certificates in the evidence: certificates of
// authorities and lists by whose name something picked was issued. A
// certificate of an attestation key that the relying party has beside a quote
// counts as brought; evidence of a Keep has its certificates in itself.
func (s *selection) vtpm(ev attest.Evidence, items []item) []item {
	ofQuote := ev.MediaType != attest.MediaTypeTPM
	picked := pick(items, func(x item) bool { return !x.own || ofQuote && x.cert != nil && !x.cert.IsCA })
	picked = picked[:min(len(picked), attest.MaxHints/2)]
	issued := endorsements(ev)
	for _, x := range picked {
		if x.cert != nil {
			issued = append(issued, x.cert)
		}
	}
	taken := make([]bool, len(items)) // a root issues itself
	for ; len(issued) > 0; issued = issued[1:] {
		by := issued[0].RawIssuer
		for i, x := range items {
			issues := x.cert != nil && x.cert.IsCA && bytes.Equal(x.cert.RawSubject, by)
			lists := x.list != nil && bytes.Equal(x.list.RawIssuer, by)
			if !x.own || taken[i] || !issues && !lists || len(picked) >= attest.MaxHints {
				continue
			}
			taken[i] = true
			picked = append(picked, x)
			if issues {
				issued = append(issued, x.cert)
			}
		}
	}
	return s.noteAll(unique(picked))
}

// endorsements are the endorsement certificates in evidence of a Keep that can
// be read; the verifier says what is wrong with the others.
func endorsements(ev attest.Evidence) []*x509.Certificate {
	if ev.MediaType != attest.MediaTypeTPM {
		return nil
	}
	e, err := attest.DecodeTPMEvidence(ev.Value)
	if err != nil {
		return nil
	}
	var certs []*x509.Certificate
	for _, k := range e.Endorsements {
		if c, _, err := vtpm.ParseCertificate(k.Certificate); err == nil {
			certs = append(certs, c)
		}
	}
	return certs
}

// withoutVouched is the question about p, if it vouches for the key of another
// piece of the file: what the relying party ties to its session is then in that
// other piece, since the report data of p are taken for the key.
func (r *Request) withoutVouched(p evidence.Piece, all []evidence.Piece) *Request {
	for _, other := range all {
		if other.Vouch != nil && other.Vouch.Evidence == sha256.Sum256(p.Evidence.Value) {
			q := *r
			q.ReportData = nil
			return &q
		}
	}
	return r
}

// vouched appraises a piece whose key another vouches for, which must have
// passed all its own checks. Nothing is asked of the piece that was asked of
// the other already: firmware level, chip, host data.
func (r *Request) vouched(p evidence.Piece, before []Piece) Piece {
	// The same evidence can be there several times, bound to other data each
	// time. It vouches if it was accepted wherever it is.
	voucher := func(b Piece) bool { return p.Vouch.Evidence == sha256.Sum256(b.Evidence.Value) }
	refused := slices.ContainsFunc(before, func(b Piece) bool { return voucher(b) && b.Claims == nil })
	if slices.ContainsFunc(before, voucher) && !refused {
		q := *r
		q.HostData, q.References = nil, nil
		for _, ref := range r.References {
			if ref.Platform == p.Platform {
				q.References = append(q.References, ref)
			}
		}
		q.Policy.TCB, q.Policy.Floors, q.Policy.Demand = attest.TCBPolicy{}, nil, 0
		return q.piece(p)
	}
	return Piece{Where: p.Where, Platform: p.Platform, Evidence: p.Evidence, Collateral: p.Collateral, Rows: attest.Verdict{{
		Check: p.Platform + ".chain", Seen: fmt.Sprintf("the evidence that vouches for the attestation key was not accepted (%s)", p.Vouch.Source),
		Expected: "an attestation key that verified evidence vouches for", Source: ours, Outcome: attest.Fail, Reason: attest.ReasonUnchecked,
		Todo: "see the rows of the evidence before it",
	}}}
}
