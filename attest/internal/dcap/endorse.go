// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"
)

// This file looks at collateral without a quote, for those who keep it. A
// verification does not rest on it: it checks everything again.

// Endorsement is a piece of collateral that was followed to the root. Its dates
// are read and not judged.
type Endorsement struct {
	// From and Until are the dates in the document or list, with Until no
	// later than the end of any certificate that vouches for it.
	From, Until time.Time
	// TEE and Evaluation are those of TCB info and QE identity, FMSPC and
	// PCEID those of TCB info and PCK certificate.
	TEE        TEE
	Evaluation uint32
	FMSPC      [6]byte
	PCEID      [2]byte
	// CA is "processor" or "platform", of a list or a PCK certificate; empty
	// is the root's list.
	CA string
	// Number of the list, or nil.
	Number *big.Int
}

// boundedPEM is splitPEM for what is no entry of collateral yet.
func boundedPEM(b []byte) ([][]byte, error) {
	if len(b) > maxEntry {
		return nil, fmt.Errorf("chain of %d bytes, expected at most %d", len(b), maxEntry)
	}
	return splitPEM(b)
}

// readChain sorts a chain in PEM and checks that what is not a PCK certificate
// was signed by the root.
func readChain(root Root, chain []byte) (*pool, error) {
	ders, err := boundedPEM(chain)
	if err != nil {
		return nil, err
	}
	p := &pool{}
	for _, der := range ders {
		if err := p.add(der); err != nil {
			return nil, err
		}
	}
	return p, p.checkUnderRoot(root)
}

// checkUnderRoot checks everything of the pool that the root itself must have
// signed.
func (p *pool) checkUnderRoot(root Root) error {
	if root.key == nil {
		return fmt.Errorf("no root was given")
	}
	for _, c := range p.roots {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) || !publicKey(c).Equal(root.key) {
			return fmt.Errorf("a foreign root of the name %s", shown(c.Subject.CommonName))
		}
	}
	for _, c := range p.underRoot() {
		if c.Issuer.CommonName != rootName || !signed(root.key, formDER, c.RawTBSCertificate, c.Signature) {
			return fmt.Errorf("certificate of %s is not signed by the root", shown(c.Subject.CommonName))
		}
	}
	return nil
}

// signed checks a signature without a memory of others.
func signed(key *ecdsa.PublicKey, f form, message, sig []byte) bool {
	return (*Cache)(nil).verify(key, f, message, sig)
}

// until is the first end of t and the certificates.
func until(t time.Time, certs ...*x509.Certificate) time.Time {
	for _, c := range certs {
		if c.NotAfter.Before(t) {
			t = c.NotAfter
		}
	}
	return t
}

// signedBy cuts a document apart and finds who of the chain signed it.
func signedBy(root Root, doc, chain []byte, name string) (body []byte, signer *x509.Certificate, err error) {
	if len(doc) > maxEntry {
		return nil, nil, fmt.Errorf("document of %d bytes, expected at most %d", len(doc), maxEntry)
	}
	p, err := readChain(root, chain)
	if err != nil {
		return nil, nil, fmt.Errorf("issuer chain: %w", err)
	}
	d, err := splitDocument(doc, name)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range p.signers {
		if signed(publicKey(s), formRaw, d.body, d.signature[:]) {
			return d.body, s, nil
		}
	}
	return nil, nil, fmt.Errorf("not signed by %s of the issuer chain", tcbSignerName)
}

// CheckTCBInfo checks a TCB info with the issuer chain that came with it.
func CheckTCBInfo(root Root, tee TEE, doc, chain []byte) (*Endorsement, error) {
	body, signer, err := signedBy(root, doc, chain, "tcbInfo")
	if err != nil {
		return nil, err
	}
	t, err := parseTCBInfo(body, tee)
	if err != nil {
		return nil, err
	}
	e := &Endorsement{From: t.Issued, Until: until(t.NextUpdate, signer), TEE: tee, Evaluation: *t.Evaluation}
	copy(e.FMSPC[:], t.FMSPC)
	copy(e.PCEID[:], t.PCEID)
	return e, nil
}

// CheckIdentity checks a QE identity with the issuer chain that came with it.
func CheckIdentity(root Root, tee TEE, doc, chain []byte) (*Endorsement, error) {
	body, signer, err := signedBy(root, doc, chain, "enclaveIdentity")
	if err != nil {
		return nil, err
	}
	q, err := parseQEIdentity(body, tee)
	if err != nil {
		return nil, err
	}
	return &Endorsement{From: q.Issued, Until: until(q.NextUpdate, signer), TEE: tee, Evaluation: *q.Evaluation}, nil
}

// CheckRootList checks the root's own revocation list.
func CheckRootList(root Root, der []byte) (*Endorsement, error) {
	l, err := boundedCRL(der)
	if err != nil {
		return nil, err
	}
	if l.Issuer.CommonName != rootName || root.key == nil || !signed(root.key, formDER, l.RawTBSRevocationList, l.Signature) {
		return nil, fmt.Errorf("list of %s is not signed by the root", shown(l.Issuer.CommonName))
	}
	return &Endorsement{From: l.ThisUpdate, Until: l.NextUpdate, Number: l.Number}, nil
}

