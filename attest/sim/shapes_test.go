// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/nitro"
	"github.com/enarx/enarx-go/attest/sgx"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/sim/simhw"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
	"github.com/enarx/enarx-go/policy"
)

var formats = []string{"snp", "tdx", "sgx", "nitro", "vtpm"}

// failures are the names of the failed rows.
func failures(v attest.Verdict) string {
	var names []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			names = append(names, strings.TrimPrefix(r.Check, "sim."))
		}
	}
	return strings.Join(names, " ")
}

// makeShape signs evidence of a shape with its collateral.
func makeShape(t testing.TB, hw *simhw.Authority, format string, s simhw.Spec) (attest.Evidence, attest.Collateral) {
	t.Helper()
	ev, err := hw.Evidence(format, s, attesttest.Made)
	if err != nil {
		t.Fatal(err)
	}
	col, err := hw.Collateral(format)
	if err != nil {
		t.Fatal(err)
	}
	return ev, col
}

func TestShapes(t *testing.T) {
	s := attesttest.Sim(t)
	for _, format := range formats {
		ev, col := makeShape(t, s.HW, format, s.Spec)
		c, v := sim.New(s.Root).Verify(ev, col, s.Expected(), attesttest.Made)
		if c == nil {
			t.Fatalf("%s: %v", format, v.Err())
		}
		if c.Platform != "sim" || !c.Simulated || !bytes.Equal(c.Measurement, s.Spec.Measurement[:]) || !bytes.Equal(c.HostData, s.Spec.HostData[:]) ||
			c.ReportData != s.Spec.ReportData || !c.VerifiedAt.Equal(attesttest.Made) || c.Debug || c.VMPL != 0 || len(c.Waived) != 0 {
			t.Errorf("%s: claims %+v", format, c)
		}
		simulated := 0
		for _, r := range v {
			if !strings.HasPrefix(r.Check, "sim.") || r.Outcome == attest.Pass || r.Outcome == attest.Fail || r.Seen == "" || r.Source == "" {
				t.Errorf("%s: row %+v", format, r)
			}
			if r.Outcome == attest.Simulated {
				simulated++
			}
		}
		if simulated < 8 {
			t.Errorf("%s: only %d checks", format, simulated)
		}
		for _, l := range attest.TrustStatement("sim", c, nil, v) {
			if l.Standing == attest.StandVerified || l.Standing == attest.StandExcluded || l.Layer == attest.LayerCPU && l.By == "none" {
				t.Errorf("%s: layer %+v", format, l)
			}
		}
		if d := policy.Decide(c, policy.Demand{}); d.Allow {
			t.Errorf("%s: allowed by default", format)
		}
		if d := policy.Decide(c, policy.Demand{Platforms: []string{format}, AllowSimulated: true}); d.Allow {
			t.Errorf("%s: allowed as the platform that has the shape", format)
		}
	}
}

