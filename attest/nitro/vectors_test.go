// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
	"github.com/enarx/enarx-go/policy"
)

// vectorDir holds documents that AWS's hypervisors signed and others published;
// its ORIGIN.tsv says whose.
const vectorDir = "../internal/nitrodoc/testdata"

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func document(b []byte) attest.Evidence {
	return attest.Evidence{MediaType: attest.MediaTypeNitro, Value: b}
}

// failures are the names of the failed rows.
func failures(v attest.Verdict) string {
	var names []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			names = append(names, strings.TrimPrefix(r.Check, "nitro."))
		}
	}
	return strings.Join(names, " ")
}

func row(v attest.Verdict, name string) attest.Row {
	for _, r := range v {
		if r.Check == "nitro."+name {
			return r
		}
	}
	return attest.Row{}
}

const waiveAll = attest.WaiveMeasurement | attest.WaiveHostData | attest.WaiveReportData

// vectors are all documents of AWS with what their publishers and independent
// tools found. fails are the rows that fail when nothing is expected of the
// contents.
var vectors = []struct {
	name, at, fails string
	reason          attest.Reason
	kind            nitrodoc.Kind
	module          string
	pcrs            map[uint]string // first bytes
	userData, nonce string          // hexadecimal, or its first bytes
	publicKey       int
}{
	{name: "enclave-2025-12.cbor", at: "2025-12-25T13:15:37Z", kind: nitrodoc.Enclave, module: "i-0827e799ec9232d44-enc019b55a68bd2ed4b",
		pcrs: map[uint]string{0: "5cb702954321826d", 1: "0343b056cd8485ca", 2: "743ea12db9aba944", 4: "7b3574ad9b7e88ec"}, userData: strings.Repeat("00", 64)},
	{name: "enclave-2025-12-debug.cbor", at: "2025-12-25T08:20:46Z", fails: "debug", reason: attest.ReasonDebug, kind: nitrodoc.Enclave,
		pcrs: map[uint]string{0: "0000000000000000", 4: "19f6d013fa4df46d"}},
	{name: "enclave-2022-10-pcr8-nonce.cbor", at: "2022-10-13T08:58:02Z", kind: nitrodoc.Enclave,
		pcrs:  map[uint]string{0: "f4d48b81a460c991", 1: "bcdf05fefccaa8e5", 2: "d8f114da658de548", 3: "4a9329d69c836267", 4: "1f442c86d494a881", 8: "8790eb3cce6c83d0"},
		nonce: "cb3dc2eb76c0c134"},
	{name: "enclave-2023-09-debug-userdata.cbor", at: "2023-09-18T15:03:30Z", fails: "debug", reason: attest.ReasonDebug, kind: nitrodoc.Enclave,
		pcrs: map[uint]string{0: "0000000000000000", 1: "0000000000000000", 2: "0000000000000000"}},
	{name: "enclave-2021-09-debug.cbor", at: "2021-09-09T10:19:20Z", fails: "debug", reason: attest.ReasonDebug, kind: nitrodoc.Enclave,
		nonce: "8013cf2d252821a740e526102b9cd3d0"},
	{name: "enclave-2024-08-debug-all-fields.cbor", at: "2024-08-16T09:11:49Z", fails: "debug", reason: attest.ReasonDebug, kind: nitrodoc.Enclave,
		userData: hex.EncodeToString([]byte("Automata MPC Demo")), nonce: hex.EncodeToString([]byte("1234")), publicKey: 139},
	{name: "nitrotpm-2026-02.cbor", at: "2026-02-03T10:12:02Z", kind: nitrodoc.TPM, module: "i-01cfb383223e42522-tpm0000000000000000",
		pcrs: map[uint]string{0: "6e901b16932f6e03", 4: "1a1f166e1995c1e1", 7: "98441c7f7625d100"}, nonce: "230af3f7c0ec43cc", publicKey: 65},

	{name: "bad-2021-09-signature.cbor", at: "2021-09-09T10:19:20Z", fails: "signature debug", reason: attest.ReasonSignature},
	{name: "bad-2021-09-certificate.cbor", at: "2021-09-09T10:19:20Z", fails: "chain dates revocation signature time debug", reason: attest.ReasonChain},
	{name: "enclave-2025-12.framed.bin", at: "2025-12-25T13:15:37Z", fails: "format", reason: attest.ReasonFormat},
}

