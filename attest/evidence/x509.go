// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
)

const (
	formatRATLS   = "ra-tls-certificate"
	formatRequest = "certificate-request"
	formatEnarx   = "enarx-request"
)

// Extensions and attributes that carry evidence.
var (
	// oidTaggedEvidence is tcg-dice-conceptual-message-wrapper (TCG DICE
	// Attestation Architecture, section 6.1.6), as the Confidential Computing
	// Consortium's "Interoperable RA-TLS" uses it: CBOR, no ASN.1 inside.
	oidTaggedEvidence = asn1.ObjectIdentifier{2, 23, 133, 5, 4, 9}
	// oidEndorsements is tcg-dice-endorsement-manifest, same sources.
	oidEndorsements = asn1.ObjectIdentifier{2, 23, 133, 5, 4, 2}
	// oidGramine is the quote extension of Gramine and of Intel's example
	// before it; the first form is what Gramine really writes, the second
	// what was meant (its tools/sgx/ra-tls/ra_tls.h says so).
	oidGramine      = asn1.ObjectIdentifier{0, 6, 9, 42, 840, 113741, 1337, 6}
	oidGramineMeant = asn1.ObjectIdentifier{1, 2, 840, 113741, 1337, 6}
	// oidIntelSDK is where Intel's SDK for attested TLS put a quote. PCK
	// certificates have another extension under the same number.
	oidIntelSDK = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}
	// oidCMW is id-pe-cmw (RFC 9999, section 6.1).
	oidCMW = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 35}
	// oidAttestation is id-aa-attestation (draft-ietf-lamps-csr-attestation).
	oidAttestation = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 59}

	// Evidence of the original Enarx.
	oidEnarxKVM = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 58270, 1, 1}
	oidEnarxSGX = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 58270, 1, 2}
	oidEnarxSNP = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 58270, 1, 3}
)

// findDER takes a certificate or a request with evidence in it.
func findDER(b []byte, depth int) (*Found, error) {
	if len(b) < 2 || b[0] != 0x30 || len(b) > maxX509 {
		return nil, nil
	}
	// What is signed, the algorithm, the signature: the standard library reads
	// over a fourth element, which nobody would have signed.
	if _, err := sequence(b, 3); err != nil {
		return nil, nil
	}
	if c, err := x509.ParseCertificate(b); err == nil {
		return findCertificate(c, depth)
	}
	if r, err := x509.ParseCertificateRequest(b); err == nil {
		return findRequest(r, depth)
	}
	return nil, nil
}

// findCertificate looks for evidence in the extensions of a certificate.
func findCertificate(c *x509.Certificate, depth int) (*Found, error) {
	f := &Found{Format: formatRATLS}
	for _, e := range c.Extensions {
		if err := f.extension(e, c.RawSubjectPublicKeyInfo, depth); err != nil {
			return nil, err
		}
	}
	if len(f.Pieces) == 0 {
		return nil, nil // collateral, if anything
	}
	f.Valid = append(f.Valid, Window{What: "the certificate around the evidence", NotBefore: c.NotBefore, NotAfter: c.NotAfter})
	const todo = "the certificate was changed after it was made; do not use it"
	if !bytes.Equal(c.RawIssuer, c.RawSubject) {
		f.notRead("signature of the certificate's issuer", "nothing: the evidence vouches for the key, whoever issued the certificate")
		return f, nil
	}
	seen := "good"
	err := derform.Checkable(c.PublicKey)
	if err == nil {
		err = c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
	}
	if err != nil {
		seen = err.Error()
	}
	f.check(err == nil, "self-signature", seen, "the certificate is signed by its own key", "the certificate", todo)
	return f, nil
}

// extension adds what one extension holds, if it is one of ours.
func (f *Found) extension(e pkix.Extension, spki []byte, depth int) error {
	switch {
	case e.Id.Equal(oidTaggedEvidence):
		return f.tagged(e.Value, spki, depth)
	case e.Id.Equal(oidGramine), e.Id.Equal(oidGramineMeant), e.Id.Equal(oidIntelSDK):
		return f.legacy(e, spki)
	case e.Id.Equal(oidCMW):
		return f.cmwExtension(e.Value, depth)
	case e.Id.Equal(oidEndorsements):
		f.notRead("endorsements in the certificate (2.23.133.5.4.2)", "collateral of your own")
	}
	return nil
}

// legacy adds the quote of one of Intel's old extensions, which is bound to the
// SHA-256 digest of the certificate's key.
func (f *Found) legacy(e pkix.Extension, spki []byte) error {
	platform, ok := looksLikeQuote(e.Value)
	if !ok && e.Id.Equal(oidIntelSDK) {
		return nil // the extension of a PCK certificate
	} else if !ok {
		return malformed(formatRATLS, "extension %v holds no quote", e.Id)
	}
	g, _ := findQuote(e.Value, 0)
	p := g.Pieces[0]
	p.Platform = platform
	p.Where = fmt.Sprintf("extension %v", e.Id)
	p.ReportData, p.ReportDataSource = keyBinding(spki)
	f.Pieces = append(f.Pieces, p)
	return nil
}

