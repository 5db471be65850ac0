// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

type extension = pkix.Extension

// oidIssuingPoint is the extension of a list that says where it is published
// (RFC 5280, section 5.2.5). AWS's private CAs can set it, critically.
var oidIssuingPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// list is one revocation list.
type list struct {
	*x509.RevocationList
	// point is where the list says that it is published; if it does, the
	// list speaks only for certificates that name the same place.
	point string
}

// parseList reads one list within the limits.
func parseList(der []byte) (*list, error) {
	if len(der) > maxList {
		return nil, fault.New(attest.ReasonTooLarge, "revocation list of %d bytes, expected at most %d", len(der), maxList)
	}
	r, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("not a revocation list: %w", err)
	}
	if err := derform.Signed(der); err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	l := &list{RevocationList: r}
	switch {
	case r.SignatureAlgorithm != x509.ECDSAWithSHA384:
		return nil, fmt.Errorf("revocation list signed with %v, expected ECDSA with SHA-384", r.SignatureAlgorithm)
	case r.NextUpdate.IsZero():
		return nil, fmt.Errorf("revocation list without a date of its next update")
	}
	for _, e := range r.Extensions {
		if e.Id.Equal(oidIssuingPoint) {
			if l.point, err = parsePoint(e.Value); err != nil {
				return nil, err
			}
		} else if e.Critical {
			return nil, fmt.Errorf("revocation list with the unknown critical extension %v", e.Id)
		}
	}
	for _, entry := range r.RevokedCertificateEntries {
		if i := slices.IndexFunc(entry.Extensions, func(e extension) bool { return e.Critical }); i >= 0 {
			return nil, fmt.Errorf("entry of a revocation list with the unknown critical extension %v", entry.Extensions[i].Id)
		}
	}
	return l, nil
}

// parsePoint reads an issuing distribution point that is one URI and nothing
// else: the other fields narrow down what a list is about.
func parsePoint(der []byte) (string, error) {
	var outer asn1.RawValue
	b := der
	for i, want := range []struct{ class, tag int }{
		{asn1.ClassUniversal, asn1.TagSequence}, // IssuingDistributionPoint
		{asn1.ClassContextSpecific, 0},          // distributionPoint
		{asn1.ClassContextSpecific, 0},          // fullName
		{asn1.ClassContextSpecific, 6},          // uniformResourceIdentifier
	} {
		rest, err := asn1.Unmarshal(b, &outer)
		if err != nil || len(rest) != 0 || outer.Class != want.class || outer.Tag != want.tag || outer.IsCompound != (i < 3) {
			return "", fmt.Errorf("revocation list with an issuing distribution point that is not one URI")
		}
		b = outer.Bytes
	}
	if len(b) == 0 {
		return "", fmt.Errorf("revocation list with an empty issuing distribution point")
	}
	return string(b), nil
}

// speaksFor says whether l is the list that c's issuer keeps for c.
func (l *list) speaksFor(c *x509.Certificate) bool {
	return bytes.Equal(l.RawIssuer, c.RawIssuer) && (l.point == "" || slices.Contains(c.CRLDistributionPoints, l.point))
}

func (l *list) revokes(c *x509.Certificate) bool {
	return slices.ContainsFunc(l.RevokedCertificateEntries, func(r x509.RevocationListEntry) bool {
		return r.SerialNumber.Cmp(c.SerialNumber) == 0
	})
}

// addLists keeps the lists of the collateral and names what nothing needs.
func (v *verification) addLists() {
	if len(v.col) > maxCollateral {
		v.listErr = fault.New(attest.ReasonTooLarge, "%d entries of collateral, expected at most %d", len(v.col), maxCollateral)
		return
	}
	for i, e := range v.col {
		if e.MediaType != attest.MediaTypeCRL {
			v.note(attest.Skipped, "collateral", fmt.Sprintf("entry %d of type %s", i, shown(e.MediaType)), attest.MediaTypeCRL, ours, "")
			continue
		}
		l, err := parseList(e.Value)
		switch {
		case err != nil:
			v.listErr = fault.New(fault.Reason(err, attest.ReasonListFormat), "collateral entry %d: %w", i, err)
			return
		case len(v.lists) == maxLists:
			v.listErr = fault.New(attest.ReasonTooLarge, "more than %d revocation lists", maxLists)
			return
		}
		v.lists = append(v.lists, l)
	}
}

