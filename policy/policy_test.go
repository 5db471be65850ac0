// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/internal/claims"
)

var everyPlatform = []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformVTPM,
	attest.PlatformVM, attest.PlatformProcess, attest.PlatformSim, "", "SNP", "cloud"}

// All combinations of claims and demands, against the rule written down a
// second time and in another way.
func TestInvariant1NoSilentDowngrade_DecideIsTotalAndDeniesByDefault(t *testing.T) {
	demands := []Demand{{}, {AllowSimulated: true}, {Platforms: []string{}}, {Platforms: everyPlatform}, {Platforms: everyPlatform, AllowSimulated: true}}
	for _, p := range everyPlatform {
		demands = append(demands, Demand{Platforms: []string{p}}, Demand{Platforms: []string{p}, AllowSimulated: true})
	}
	allowed, n := 0, 0
	for _, p := range everyPlatform {
		for bits := range 16 {
			c := attest.Claims{Platform: p, Simulated: bits&1 != 0, Debug: bits&2 != 0, VMPL: uint32(bits >> 2 & 1)}
			minted := bits&8 != 0
			pc := &c
			if minted {
				pc = claims.Mint(c)
			}
			for _, d := range demands {
				n++
				got := Decide(pc, d)
				want := minted && !c.Debug && c.VMPL == 0 && good(p, c.Simulated, d)
				if got.Allow != want || (got.Err() == nil) != want || len(got.Reasons) == 0 {
					t.Errorf("%+v, %+v: %+v, expected allow = %v", c, d, got, want)
				}
				if got.Allow {
					allowed++
				}
			}
		}
	}
	if allowed == 0 || n < 1000 {
		t.Fatalf("%d cases, %d allowed; the test shows nothing", n, allowed)
	}
}

func good(p string, simulated bool, d Demand) bool {
	named := false
	for _, x := range d.Platforms {
		named = named || x == p
	}
	switch p {
	case "snp", "tdx", "sgx":
		return !simulated && (named || d.Platforms == nil)
	case "vtpm":
		return !simulated && named
	case "sim":
		return simulated && named && d.AllowSimulated
	}
	return false
}

func TestDecideWithoutClaims(t *testing.T) {
	for _, c := range []*attest.Claims{nil, {}, {Platform: attest.PlatformSNP}} {
		if d := Decide(c, Demand{}); d.Allow || d.Err() == nil {
			t.Errorf("%+v allowed", c)
		}
	}
	if (Decision{}).Err() == nil {
		t.Error("the zero decision allows")
	}
}

func TestHookRefusesFailedRows(t *testing.T) {
	c := claims.Mint(attest.Claims{Platform: attest.PlatformSNP})
	h := Demand{}.Hook()
	pass := attest.Verdict{{Check: "snp.chain", Outcome: attest.Pass}}
	if err := h(c, pass); err != nil {
		t.Error(err)
	}
	for name, v := range map[string]attest.Verdict{"none": nil, "failed": append(pass, attest.Row{Outcome: attest.Fail})} {
		if h(c, v) == nil {
			t.Errorf("%s: released", name)
		}
	}
	if h(&attest.Claims{Platform: attest.PlatformSNP}, pass) == nil {
		t.Error("hand-made claims: released")
	}
}

// Evidence that was looked at without an expectation is no appraised Keep.
func TestInvariant1NoSilentDowngrade_WaivedClaimsAreRefused(t *testing.T) {
	good := attest.Claims{Platform: attest.PlatformSNP}
	if d := Decide(claims.Mint(good), Demand{}); !d.Allow {
		t.Fatalf("refused without a waiver: %v", d.Err())
	}
	for _, w := range []string{"report-data", "host-data", "measurement"} {
		c := good
		c.Waived = []string{w}
		if d := Decide(claims.Mint(c), Demand{}); d.Allow || d.Err() == nil {
			t.Errorf("allowed although %s was waived", w)
		}
	}
}

// The word of whoever saved evidence excuses the activation of a TPM, and
// nothing else, and nothing of another platform.
func TestInvariant1NoSilentDowngrade_OnlyActivationIsTakenOnAWord(t *testing.T) {
	d := Demand{Platforms: []string{attest.PlatformVTPM, attest.PlatformSNP}, AcceptUnprovenActivation: true}
	for _, x := range []struct {
		platform string
		waived   []string
		debug    bool
		allow    bool
	}{
		{attest.PlatformVTPM, []string{"activation"}, false, true},
		{attest.PlatformVTPM, []string{"activation"}, true, false},
		{attest.PlatformVTPM, []string{"activation", "measurement"}, false, false},
		{attest.PlatformVTPM, []string{"host-data"}, false, false},
		{attest.PlatformSNP, []string{"activation"}, false, false},
	} {
		c := claims.Mint(attest.Claims{Platform: x.platform, Waived: x.waived, Debug: x.debug})
		if got := Decide(c, d); got.Allow != x.allow {
			t.Errorf("%s without %v: allow = %v, expected %v", x.platform, x.waived, got.Allow, x.allow)
		}
		if len(c.Waived) != len(x.waived) {
			t.Errorf("the claims were changed: %v", c.Waived)
		}
		if Decide(c, Demand{Platforms: d.Platforms}).Allow {
			t.Errorf("%s without %v: allowed although nobody asked for it", x.platform, x.waived)
		}
	}
}
