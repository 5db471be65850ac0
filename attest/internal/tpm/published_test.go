// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// chainOf reads certificates in PEM, as they are published: leaf first.
func chainOf(t testing.TB, b []byte) (chain []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	if len(chain) < 2 {
		t.Fatalf("%d certificates", len(chain))
	}
	return chain
}

func plain(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keyInHCL is the attestation key in the runtime data of a machine on Azure.
func keyInHCL(t testing.TB, name string) crypto.PublicKey {
	t.Helper()
	b := plain(t, name)
	var data struct {
		Keys []struct{ Kid, N string } `json:"keys"`
	}
	at := bytes.Index(b, []byte(`{"keys"`))
	if at < 0 {
		t.Fatalf("%s has no runtime data", name)
	}
	if err := json.NewDecoder(bytes.NewReader(b[at:])).Decode(&data); err != nil {
		t.Fatal(err)
	}
	for _, k := range data.Keys {
		if k.Kid != "HCLAkPub" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		if err != nil {
			t.Fatal(err)
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	}
	t.Fatalf("%s has no attestation key", name)
	return nil
}

// keyOfAWS is the key of the NitroTPM beside its quote.
func keyOfAWS(t testing.TB) crypto.PublicKey {
	t.Helper()
	var data struct {
		Keys map[string]struct{ X, Y string } `json:"ak_pubkeys"`
	}
	if err := json.Unmarshal(plain(t, "../../evidence/testdata/tpm/aws-nitrotpm-ecc.json"), &data); err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString("04" + data.Keys["ecc_p256"].X + data.Keys["ecc_p256"].Y)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keyOfPublic(t testing.TB, name string) crypto.PublicKey {
	t.Helper()
	p, err := ParsePublic(file(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return p.Key
}

// signature reads one in whichever form it is published.
func signature(t testing.TB, b []byte, form string) *Signature {
	t.Helper()
	switch form {
	case "DER":
		var n struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(b, &n); err != nil || len(rest) != 0 {
			t.Fatal(err)
		}
		return &Signature{Alg: AlgECDSA, Hash: AlgSHA256, R: n.R, S: n.S}
	case "raw":
		return &Signature{Alg: AlgRSASSA, Hash: AlgSHA256, RSA: b}
	}
	s, err := ParseSignature(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every published quote is that of the registers published beside it, and is
// signed by the key that its cloud vouches for; none by another's. The one that
// SHA-1 alone holds together is refused for that.
func TestPublishedQuotes(t *testing.T) {
	const evidence, logs = "../../evidence/testdata/", "../eventlog/testdata/"
	google := keyOfPublic(t, "gcp-cos85-nonce.ak.tpmt-public.bin")
	cos, err := x509.ParseCertificate(file(t, "gcp-cos85-nonce.ak.der"))
	if err != nil || !google.(*rsa.PublicKey).Equal(cos.PublicKey) {
		t.Fatalf("the certificate is of another key: %v", err)
	}
	certified := chainOf(t, plain(t, "testdata/gcp-amd-ecc.ak-chain.pem"))[0].PublicKey
	azure := chainOf(t, plain(t, "testdata/v4-90c06f-azure-vtpm.ak-chain.pem"))[0].PublicKey
	if !azure.(*rsa.PublicKey).Equal(keyInHCL(t, evidence+"tdx/v4-90c06f-azure-vtpm.hcl.bin")) {
		t.Error("Azure certifies another key than its runtime data name")
	}
	vectors := []struct {
		quote, signature, form, pcrs string
		key                          crypto.PublicKey
		sha1                         bool
	}{
		{"gcp-cos85-nonce.sha1.quote.bin", "gcp-cos85-nonce.sha1.sig.bin", "", logs + "gcp-cos85-nonce.sha1.pcrs.json", google, false},
		{"gcp-cos85-nonce.sha256.quote.bin", "gcp-cos85-nonce.sha256.sig.bin", "", logs + "gcp-cos85-nonce.sha256.pcrs.json", google, false},
		{"gcp-cos85-nonce.sha384.quote.bin", "gcp-cos85-nonce.sha384.sig.bin", "", logs + "gcp-cos85-nonce.sha384.pcrs.json", google, false},
		{"gcp-amd-ecc.quote.bin", "gcp-amd-ecc.sig.der", "DER", "testdata/gcp-amd-ecc.pcrs-sha256.json", certified, false},
		{"aws-nitrotpm-ecc.quote.bin", "aws-nitrotpm-ecc.sig.der", "DER", "testdata/aws-nitrotpm-ecc.pcrs-sha384.json", keyOfAWS(t), false},
		{"azure-snp-milan-vtpm.quote.bin", "azure-snp-milan-vtpm.sig.bin", "raw", "testdata/azure-snp-milan-vtpm.pcrs-sha256.json", keyInHCL(t, evidence+"tpm/azure-snp-milan-vtpm.hcl.bin"), false},
		{"v4-90c06f-azure-vtpm.tpm-quote.bin", "v4-90c06f-azure-vtpm.tpm-sig.bin", "raw", evidence + "tdx/v4-90c06f-azure-vtpm.tpm-pcrs-sha256.json", azure, false},
		{"gcp-windows-sha1.quote.bin", "gcp-windows-sha1.sig.bin", "", logs + "gcp-windows-sha1.pcrs.json", keyOfPublic(t, "gcp-windows-sha1.ak.tpmt-public.bin"), true},
	}
	for _, x := range vectors {
		b := file(t, x.quote)
		q, err := ParseQuote(b)
		if err != nil {
			t.Errorf("%s: %v", x.quote, err)
			continue
		}
		var pcrs map[string]string
		if err := json.Unmarshal(plain(t, x.pcrs), &pcrs); err != nil || len(pcrs) != PCRs {
			t.Fatalf("%s: %d registers: %v", x.pcrs, len(pcrs), err)
		}
		var values []byte
		for i := range PCRs {
			v, err := hex.DecodeString(pcrs[strconv.Itoa(i)])
			if err != nil || len(v) == 0 {
				t.Fatalf("%s: register %d: %v", x.pcrs, i, err)
			}
			values = append(values, v...)
		}
		digest := sha256.Sum256(values)
		old := sha1.Sum(values)
		if x.sha1 != bytes.Equal(q.Digest, old[:]) || x.sha1 == bytes.Equal(q.Digest, digest[:]) {
			t.Errorf("%s: of other registers than the published ones", x.quote)
		}
		for _, y := range vectors {
			s := signature(t, file(t, y.signature), y.form)
			if err := s.Verify(x.key, b); (err == nil) != (x.quote == y.quote && !x.sha1) {
				t.Errorf("%s with %s: %v", x.quote, y.signature, err)
			}
		}
	}
}

// Azure's certificate of the key that quotes leads to Microsoft's root through
// the issuers beside it, and to no other; each of them is needed.
func TestChainOfAzure(t *testing.T) {
	chain := chainOf(t, plain(t, "testdata/v4-90c06f-azure-vtpm.ak-chain.pem"))
	roots := root(t, "azure-virtual-tpm-root-2023.pem")
	at := time.Date(2026, 6, 20, 0, 0, 0, 0, time.UTC)
	leaf, others := chain[0], chain[1:]
	got, err := Chain(leaf, roots, others, false, at)
	if err != nil || len(got) != 4 || got[0] != leaf || !got[3].Equal(roots[0]) {
		t.Fatalf("chain of %d: %v", len(got), err)
	}
	for name, x := range map[string]struct {
		roots, others []*x509.Certificate
		endorsement   bool
		at            time.Time
		reason        attest.Reason
	}{
		"without issuers":        {roots, nil, false, at, attest.ReasonRoot},
		"without the first":      {roots, others[1:], false, at, attest.ReasonRoot},
		"without the second":     {roots, others[:1], false, at, attest.ReasonRoot},
		"under Google's root":    {root(t, "gcp_ek_ak_ca_root.crt"), others, false, at, attest.ReasonRoot},
		"with itself as root":    {[]*x509.Certificate{leaf}, others, false, at, attest.ReasonRoot},
		"as an endorsement key":  {roots, others, true, at, attest.ReasonKey},
		"after its last day":     {roots, others, false, leaf.NotAfter.Add(time.Second), attest.ReasonCertExpired},
		"before its first":       {roots, others, false, leaf.NotBefore.Add(-time.Second), attest.ReasonCertNotYetValid},
		"an issuer's as a key's": {roots, nil, false, at, attest.ReasonKey},
	} {
		c := leaf
		if x.reason == attest.ReasonKey && !x.endorsement {
			c = others[0]
		}
		if _, err := Chain(c, x.roots, x.others, x.endorsement, x.at); fault.Reason(err, "") != x.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
}
