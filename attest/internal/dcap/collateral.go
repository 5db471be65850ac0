// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

// inputs is the collateral, sorted by kind. A kind that could not be read has
// its error, and the check that needs it fails with it.
type inputs struct {
	certs       pool
	certErr     error
	crls        []*x509.RevocationList
	crlErr      error
	tcbInfo     []byte
	tcbInfoErr  error
	identity    []byte
	identityErr error
	other       []string // what no check needs
}

// sortInputs reads the quote's certificates and all collateral.
func sortInputs(q *Quote, col attest.Collateral) *inputs {
	in := &inputs{}
	if q.certType == certLeaf || q.certType == certChain {
		in.addPEM("the quote", q.certData)
	}
	if len(col) > maxEntries {
		in.certErr = fmt.Errorf("%d entries of collateral, expected at most %d", len(col), maxEntries)
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
		tooLong = fmt.Errorf("%s has %d bytes, expected at most %d", name, len(e.Value), maxEntry)
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
		l, err := parseCRL(e.Value)
		if err != nil {
			in.crlErr = fmt.Errorf("%s: %w", name, err)
			return
		}
		in.crls = append(in.crls, l)
	case attest.MediaTypeIntelTCBInfo:
		setOnce(&in.tcbInfo, &in.tcbInfoErr, e.Value, tooLong)
	case attest.MediaTypeIntelQEIdentity:
		setOnce(&in.identity, &in.identityErr, e.Value, tooLong)
	default:
		in.other = append(in.other, fmt.Sprintf("entry %d of type %s", i, shown(e.MediaType)))
	}
}

// setOnce takes a document of which there must be one: with two, it would be
// the host who chooses which of them counts.
func setOnce(to *[]byte, fault *error, value []byte, tooLong error) {
	switch {
	case tooLong != nil:
		*fault = tooLong
	case *to != nil && !bytes.Equal(*to, value):
		*fault = fmt.Errorf("two different ones in the collateral")
	default:
		*to = value
	}
}

func (in *inputs) addPEM(name string, b []byte) {
	ders, err := splitPEM(b)
	if err != nil {
		in.certErr = fmt.Errorf("%s: %w", name, err)
		return
	}
	for _, der := range ders {
		in.addCert(name, der)
	}
}

func (in *inputs) addCert(name string, der []byte) {
	if in.certErr != nil {
		return
	}
	if err := in.certs.add(der); err != nil {
		in.certErr = fmt.Errorf("%s: %w", name, err)
	}
}
