// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// The bare signature checks that a verification cannot do without, taken out of
// the vector beforehand: only the arithmetic of crypto/ecdsa and crypto/x509 is
// left. They are the floor for whoever uses the standard library.

// check is one ECDSA signature.
type check struct {
	key    *ecdsa.PublicKey
	digest []byte
	r, s   *big.Int
}

func (c check) good() bool { return ecdsa.Verify(c.key, c.digest, c.r, c.s) }

// snpReport is the check of a report's signature by the key of its leaf.
func snpReport(t testing.TB, v corpus.Vector) check {
	t.Helper()
	report := v.Parts[0].Value
	number := func(at int) *big.Int {
		be := bytes.Clone(report[at : at+48])
		slices.Reverse(be)
		return new(big.Int).SetBytes(be)
	}
	digest := sha512.Sum384(report[:0x2a0])
	return check{key(t, snpLeaf(t, v)), digest[:], number(0x2a0), number(0x2e8)}
}

func snpLeaf(t testing.TB, v corpus.Vector) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(part(v, attest.MediaTypeCertificate))
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func key(t testing.TB, c *x509.Certificate) *ecdsa.PublicKey {
	t.Helper()
	k, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("key of %s is not ECDSA", c.Subject.CommonName)
	}
	return k
}

// raw is a signature of Intel's form over a message.
func raw(k *ecdsa.PublicKey, message, sig []byte) check {
	digest := sha256.Sum256(message)
	return check{k, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:64])}
}

// quoteChecks are the ten checks of a quote with its collateral: root,
// intermediate, PCK and TCB signer, two lists, TCB info and QE identity, QE
// report and quote.
func quoteChecks(t testing.TB, v corpus.Vector) []func() bool {
	t.Helper()
	quote := v.Parts[0].Value
	body, wrapped := 384, 0 // SGX in version 3
	if binary.LittleEndian.Uint16(quote) >= 4 {
		body, wrapped = 584, 6 // TDX 1.0 in version 4, where the QE report has a header
	}
	sig := quote[48+body+4:]
	qe := sig[128+wrapped:]
	pem := quote[bytes.Index(quote, []byte("-----BEGIN")):]
	pcks := certificates(t, pem[:bytes.LastIndex(pem, []byte("-----END CERTIFICATE-----"))+len("-----END CERTIFICATE-----\n")])
	signers := certificates(t, part(v, attest.MediaTypePEMChain))
	pck, ca, root, signer := pcks[0], pcks[1], pcks[2], signers[0]
	attestation, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, sig[64:128]...))
	if err != nil {
		t.Fatal(err)
	}
	var checks []func() bool
	der := func(k *ecdsa.PublicKey, message, sig []byte) {
		digest := sha256.Sum256(message)
		checks = append(checks, func() bool { return ecdsa.VerifyASN1(k, digest[:], sig) })
	}
	der(key(t, root), root.RawTBSCertificate, root.Signature)
	der(key(t, root), ca.RawTBSCertificate, ca.Signature)
	der(key(t, root), signer.RawTBSCertificate, signer.Signature)
	der(key(t, ca), pck.RawTBSCertificate, pck.Signature)
	for _, p := range v.Parts[1:] {
		if p.MediaType != attest.MediaTypeCRL {
			continue
		}
		l, err := x509.ParseRevocationList(p.Value)
		if err != nil {
			t.Fatal(err)
		}
		k := key(t, root)
		if bytes.Equal(l.RawIssuer, ca.RawSubject) {
			k = key(t, ca)
		}
		der(k, l.RawTBSRevocationList, l.Signature)
	}
	checks = append(checks, raw(key(t, pck), qe[:384], qe[384:448]).good, raw(attestation, quote[:48+body], sig[:64]).good)
	for _, mediaType := range []string{attest.MediaTypeIntelTCBInfo, attest.MediaTypeIntelQEIdentity} {
		doc := bytes.TrimRight(part(v, mediaType), "\r\n")
		text, signature, _ := bytes.Cut(doc[bytes.IndexByte(doc, ':')+1:], []byte(`,"signature":"`))
		s, err := hex.DecodeString(string(signature[:128]))
		if err != nil {
			t.Fatal(err)
		}
		checks = append(checks, raw(key(t, signer), text, s).good)
	}
	if len(checks) != 10 {
		t.Fatalf("%d checks in %s, expected 10", len(checks), v.Name)
	}
	return checks
}

// amdChain is the intermediate's RSA check of the leaf.
func amdChain(t testing.TB, v corpus.Vector, chain []byte) func() error {
	t.Helper()
	leaf, ask := snpLeaf(t, v), certificates(t, chain)[0]
	return func() error { return leaf.CheckSignatureFrom(ask) }
}

// documentChecks are the five P-384 checks of a Nitro document: its own, and
// those of its chain below the root, which is known by its bytes.
func documentChecks(t testing.TB, v corpus.Vector) []func() bool {
	t.Helper()
	var sign1 struct {
		_                  struct{} `cbor:",toarray"`
		Protected          []byte
		Unprotected        cbor.RawMessage
		Payload, Signature []byte
	}
	var doc struct {
		Certificate []byte   `cbor:"certificate"`
		CABundle    [][]byte `cbor:"cabundle"`
	}
	if err := errors.Join(cbor.Unmarshal(v.Parts[0].Value, &sign1), cbor.Unmarshal(sign1.Payload, &doc)); err != nil {
		t.Fatal(err)
	}
	signed, err := cbor.Marshal([]any{"Signature1", sign1.Protected, []byte{}, sign1.Payload})
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range append(doc.CABundle, doc.Certificate) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	digest := sha512.Sum384(signed)
	r, s := new(big.Int).SetBytes(sign1.Signature[:48]), new(big.Int).SetBytes(sign1.Signature[48:])
	checks := []func() bool{check{key(t, chain[len(chain)-1]), digest[:], r, s}.good}
	for i, c := range chain[1:] {
		k, digest := key(t, chain[i]), sha512.Sum384(c.RawTBSCertificate)
		checks = append(checks, func() bool { return ecdsa.VerifyASN1(k, digest[:], c.Signature) })
	}
	if len(checks) != 5 {
		t.Fatalf("%d checks in %s, expected 5", len(checks), v.Name)
	}
	return checks
}
