// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// signedAs is c with another signature on it, said to be of RSA.
func signedAs(t *testing.T, c *x509.Certificate, signature []byte) *x509.Certificate {
	t.Helper()
	rsaSHA256, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue})
	if err != nil {
		t.Fatal(err)
	}
	var parts []asn1.RawValue
	if _, err := asn1.Unmarshal(c.RawTBSCertificate, &parts); err != nil {
		t.Fatal(err)
	}
	parts[2] = asn1.RawValue{FullBytes: rsaSHA256}
	tbs, err := asn1.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		TBS, Alg  asn1.RawValue
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, asn1.RawValue{FullBytes: rsaSHA256}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Issuers come from the host. With keys of 120,000 bits, which fit, each signature
// takes more than a second to check, and a search for a chain checks a hundred.
func TestInvariant4HostileInputIsBounded_HugeKeysOfIssuers(t *testing.T) {
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const size = 120_000 / 8
	issue := func(serial int64, name, issuer string, public any, ca bool) *x509.Certificate {
		t.Helper()
		template := func(name string) *x509.Certificate {
			c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: at.AddDate(0, 0, -1), NotAfter: at.AddDate(0, 0, 1),
				BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageCertSign}
			if !ca {
				c.KeyUsage, c.UnknownExtKeyUsage = x509.KeyUsageKeyAgreement, []asn1.ObjectIdentifier{oidEKU}
			}
			return c
		}
		der, err := x509.CreateCertificate(rand.Reader, template(name), template(issuer), public, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := issue(1, "root", "root", key.Public(), true)
	leaf := issue(2, "leaf", "issuer", key.Public(), false)
	signature := make([]byte, size)
	rand.Read(signature)
	signature[0] = 0
	others := []*x509.Certificate{signedAs(t, issue(3, "issuer", "huge", key.Public(), true), signature)}
	for i := range int64(20) {
		n := make([]byte, size)
		rand.Read(n)
		n[0], n[size-1] = n[0]|0x80, n[size-1]|1
		huge := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
		c := issue(10+i, "huge", "root", huge, true)
		if len(c.Raw) > attest.MaxHint {
			t.Fatalf("%d bytes do not fit into a hint", len(c.Raw))
		}
		others = append(others, c)
	}
	begin := time.Now()
	_, err = Chain(leaf, []*x509.Certificate{root}, others, true, at)
	took := time.Since(begin)
	if fault.Reason(err, "") != attest.ReasonRoot {
		t.Errorf("%v", err)
	}
	if took > 2*time.Second {
		t.Errorf("refused after %v: signatures by huge keys are checked", took)
	}
	// An issuer with a key of an authority's size is looked at all the same.
	good := issue(4, "issuer", "root", key.Public(), true)
	if _, err := Chain(leaf, []*x509.Certificate{root}, append(others, good), true, at); err != nil {
		t.Errorf("with an issuer among them that leads to the root: %v", err)
	}
}