// keyBinding is report data that is the SHA-256 digest of a key.
func keyBinding(spki []byte) (*[64]byte, string) {
	var d [64]byte
	s := sha256.Sum256(spki)
	copy(d[:], s[:])
	return &d, "SHA-256 of the public key around the evidence"
}

// findRequest looks for evidence in a request for a certificate.
func findRequest(r *x509.CertificateRequest, depth int) (*Found, error) {
	f := &Found{Format: formatRequest}
	for _, e := range r.Extensions {
		var err error
		switch {
		case e.Id.Equal(oidEnarxKVM):
			return nil, unsupported(formatEnarx, "a Keep on KVM, which has no evidence: its host can see inside", "ask for a Keep on a TEE")
		case e.Id.Equal(oidEnarxSNP):
			f.Format = formatEnarx
			err = f.enarxSNP(e.Value, r.RawSubjectPublicKeyInfo)
		case e.Id.Equal(oidEnarxSGX):
			f.Format = formatEnarx
			err = f.enarxSGX(e.Value, r.RawSubjectPublicKeyInfo)
		default:
			err = f.extension(e, r.RawSubjectPublicKeyInfo, depth)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(f.Pieces) == 0 {
		if bytes.Contains(r.RawTBSCertificateRequest, derOID(oidAttestation)) {
			return nil, unsupported(formatRequest, "evidence in the attribute id-aa-attestation", "give the evidence that is inside as a file of its own")
		}
		return nil, unsupported(formatRequest, "no evidence in its extensions", "ask for a request with evidence")
	}
	seen := "good"
	err := derform.Checkable(r.PublicKey)
	if err == nil {
		err = r.CheckSignature()
	}
	if err != nil {
		seen = err.Error()
	}
	f.check(err == nil, "self-signature", seen, "the request is signed by its own key", "the request",
		"whoever made the request does not hold the key; do not use it")
	return f, nil
}

func derOID(id asn1.ObjectIdentifier) []byte {
	b, err := asn1.Marshal(id)
	if err != nil {
		return []byte{0} // not with the constants above
	}
	return b
}

// exact reads one DER element of the given universal tag, and nothing after it.
func exact(b []byte, tag int) (asn1.RawValue, error) {
	v, rest, err := element(b, tag)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes after the end", len(rest))
	}
	return v, err
}

// element reads one DER element of the given universal tag off the front.
func element(b []byte, tag int) (asn1.RawValue, []byte, error) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(b, &v)
	if err != nil {
		return v, nil, err
	}
	if v.Class != asn1.ClassUniversal || v.Tag != tag || v.IsCompound != (tag == asn1.TagSequence) {
		return v, nil, fmt.Errorf("element of class %d and tag %d, expected tag %d", v.Class, v.Tag, tag)
	}
	return v, rest, nil
}

// certificates reads one certificate or a chain: DER one after the other, a
// sequence of them (PkiPath), or PEM. Each comes out as an entry of its own.
func certificates(b []byte) (attest.Collateral, error) {
	if bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), pemBegin) {
		blocks, err := splitPEM(b)
		if err != nil {
			return nil, err
		}
		var col attest.Collateral
		for i, bl := range blocks {
			more, err := certificates(bl.data)
			if err != nil {
				return nil, fmt.Errorf("block %d of PEM: %w", i+1, err)
			}
			col = append(col, more...)
		}
		return col, nil
	}
	return derCertificates(b, true)
}

func derCertificates(b []byte, path bool) (attest.Collateral, error) {
	var col attest.Collateral
	for len(b) > 0 {
		v, rest, err := element(b, asn1.TagSequence)
		if err != nil {
			return nil, fmt.Errorf("not a certificate: %w", err)
		}
		if len(col) == maxBlocks {
			return nil, fmt.Errorf("more than %d certificates", maxBlocks)
		}
		if path && len(col) == 0 && len(rest) == 0 {
			if inner, err := derCertificates(v.Bytes, false); err == nil && len(inner) > 0 {
				return inner, nil
			}
		}
		der := v.FullBytes
		if len(der) > maxX509 {
			return nil, fmt.Errorf("certificate of %d bytes, expected at most %d", len(der), maxX509)
		}
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("not a certificate: %w", err)
		}
		col, b = append(col, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: der}), rest
	}
	if len(col) == 0 {
		return nil, fmt.Errorf("no certificate")
	}
	return col, nil
}

// checkList says whether der is a revocation list.
func checkList(der []byte) error {
	if _, err := exact(der, asn1.TagSequence); err != nil {
		return fmt.Errorf("not a revocation list: %w", err)
	}
	if _, err := x509.ParseRevocationList(der); err != nil {
		return fmt.Errorf("not a revocation list: %w", err)
	}
	return nil
}
