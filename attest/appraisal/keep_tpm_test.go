// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/policy"
)

// keepRequest is a question about the evidence of a real Keep with a software
// TPM, saved before its claim, that demands all there is to demand.
func keepRequest(t testing.TB) Request {
	t.Helper()
	r := Request{File: read(t, tpmData+"keep-swtpm.cbor"), At: timeOf(t, "2026-11-26")}
	r.Policy.VTPM.Roots, r.Policy.VTPM.RootSource = tpmRoot(t, "keep-swtpm.root.pem"), "the test"
	r.Policy.VTPM.AcceptUnprovenActivation = true
	// The relying party's own, beside a root that issues itself and a stranger.
	for _, c := range slices.Concat(tpmRoot(t, "keep-swtpm.issuer.der"), r.Policy.VTPM.Roots, tpmRoot(t, "gcp_ek_ak_ca_root.crt")) {
		r.Collateral = append(r.Collateral, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: c.Raw})
	}
	measurement, err := hex.DecodeString("11836339873aee6f6da767962f12fa72e1b103d6962211fa140a0b8a52019c21")
	if err != nil {
		t.Fatal(err)
	}
	r.References = []attest.ReferenceValue{{Platform: attest.PlatformVTPM, Measurement: measurement, Release: "0.1.0", Source: "the test"}}
	rd, err := hex.DecodeString("89a50e61d8ec8f8ac942f33aeb9d7cc1898c8528551c0ad96987b01cf2c0ffccf6dbaed3b776187597e60a47b1a0b2450f253b006a9ccc1a6e6782aeba3831f9")
	if err != nil {
		t.Fatal(err)
	}
	r.ReportData = (*[64]byte)(rd)
	start, err := hex.DecodeString("a34a104f5c737dc03cd5d223499871774d6d65e07e3a94d0cd15492318620e32")
	if err != nil {
		t.Fatal(err)
	}
	r.HostData = (*[32]byte)(start)
	return r
}

