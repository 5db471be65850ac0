// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/sim/simhw"
)

func TestInvariant4HostileInputIsBounded_VerifierSuite(t *testing.T) {
	attesttest.RunVerifierSuite(t, attesttest.Sim(t).Subject())
}

func TestWaivers(t *testing.T) {
	s := attesttest.Sim(t)
	attesttest.RunWaiverSuite(t, func(w attest.Waiver) attest.Verifier { return sim.NewWith(s.Root, sim.Options{Waive: w}) }, s.Case("", "", "", s.Spec))
}

const amdChains = "../internal/snpreport/testdata/*-chain.pem"

// pemOf is one certificate as a file.
func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// vendorCerts are AMD's published intermediates and roots.
func vendorCerts(t testing.TB) [][]byte {
	t.Helper()
	names, err := filepath.Glob(amdChains)
	if err != nil || len(names) < 3 {
		t.Fatalf("%d vendor chains, %v: the test would show nothing", len(names), err)
	}
	var out [][]byte
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
			out = append(out, pemOf(block.Bytes))
		}
	}
	return out
}

func refuseRoot(t *testing.T, name string, file []byte) {
	t.Helper()
	if r, err := sim.ParseRoot(file); err == nil || r != (sim.Root{}) {
		t.Errorf("%s: taken as a sim root", name)
	}
}

func TestInvariant1NoSilentDowngrade_OnlyMarkedRootsAreSimRoots(t *testing.T) {
	for _, c := range vendorCerts(t) {
		refuseRoot(t, "a vendor's certificate", c)
	}
	vendor := attesttest.Sim(t)
	good := vendor.HW.RootPEM()
	for _, e := range vendor.HW.Chain() {
		refuseRoot(t, "a certificate below the root", pemOf(e.Value))
	}
	refuseRoot(t, "empty", nil)
	refuseRoot(t, "two roots", append(bytes.Clone(good), good...))
	refuseRoot(t, "text after", append(bytes.Clone(good), 'x'))
	refuseRoot(t, "huge", append(bytes.Clone(good), make([]byte, 1<<20)...))
	refuseRoot(t, "other block", bytes.ReplaceAll(good, []byte("CERTIFICATE"), []byte("PUBLIC KEY")))
	saved, err := vendor.HW.Save()
	if err != nil {
		t.Fatal(err)
	}
	refuseRoot(t, "the saved keys", saved)
}

// A root with all but one of the marks is no sim root.
func TestInvariant1NoSilentDowngrade_EveryMarkCounts(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	mark := pkix.Extension{Id: sim.MarkerExtension(), Critical: true, Value: []byte{5, 0}}
	for name, x := range map[string]struct {
		ok   bool
		edit func(*x509.Certificate)
	}{
		"all marks":     {true, func(*x509.Certificate) {}},
		"no extension":  {false, func(c *x509.Certificate) { c.ExtraExtensions = nil }},
		"not critical":  {false, func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false }},
		"name":          {false, func(c *x509.Certificate) { c.Subject.CommonName = "ARK-Milan" }},
		"organisation":  {false, func(c *x509.Certificate) { c.Subject.Organization = []string{"Advanced Micro Devices"} }},
		"organisations": {false, func(c *x509.Certificate) { c.Subject.Organization = []string{sim.Marker, "Advanced Micro Devices"} }},
		"no authority":  {false, func(c *x509.Certificate) { c.IsCA = false }},
		"key usage":     {false, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }},
		"algorithm":     {false, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSA }},
		"another critical extension": {false, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}},
	} {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: attesttest.Made, NotAfter: attesttest.Made.AddDate(1, 0, 0),
			Subject:            pkix.Name{CommonName: sim.Marker, Organization: []string{sim.Marker}},
			SignatureAlgorithm: x509.SHA384WithRSAPSS, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			ExtraExtensions: []pkix.Extension{mark},
		}
		x.edit(c)
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := sim.ParseRoot(pemOf(der)); (err == nil) != x.ok {
			t.Errorf("%s: %v, expected accepted = %v", name, err, x.ok)
		}
	}
}