// Evidence of every shape is signed well and refused all the same.
func TestShapesRefused(t *testing.T) {
	s := attesttest.Sim(t)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(off int, b ...byte) func(*simhw.Spec) {
		return func(p *simhw.Spec) { p.Edit = func(body []byte) { copy(body[off:], b) } }
	}
	for _, x := range []struct {
		name, formats, fails string
		spec                 func(*simhw.Spec)
		exp                  func(*attest.Expected)
		at                   time.Duration
	}{
		{name: "report data", formats: "tdx sgx nitro", fails: "report-data", spec: func(p *simhw.Spec) { p.ReportData[63] ^= 1 }},
		{name: "host data", formats: "tdx sgx nitro", fails: "host-data", spec: func(p *simhw.Spec) { p.HostData[31] ^= 1 }},
		{name: "first byte of the measurement", formats: "tdx sgx nitro", fails: "measurement", spec: func(p *simhw.Spec) { p.Measurement[0] ^= 1 }},
		{name: "last byte of the measurement", formats: "tdx sgx nitro", fails: "measurement", spec: func(p *simhw.Spec) { p.Measurement[47] ^= 1 }},
		{name: "foreign key", formats: "tdx sgx", fails: "signature", spec: func(p *simhw.Spec) { p.Sign = p256 }},
		{name: "foreign key", formats: "nitro", fails: "signature", spec: func(p *simhw.Spec) { p.Sign = p384 }},
		{name: "debug", formats: "tdx", fails: "debug", spec: set(120, 1)},
		{name: "debug", formats: "sgx", fails: "debug", spec: set(48, 0x87)},
		{name: "debug", formats: "nitro", fails: "debug measurement", spec: set(0, make([]byte, 48)...)},
		{name: "unknown attribute", formats: "tdx", fails: "debug", spec: set(121, 1)},
		{name: "RTMR3", formats: "tdx", fails: "registers", spec: set(328+3*48, 1)},
		{name: "CONFIGID beyond the digest", formats: "sgx", fails: "host-data", spec: set(192+63, 1)},
		{name: "no expectation", formats: "tdx sgx nitro", fails: "measurement host-data report-data", exp: func(e *attest.Expected) { *e = attest.Expected{} }},
		{name: "measurement of another platform", formats: "tdx sgx nitro", fails: "measurement", exp: func(e *attest.Expected) { e.Measurements[0].Platform = "tdx" }},
		{name: "floor", formats: "tdx sgx nitro", fails: "tcb-floor", exp: func(e *attest.Expected) { e.TCB.Floors = []attest.TCBFloor{{Min: map[string]uint64{"microcode": 0}}} }},
		{name: "before the root", formats: "tdx sgx", fails: "dates", at: -time.Hour - time.Second},
		{name: "after the root", formats: "tdx sgx", fails: "dates", at: 8 * 365 * 24 * time.Hour},
		{name: "before the document", formats: "nitro", fails: "dates time", at: -4 * time.Second},
		{name: "after the document", formats: "nitro", fails: "dates", at: 3 * time.Hour},
	} {
		for format := range strings.FieldsSeq(x.formats) {
			spec, exp := s.Spec, s.Expected()
			if x.spec != nil {
				x.spec(&spec)
			}
			if x.exp != nil {
				x.exp(&exp)
			}
			ev, col := makeShape(t, s.HW, format, spec)
			c, v := sim.New(s.Root).Verify(ev, col, exp, attesttest.Made.Add(x.at))
			if c != nil || failures(v) != x.fails || v.Reason() == attest.ReasonUnspecified {
				t.Errorf("%s, %s: failed rows %q (%s), expected %q: %v", format, x.name, failures(v), v.Reason(), x.fails, v.Err())
			}
		}
	}
}

