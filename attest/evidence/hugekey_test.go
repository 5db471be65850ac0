// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// A certificate around evidence that is signed by its own key, of 250,000 bits:
// the signature alone would take seconds to check. It is refused instead.
func TestInvariant4HostileInputIsBounded_CertificateOfAHugeKey(t *testing.T) {
	block, _ := pem.Decode(vector(t, "sgx/ratls-ratstls.cert.pem"))
	real, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var parts []asn1.RawValue
	if _, err := asn1.Unmarshal(real.RawTBSCertificate, &parts); err != nil {
		t.Fatal(err)
	}
	const size = 250_000 / 8
	n := make([]byte, size)
	rand.Read(n)
	n[0], n[size-1] = n[0]|0x80, n[size-1]|1
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	alg, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue})
	if err != nil {
		t.Fatal(err)
	}
	// version, serial number, algorithm, issuer, validity, subject, key
	parts[2], parts[6] = asn1.RawValue{FullBytes: alg}, asn1.RawValue{FullBytes: spki}
	tbs, err := asn1.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, size)
	rand.Read(signature)
	signature[0] = 0
	der, err := asn1.Marshal(struct {
		TBS, Alg  asn1.RawValue
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, asn1.RawValue{FullBytes: alg}, asn1.BitString{Bytes: signature, BitLength: 8 * size}})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	f, err := Find(der)
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Rows {
		if r.Check == "wrapper.self-signature" {
			if r.Outcome != attest.Fail || r.Reason == "" {
				t.Errorf("%+v", r)
			}
			if took > 2*time.Second {
				t.Errorf("after %v: the signature was checked", took)
			}
			return
		}
	}
	t.Errorf("no row about the signature: %+v", f.Rows)
}
