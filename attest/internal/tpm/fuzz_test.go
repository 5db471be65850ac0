// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"testing"
)

// FuzzParsePublic: what is read of a key is what go-tpm reads, which makes the
// same bytes again; and nothing that is asked of it afterwards panics.
func FuzzParsePublic(f *testing.F) {
	for _, b := range publics(f) {
		f.Add(b)
	}
	for _, curve := range []int{0, 3, 4, 5} {
		b, _ := endorsementKey(f, curve, AlgSHA384, 256)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		p, err := ParsePublic(b)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v and %v", p, err)
		}
		if err != nil {
			return
		}
		agreesPublic(t, b, p)
		p.QualifiedName(HierarchyEndorsement)
		ak, ek := p.CheckAttestationKey(), p.CheckEndorsementKey()
		if ak == nil && ek == nil {
			t.Error("a key for both")
		}
		if ek == nil {
			if _, _, err := MakeCredential(rand.Reader, p, someName, make([]byte, 32)); err != nil {
				t.Errorf("no credential for it: %v", err)
			}
		}
		if again, err := ParsePublic(b); err != nil || !again.Equal(p) || !bytes.Equal(before, b) {
			t.Errorf("reads as something else the second time: %v", err)
		}
	})
}

// FuzzParseQuote: what is read of a quote is what go-tpm reads.
func FuzzParseQuote(f *testing.F) {
	for _, b := range quotes(f) {
		f.Add(b)
	}
	f.Add(file(f, "gcp-windows-sha1.ak-creation.attest.bin"))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ParseQuote(b)
		if (q == nil) == (err == nil) {
			t.Fatalf("%v and %v", q, err)
		}
		if err != nil {
			return
		}
		agreesQuote(t, b, q)
		if binary.BigEndian.Uint32(b) != Magic || len(q.Selected) == 0 || len(q.Selected) > maxBanks {
			t.Errorf("a quote without magic or banks: %+v", q)
		}
	})
}

// FuzzParseSignature: a signature says the same again after it was encoded, and
// holds under no key that did not make it.
func FuzzParseSignature(f *testing.F) {
	e := swtpm(f)
	f.Add(e.Signature)
	for _, name := range []string{"gcp-cos85-nonce.sha1", "gcp-cos85-nonce.sha256", "gcp-cos85-nonce.sha384", "gcp-windows-sha1", "gcp-windows-sha1.ak-creation"} {
		f.Add(file(f, name+".sig.bin"))
	}
	var keys []crypto.PublicKey
	for _, b := range publics(f) {
		p, err := ParsePublic(b)
		if err != nil {
			f.Fatal(err)
		}
		keys = append(keys, p.Key)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSignature(b)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v and %v", s, err)
		}
		if err != nil {
			return
		}
		again, err := ParseSignature(s.Encode())
		if err != nil || again.Alg != s.Alg || again.Hash != s.Hash || !bytes.Equal(again.RSA, s.RSA) {
			t.Fatalf("%+v comes back as %+v: %v", s, again, err)
		}
		if s.Alg == AlgECDSA && (again.R.Cmp(s.R) != 0 || again.S.Cmp(s.S) != 0) {
			t.Fatalf("%+v comes back as %+v", s, again)
		}
		for _, k := range keys {
			if s.Verify(k, []byte("what no TPM has signed")) == nil {
				t.Error("a forged signature")
			}
		}
	})
}

// FuzzParseCertificate: a certificate and its padding are all of what came along,
// and what it says of its TPM has bounds.
func FuzzParseCertificate(f *testing.F) {
	for _, x := range certVectors {
		b := file(f, x.name)
		if _, _, err := ParseCertificate(b); err != nil {
			f.Fatalf("%s: %v", x.name, err)
		}
		f.Add(b)
		f.Add(append(bytes.Clone(b), make([]byte, 64)...))
	}
	f.Add(swtpm(f).Endorsements[0].Certificate)
	f.Add(file(f, "nuvoton-root-ca-2110-nonder.der"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, padding, err := ParseCertificate(b)
		if err != nil {
			if c != nil {
				t.Fatalf("a certificate and %v", err)
			}
			return
		}
		if padding < 0 || padding > len(b) || !bytes.Equal(c.Raw, b[:len(b)-padding]) {
			t.Fatalf("%d bytes of padding of %d, certificate of %d", padding, len(b), len(c.Raw))
		}
		for _, x := range b[len(b)-padding:] {
			if x != b[len(b)-1] || x != 0 && x != 0xff {
				t.Fatal("padding that is none")
			}
		}
		d, err := DeviceOf(c)
		if len(d.Manufacturer) > maxText || len(d.Model) > maxText || len(d.Version) > maxText || err != nil && d != (Device{}) {
			t.Errorf("%+v: %v", d, err)
		}
		_ = d.String()
		checkLeaf(c, true)
		checkLeaf(c, false)
	})
}
