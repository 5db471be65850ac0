// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package ear

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// reasons are those of package attest, read out of its source.
func reasons(t *testing.T) []attest.Reason {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), "../reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []attest.Reason
	ast.Inspect(tree, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if lit, ok := v.Values[0].(*ast.BasicLit); ok {
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, attest.Reason(s))
		}
		return true
	})
	if len(out) < 45 {
		t.Fatalf("only %d reasons", len(out))
	}
	return out
}

// Whatever the reason of a refusal is, alone or beside rows that passed, the
// vector never reads as good or as a mere warning.
func TestRefusalsNeverAffirm(t *testing.T) {
	all := reasons(t)
	for _, r := range append(all, "", "never heard of") {
		if _, ok := claimOf[r]; !ok && r != "" && r != "never heard of" {
			t.Errorf("reason %q speaks against nothing", r)
		}
		for _, platform := range []string{"snp", "tdx", "sgx", "nitro", "vtpm"} {
			rows := attest.Verdict{}
			for _, name := range append(append([]string{"measurement", "chip-list"}, hardwareRows...), configRows...) {
				rows = append(rows, attest.Row{Check: platform + "." + name, Outcome: attest.Pass})
			}
			for _, with := range []attest.Verdict{nil, rows} {
				s := subject{platform: platform, rows: append(append(attest.Verdict{}, with...), attest.Row{Check: "x", Outcome: attest.Fail, Reason: r})}
				v := s.vector()
				if tier := v.Tier(); tier != TierContraindicated && tier != TierNone {
					t.Errorf("%s refused for %q reads %s: %+v", platform, r, tier, v)
				}
			}
			s := subject{platform: platform, accepted: true, rows: rows}
			if platform == "vtpm" {
				continue // see the test of measured boot
			}
			if v := s.vector(); v.Tier() != TierAffirming && platform != "nitro" || v.Executables != approvedBoot || v.InstanceIdentity != recognisedInstance {
				t.Errorf("%s with every row: %+v", platform, v)
			}
			s.simulated = true
			if v := s.vector(); v.Tier() != TierContraindicated || v.Executables != 0 {
				t.Errorf("%s simulated: %+v", platform, v)
			}
		}
	}
	if len(claimOf) != len(all) {
		t.Errorf("%d reasons, %d claims", len(all), len(claimOf))
	}
}

// rowsOfKeep are those of a Keep that was asked in a session, with every demand
// that can be made; but has the outcome of each row that does not pass, "" for
// one that is not there.
func rowsOfKeep(but map[string]attest.Outcome) attest.Verdict {
	var v attest.Verdict
	for _, name := range []string{"format", "chain", "dates", "revocation", "attestation-key", "activation", "signature", "pcrs", "event-log", "registers",
		"pcr0", "secure-boot", "measurement", "kernel", "debug", "chip-list", "host-data", "claim", "report-data"} {
		o, ok := but[name]
		switch {
		case ok && o == "":
			continue
		case !ok:
			o = attest.Pass
		}
		r := attest.Row{Check: "vtpm." + name, Outcome: o}
		if o == attest.Fail {
			r.Reason = attest.ReasonUnspecified
		}
		v = append(v, r)
	}
	return v
}

// However much of a machine with measured boot was proven, its memory is visible
// and its status contraindicated; what it is worth beyond that rests on the rows
// that say that it has a TPM.
func TestInvariant1NoSilentDowngrade_VectorOfMeasuredBoot(t *testing.T) {
	type outcomes = map[string]attest.Outcome
	const skip, warn, gone = attest.Skipped, attest.Warn, attest.Outcome("")
	for _, x := range []struct {
		name string
		but  outcomes
		want Vector
	}{
		{"all that can be demanded", nil, Vector{InstanceIdentity: 2, Configuration: 36, Executables: 3, Hardware: 2, RuntimeOpaque: 96}},
		{"no demand but a release", outcomes{"pcr0": gone, "chip-list": gone, "secure-boot": skip, "revocation": skip},
			Vector{Configuration: 36, Executables: 3, RuntimeOpaque: 96}},
		{"no reference values", outcomes{"measurement": skip, "debug": gone, "pcr0": gone, "chip-list": gone}, Vector{Configuration: 36, RuntimeOpaque: 96}},
		{"a debug image", outcomes{"debug": warn, "pcr0": gone, "chip-list": gone}, Vector{Configuration: 32, RuntimeOpaque: 96}},
		{"no log", outcomes{"event-log": skip, "pcr0": gone, "chip-list": gone}, Vector{Configuration: 36, RuntimeOpaque: 96}},
		{"saved: no activation", outcomes{"activation": skip}, Vector{RuntimeOpaque: 96}},
		{"no row of the activation", outcomes{"activation": gone}, Vector{RuntimeOpaque: 96}},
		{"no row of the chain", outcomes{"chain": gone}, Vector{RuntimeOpaque: 96}},
		{"no row of the signature", outcomes{"signature": gone}, Vector{RuntimeOpaque: 96}},
		{"no row of the registers", outcomes{"pcrs": gone}, Vector{RuntimeOpaque: 96}},
		{"a warning about the chain", outcomes{"chain": warn}, Vector{RuntimeOpaque: 96}},
	} {
		s := subject{platform: attest.PlatformVTPM, accepted: true, rows: rowsOfKeep(x.but)}
		if v := s.vector(); v != x.want || v.Tier() != TierContraindicated {
			t.Errorf("%s: %s, %+v, expected %+v", x.name, v.Tier(), v, x.want)
		}
	}
	for _, r := range rowsOfKeep(nil) {
		name := r.Check[len("vtpm."):]
		s := subject{platform: attest.PlatformVTPM, rows: rowsOfKeep(outcomes{name: attest.Fail})}
		if v := s.vector(); v.Tier() != TierContraindicated || v.RuntimeOpaque < 96 {
			t.Errorf("%s failed: %s, %+v", name, v.Tier(), v)
		}
	}
	// A quote by a key that other evidence vouches for says nothing of memory.
	s := subject{platform: attest.PlatformVTPM, vouched: true, accepted: true,
		rows: rowsOfKeep(outcomes{"dates": gone, "revocation": gone, "activation": gone, "attestation-key": skip, "debug": gone, "pcr0": gone, "chip-list": gone})}
	if v := s.vector(); v != (Vector{Configuration: 36, Executables: 3}) {
		t.Errorf("vouched: %+v", v)
	}
}
