// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"
	pb "github.com/google/go-sev-guest/proto/sevsnp"
	oracle "github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"

	"github.com/enarx/enarx-go/attest"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// chainFile reads a vendor chain: intermediate, then root.
func chainFile(t testing.TB, name string) (ca, root *x509.Certificate) {
	t.Helper()
	b := file(t, name)
	var certs []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := parseCert(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	if len(certs) != 2 {
		t.Fatalf("%s: %d certificates", name, len(certs))
	}
	return certs[0], certs[1]
}

// real is evidence of real hardware. Values are those that its publishers and
// independent tools found; see testdata/ORIGIN.md.
type real struct {
	name, chain string
	at          time.Time
	version     uint32
	measurement string // first 8 bytes
	tcb         string
	debug       bool
	// oracle says that go-sev-guest v0.15.0 can verify it: it refuses the
	// Turin extension 3.9 and does not know CPU model A0h.
	oracle bool
}

var (
	mid2025  = time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	late2025 = time.Date(2025, 9, 1, 0, 0, 0, 0, time.UTC)
)

var reals = []real{
	{"milan-v2-azure", "milan", mid2025, 2, "a1f3930413247bb3", "bootloader 3, microcode 115, snp 8, tee 0", false, true},
	{"milan-v2-debugpolicy", "milan", mid2025, 2, "b07af9620f3b839b", "bootloader 2, microcode 68, snp 5, tee 0", true, true},
	{"milan-v2-enarx", "milan", mid2025, 2, "ff717ae719840c93", "bootloader 2, microcode 93, snp 6, tee 0", false, true},
	{"milan-v2-virtee", "milan", mid2025, 2, "7a1e5c266c0108db", "bootloader 3, microcode 115, snp 8, tee 0", false, true},
	{"milan-v3-oak", "milan", mid2025, 3, "195b01b74976a1fa", "bootloader 4, microcode 219, snp 24, tee 0", false, true},
	{"genoa-v3-azure", "genoa", late2025, 3, "572db4d3f521386b", "bootloader 10, microcode 84, snp 23, tee 0", false, true},
	{"genoa-v5", "genoa", late2025, 5, "c57729018b0a6fb9", "bootloader 10, microcode 84, snp 25, tee 0", false, true},
	{"siena-a0-v3", "genoa", late2025, 3, "6a6519d757e68c2e", "bootloader 10, microcode 25, snp 23, tee 0", false, false},
	{"turin-v5", "turin", late2025, 5, "f924dd18f168df60", "bootloader 1, fmc 0, microcode 71, snp 2, tee 0", false, false},
}

// line is a product line with nothing built in but its root.
func line(name string, root *x509.Certificate) Line {
	n := strings.ToUpper(name[:1]) + name[1:]
	return Line{Name: n, Root: root, ASKName: "SEV-" + n, ASVKName: "SEV-VLEK-" + n, HasFMC: name == "turin"}
}

// inputs are the arguments with which everything but revocation must pass.
func (r real) inputs(t testing.TB) (Params, attest.Evidence, attest.Collateral, attest.Expected) {
	t.Helper()
	ca, root := chainFile(t, r.chain+"-vcek-chain.pem")
	report := file(t, r.name+".report.bin")
	parsed, err := Parse(report)
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	hostData := parsed.HostData
	return Params{Platform: "snp", Lines: []Line{line(r.chain, root)}, RootSource: "the test"},
		attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report},
		attest.Collateral{
			{MediaType: attest.MediaTypeCertificate, Value: file(t, r.name+".vcek.der")},
			{MediaType: attest.MediaTypeCertificate, Value: ca.Raw},
			{MediaType: attest.MediaTypeCertificate, Value: root.Raw},
		},
		attest.Expected{
			ReportData: parsed.ReportData, HostData: hostData, TCB: attest.TCBPolicy{Floors: []attest.TCBFloor{{Min: map[string]uint64{"snp": 1}}}},
			Measurements: []attest.ReferenceValue{{Platform: "snp", Measurement: parsed.Measurement[:]}},
		}
}

// failures are the rows that failed.
func failures(v attest.Verdict) string {
	var f []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			f = append(f, r.Check)
		}
	}
	return strings.Join(f, " ")
}