// Whatever pool a sim root is put into by mistake, nothing verifies under it:
// its critical extension is unknown to everybody else.
func TestInvariant1NoSilentDowngrade_SimRootIsNoRootElsewhere(t *testing.T) {
	vendor := attesttest.Sim(t)
	pool, below := x509.NewCertPool(), x509.NewCertPool()
	if !pool.AppendCertsFromPEM(vendor.HW.RootPEM()) {
		t.Fatal("the root is no certificate")
	}
	var leaf *x509.Certificate
	for i, e := range vendor.HW.Chain() {
		c, err := x509.ParseCertificate(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			leaf = c
		} else {
			below.AddCert(c)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: below, CurrentTime: attesttest.Made, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err == nil {
		t.Error("crypto/x509 verifies a chain to a sim root")
	}
}

// Real evidence under the vendor's own chain is not sim evidence.
func TestRealEvidenceIsNotSim(t *testing.T) {
	vendor := attesttest.Sim(t)
	dir := filepath.Dir(amdChains)
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, _ := pem.Decode(read("milan-vcek-chain.pem"))
	col := attest.Collateral{
		{MediaType: attest.MediaTypeCertificate, Value: read("milan-v2-azure.vcek.der")},
		{MediaType: attest.MediaTypeCertificate, Value: block.Bytes},
	}
	ev := attest.Evidence{MediaType: attest.MediaTypeSNP, Value: read("milan-v2-azure.report.bin")}
	if c, v := sim.New(vendor.Root).Verify(ev, col, vendor.Expected(), attesttest.Made); c != nil || v.OK() {
		t.Error("accepted")
	}
}

func TestZeroRootVerifiesNothing(t *testing.T) {
	vendor := attesttest.Sim(t)
	g := vendor.Subject().Good
	if c, v := sim.New(sim.Root{}).Verify(g.Evidence, g.Collateral, g.Expected, g.At); c != nil || v.OK() {
		t.Error("accepted")
	}
	if (sim.Root{}).Fingerprint() != "" || len(vendor.Root.Fingerprint()) != 64 {
		t.Error("fingerprints")
	}
}

func TestAuthorityIsSavedAndLoaded(t *testing.T) {
	vendor := attesttest.Sim(t)
	saved, err := vendor.HW.Save()
	if err != nil {
		t.Fatal(err)
	}
	again, err := simhw.Load(saved)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.RootPEM(), vendor.HW.RootPEM()) {
		t.Error("another root")
	}
	report, err := again.ReportFor(vendor.Spec)
	if err != nil {
		t.Fatal(err)
	}
	g := vendor.Subject().Good
	g.Evidence.Value = report
	if c, v := sim.New(vendor.Root).Verify(g.Evidence, again.Chain(), g.Expected, g.At); c == nil {
		t.Errorf("a report of the loaded authority is refused: %v", v.Err())
	}
	other, err := vendor.Other.Save()
	if err != nil {
		t.Fatal(err)
	}
	key := bytes.Index(saved, []byte("-----BEGIN PRIVATE KEY"))
	for name, b := range map[string][]byte{
		"empty": nil, "no key": saved[:key], "huge": make([]byte, 1<<20), "trailing": append(bytes.Clone(saved), 'x'),
		"another's key":  append(bytes.Clone(saved[:key]), other[bytes.Index(other, []byte("-----BEGIN PRIVATE KEY")):]...),
		"another's root": append(bytes.Clone(vendor.Other.RootPEM()), saved[len(vendor.HW.RootPEM()):]...),
		"root alone":     vendor.HW.RootPEM(),
	} {
		if a, err := simhw.Load(b); err == nil || a != nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

func FuzzParseRoot(f *testing.F) {
	// From a file: fuzzing runs in several processes, and each would make a
	// vendor of its own.
	want := map[string]int{} // formats by fingerprint
	for name, formats := range map[string]int{"sim-root.pem": 1, "sim-root-shapes.pem": 4} {
		good, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(good)
		r, err := sim.ParseRoot(good)
		if err != nil || len(r.Formats()) != formats {
			f.Fatalf("%s: formats %v, %v", name, r.Formats(), err)
		}
		want[r.Fingerprint()] = formats
	}
	for _, c := range vendorCerts(f) {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := sim.ParseRoot(b)
		if err == nil && r.Fingerprint() == "" {
			t.Fatal("a root without certificate")
		}
		if err == nil && want[r.Fingerprint()] == len(r.Formats()) {
			return // the same certificate, in another layout of PEM
		}
		if err == nil {
			t.Fatal("the fuzzer has made a self-signed root")
		}
	})
}