func TestVectors(t *testing.T) {
	for _, x := range vectors {
		b, when := file(t, x.name), at(t, x.at)
		c, v := New(Options{Waive: waiveAll}).Verify(document(b), nil, attest.Expected{}, when)
		if failures(v) != x.fails || (c != nil) != (x.fails == "") || v.Reason() != x.reason {
			t.Errorf("%s: failed rows %q (%s), expected %q (%s): %v", x.name, failures(v), v.Reason(), x.fails, x.reason, v.Err())
		}
		for _, r := range v {
			if (r.Outcome == attest.Fail) != (r.Reason != "") || r.Seen == "" || r.Expected == "" || r.Source == "" || r.Outcome == attest.Fail && r.Todo == "" {
				t.Errorf("%s: row %+v", x.name, r)
			}
		}
		if x.kind == 0 {
			continue
		}
		d, err := nitrodoc.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		if !bytes.Equal(d.Encode(), b) {
			t.Errorf("%s: comes back as other bytes", x.name)
		}
		if d.Kind != x.kind || !strings.HasPrefix(d.ModuleID, "i-") || x.module != "" && d.ModuleID != x.module || len(d.PublicKey) != x.publicKey ||
			!d.Timestamp.Truncate(time.Second).Equal(when) {
			t.Errorf("%s: %v, %s, %v, public key of %d bytes", x.name, d.Kind, d.ModuleID, d.Timestamp, len(d.PublicKey))
		}
		for i, want := range x.pcrs {
			if !strings.HasPrefix(hex.EncodeToString(d.PCRs[i]), want) {
				t.Errorf("%s: PCR%d %x", x.name, i, d.PCRs[i])
			}
		}
		if x.userData != "" && hex.EncodeToString(d.UserData) != x.userData || x.nonce != "" && !strings.HasPrefix(hex.EncodeToString(d.Nonce), x.nonce) {
			t.Errorf("%s: user data %x, nonce %x", x.name, d.UserData, d.Nonce)
		}
		if c != nil && (!c.Verified() || c.Platform != attest.PlatformNitro || c.Simulated || c.Debug || len(c.Waived) != 3 || c.Measurement == nil || !c.VerifiedAt.Equal(when)) {
			t.Errorf("%s: claims %+v", x.name, c)
		}
	}
}

