// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// Line is one product line: a root and what belongs below it.
type Line struct {
	// Name is what the product name in a leaf begins with, up to a "-":
	// "Milan" for "Milan-B0".
	Name string
	// Root ends every chain of this line, checked with [CheckRoot] by the
	// caller.
	Root *x509.Certificate
	// ASK and ASVK are intermediates that the caller vouches for: those
	// whose signature by Root has been checked when they were built in.
	// Others come with the collateral and are checked.
	ASK, ASVK []*x509.Certificate
	// ASKName and ASVKName are the common names of the intermediates that
	// sign VCEKs and VLEKs; an empty name means that the line has none.
	ASKName, ASVKName string
	// HasFMC says that the line has Turin's TCB layout, certificates of
	// structure version 1 and hardware ids of 8 bytes.
	HasFMC bool
	// CPUs are the CPUs that belong to the line, by what reports of version
	// 3 and later say; none means that the line names no CPU.
	CPUs []CPUs
	// ListURL is where people find the revocation list.
	ListURL string
}

// CPUs is a range of models of one family (CPUID Fn0000_0001_EAX, with the
// extended parts added).
type CPUs struct{ Family, First, Last uint8 }

// authorities are the intermediates built in for one kind of leaf.
func (l *Line) authorities(kind uint8) ([]*x509.Certificate, string) {
	if kind == KeyVLEK {
		return l.ASVK, l.ASVKName
	}
	return l.ASK, l.ASKName
}

// presented is an intermediate of the collateral whose signature by the root of
// its line has been checked.
type presented struct {
	cert *x509.Certificate
	line *Line
}

// chain finds leaf ← intermediate ← root in the collateral and checks every
// signature and date on the way.
func (v *verification) chain() {
	want := keyName(v.report.SigningKey) + ", signed by an intermediate, signed by the root"
	const todo = "get the certificates of this very machine, or use another host"
	leaf, err := v.sortCollateral()
	if err == nil {
		err = v.link(leaf)
	}
	if err != nil {
		v.row(false, fault.Reason(err, attest.ReasonChain), "chain", err.Error(), want, v.p.RootSource, todo)
		return
	}
	end, err := readEndorsement(leaf, v.report.SigningKey, v.line.HasFMC)
	if err != nil {
		v.line, v.ca = nil, nil
		v.row(false, fault.Reason(err, attest.ReasonChain), "chain", err.Error(), "the extensions of a "+keyName(v.report.SigningKey), specKDS, todo)
		return
	}
	v.leaf, v.end = leaf, end
	v.row(true, "", "chain", shown(leaf.Subject.CommonName)+" of product "+shown(end.product)+", "+
		shown(v.ca.Subject.CommonName)+", "+shown(v.line.Root.Subject.CommonName), want, v.p.RootSource, "")
	v.dates(leaf, v.ca, v.line.Root)
}

func (v *verification) dates(chain ...*x509.Certificate) {
	const source, todo = "time of the appraisal", "check this machine's clock; if it is right, the host must fetch new certificates"
	for _, c := range chain {
		if !validAt(c, v.at) {
			why := attest.ReasonCertExpired
			if v.at.Before(c.NotBefore) {
				why = attest.ReasonCertNotYetValid
			}
			v.row(false, why, "dates", fmt.Sprintf("%s is valid from %s to %s", shown(c.Subject.CommonName), stamp(c.NotBefore), stamp(c.NotAfter)),
				"valid at "+stamp(v.at), source, todo)
			return
		}
		v.rests(shown(c.Subject.CommonName), c.NotAfter)
	}
	v.datesRow = len(v.rows)
	v.row(true, "", "dates", "all certificates valid", "valid at "+stamp(v.at), source, "")
}

// rests remembers that the verification rests on something that ends.
func (v *verification) rests(name string, end time.Time) {
	if v.until.IsZero() || end.Before(v.until) {
		v.until, v.ends = end, name
	}
}

