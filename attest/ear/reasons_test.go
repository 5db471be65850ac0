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
		for _, platform := range []string{"snp", "tdx", "sgx", "nitro"} {
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