// revocation holds the chain against the lists that came along. Each must be of
// an issuer of the chain, signed by it and current; one that names a certificate
// of the chain refuses it, and lists that are missing are for [Demands] to judge.
func (v *verification) revocation() {
	const want = "no certificate of the chain revoked, by current lists of its issuers"
	const source = "the revocation lists of the chain's issuers"
	const todo = "get the current lists from the addresses in the certificates; if one is revoked, do not use this host"
	v.addLists()
	var missing []string
	err := v.listErr
	if err == nil && v.chain == nil {
		err = fault.New(attest.ReasonUnchecked, "no proven chain")
	}
	if err == nil {
		missing, err = v.askLists()
	}
	if err == nil && len(missing) != 0 && v.p.Demands.RequireCRL {
		err = fault.New(attest.ReasonListMissing, "no list of %s", strings.Join(missing, ", "))
	}
	switch {
	case err != nil:
		v.row(false, fault.Reason(err, attest.ReasonListForeign), "revocation", err.Error(), want, source, todo)
	case len(missing) == 0:
		v.row(true, "", "revocation", fmt.Sprintf("none revoked, by %d lists", len(v.lists)), want, source, "")
	case v.p.Simulated:
		v.row(true, "", "revocation", "made-up certificates, which nobody revokes", want, source, "")
	default:
		v.note(attest.Skipped, "revocation", "NOT CHECKED: no list of "+strings.Join(missing, ", ")+
			" came along; a certificate that AWS has revoked would still pass, for as long as it lasts", want, source,
			"bring the lists as collateral, and demand them")
	}
}

// askLists says whose lists are missing. An issuer needs one if it says in what
// it issued where the list is; the root always does.
func (v *verification) askLists() (missing []string, err error) {
	used := make([]bool, len(v.lists))
	for i, c := range v.chain[1:] {
		issuer, found := v.chain[i], false
		for n, l := range v.lists {
			if !l.speaksFor(c) {
				continue
			}
			if err := v.checkList(l, issuer); err != nil {
				return nil, err
			}
			if l.revokes(c) { // also by a list that has ended
				return nil, fault.New(attest.ReasonRevoked, "certificate of %s, serial number %x, is revoked by %s", shown(c.Subject.CommonName), c.SerialNumber, shown(issuer.Subject.CommonName))
			}
			if err := v.checkListDates(l, issuer); err != nil {
				return nil, err
			}
			used[n], found = true, true
		}
		if !found && (i == 0 || len(c.CRLDistributionPoints) != 0) {
			missing = append(missing, shown(issuer.Subject.CommonName))
		}
	}
	if n := slices.Index(used, false); n >= 0 {
		return nil, fault.New(attest.ReasonListForeign, "a list of %s, which is about no certificate of the chain", shown(v.lists[n].Issuer.CommonName))
	}
	return missing, nil
}

func (v *verification) checkList(l *list, issuer *x509.Certificate) error {
	name := shown(issuer.Subject.CommonName)
	if issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return fault.New(attest.ReasonListForeign, "%s may not sign revocation lists", name)
	}
	if err := v.p.Cache.check(issuer, l.Raw, func() error { return l.CheckSignatureFrom(issuer) }); err != nil {
		return fault.New(attest.ReasonListForeign, "list of %s: %w", name, err)
	}
	return nil
}

func (v *verification) checkListDates(l *list, issuer *x509.Certificate) error {
	name := shown(issuer.Subject.CommonName)
	switch span := "list of %s is current from %s to %s"; {
	case v.at.Before(l.ThisUpdate):
		return fault.New(attest.ReasonListNotYetValid, span, name, stamp(l.ThisUpdate), stamp(l.NextUpdate))
	case v.at.After(l.NextUpdate):
		return fault.New(attest.ReasonListExpired, span, name, stamp(l.ThisUpdate), stamp(l.NextUpdate))
	}
	return nil
}