func TestRealHardware(t *testing.T) {
	for _, r := range reals {
		p, ev, col, exp := r.inputs(t)
		claims, v := Verify(p, ev, col, exp, r.at)
		want := "snp.revocation" // fails closed until lists are checked
		if r.debug {
			want += " snp.debug"
		}
		// Published guests set no host data; a zero expectation is a missing one.
		if exp.HostData == [32]byte{} {
			want += " snp.host-data"
		}
		if claims != nil || failures(v) != want {
			t.Errorf("%s: failed rows %q, expected %q: %v", r.name, failures(v), want, v.Err())
		}
		for _, row := range v {
			if row.Check == "snp.tcb" && (row.Seen != r.tcb || row.Expected != r.tcb) {
				t.Errorf("%s: TCB %s, expected %s", r.name, row.Seen, r.tcb)
			}
		}
		parsed, err := Parse(ev.Value)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(parsed.Measurement[:8]); parsed.Version != r.version || got != r.measurement {
			t.Errorf("%s: version %d, measurement %s", r.name, parsed.Version, got)
		}
	}
}

// Evidence of real hardware that must be refused, and by which check.
func TestRealHardwareRefused(t *testing.T) {
	azure := reals[0]
	milanASVK, _ := chainFile(t, "milan-vlek-chain.pem")
	for name, x := range map[string]struct {
		r    real
		edit func(*Params, *attest.Evidence, attest.Collateral, *time.Time)
		want string
	}{
		"VCEK that AMD never signed": {azure, func(_ *Params, _ *attest.Evidence, c attest.Collateral, _ *time.Time) {
			c[0].Value = file(t, "milan-v2-azure.vcek-bad-legacy.der")
		}, "snp.chain"},
		"another VCEK that AMD never signed": {azure, func(_ *Params, _ *attest.Evidence, c attest.Collateral, _ *time.Time) {
			c[0].Value = file(t, "milan-v2-azure.vcek-bad-new.der")
		}, "snp.chain"},
		"VCEK of another machine": {azure, func(_ *Params, _ *attest.Evidence, c attest.Collateral, _ *time.Time) {
			c[0].Value = file(t, "milan-v2-virtee.vcek.der")
		}, "snp.signature"},
		"root of another generation": {azure, func(p *Params, _ *attest.Evidence, _ attest.Collateral, _ *time.Time) {
			_, p.Lines[0].Root = chainFile(t, "genoa-vcek-chain.pem")
		}, "snp.chain"},
		"intermediate in place of the root": {azure, func(p *Params, _ *attest.Evidence, _ attest.Collateral, _ *time.Time) {
			p.Lines[0].Root, _ = chainFile(t, "milan-vcek-chain.pem")
		}, "snp.chain"},
		"no root": {azure, func(p *Params, _ *attest.Evidence, _ attest.Collateral, _ *time.Time) { p.Lines = nil }, "snp.chain"},
		"nil root": {azure, func(p *Params, _ *attest.Evidence, _ attest.Collateral, _ *time.Time) {
			p.Lines[0].Root = nil
		}, "snp.chain"},
		"before the VCEK": {azure, func(_ *Params, _ *attest.Evidence, _ attest.Collateral, at *time.Time) {
			*at = time.Date(2023, 1, 23, 0, 0, 0, 0, time.UTC)
		}, "snp.dates"},
		"after the VCEK": {azure, func(_ *Params, _ *attest.Evidence, _ attest.Collateral, at *time.Time) {
			*at = time.Date(2030, 1, 26, 0, 0, 0, 0, time.UTC)
		}, "snp.dates"},
		"report with another's signature": {azure, func(_ *Params, ev *attest.Evidence, _ attest.Collateral, _ *time.Time) {
			copy(ev.Value[offSignature:], file(t, "milan-v2-virtee.report.bin")[offSignature:])
		}, "snp.signature"},
		"VLEK of a line that has none": {azure, func(p *Params, ev *attest.Evidence, c attest.Collateral, _ *time.Time) {
			ev.Value, c[0].Value, c[1].Value = file(t, "milan-v3-aws-vlek.report.bin"), file(t, "milan-v3-aws-vlek.vlek.der"), milanASVK.Raw
			p.Lines[0].ASVKName = ""
		}, "snp.chain"},
		"VLEK without a list": {azure, func(_ *Params, ev *attest.Evidence, c attest.Collateral, _ *time.Time) {
			ev.Value, c[0].Value, c[1].Value = file(t, "milan-v3-aws-vlek.report.bin"), file(t, "milan-v3-aws-vlek.vlek.der"), milanASVK.Raw
		}, "snp.revocation"},
	} {
		p, ev, col, exp := x.r.inputs(t)
		at := x.r.at
		x.edit(&p, &ev, col, &at)
		claims, v := Verify(p, ev, col, exp, at)
		if claims != nil || !strings.Contains(" "+failures(v)+" ", " "+x.want+" ") {
			t.Errorf("%s: failed rows %q, expected %s among them", name, failures(v), x.want)
		}
	}
}