// No sim evidence passes in production, no vendor's under a sim root, and none
// under another sim root, whatever the shape.
func TestInvariant1NoSilentDowngrade_ShapesStayApart(t *testing.T) {
	s := attesttest.Sim(t)
	production := []attest.Verifier{
		snp.New(snp.Options{AcceptMissingCRL: true, Waive: 7}), tdx.New(tdx.Options{Waive: 7}), sgx.New(sgx.Options{Waive: 7}), nitro.New(nitro.Options{Waive: 7}),
	}
	other, err := sim.ParseRoot(s.Other.RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile("testdata/sim-root.pem")
	if err != nil {
		t.Fatal(err)
	}
	older, err := sim.ParseRoot(old)
	if err != nil || len(older.Formats()) != 1 {
		t.Fatalf("%v, %v", older.Formats(), err)
	}
	for _, format := range formats {
		ev, col := makeShape(t, s.HW, format, s.Spec)
		exp := s.Expected()
		exp.Measurements[0].Platform = format
		for _, v := range production {
			if c, verdict := v.Verify(ev, col, exp, attesttest.Made); c != nil || verdict.OK() {
				t.Errorf("%s: accepted by the verifier of %s", format, v.Platform())
			}
		}
		for name, root := range map[string]sim.Root{"another": other, "an older": older, "no": {}} {
			c, v := sim.New(root).Verify(ev, col, s.Expected(), attesttest.Made)
			if c != nil || !strings.HasPrefix(failures(v), "chain") {
				t.Errorf("%s under %s root: failed rows %q", format, name, failures(v))
			}
		}
		// The type says one shape and the bytes are of another.
		for _, mt := range []string{attest.MediaTypeSNP, attest.MediaTypeTDX, attest.MediaTypeSGX, attest.MediaTypeNitro} {
			if mt == ev.MediaType {
				continue
			}
			if c, v := sim.New(s.Root).Verify(attest.Evidence{MediaType: mt, Value: ev.Value}, col, s.Expected(), attesttest.Made); c != nil || failures(v) != "format" {
				t.Errorf("%s called %s: failed rows %q", format, mt, failures(v))
			}
		}
	}
	for _, x := range []struct{ file, media, at string }{
		{"dcap/testdata/tdx/v4-90c06f-dstack.quote.bin", attest.MediaTypeTDX, "2026-03-01T00:00:00Z"},
		{"dcap/testdata/sgx/v3-00a067-phala.quote.bin", attest.MediaTypeSGX, "2025-06-25T00:00:00Z"},
		{"nitrodoc/testdata/enclave-2025-12.cbor", attest.MediaTypeNitro, "2025-12-25T13:15:37Z"},
		{"snpreport/testdata/milan-v2-azure.report.bin", attest.MediaTypeSNP, "2025-06-01T00:00:00Z"},
	} {
		b, err := os.ReadFile("../internal/" + x.file)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, x.at)
		if err != nil {
			t.Fatal(err)
		}
		v := sim.NewWith(s.Root, sim.Options{Waive: 7})
		c, verdict := v.Verify(attest.Evidence{MediaType: x.media, Value: b}, s.HW.Chain(), attest.Expected{}, at)
		if f := failures(verdict); c != nil || !strings.HasPrefix(f, "chain ") && !strings.Contains(f, "signature") {
			t.Errorf("%s: accepted under a sim root, or not for its chain: %q", x.file, failures(verdict))
		}
	}
}

// A bit in each eleventh byte of evidence and collateral of the shapes that the
// suite does not damage.
func TestInvariant4HostileInputIsBounded_DamagedShapes(t *testing.T) {
	s := attesttest.Sim(t)
	flips := 0
	for _, format := range formats[1:] {
		ev, col := makeShape(t, s.HW, format, s.Spec)
		parts := [][]byte{ev.Value}
		for _, e := range col {
			parts = append(parts, e.Value)
		}
		for n, b := range parts {
			for i := 0; i < len(b); i += 11 {
				b[i] ^= 1 << (i % 8)
				if c, v := sim.New(s.Root).Verify(ev, col, s.Expected(), attesttest.Made); c != nil || v.OK() {
					t.Errorf("%s, part %d: accepted with bit %d of byte %#x flipped", format, n, i%8, i)
				}
				b[i] ^= 1 << (i % 8)
				flips++
			}
		}
	}
	if flips < 1200 {
		t.Fatalf("only %d flips", flips)
	}
}

