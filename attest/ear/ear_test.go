// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package ear_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	oracle "github.com/veraison/ear"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/ear"
	"github.com/enarx/enarx-go/attest/ear/earjwt"
	"github.com/enarx/enarx-go/attest/evidence"
)

const (
	dcapData = "../internal/dcap/testdata/"
	snpData  = "../internal/snpreport/testdata/"
	tpmData  = "../evidence/testdata/tpm/"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// collateral is that of the files which match the patterns.
func collateral(t testing.TB, patterns ...string) attest.Collateral {
	t.Helper()
	var col attest.Collateral
	for _, p := range patterns {
		names, err := filepath.Glob(p)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: nothing there: %v", p, err)
		}
		for _, n := range names {
			some, err := evidence.FindCollateral(read(t, n))
			if err != nil {
				t.Fatalf("%s: %v", n, err)
			}
			col = append(col, some...)
		}
	}
	return col
}

func appraise(t testing.TB, file []byte, day string, col attest.Collateral, edit func(*appraisal.Request)) *appraisal.Result {
	t.Helper()
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	r := appraisal.Request{File: file, Collateral: col, At: at}
	if edit != nil {
		edit(&r)
	}
	res, err := appraisal.Appraise(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

var options = ear.Options{Build: "enarx test"}

type example struct {
	name   string
	res    *appraisal.Result
	submod string
	want   ear.Vector
	tier   string
}

// examples are results of real evidence with the vectors that they must have.
func examples(t testing.TB) []example {
	oak := read(t, snpData+"milan-v3-oak.report.bin")
	milan := collateral(t, snpData+"milan-v3-oak.vcek.der", snpData+"milan-2025-05-06.crl.der")
	cos := read(t, dcapData+"tdx/v4-00806f-gcp-cos113.quote.bin")
	c25, c26 := collateral(t, dcapData+"tdx/collateral/00806f050000-2025-01/*"), collateral(t, dcapData+"tdx/collateral/00806f050000-2026-01/*")
	known := appraise(t, oak, "2025-06-01", milan, nil).Claims
	everything := func(r *appraisal.Request) {
		r.References = []attest.ReferenceValue{{Platform: "snp", Measurement: known.Measurement, Release: "1", Source: "test"}}
		rd := known.ReportData
		r.ReportData = &rd
		r.Policy.TCB.Chips = [][]byte{known.ChipID}
		r.Policy.Digest = &[32]byte{7}
	}
	unknown := func(r *appraisal.Request) {
		everything(r)
		r.References[0].Measurement = make([]byte, 48)
	}
	tampered := bytes.Clone(oak)
	tampered[0x90] ^= 1
	under := func(root string) func(*appraisal.Request) {
		return func(r *appraisal.Request) {
			block, _ := pem.Decode(read(t, tpmData+root))
			if block == nil {
				block = &pem.Block{Bytes: read(t, tpmData+root)}
			}
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			r.Policy.VTPM.Roots = []*x509.Certificate{c}
		}
	}
	word := func(r *appraisal.Request) {
		under("keep-swtpm.root.pem")(r)
		r.Policy.VTPM.AcceptUnprovenActivation = true
	}
	keep := read(t, tpmData+"keep-swtpm.cbor")
	issuer := attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: read(t, tpmData+"keep-swtpm.issuer.der")}}
	return []example{
		{"what nobody demanded anything of", appraise(t, oak, "2025-06-01", milan, nil), "snp",
			ear.Vector{Configuration: 3, Hardware: 2, RuntimeOpaque: 2}, "affirming"},
		{"a known measurement", appraise(t, oak, "2025-06-01", milan, func(r *appraisal.Request) { everything(r); r.Policy.TCB.Chips = nil }), "snp",
			ear.Vector{Configuration: 3, Executables: 3, Hardware: 2, RuntimeOpaque: 2}, "affirming"},
		{"an unknown measurement", appraise(t, oak, "2025-06-01", milan, unknown), "snp",
			ear.Vector{InstanceIdentity: 2, Configuration: 3, Executables: 96, Hardware: 2, RuntimeOpaque: 2}, "contraindicated"},
		{"a bad signature", appraise(t, tampered, "2025-06-01", milan, nil), "snp",
			ear.Vector{InstanceIdentity: 99, Configuration: 99, Executables: 99, FileSystem: 99, Hardware: 99, RuntimeOpaque: 99, StorageOpaque: 99, SourcedData: 99}, "contraindicated"},
		{"no list", appraise(t, oak, "2025-06-01", milan[:1], nil), "snp",
			ear.Vector{Configuration: 3, Hardware: 97, RuntimeOpaque: 2}, "contraindicated"},
		{"no evidence", appraise(t, []byte("nothing"), "2025-06-01", nil, nil), "evidence",
			ear.Vector{InstanceIdentity: 1, Configuration: 1, Executables: 1, FileSystem: 1, Hardware: 1, RuntimeOpaque: 1, StorageOpaque: 1, SourcedData: 1}, "none"},
		{"debug", appraise(t, read(t, snpData+"milan-v2-debugpolicy.report.bin"), "2025-06-01", collateral(t, snpData+"milan-v2-debugpolicy.vcek.der", snpData+"milan-2025-05-06.crl.der"), nil), "snp",
			ear.Vector{Hardware: 2, RuntimeOpaque: 96}, "contraindicated"},
		{"an up-to-date TD", appraise(t, cos, "2025-02-05", c25, nil), "tdx",
			ear.Vector{Configuration: 3, Hardware: 2, RuntimeOpaque: 2}, "affirming"},
		{"the same a year later", appraise(t, cos, "2026-02-10", c26, nil), "tdx",
			ear.Vector{Configuration: 3, Hardware: 96, RuntimeOpaque: 2}, "contraindicated"},
		{"a cloud's TPM with a certified key", appraise(t, read(t, tpmData+"gcp-amd-ecc.json"), "2026-02-03", nil, under("gcp_ek_ak_ca_root.crt")), "vtpm",
			ear.Vector{Configuration: 36, RuntimeOpaque: 96}, "contraindicated"},
		{"a saved Keep with a TPM", appraise(t, keep, "2026-11-26", issuer, under("keep-swtpm.root.pem")), "vtpm",
			ear.Vector{Hardware: 97, RuntimeOpaque: 96}, "contraindicated"},
		{"a saved Keep on somebody's word", appraise(t, keep, "2026-11-26", issuer, word), "vtpm",
			ear.Vector{RuntimeOpaque: 96}, "contraindicated"},
		{"a TPM of a maker that nobody named", appraise(t, keep, "2026-11-26", issuer, under("gcp_ek_ak_ca_root.crt")), "vtpm",
			ear.Vector{InstanceIdentity: 99, Configuration: 99, Executables: 99, FileSystem: 99, Hardware: 99, RuntimeOpaque: 99, StorageOpaque: 99, SourcedData: 99}, "contraindicated"},
		{"a TPM that a TEE vouches for", appraise(t, read(t, tpmData+"azure-snp-milan-vtpm.json"), "2025-06-01", milan[1:], nil), "2.vtpm",
			ear.Vector{Configuration: 36}, "warning"},
		{"the TEE that vouches for it", appraise(t, read(t, tpmData+"azure-snp-milan-vtpm.json"), "2025-06-01", milan[1:], nil), "1.snp",
			ear.Vector{Configuration: 3, Hardware: 2, RuntimeOpaque: 2}, "affirming"},
	}
}

