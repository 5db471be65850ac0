// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// AMD publishes one list per root. It names intermediates; for keys of chips
// there is none, because such a key belongs to one firmware level and is
// fenced off by a floor below which nothing is accepted. Should an intermediate
// ever sign a list, it is checked for the leaf.

// parseList reads one revocation list within the limits.
func parseList(der []byte) (*x509.RevocationList, error) {
	if len(der) > maxList {
		return nil, fault.New(attest.ReasonTooLarge, "revocation list of %d bytes, expected at most %d", len(der), maxList)
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fault.New(attest.ReasonListFormat, "not a revocation list: %w", err)
	}
	if err := derform.Signed(der); err != nil {
		return nil, fault.New(attest.ReasonListFormat, "revocation list: %w", err)
	}
	return l, nil
}

// addList keeps a list of the collateral. What is wrong with it fails the row
// of revocation, not the chain.
func (v *verification) addList(entry int, der []byte) {
	switch {
	case v.listErr != nil:
	case v.p.Simulated:
		v.note(attest.Skipped, "collateral", fmt.Sprintf("entry %d, a revocation list", entry), "a throw-away root has none", ours)
	case len(v.lists) == maxLists:
		v.listErr = fault.New(attest.ReasonTooLarge, "more than %d revocation lists", maxLists)
	default:
		l, err := parseList(der)
		if err != nil {
			v.listErr = fmt.Errorf("collateral entry %d: %w", entry, err)
			return
		}
		v.lists = append(v.lists, l)
	}
}

// checkList says whether issuer signed l and l says nothing that is not
// understood here. A critical extension can narrow what a list is about (delta
// lists, lists for some reasons, indirect lists): none of AMD's has one.
func checkList(l *x509.RevocationList, issuer *x509.Certificate, sigs *signatures) error {
	if err := checkAuthority(issuer); err != nil {
		return err
	}
	if issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return fault.New(attest.ReasonListForeign, "%s must not sign revocation lists", shown(issuer.Subject.CommonName))
	}
	if l.SignatureAlgorithm != x509.SHA384WithRSAPSS {
		return fault.New(attest.ReasonListFormat, "list signed with %v, expected RSASSA-PSS with SHA-384", l.SignatureAlgorithm)
	}
	if err := sigs.check(issuer, l.Raw, func() error { return l.CheckSignatureFrom(issuer) }); err != nil {
		return fault.New(attest.ReasonListForeign, "signature of %s on its list: %w", shown(issuer.Subject.CommonName), err)
	}
	for _, e := range l.Extensions {
		if e.Critical || derform.Narrows(e.Id) {
			return fault.New(attest.ReasonListFormat, "list with extension that is not understood %v", e.Id)
		}
	}
	for _, r := range l.RevokedCertificateEntries {
		for _, e := range r.Extensions {
			if e.Critical || derform.Narrows(e.Id) {
				return fault.New(attest.ReasonListFormat, "list entry with extension that is not understood %v", e.Id)
			}
		}
	}
	if l.NextUpdate.IsZero() {
		return fault.New(attest.ReasonListFormat, "list without an end date")
	}
	return nil
}

// currentAt says whether at lies between the two updates, both included.
func currentAt(l *x509.RevocationList, at time.Time) bool {
	return !at.Before(l.ThisUpdate) && !at.After(l.NextUpdate)
}

func revoked(l *x509.RevocationList, certs []*x509.Certificate) *x509.Certificate {
	for _, e := range l.RevokedCertificateEntries {
		for _, c := range certs {
			if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return c
			}
		}
	}
	return nil
}

func listText(l *x509.RevocationList) string {
	number := "without number"
	if l.Number != nil && l.Number.BitLen() <= 64 {
		number = l.Number.String()
	}
	return fmt.Sprintf("list %s of %s, %s to %s", number, shown(l.Issuer.CommonName), stamp(l.ThisUpdate), stamp(l.NextUpdate))
}