// firstEnd says in the row of the dates what ends first, so that it can be
// replaced before it does.
func (v *verification) firstEnd() {
	if v.datesRow > 0 {
		v.rows[v.datesRow].Seen += fmt.Sprintf("; the first to end is %s at %s", v.ends, stamp(v.until))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// sortCollateral parses the collateral: exactly one leaf of the kind that the
// report names, intermediates, revocation lists. A stapled root is accepted
// only if it is a root already.
func (v *verification) sortCollateral() (leaf *x509.Certificate, err error) {
	if len(v.col) > maxCollateral {
		return nil, fault.New(attest.ReasonTooLarge, "%d entries of collateral, expected at most %d", len(v.col), maxCollateral)
	}
	for i, e := range v.col {
		switch e.MediaType {
		case attest.MediaTypeCRL:
			v.addList(i, e.Value)
			continue
		case attest.MediaTypeCertificate:
		default:
			// Not needed for this chain; what is needed and missing fails below.
			v.note(attest.Skipped, "collateral", fmt.Sprintf("entry %d of type %s", i, shown(e.MediaType)),
				attest.MediaTypeCertificate+" or "+attest.MediaTypeCRL, ours)
			continue
		}
		if v.builtIn(e.Value) {
			continue
		}
		c, err := parseCert(e.Value)
		if err != nil {
			return nil, fmt.Errorf("collateral entry %d: %w", i, err)
		}
		if isLeaf(c) {
			leaf, err = v.addLeaf(leaf, c)
		} else {
			err = v.addAuthority(c)
		}
		if err != nil {
			return nil, fmt.Errorf("collateral entry %d: %w", i, err)
		}
	}
	if leaf == nil {
		return nil, fmt.Errorf("no %s in the collateral", keyName(v.report.SigningKey))
	}
	return leaf, nil
}

// builtIn says whether der is, byte for byte, a certificate that the caller
// vouches for.
func (v *verification) builtIn(der []byte) bool {
	for _, l := range v.p.Lines {
		if bytes.Equal(l.Root.Raw, der) {
			return true
		}
		for _, cas := range [][]*x509.Certificate{l.ASK, l.ASVK} {
			for _, c := range cas {
				if bytes.Equal(c.Raw, der) {
					return true
				}
			}
		}
	}
	return false
}

func (v *verification) addLeaf(have, c *x509.Certificate) (*x509.Certificate, error) {
	kind, err := leafKind(c)
	switch {
	case err != nil:
		return nil, err
	case kind != v.report.SigningKey:
		// A host that can use both kinds staples both.
		v.note(attest.Skipped, "collateral", "a "+keyName(kind), "the report names "+keyName(v.report.SigningKey), ours)
		return have, nil
	case have != nil && !have.Equal(c):
		return nil, fmt.Errorf("two different certificates of kind %s", keyName(kind))
	}
	return c, nil
}

// addAuthority takes an intermediate that is not built in. One that no root
// signed is refused even where the chain would not need it: nothing of the
// collateral is to go unchecked.
func (v *verification) addAuthority(c *x509.Certificate) error {
	if bytes.Equal(c.RawSubject, c.RawIssuer) {
		return fault.New(attest.ReasonRoot, "%s is a foreign root", shown(c.Subject.CommonName))
	}
	if !c.IsCA {
		return fmt.Errorf("%s is neither a key that signs reports nor an authority", shown(c.Subject.CommonName))
	}
	if len(v.cas) == maxAuthorities {
		return fault.New(attest.ReasonTooLarge, "more than %d intermediates", maxAuthorities)
	}
	err := fault.New(attest.ReasonRoot, "%s leads to no accepted root", shown(c.Subject.CommonName))
	for i := range v.p.Lines {
		l := &v.p.Lines[i]
		if !bytes.Equal(c.RawIssuer, l.Root.RawSubject) {
			continue
		}
		if err = checkIssued(c, l.Root, &v.signatures); err == nil {
			v.cas = append(v.cas, presented{c, l})
			return nil
		}
		err = fault.New(attest.ReasonRoot, "%w", err)
	}
	return err
}

// candidate is an intermediate whose name is the issuer's of a leaf.
type candidate struct {
	ca      *x509.Certificate
	line    *Line
	builtIn bool
}

// candidates are the intermediates that leaf may be from, those built in first.
// There can be several of one name: AMD has replaced one.
func (v *verification) candidates(leaf *x509.Certificate) []candidate {
	var list []candidate
	add := func(ca *x509.Certificate, l *Line, name string, builtIn bool) {
		if name != "" && ca.Subject.CommonName == name && bytes.Equal(ca.RawSubject, leaf.RawIssuer) {
			list = append(list, candidate{ca, l, builtIn})
		}
	}
	for i := range v.p.Lines {
		l := &v.p.Lines[i]
		known, name := l.authorities(v.report.SigningKey)
		for _, ca := range known {
			add(ca, l, name, true)
		}
	}
	for _, p := range v.cas {
		_, name := p.line.authorities(v.report.SigningKey)
		add(p.cert, p.line, name, false)
	}
	return list
}

// link finds the intermediate and the line that issued leaf, and sets them.
func (v *verification) link(leaf *x509.Certificate) error {
	list := v.candidates(leaf)
	v.checkAhead(leaf, list)
	if len(v.p.Lines) == 0 {
		return fault.New(attest.ReasonRoot, "no root counts")
	}
	err := fmt.Errorf("no intermediate named %s at hand", shown(leaf.Issuer.CommonName))
	for _, c := range list {
		if err = checkIssued(leaf, c.ca, &v.signatures); err == nil {
			v.line, v.ca, v.caBuiltIn = c.line, c.ca, c.builtIn
			return nil
		}
	}
	return err
}
