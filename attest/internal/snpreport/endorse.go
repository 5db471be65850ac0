// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"
)

// This file looks at endorsements without evidence, for those who keep them. A
// verification does not rest on it: it checks everything again.

// Endorsement is a certificate or a list that was followed to the root of a
// product line. Its dates are read and not judged.
type Endorsement struct {
	// Line is the name of the product line.
	Line string
	// From and Until are the dates of the certificate, or this and next
	// update of the list.
	From, Until time.Time
	// Number of the list, or nil.
	Number *big.Int
	// ChipID and TCB are a VCEK's.
	ChipID [64]byte
	TCB    TCB
}

// CheckList checks that the root of one of the lines signed the list.
func CheckList(lines []Line, der []byte) (*Endorsement, error) {
	l, err := parseList(der)
	if err != nil {
		return nil, err
	}
	for i := range lines {
		if !bytes.Equal(l.RawIssuer, lines[i].Root.RawSubject) {
			continue
		}
		if err := checkList(l, lines[i].Root, nil); err != nil {
			return nil, err
		}
		return &Endorsement{Line: lines[i].Name, From: l.ThisUpdate, Until: l.NextUpdate, Number: l.Number}, nil
	}
	return nil, fmt.Errorf("list of %s, which is no accepted root", shown(l.Issuer.CommonName))
}

// CheckAuthorities checks an intermediate for one kind of leaf and, where there
// is a second certificate, that it is the root that signed the first. From is
// when the intermediate was issued; Until is the first end of the two.
func CheckAuthorities(lines []Line, kind uint8, ders [][]byte) (*Endorsement, error) {
	if len(ders) < 1 || len(ders) > 2 {
		return nil, fmt.Errorf("%d certificates, expected an intermediate and its root", len(ders))
	}
	ca, err := parseCert(ders[0])
	if err != nil {
		return nil, err
	}
	for i := range lines {
		l := &lines[i]
		if _, name := l.authorities(kind); name == "" || ca.Subject.CommonName != name || !bytes.Equal(ca.RawIssuer, l.Root.RawSubject) {
			continue
		}
		if !ca.IsCA {
			return nil, fmt.Errorf("%s is no certificate authority", shown(ca.Subject.CommonName))
		}
		if err := checkIssued(ca, l.Root, nil); err != nil {
			return nil, err
		}
		if len(ders) == 2 && !bytes.Equal(ders[1], l.Root.Raw) {
			return nil, fmt.Errorf("the second certificate is not the root of %s", l.Name)
		}
		until := ca.NotAfter
		if l.Root.NotAfter.Before(until) {
			until = l.Root.NotAfter
		}
		return &Endorsement{Line: l.Name, From: ca.NotBefore, Until: until}, nil
	}
	return nil, fmt.Errorf("%s is no intermediate for a %s under an accepted root", shown(ca.Subject.CommonName), keyName(kind))
}

// CheckLeaf checks a VCEK or VLEK under the intermediates built in and those in
// authorities, each of which must lead to a root of lines.
func CheckLeaf(lines []Line, kind uint8, der []byte, authorities [][]byte) (*Endorsement, error) {
	leaf, err := parseCert(der)
	if err != nil {
		return nil, err
	}
	if !isLeaf(leaf) {
		return nil, fmt.Errorf("%s is not a key that signs reports", shown(leaf.Subject.CommonName))
	}
	if got, err := leafKind(leaf); err != nil || got != kind {
		return nil, fmt.Errorf("%s is a %s, expected a %s", shown(leaf.Subject.CommonName), keyName(got), keyName(kind))
	}
	if len(authorities) > maxAuthorities {
		return nil, fmt.Errorf("%d intermediates, expected at most %d", len(authorities), maxAuthorities)
	}
	line, err := issuingLine(lines, kind, leaf, authorities)
	if err != nil {
		return nil, err
	}
	end, err := readEndorsement(leaf, kind, line.HasFMC)
	if err != nil {
		return nil, err
	}
	if _, err := leafKey(leaf); err != nil {
		return nil, err
	}
	return &Endorsement{Line: line.Name, From: leaf.NotBefore, Until: leaf.NotAfter, ChipID: end.chipID, TCB: end.tcb}, nil
}

// issuingLine is the line whose intermediate signed the leaf.
func issuingLine(lines []Line, kind uint8, leaf *x509.Certificate, authorities [][]byte) (*Line, error) {
	err := fmt.Errorf("no intermediate named %s at hand", shown(leaf.Issuer.CommonName))
	for i := range lines {
		l := &lines[i]
		known, name := l.authorities(kind)
		all := known[:len(known):len(known)]
		for _, der := range authorities {
			if _, e := CheckAuthorities(lines[i:i+1], kind, [][]byte{der}); e != nil {
				continue
			}
			ca, e := parseCert(der)
			if e != nil {
				continue
			}
			all = append(all, ca)
		}
		for _, ca := range all {
			if ca.Subject.CommonName != name || !bytes.Equal(ca.RawSubject, leaf.RawIssuer) {
				continue
			}
			if err = checkIssued(leaf, ca, nil); err == nil {
				return l, nil
			}
		}
	}
	return nil, err
}

// LineOf is the line of a CPU that a report of version 3 or later names, or
// nil.
func LineOf(lines []Line, family, model uint8) *Line {
	for i := range lines {
		for _, c := range lines[i].CPUs {
			if c.Family == family && model >= c.First && model <= c.Last {
				return &lines[i]
			}
		}
	}
	return nil
}

// Decode reads b in the layout of the product line: with FMC (Turin) or
// without.
func (b TCBBytes) Decode(hasFMC bool) (TCB, error) { return b.decode(hasFMC) }

// HasFMC says whether the level has a component FMC.
func (t TCB) HasFMC() bool { return t.hasFMC }
