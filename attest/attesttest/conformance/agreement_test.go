// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"os"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// difference is a vector, or all whose names contain the same words, on which
// an oracle says something else than we do.
type difference struct {
	vector string
	theirs string // "yes", or words of the refusal
	row    string // of attest/DISAGREEMENTS.md, where it is explained
}

const disagreements = "../../DISAGREEMENTS.md"

// differences are all that there are, by oracle.
var differences = map[string][]difference{
	"go-sev-guest v0.15.0": {
		{"snp/turin-v5 at 2025-09-01", "1.3.6.1.4.1.3704.1.3.9", "S1"},
		{"snp/siena-a0-v3", "any trusted roots. Last error: <nil>", "S2"},
		{"snp/milan-v3-aws-vlek at 2025-06-01", "panics", "S3"},
		{"debugpolicy", "yes", "S4"},
		{"no list", "yes", "S12"},
		{"old list", "yes", "S8"},
		{"list that is not yet", "yes", "S8"},
		{"list has ended", "yes", "S8"},
		{"lists of", "CRL is not signed by ARK", "S13"},
		{"revoked", "yes", "S14"},
	},
	"go-tdx-guest v0.3.1": {
		{"v4-50806f-debug", "yes", "T1"},
		{"at 2026-02-10", "is not equal to FMSPC value", "T2"},
		{"b0c06f000000-2025-06", "is not equal to FMSPC value", "T2"},
		{"90c06f-dstack", "is not equal to FMSPC value", "T2"},
		{"90c06f-azure-vtpm", "is not equal to FMSPC value", "T2"},
		{"tdx/v5-", "quote format not supported", "T3"},
	},
	"go-tdx-guest v0.3.1, quote and chain": {
		{"v4-50806f-trailing", "yes", "T6"},
		{"tdx/v5-", "quote format not supported", "T3"},
	},
	"@phala/dcap-qvl 0.3.9": {
		{"v4-00806f-gcp-cos113 at 2025-02-05", "status OutOfDate", "D1"},
		{"v5-90c06f-relaunch at 2026-03-01, excused", "No matching TCB level", "D1"},
		{"lookalike list with", "yes", "D2"},
		{"lookalike list beside", "yes", "D3"},
		{"lookalike root", "yes", "D3"},
		{"no root list", "yes", "D4"},
		{"no list of the PCK's issuer", "yes", "D4"},
	},
}

// settle holds two verdicts against each other: equal, or a difference that is
// listed for this vector with these words.
func settle(t *testing.T, o string, v corpus.Vector, ours bool, verdict attest.Verdict, theirs error, used map[difference]bool) {
	t.Helper()
	if ours == (theirs == nil) {
		return
	}
	for _, d := range differences[o] {
		if strings.Contains(v.Name, d.vector) && (theirs == nil && d.theirs == "yes" || theirs != nil && strings.Contains(theirs.Error(), d.theirs)) {
			used[d] = true
			return
		}
	}
	if ours {
		t.Errorf("%s: accepted by us, refused by %s: %v", v.Name, o, theirs)
	} else {
		t.Errorf("%s: accepted by %s, refused by us: %v", v.Name, o, verdict.Err())
	}
}

// Every vector is put to every oracle that knows its platform. What is not
// equal is in DISAGREEMENTS.md, and what is there is not equal.
func TestAgreesWithOtherVerifiers(t *testing.T) {
	used, compared := map[difference]bool{}, map[string]int{}
	var intel []corpus.Vector
	verdicts := map[string]attest.Verdict{}
	for _, v := range corpus.Vectors(t) {
		_, verdict := judge(t, v, Caches{})
		verdicts[v.Name] = verdict
		if verdict.OK() && !v.Accepted() {
			t.Errorf("%s: accepted", v.Name)
		}
		for _, o := range goOracles {
			if o.asked(v) {
				q, verdict := o.question(v), verdict
				if o.rows != nil {
					_, verdict = judge(t, q, Caches{})
				}
				compared[o.name]++
				settle(t, o.name, q, o.ours(verdict), verdict, o.answer(t, q), used)
			}
		}
		if v.Platform == attest.PlatformTDX || v.Platform == attest.PlatformSGX {
			intel = append(intel, v)
		}
	}
	t.Run("dcap-qvl", func(t *testing.T) {
		const name = "@phala/dcap-qvl 0.3.9"
		for i, a := range qvl(t, intel) {
			compared[name]++
			settle(t, name, intel[i], verdicts[intel[i].Name].OK(), verdicts[intel[i].Name], a.verdict(intel[i]), used)
		}
	})
	t.Logf("compared %v", compared)
	listed, err := os.ReadFile(disagreements)
	if err != nil {
		t.Fatal(err)
	}
	for o, ds := range differences {
		if compared[o] == 0 && o != "@phala/dcap-qvl 0.3.9" {
			t.Errorf("%s was never asked", o)
		}
		for _, d := range ds {
			if !strings.Contains(string(listed), "\n| "+d.row+" |") {
				t.Errorf("DISAGREEMENTS.md has no row %s", d.row)
			}
			if !used[d] && compared[o] > 0 {
				t.Errorf("%s: %q is a disagreement no more; see row %s", o, d.vector, d.row)
			}
		}
	}
}