func TestVectors(t *testing.T) {
	for _, x := range examples(t) {
		r, err := ear.New(x.res, options)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := r.Submods[x.submod]
		if !ok || s.Vector != x.want || s.Status != x.tier {
			t.Errorf("%s: submods %v: status %q, vector %+v, expected %q, %+v (%v)", x.name, len(r.Submods), s.Status, s.Vector, x.tier, x.want, x.res.Rows.Err())
		}
		if s.Details.Accepted != x.res.Accepted || s.Details.Reason != x.res.Reason || len(s.Details.Rows) == 0 {
			t.Errorf("%s: details %+v", x.name, s.Details)
		}
		if (s.PolicyID != "") != (x.res.Policy != nil) {
			t.Errorf("%s: policy %q", x.name, s.PolicyID)
		}
	}
}

// The library of the draft's authors reads our claims and draws the same tier
// from the same vector.
func TestOtherLibraryAgrees(t *testing.T) {
	for _, x := range examples(t) {
		claims, err := ear.Encode(x.res, options)
		if err != nil {
			t.Fatal(err)
		}
		var theirs oracle.AttestationResult
		if err := theirs.UnmarshalJSON(claims); err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		s := theirs.Submods[x.submod]
		if *theirs.IssuedAt != x.res.At.Unix() || *theirs.VerifierID.Build != options.Build || s == nil {
			t.Errorf("%s: %+v", x.name, theirs)
			continue
		}
		if oracle.TrustTierToString[*s.Status] != x.tier || int(s.TrustVector.Hardware) != x.want.Hardware || int(s.TrustVector.Executables) != x.want.Executables {
			t.Errorf("%s: they read %v, %+v", x.name, *s.Status, *s.TrustVector)
		}
		before := *s.Status
		if x.tier != "none" {
			none := oracle.TrustTierNone
			s.Status = &none
		}
		s.UpdateStatusFromTrustVector()
		if *s.Status != before {
			t.Errorf("%s: they draw %v from the vector, we %v", x.name, *s.Status, before)
		}
	}
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Signed results are verified by the other library, and one that was changed,
// or was signed by another key, is not.
func TestSignedResults(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := examples(t)[0]
	claims, err := ear.Encode(x.res, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key any
		alg jwa.SignatureAlgorithm
	}{{p256, jwa.ES256}, {p384, jwa.ES384}, {ed, jwa.EdDSA}} {
		k, err := earjwt.ParseKey(pkcs8(t, c.key))
		if err != nil {
			t.Fatal(err)
		}
		token, err := earjwt.Sign(claims, k)
		if err != nil {
			t.Fatal(err)
		}
		var theirs oracle.AttestationResult
		if err := theirs.Verify(token, c.alg, k.Public()); err != nil {
			t.Errorf("%s: %v", c.alg, err)
		} else if s := theirs.Submods["snp"]; s == nil || *s.Status != oracle.TrustTierAffirming || *theirs.IssuedAt != x.res.At.Unix() {
			t.Errorf("%s: %+v", c.alg, theirs)
		}
		for _, bad := range [][]byte{bytes.Replace(token, []byte("."), []byte(".e"), 1), append(token[:len(token)-6:len(token)-6], "AAAAAA"...)} {
			if err := new(oracle.AttestationResult).Verify(bad, c.alg, k.Public()); err == nil {
				t.Errorf("%s: a changed token verifies", c.alg)
			}
		}
		if k.Algorithm() != string(c.alg) || k.ID() == "" {
			t.Errorf("algorithm %s, id %q", k.Algorithm(), k.ID())
		}
	}
	k, err := earjwt.NewKey(other)
	if err != nil {
		t.Fatal(err)
	}
	token, err := earjwt.Sign(claims, k)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(oracle.AttestationResult).Verify(token, jwa.EdDSA, ed.Public()); err == nil {
		t.Error("a token of another key verifies")
	}
}

// Keys that are of another kind, or files that are not one key, are refused.
func TestKeysThatAreRefused(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(t, ed)
	for _, file := range [][]byte{nil, []byte("key"), pkcs8(t, p224), append(bytes.Clone(good), good...), make([]byte, 1<<20),
		bytes.ReplaceAll(good, []byte("PRIVATE"), []byte("PUBLIC"))} {
		if k, err := earjwt.ParseKey(file); err == nil {
			t.Errorf("%.40q: %v", file, k.Algorithm())
		}
	}
	k, err := earjwt.ParseKey(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, claims := range []string{"", "[]", "{}", "1", `{"a":1} x`} {
		if token, err := earjwt.Sign([]byte(claims), k); err == nil {
			t.Errorf("%q was signed: %s", claims, token)
		}
	}
}

// The same result has the same bytes, and the policy's digest is in them.
func TestResultsAreTheSameEveryTime(t *testing.T) {
	var first [][]byte
	for i := range 3 {
		for j, x := range examples(t) {
			b, err := ear.Encode(x.res, options)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = append(first, b)
			} else if !bytes.Equal(b, first[j]) {
				t.Errorf("%s: other bytes the next time", x.name)
			}
		}
	}
	if !strings.Contains(string(first[1]), `"ear.appraisal-policy-id":"sha-256:0700`) {
		t.Errorf("no policy in %.400s", first[1])
	}
	var m map[string]any
	if err := json.Unmarshal(first[0], &m); err != nil || m["eat_profile"] != ear.Profile {
		t.Errorf("%v, %v", m["eat_profile"], err)
	}
}

func TestNothingIsRefused(t *testing.T) {
	if _, err := ear.Encode(nil, options); err == nil {
		t.Error("no result")
	}
	if _, err := ear.Encode(&appraisal.Result{}, options); err == nil {
		t.Error("a result without rows")
	}
	if _, err := ear.Encode(examples(t)[0].res, ear.Options{}); err == nil {
		t.Error("a verifier without a name")
	}
}