func reports(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/*.report.bin")
	if err != nil || len(names) < 12 {
		t.Fatalf("%d reports in testdata, %v: the test would show nothing", len(names), err)
	}
	return names
}

// Parse must agree with go-sev-guest about every field of every report.
func TestParseAgreesWithGoSevGuest(t *testing.T) {
	for _, name := range reports(t) {
		b := file(t, filepath.Base(name))
		ours, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		theirs, err := abi.ReportToProto(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		signer, err := abi.ParseSignerInfo(theirs.SignerInfo)
		if err != nil {
			t.Fatal(err)
		}
		if ours.Version != theirs.Version || ours.GuestSVN != theirs.GuestSvn || uint64(ours.Policy) != theirs.Policy ||
			ours.VMPL != theirs.Vmpl || ours.PlatformInfo != theirs.PlatformInfo || int(ours.SigningKey) != int(signer.SigningKey) ||
			ours.MaskChipKey != signer.MaskChipKey || ours.AuthorKey != signer.AuthorKeyEn ||
			ours.LaunchMit != theirs.LaunchMitVector || ours.CurrentMit != theirs.CurrentMitVector ||
			u64(ours.ReportedTCB[:], 0) != theirs.ReportedTcb || u64(ours.CurrentTCB[:], 0) != theirs.CurrentTcb ||
			u64(ours.CommittedTCB[:], 0) != theirs.CommittedTcb || u64(ours.LaunchTCB[:], 0) != theirs.LaunchTcb {
			t.Errorf("%s: numbers differ: %+v, %+v", name, ours, theirs)
		}
		for what, x := range map[string][2][]byte{
			"report data": {ours.ReportData[:], theirs.ReportData}, "measurement": {ours.Measurement[:], theirs.Measurement},
			"host data": {ours.HostData[:], theirs.HostData}, "chip id": {ours.ChipID[:], theirs.ChipId},
			"family": {ours.FamilyID[:], theirs.FamilyId}, "image": {ours.ImageID[:], theirs.ImageId},
			"id key": {ours.IDKeyDigest[:], theirs.IdKeyDigest}, "author key": {ours.AuthorKeyDigest[:], theirs.AuthorKeyDigest},
			"report id": {ours.ReportID[:], theirs.ReportId}, "report id MA": {ours.ReportIDMA[:], theirs.ReportIdMa},
		} {
			if !bytes.Equal(x[0], x[1]) {
				t.Errorf("%s: %s differs", name, what)
			}
		}
	}
}

// Where go-sev-guest can verify chain and signature, so must we, and the other
// way round.
func TestVerifyAgreesWithGoSevGuest(t *testing.T) {
	n := 0
	for _, r := range reals {
		if !r.oracle {
			continue
		}
		n++
		for _, damage := range []int{-1, offReportData, offMeasurement + 47, offSignature, offSignature + sigWord} {
			p, ev, col, exp := r.inputs(t)
			if damage >= 0 {
				ev.Value[damage] ^= 1
			}
			_, v := Verify(p, ev, col, exp, r.at)
			ours := true
			for _, row := range v {
				if row.Outcome == attest.Fail && (row.Check == "snp.chain" || row.Check == "snp.signature" || row.Check == "snp.tcb" || row.Check == "snp.chip") {
					ours = false
				}
			}
			if theirs := oracleVerify(t, r, ev.Value, col); (theirs == nil) != ours {
				t.Errorf("%s, damage at %#x: we say %v, go-sev-guest says %v", r.name, damage, ours, theirs)
			}
		}
	}
	if n < 5 {
		t.Fatalf("compared %d times", n)
	}
}

func oracleVerify(t *testing.T, r real, report []byte, col attest.Collateral) error {
	t.Helper()
	proto, err := abi.ReportToProto(report)
	if err != nil {
		t.Fatal(err)
	}
	line := map[string]string{"milan": "Milan", "genoa": "Genoa"}[r.chain]
	roots := trust.AMDRootCertsProduct(line)
	if err := roots.FromKDSCertBytes(file(t, r.chain+"-vcek-chain.pem")); err != nil {
		t.Fatal(err)
	}
	opts := &oracle.Options{
		DisableCertFetching: true, Now: r.at,
		TrustedRoots: map[string][]*trust.AMDRootCerts{line: {roots}},
	}
	if r.version == 2 {
		opts.Product = &pb.SevProduct{Name: pb.SevProduct_SEV_PRODUCT_MILAN}
	}
	return oracle.SnpAttestation(&pb.Attestation{
		Report: proto,
		CertificateChain: &pb.CertificateChain{
			VcekCert: col[0].Value, AskCert: col[1].Value, ArkCert: col[2].Value,
		},
		Product: opts.Product,
	}, opts)
}
