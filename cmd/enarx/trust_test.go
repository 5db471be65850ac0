// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/enarx/enarx-go/attest"
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