// CheckPCKList checks the revocation list of an intermediate with the issuer
// chain that came with it.
func CheckPCKList(root Root, der, chain []byte) (*Endorsement, error) {
	l, err := boundedCRL(der)
	if err != nil {
		return nil, err
	}
	p, err := readChain(root, chain)
	if err != nil {
		return nil, fmt.Errorf("issuer chain: %w", err)
	}
	for _, ca := range p.cas {
		if bytes.Equal(l.RawIssuer, ca.RawSubject) && signed(publicKey(ca), formDER, l.RawTBSRevocationList, l.Signature) {
			return &Endorsement{From: l.ThisUpdate, Until: until(l.NextUpdate, ca), Number: l.Number, CA: caKind(ca.Subject.CommonName)}, nil
		}
	}
	return nil, fmt.Errorf("list of %s is not signed by any of %d intermediates of the issuer chain", shown(l.Issuer.CommonName), len(p.cas))
}

func boundedCRL(der []byte) (*x509.RevocationList, error) {
	if len(der) > maxEntry {
		return nil, fmt.Errorf("revocation list of %d bytes, expected at most %d", len(der), maxEntry)
	}
	return parseCRL(der)
}

// CheckPCK checks a PCK certificate with its chain in PEM, in any order.
func CheckPCK(root Root, chain []byte) (*Endorsement, error) {
	p, err := readChain(root, chain)
	if err != nil {
		return nil, err
	}
	if len(p.pcks) != 1 {
		return nil, fmt.Errorf("%d PCK certificates, expected one", len(p.pcks))
	}
	pck := p.pcks[0]
	for _, ca := range p.cas {
		if !bytes.Equal(ca.RawSubject, pck.RawIssuer) || !signed(publicKey(ca), formDER, pck.RawTBSCertificate, pck.Signature) {
			continue
		}
		pl, err := parsePlatform(pck)
		if err != nil {
			return nil, err
		}
		return &Endorsement{From: pck.NotBefore, Until: until(pck.NotAfter, ca), FMSPC: pl.fmspc, PCEID: pl.pceID, CA: caKind(ca.Subject.CommonName)}, nil
	}
	return nil, fmt.Errorf("PCK certificate of issuer %s is not signed by any of %d intermediates", shown(pck.Issuer.CommonName), len(p.cas))
}

// caKind is what Intel's service calls the intermediate of that name.
func caKind(name string) string {
	switch name {
	case platformCA:
		return "platform"
	case processorCA:
		return "processor"
	}
	return ""
}

// Origin is what an unproven quote says of where its collateral is found.
type Origin struct {
	// HasPCK says that the PCK certificate is in the quote; then FMSPC and CA
	// are set. Otherwise Request says how to ask for it.
	HasPCK bool
	FMSPC  [6]byte
	CA     string
	// Request has what PCS and PCCS want to know to find a PCK certificate:
	// zero where the quote does not say.
	Request PCKRequest
}

// PCKRequest names one PCK certificate (certification data of type 3).
type PCKRequest struct {
	EncryptedPPID []byte   // 384 bytes, RSA-3072
	CPUSVN        [16]byte // as in the quote
	PCESVN, PCEID [2]byte  // little-endian, as in the quote and in the request
	QEID          [16]byte // first bytes of the quote header's user data
}

// FindOrigin reads q's certification data. Nothing of it is proven.
func FindOrigin(q *Quote) (*Origin, error) {
	o := &Origin{}
	switch q.certType {
	case certLeaf, certChain:
		ders, err := splitPEM(q.certData)
		if err != nil {
			return nil, fmt.Errorf("certificates of the quote: %w", err)
		}
		p := &pool{}
		for _, der := range ders {
			if err := p.add(der); err != nil {
				return nil, fmt.Errorf("certificates of the quote: %w", err)
			}
		}
		if len(p.pcks) != 1 {
			return nil, fmt.Errorf("%d PCK certificates in the quote, expected one", len(p.pcks))
		}
		return o, o.fromPCK(p.pcks[0])
	case certPPIDRSA3072:
		// Table "QE Certification Data" of the quote format: encrypted
		// PPID, CPUSVN, PCESVN, PCEID.
		const ppid = 384
		d := q.certData // 404 bytes; ParseQuote has seen to it
		o.Request.EncryptedPPID = bytes.Clone(d[:ppid])
		copy(o.Request.CPUSVN[:], d[ppid:])
		copy(o.Request.PCESVN[:], d[ppid+16:])
		copy(o.Request.PCEID[:], d[ppid+18:])
		copy(o.Request.QEID[:], q.signed[headerUserData:])
		return o, nil
	}
	return nil, fmt.Errorf("certification data of type %d, from which no PCK certificate can be asked for", q.certType)
}

// headerUserData is the offset of the 20 bytes of user data in a quote's
// header, of which the quoting enclave's id is the first 16.
const headerUserData = 28

// PCKOrigin is the origin that the first PCK certificate of a chain in PEM
// names.
func PCKOrigin(chain []byte) (*Origin, error) {
	ders, err := boundedPEM(chain)
	if err != nil {
		return nil, err
	}
	for _, der := range ders {
		if o, err := PCKOriginDER(der); err == nil {
			return o, nil
		}
	}
	return nil, fmt.Errorf("no PCK certificate in the chain")
}

// PCKOriginDER is the origin that a PCK certificate names.
func PCKOriginDER(der []byte) (*Origin, error) {
	p, o := &pool{}, &Origin{}
	if err := p.add(der); err != nil {
		return nil, err
	}
	if len(p.pcks) != 1 {
		return nil, fmt.Errorf("no PCK certificate")
	}
	return o, o.fromPCK(p.pcks[0])
}

func (o *Origin) fromPCK(c *x509.Certificate) error {
	p, err := parsePlatform(c)
	if err != nil {
		return err
	}
	o.HasPCK, o.FMSPC, o.CA = true, p.fmspc, caKind(c.Issuer.CommonName)
	if o.CA == "" {
		return fmt.Errorf("PCK certificate of issuer %s, expected one of Intel's two", shown(c.Issuer.CommonName))
	}
	return nil
}