// The marker of a root names the other roots in one encoding, and nothing that
// is no root.
func TestMarker(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := attesttest.Sim(t)
	var nitroRoot *x509.Certificate
	ev, _ := makeShape(t, good.HW, "nitro", good.Spec)
	if i := bytes.Index(ev.Value, []byte("cabundle")); i > 0 { // an array of two, the root first
		n := int(ev.Value[i+10])<<8 | int(ev.Value[i+11])
		if nitroRoot, err = x509.ParseCertificate(ev.Value[i+12 : i+12+n]); err != nil {
			t.Fatal(err)
		}
	}
	value, err := sim.MarkerValue(&p256.PublicKey, nitroRoot, nil)
	if err != nil {
		t.Fatal(err)
	}
	aws, err := os.ReadFile("../nitro/roots/aws-nitro-root-g1.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(aws)
	if block == nil {
		t.Fatal("no root of AWS")
	}
	point, err := p256.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	pair := func(a, b []byte) []byte {
		der, err := asn1.Marshal([][]byte{a, b})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, x := range []struct {
		name   string
		value  []byte
		shapes int
	}{
		{"of an older agent", []byte{5, 0}, 1},
		{"without the shape of a TPM", value, 4},
		{"empty", nil, 0},
		{"something after", append(bytes.Clone(value), 0), 0},
		{"long form of a length", append([]byte{0x30, 0x83, 0}, value[2:]...), 0},
		{"no point", pair(make([]byte, 65), nitroRoot.Raw), 0},
		{"no certificate", pair(point, []byte("x")), 0},
		{"AWS's root", pair(point, block.Bytes), 0},
		{"one more", func() []byte { b, _ := asn1.Marshal([][]byte{point, nitroRoot.Raw, nil}); return b }(), 0},
	} {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: sim.Marker + " - ARK", Organization: []string{sim.Marker}},
			NotBefore: attesttest.Made, NotAfter: attesttest.Made.AddDate(1, 0, 0), SignatureAlgorithm: x509.SHA384WithRSAPSS,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			ExtraExtensions: []pkix.Extension{{Id: sim.MarkerExtension(), Critical: true, Value: x.value}},
		}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		root, err := sim.ParseRoot(pemOf(der))
		if (err == nil) != (x.shapes != 0) || len(root.Formats()) != x.shapes {
			t.Errorf("%s: formats %v, %v", x.name, root.Formats(), err)
		}
	}
}

// What was saved makes evidence of every shape again; what an older version
// saved, of SNP alone, and says so.
func TestSavedShapes(t *testing.T) {
	s := attesttest.Sim(t)
	saved, err := s.HW.Save()
	if err != nil {
		t.Fatal(err)
	}
	again, err := simhw.Load(saved)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range formats {
		ev, col := makeShape(t, again, format, s.Spec)
		if c, v := sim.New(s.Root).Verify(ev, col, s.Expected(), attesttest.Made); c == nil {
			t.Errorf("%s: %v", format, v.Err())
		}
	}
	if err := again.CheckFormat("sev"); err == nil {
		t.Error("a format that does not exist")
	}
	other, err := s.Other.Save()
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.Index(saved, []byte("-----END PRIVATE KEY-----\n")) + len("-----END PRIVATE KEY-----\n")
	otherEnd := bytes.Index(other, []byte("-----END PRIVATE KEY-----\n")) + len("-----END PRIVATE KEY-----\n")
	last := bytes.LastIndex(saved, []byte("-----BEGIN PRIVATE KEY"))
	for name, b := range map[string][]byte{
		"the shapes of another": append(bytes.Clone(saved[:end]), other[otherEnd:]...),
		"the shapes missing":    saved[:end],
		"the last key missing":  saved[:last],
		"the last key another":  append(bytes.Clone(saved[:last]), other[bytes.LastIndex(other, []byte("-----BEGIN PRIVATE KEY")):]...),
		"a document changed":    bytes.Replace(saved, []byte("SIM TDX TCB INFO"), []byte("SIM SGX TCB INFO"), 2),
	} {
		if _, err := simhw.Load(b); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}

	b, err := os.ReadFile("testdata/older-authority.pem")
	if err != nil {
		t.Fatal(err)
	}
	older, err := simhw.Load(b)
	if err != nil || len(older.Formats()) != 1 || older.CheckFormat("snp") != nil {
		t.Fatalf("%v", err)
	}
	if _, err := older.Evidence("tdx", s.Spec, attesttest.Made); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("%v", err)
	}
	if _, err := older.Collateral("nitro"); err == nil {
		t.Error("collateral without keys")
	}
	if back, err := older.Save(); err != nil || !bytes.Equal(back, b) {
		t.Errorf("saved as other bytes: %v", err)
	}
}
