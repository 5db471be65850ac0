// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/internal/claims"
	"github.com/enarx/enarx-go/policy"
)

// A policy file narrows what the flags accept and never widens it.
func TestInvariant1NoSilentDowngrade_PolicyFileNarrows(t *testing.T) {
	for _, x := range []struct {
		accepted []string
		sim      string
		platform string
		allow    bool
	}{
		{nil, "root.pem", attest.PlatformSim, true},
		{[]string{"sim"}, "root.pem", attest.PlatformSim, true},
		{[]string{"snp"}, "root.pem", attest.PlatformSim, false},
		{[]string{}, "root.pem", attest.PlatformSim, false},
		{[]string{"sim"}, "", attest.PlatformSim, false},
		{nil, "", attest.PlatformSNP, true},
		{[]string{"tdx"}, "", attest.PlatformSNP, false},
		{[]string{}, "", attest.PlatformSNP, false},
		{[]string{"nitro"}, "", attest.PlatformNitro, false},
		{nil, "", attest.PlatformVTPM, false},
		{nil, "root.pem", attest.PlatformVTPM, false},
	} {
		f := &trustFlags{simRoot: x.sim, accepted: x.accepted}
		c := claims.Mint(attest.Claims{Platform: x.platform, Simulated: x.platform == attest.PlatformSim})
		if d := policy.Decide(c, f.rule()); d.Allow != x.allow {
			t.Errorf("%+v: allowed %v (%v)", x, d.Allow, d.Reasons)
		}
	}
	file := filepath.Join(t.TempDir(), "policy.toml")
	if err := os.WriteFile(file, []byte("version = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{ui: newUI(io.Discard)}
	if _, err := a.verifiers(&trustFlags{noTEE: true, policy: file}); err == nil {
		t.Error("a policy is passed over without a word where there is no evidence")
	}
}

// What a policy file demands of TPMs is demanded of a Keep at the other end of a
// connection, too; and that it takes somebody's word for what was saved excuses
// nothing there.
func TestInvariant1NoSilentDowngrade_PolicyOfTPMsHoldsInSessions(t *testing.T) {
	const tpm = "../../attest/evidence/testdata/tpm/"
	root := tpm + "keep-swtpm.root.pem"
	ev, err := os.ReadFile(tpm + "keep-swtpm.cbor")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := os.ReadFile(tpm + "keep-swtpm.issuer.der")
	if err != nil {
		t.Fatal(err)
	}
	hints := attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: issuer}}
	file := filepath.Join(t.TempDir(), "policy.toml")
	for name, x := range map[string]struct {
		table string
		check string // the row that must fail beside the activation; "" for none
	}{
		"nothing":                {"", ""},
		"the word of who saved":  {"accept_unproven_activation = true", ""},
		"Secure Boot":            {"require_secure_boot = true", "vtpm.secure-boot"},
		"revocation lists":       {"require_revocation_list = true", "vtpm.revocation"},
		"a register's own value": {"pcrs = { 15 = \"" + strings.Repeat("00", 32) + "\" }", ""},
		"another firmware":       {"pcrs = { 0 = \"" + strings.Repeat("00", 32) + "\" }", "vtpm.pcr0"},
	} {
		if err := os.WriteFile(file, []byte("version = 1\n[vtpm]\n"+x.table+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		a := &app{ui: newUI(io.Discard)}
		d, err := a.verifiers(&trustFlags{policy: file, tpmRoot: []string{root}, collateral: []string{tpm + "keep-swtpm.issuer.der"}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, v := d.Challenger(hints)
		c, rows := v.Verify(attest.Evidence{MediaType: attest.MediaTypeTPM, Value: ev}, hints, attest.Expected{Claim: &attest.ClaimState{}}, d.At)
		failed := map[string]bool{}
		for _, r := range rows {
			failed[r.Check] = r.Outcome == attest.Fail
		}
		if c != nil || !failed["vtpm.activation"] || failed["vtpm.chain"] {
			t.Errorf("%s: claims %v, activation failed %v, chain failed %v", name, c != nil, failed["vtpm.activation"], failed["vtpm.chain"])
		}
		for _, check := range []string{"vtpm.secure-boot", "vtpm.revocation", "vtpm.pcr0", "vtpm.pcr15"} {
			if failed[check] != (check == x.check) {
				t.Errorf("%s: %s failed: %v", name, check, failed[check])
			}
		}
	}
	// One root of several can be all that is left; none is an error at once.
	pem, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := vtpm.ParseRoots(pem)
	if err != nil {
		t.Fatal(err)
	}
	own := sha256.Sum256(certs[0].Raw)
	for roots, ok := range map[string]bool{"": false, strings.Repeat("ab", 32): false, hex.EncodeToString(own[:]): true} {
		list := "[]"
		if roots != "" {
			list = "[\"" + roots + "\"]"
		}
		if err := os.WriteFile(file, []byte("version = 1\n[vtpm]\nroots = "+list+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		a := &app{ui: newUI(io.Discard)}
		if _, err := a.verifiers(&trustFlags{policy: file, tpmRoot: []string{root}}); (err == nil) != ok {
			t.Errorf("roots %q: %v", roots, err)
		}
	}
}