// What publishers say of contents: one vouches for a TLS certificate, two for
// what we can name as reference values.
func TestVectorsContents(t *testing.T) {
	d, err := nitrodoc.Parse(file(t, "enclave-2023-09-debug-userdata.cbor"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(file(t, "enclave-2023-09-debug-userdata.cert.der"))
	if err != nil || !bytes.Equal(d.UserData, c.RawSubjectPublicKeyInfo) || len(d.Nonce) != 256 {
		t.Errorf("user data is not the key of the certificate: %v", err)
	}

	b, when := file(t, "enclave-2025-12.cbor"), at(t, "2025-12-25T13:15:37Z")
	if d, err = nitrodoc.Parse(b); err != nil {
		t.Fatal(err)
	}
	m := MeasurementEnclave([48]byte(d.PCRs[0]), [48]byte(d.PCRs[1]), [48]byte(d.PCRs[2]))
	exp := attest.Expected{Measurements: []attest.ReferenceValue{{Platform: attest.PlatformNitro, Measurement: m[:], Release: "1", Source: "test"}}}
	o := Options{Waive: attest.WaiveHostData | attest.WaiveReportData, PCRs: map[uint][]byte{4: d.PCRs[4]}}
	claims, v := New(o).Verify(document(b), nil, exp, when)
	if claims == nil || !bytes.Equal(claims.Measurement, m[:]) || row(v, "measurement").Outcome != attest.Pass || row(v, "pcr4").Outcome != attest.Pass {
		t.Fatal(v.Err())
	}
	if r := row(v, "revocation"); r.Outcome != attest.Skipped || !strings.HasPrefix(r.Seen, "NOT CHECKED") || r.Todo == "" {
		t.Errorf("that no list came along is not loud: %+v", r)
	}
	for _, name := range []string{"pcr3", "pcr8", "module-id", "public-key", "tcb-floor", "host-data", "report-data"} {
		if row(v, name).Outcome != attest.Skipped {
			t.Errorf("what is not demanded is not named: %s", name)
		}
	}
	// A zero user_data is what the publisher asked for; it is no session's.
	if claims, v = New(Options{Waive: attest.WaiveHostData}).Verify(document(b), nil, exp, when); claims != nil || v.Reason() != attest.ReasonReportData {
		t.Errorf("no report data was expected: %v", v.Err())
	}
	// The same registers of a TPM are another measurement.
	if m == MeasurementTPM([48]byte(d.PCRs[0]), [48]byte(d.PCRs[1]), [48]byte(d.PCRs[2])) {
		t.Error("an enclave and a TPM can have one measurement")
	}
	if claims, v = New(Options{Waive: waiveAll, RequireCRL: true}).Verify(document(b), nil, exp, when); claims != nil || v.Reason() != attest.ReasonListMissing {
		t.Errorf("lists were demanded: %v", v.Err())
	}
}

// A document is good for as long as its certificate, to the second, whatever
// the instance's and the zone's are good for.
func TestVectorsEdgesOfTime(t *testing.T) {
	for _, x := range []struct {
		at, fails string
		reason    attest.Reason
	}{
		{"2025-12-25T13:15:33Z", "dates time", attest.ReasonCertNotYetValid},
		{"2025-12-25T13:15:34Z", "time", attest.ReasonTime}, // valid, but the document is of 37.578
		{"2025-12-25T13:15:35Z", "", ""},
		{"2025-12-25T16:15:37Z", "", ""},
		{"2025-12-25T16:15:38Z", "dates", attest.ReasonCertExpired},
		{"2026-06-01T00:00:00Z", "dates", attest.ReasonCertExpired},
		{"0001-01-01T00:00:00Z", "dates time", attest.ReasonCertNotYetValid},
	} {
		c, v := New(Options{Waive: waiveAll}).Verify(document(file(t, "enclave-2025-12.cbor")), nil, attest.Expected{}, at(t, x.at))
		if failures(v) != x.fails || (c != nil) != (x.fails == "") || v.Reason() != x.reason {
			t.Errorf("%s: failed rows %q (%s), expected %q: %v", x.at, failures(v), v.Reason(), x.fails, v.Err())
		}
	}
}

// The built-in root is AWS's and no other can take its place.
func TestRoot(t *testing.T) {
	root, err := awsRoot()
	if err != nil || root.Subject.CommonName != "aws.nitro-enclaves" || root.NotAfter.Year() != 2049 {
		t.Fatalf("%v", err)
	}
	for name, b := range map[string][]byte{
		"tampered": file(t, "bad-root-tampered.crt"), "another vendor": file(t, "bad-root-unknown-ca.crt"),
		"empty": nil, "two": append(bytes.Clone(rootPEM), rootPEM...), "no PEM": root.Raw,
	} {
		if c, err := parseRoot(b); err == nil || c != nil {
			t.Errorf("%s: taken for AWS's root", name)
		}
	}
	// Documents do not verify under another root, whatever gave it out.
	block, _ := pem.Decode(file(t, "bad-root-unknown-ca.crt"))
	other, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []*x509.Certificate{other, nil, {}} {
		c, v := newVerifier(Options{Waive: waiveAll}, root, "test").Verify(document(file(t, "enclave-2025-12.cbor")), nil, attest.Expected{}, at(t, "2025-12-25T13:15:37Z"))
		if c != nil || v.Reason() != attest.ReasonRoot {
			t.Errorf("accepted under another root: %v", v.Err())
		}
	}
}

// Every vector has an origin, and is what its origin has.
func TestOriginOfVectors(t *testing.T) {
	listed := map[string]string{}
	for _, line := range strings.Split(string(file(t, "ORIGIN.tsv")), "\n")[1:] {
		if f := strings.Split(line, "\t"); len(f) == 7 && f[3] != "" {
			listed[f[0]] = f[2]
		}
	}
	entries, err := os.ReadDir(vectorDir)
	if err != nil || len(entries) != len(listed)+1 {
		t.Fatalf("%d files, %d listed: %v", len(entries), len(listed), err)
	}
	for name, want := range listed {
		if sum := sha256.Sum256(file(t, name)); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s was changed", name)
		}
	}
}

// Parts of one document in the place of another's.
func TestSplicedRealDocuments(t *testing.T) {
	n := 0
	for _, a := range vectors {
		da, err := nitrodoc.Parse(file(t, a.name))
		if err != nil || strings.HasPrefix(a.name, "bad-") {
			continue
		}
		v := New(Options{Waive: waiveAll})
		for _, b := range vectors {
			db, err := nitrodoc.Parse(file(t, b.name))
			if err != nil || a.name == b.name || strings.HasPrefix(b.name, "bad-") {
				continue
			}
			ea, eb := da.Encode(), db.Encode()
			sig := [nitrodoc.SignatureSize]byte(eb[len(eb)-nitrodoc.SignatureSize:])
			for _, spliced := range [][]byte{
				nitrodoc.Seal(da.Payload(), sig),
				nitrodoc.Seal(bytes.Replace(da.Payload(), da.Certificate, db.Certificate, 1), sig),
				nitrodoc.Seal(bytes.Replace(da.Payload(), da.CABundle[3], db.CABundle[3], 1), [nitrodoc.SignatureSize]byte(ea[len(ea)-nitrodoc.SignatureSize:])),
			} {
				if bytes.Equal(spliced, ea) || bytes.Equal(spliced, eb) {
					continue
				}
				n++
				if c, verdict := v.Verify(document(spliced), nil, attest.Expected{}, at(t, a.at)); c != nil || verdict.OK() {
					t.Errorf("%s with parts of %s: accepted", a.name, b.name)
				}
			}
		}
	}
	if n < 100 {
		t.Fatalf("only %d splices", n)
	}
}

// Policy takes claims of platform nitro when it is named, and by default not.
func TestInvariant1NoSilentDowngrade_NitroMustBeNamed(t *testing.T) {
	v := newMade(t)
	c, verdict := v.verify(Options{}, v.Document(proper))
	if c == nil {
		t.Fatal(verdict.Err())
	}
	if d := policy.Decide(c, policy.Demand{}); d.Allow {
		t.Errorf("allowed by default: %v", d.Reasons)
	}
	if d := policy.Decide(c, policy.Demand{Platforms: []string{attest.PlatformNitro}}); !d.Allow {
		t.Errorf("refused although named: %v", d.Reasons)
	}
	for _, l := range attest.TrustStatement(attest.PlatformNitro, c, nil, verdict) {
		if l.Layer == attest.LayerHypervisor && l.Standing != attest.StandAssumed || l.Standing == attest.StandExposed {
			t.Errorf("layer %+v", l)
		}
	}
}