// revocation checks the lists. A list that is out of date still revokes: more
// lists never make anything better. At least one must be current.
func (v *verification) revocation() {
	const want = "a current list of the root that names no certificate of the chain"
	if v.p.Simulated {
		v.note(attest.Skipped, "revocation", "not checked", "a throw-away root has no revocation list", ours)
		return
	}
	if v.ca == nil {
		return // the chain has failed already
	}
	fail := func(why attest.Reason, seen, todo string) {
		v.row(false, why, "revocation", seen, want, v.line.Root.Subject.CommonName, todo)
	}
	if v.listErr != nil {
		fail(fault.Reason(v.listErr, attest.ReasonListFormat), v.listErr.Error(), "leave out what is no list, and get the list anew from "+v.line.ListURL)
		return
	}
	var current, stale, others *x509.RevocationList
	for _, l := range v.lists {
		issuer, about := v.listFor(l)
		if issuer == nil {
			others = l
			v.note(attest.Skipped, "collateral", "revocation list of "+shown(l.Issuer.CommonName), "a list of "+v.line.Root.Subject.CommonName, ours)
			continue
		}
		if err := checkList(l, issuer, &v.signatures); err != nil {
			fail(fault.Reason(err, attest.ReasonListForeign), err.Error(), "the list is damaged or forged; get it anew from "+v.line.ListURL)
			return
		}
		if c := revoked(l, about); c != nil {
			fail(attest.ReasonRevoked, fmt.Sprintf("%s, serial %#x, is revoked by %s", shown(c.Subject.CommonName), c.SerialNumber, listText(l)),
				"AMD has taken this certificate back; the host must use one that AMD's key service gives today")
			return
		}
		switch {
		case issuer != v.line.Root:
		case currentAt(l, v.at):
			if current == nil || l.NextUpdate.After(current.NextUpdate) {
				current = l
			}
		case stale == nil || l.NextUpdate.After(stale.NextUpdate):
			stale = l
		}
	}
	v.listAge(current, stale, others, want, fail)
}

// listFor finds whose list l is and which certificates it is about: the root's
// about itself and every intermediate that was presented or used, and the
// intermediate's about the leaf.
func (v *verification) listFor(l *x509.RevocationList) (issuer *x509.Certificate, about []*x509.Certificate) {
	switch {
	case bytes.Equal(l.RawIssuer, v.line.Root.RawSubject):
		about = []*x509.Certificate{v.line.Root, v.ca}
		for _, p := range v.cas {
			if p.line == v.line {
				about = append(about, p.cert)
			}
		}
		return v.line.Root, about
	case bytes.Equal(l.RawIssuer, v.ca.RawSubject):
		return v.ca, []*x509.Certificate{v.leaf}
	}
	return nil, nil
}

// listAge makes the row once nothing is revoked. stale is a list of the root
// that is not current, others one of another issuer.
func (v *verification) listAge(current, stale, others *x509.RevocationList, want string, fail func(why attest.Reason, seen, todo string)) {
	source := v.line.Root.Subject.CommonName
	todo := "get it from " + v.line.ListURL + " and give it along with the certificates as " + attest.MediaTypeCRL
	why, seen := attest.ReasonListMissing, "no list of "+source
	switch {
	case stale != nil:
		why = attest.ReasonListExpired
		if v.at.Before(stale.ThisUpdate) {
			why = attest.ReasonListNotYetValid
		}
		seen = listText(stale) + ", but the time is " + stamp(v.at)
		todo = "check this machine's clock; if it is right, " + todo
	case others != nil:
		why, seen = attest.ReasonListForeign, seen+", but one of "+shown(others.Issuer.CommonName)
	}
	switch {
	case current != nil:
		v.rests("the revocation list of "+shown(source), current.NextUpdate)
		v.row(true, "", "revocation", listText(current)+", names nothing of this chain", want, source, "")
	case v.p.Demands.AcceptMissingCRL && v.caBuiltIn && len(v.cas) == 0:
		v.note(attest.Warn, "revocation", seen+"; accepted because the relying party said so", want, source)
	case v.p.Demands.AcceptMissingCRL:
		fail(why, seen+", and an intermediate that is not built in", todo+"; without a list only intermediates that are built in are accepted")
	default:
		fail(why, seen, todo)
	}
}