// ask appraises r.
func ask(t testing.TB, r Request) *Result {
	t.Helper()
	res, err := Appraise(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Evidence of a Keep with a TPM that somebody has saved is no proof of any TPM:
// whoever has an endorsement certificate, which is public, can put it beside a
// key of his own. So it is refused, whatever else was demanded and is in order,
// unless the policy takes the word of whoever saved it; and then nothing reads
// as if it had been proven.
func TestInvariant1NoSilentDowngrade_SavedTPMEvidenceIsNoProof(t *testing.T) {
	r := keepRequest(t)
	r.Policy.VTPM.AcceptUnprovenActivation = false
	res := ask(t, r)
	if res.Accepted || res.Claims != nil || res.Reason != attest.ReasonUnchecked {
		t.Fatalf("accepted %v for %q", res.Accepted, res.Reason)
	}
	for _, row := range res.Rows {
		if (row.Outcome == attest.Fail) != (row.Check == "vtpm.saved") {
			t.Errorf("%s reads %s: %s", row.Check, row.Outcome, row.Seen)
		}
	}
	activation := rowOf(res.Rows, "vtpm.activation")
	if activation.Outcome != attest.Skipped || activation.Seen != "activation not transferable" {
		t.Errorf("%+v", activation)
	}
	if text := res.Text(100); !strings.Contains(text, "skipped   vtpm.activation       activation not transferable\n") ||
		!strings.Contains(text, "accept_unproven_activation") || !strings.Contains(text, "trust nothing") {
		t.Errorf("%s", text)
	}

	res = ask(t, keepRequest(t))
	if !res.Accepted || !slices.Equal(res.Claims.Waived, []string{"activation"}) {
		t.Fatalf("accepted %v: %v", res.Accepted, res.Rows.Err())
	}
	if row := rowOf(res.Rows, "vtpm.saved"); row.Outcome != attest.Warn || rowOf(res.Rows, "vtpm.activation") != activation {
		t.Errorf("%+v", row)
	}
	if head, _, _ := strings.Cut(res.Text(200), "\n\n"); !strings.Contains(head, "vtpm.saved") || !strings.Contains(head, "not checked: activation") {
		t.Errorf("%s", head)
	}
	for _, l := range res.Trust {
		if l.Standing == attest.StandVerified || l.Standing == attest.StandExcluded {
			t.Errorf("%s reads %s", l.Layer, l.Standing)
		}
	}
	for _, d := range []policy.Demand{{}, {Platforms: []string{attest.PlatformVTPM}}} {
		if policy.Decide(res.Claims, d).Allow {
			t.Errorf("%+v allows it", d)
		}
	}
	for _, row := range res.Rows {
		if Meaning(row.Check) == "" {
			t.Errorf("%s has no meaning", row.Check)
		}
	}
}

// The policy's demands on a TPM, each alone, refuse the machine that does not
// meet it, and its list of roots adds none to those that were named.
func TestInvariant1NoSilentDowngrade_PolicyOfTPMsOnlyNarrows(t *testing.T) {
	own := sha256.Sum256(tpmRoot(t, "keep-swtpm.root.pem")[0].Raw)
	issuer := sha256.Sum256(tpmRoot(t, "keep-swtpm.issuer.der")[0].Raw)
	google := tpmRoot(t, "gcp_ek_ak_ca_root.crt")
	good := ask(t, keepRequest(t))
	key := good.Claims.ChipID
	pcr0 := bytes.Repeat([]byte{7}, 32)
	for name, x := range map[string]struct {
		edit   func(*Policy)
		check  string // "" if it passes
		reason attest.Reason
	}{
		"nothing":                   {func(*Policy) {}, "", ""},
		"Secure Boot, which is off": {func(p *Policy) { p.VTPM.SecureBoot = true }, "vtpm.secure-boot", attest.ReasonGuestPolicy},
		"revocation lists":          {func(p *Policy) { p.VTPM.RequireCRL = true }, "vtpm.revocation", attest.ReasonListMissing},
		"another firmware":          {func(p *Policy) { p.VTPM.PCRs = map[uint][]byte{0: pcr0} }, "vtpm.pcr0", attest.ReasonMeasurement},
		"a register as it is":       {func(p *Policy) { p.VTPM.PCRs = map[uint][]byte{15: make([]byte, 32)} }, "", ""},
		"its root":                  {func(p *Policy) { p.VTPM.OnlyRoots = [][32]byte{{}, own} }, "", ""},
		"another root":              {func(p *Policy) { p.VTPM.OnlyRoots = [][32]byte{sha256.Sum256(google[0].Raw)} }, "vtpm.chain", attest.ReasonRoot},
		"its issuer, not named":     {func(p *Policy) { p.VTPM.OnlyRoots = [][32]byte{issuer} }, "vtpm.chain", attest.ReasonRoot},
		"no root at all":            {func(p *Policy) { p.VTPM.OnlyRoots = [][32]byte{} }, "vtpm.chain", attest.ReasonRoot},
		"its root, and another was named": {func(p *Policy) {
			p.VTPM.OnlyRoots, p.VTPM.Roots = [][32]byte{own}, google
		}, "vtpm.chain", attest.ReasonRoot},
		"its root, and none was named": {func(p *Policy) {
			p.VTPM.OnlyRoots, p.VTPM.Roots, p.VTPM.RootSource = [][32]byte{own}, nil, ""
		}, "vtpm.chain", attest.ReasonRoot},
		"the root, and both were named": {func(p *Policy) {
			p.VTPM.OnlyRoots, p.VTPM.Roots = [][32]byte{own}, append([]*x509.Certificate{google[0]}, p.VTPM.Roots...)
		}, "", ""},
		"this TPM":               {func(p *Policy) { p.TCB.Chips = [][]byte{key} }, "", ""},
		"another TPM":            {func(p *Policy) { p.TCB.Chips = [][]byte{pcr0} }, "vtpm.chip-list", attest.ReasonChip},
		"hardware platforms":     {func(p *Policy) { p.Platforms = []string{"snp", "tdx", "sgx"} }, "policy.platform", attest.ReasonPolicy},
		"this platform":          {func(p *Policy) { p.Platforms = []string{"vtpm"} }, "", ""},
		"every expectation":      {func(p *Policy) { p.Demand = attest.WaiveMeasurement | attest.WaiveHostData | attest.WaiveReportData }, "", ""},
		"a firmware level":       {func(p *Policy) { p.TCB.Floors = []attest.TCBFloor{{Min: map[string]uint64{"tpm-firmware": 1}}} }, "vtpm.tcb-floor", attest.ReasonTCBFloor},
		"activation, from saved": {func(p *Policy) { p.VTPM.AcceptUnprovenActivation = false }, "vtpm.saved", attest.ReasonUnchecked},
	} {
		r := keepRequest(t)
		x.edit(&r.Policy)
		res := ask(t, r)
		if res.Accepted != (x.check == "") || res.Reason != x.reason {
			t.Errorf("%s: accepted %v for %q: %v", name, res.Accepted, res.Reason, res.Rows.Err())
			continue
		}
		if lead := res.Rows.Lead(); lead != nil && lead.Check != x.check {
			t.Errorf("%s: %s leads, expected %s", name, lead.Check, x.check)
		}
	}
}

// The issuer of a TPM's key is found among a fleet's collateral, and without it
// there is no chain.
func TestIssuersOfTPMsAreChosen(t *testing.T) {
	res := ask(t, keepRequest(t))
	col := res.Pieces[0].Collateral
	if len(col) != 2 || !bytes.Equal(col[0].Value, tpmRoot(t, "keep-swtpm.issuer.der")[0].Raw) {
		t.Errorf("%d entries chosen", len(col))
	}
	r := keepRequest(t)
	r.Collateral = r.Collateral[1:]
	if res := ask(t, r); res.Accepted || res.Reason != attest.ReasonRoot {
		t.Errorf("without the issuer: accepted %v for %q", res.Accepted, res.Reason)
	}
}
