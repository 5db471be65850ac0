// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// inputs is the collateral, sorted by kind. A kind that could not be read has
// its error, and the check that needs it fails with it.
type inputs struct {
	tee         TEE
	certs       pool
	certErr     error
	crls        []*x509.RevocationList
	crlErr      error
	tcbInfos    [][]byte
	tcbInfoErr  error
	identities  [][]byte
	identityErr error
	other       []string // what no check needs
}

// sortInputs reads the quote's certificates and all collateral.
func sortInputs(q *Quote, col attest.Collateral) *inputs {
	in := &inputs{tee: q.TEE}
	if q.certType == certLeaf || q.certType == certChain {
		n := in.addPEM("the quote", q.certData)
		// Nobody signs the type. It must fit, or it could be changed
		// unnoticed.
		if in.certErr == nil && (n == 1) != (q.certType == certLeaf) {
			in.certErr = fmt.Errorf("the quote: certification data of type %d with %d certificates, expected one for type %d and a chain for type %d", q.certType, n, certLeaf, certChain)
		}
	}
	if len(col) > maxEntries {
		in.certErr = fault.New(attest.ReasonTooLarge, "%d entries of collateral, expected at most %d", len(col), maxEntries)
		return in
	}
	for i, e := range col {
		in.add(i, e)
	}
	return in
}

func (in *inputs) add(i int, e attest.Evidence) {
	name := fmt.Sprintf("collateral entry %d", i)
	var tooLong error
	if len(e.Value) > maxEntry {
		tooLong = fault.New(attest.ReasonTooLarge, "%s has %d bytes, expected at most %d", name, len(e.Value), maxEntry)
	}
	switch e.MediaType {
	case attest.MediaTypeCertificate, attest.MediaTypePEMChain:
		switch {
		case tooLong != nil:
			in.certErr = tooLong
		case e.MediaType == attest.MediaTypePEMChain:
			in.addPEM(name, e.Value)
		default:
			in.addCert(name, e.Value)
		}
	case attest.MediaTypeCRL:
		if tooLong != nil {
			in.crlErr = tooLong
			return
		}
		if slices.ContainsFunc(in.crls, func(l *x509.RevocationList) bool { return bytes.Equal(l.Raw, e.Value) }) {
			return
		}
		l, err := parseCRL(e.Value)
		if err != nil {
			in.crlErr = fmt.Errorf("%s: %w", name, err)
			return
		}
		in.crls = append(in.crls, l)
	case attest.MediaTypeIntelTCBInfo:
		addDocument(&in.tcbInfos, &in.tcbInfoErr, e.Value, tooLong)
	case attest.MediaTypeIntelQEIdentity:
		addDocument(&in.identities, &in.identityErr, e.Value, tooLong)
	case attest.MediaTypeEventLog, attest.MediaTypeDstackLog:
		// A TD's registers prove its log; the caller replays it.
		if in.tee != TDX {
			in.other = append(in.other, fmt.Sprintf("entry %d of type %s", i, shown(e.MediaType)))
		}
	default:
		in.other = append(in.other, fmt.Sprintf("entry %d of type %s", i, shown(e.MediaType)))
	}
}

// addDocument keeps a signed document, the same one once.
func addDocument(to *[][]byte, failed *error, value []byte, tooLong error) {
	switch {
	case tooLong != nil:
		*failed = tooLong
	case !slices.ContainsFunc(*to, func(b []byte) bool { return bytes.Equal(b, value) }):
		*to = append(*to, value)
	}
}

// addPEM reads a chain and gives the number of certificates in it.
func (in *inputs) addPEM(name string, b []byte) int {
	ders, err := splitPEM(b)
	if err != nil {
		in.certErr = fmt.Errorf("%s: %w", name, err)
		return 0
	}
	for _, der := range ders {
		in.addCert(name, der)
	}
	return len(ders)
}

func (in *inputs) addCert(name string, der []byte) {
	if in.certErr != nil {
		return
	}
	if err := in.certs.add(der); err != nil {
		in.certErr = fmt.Errorf("%s: %w", name, err)
	}
}
