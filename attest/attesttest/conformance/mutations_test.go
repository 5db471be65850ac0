// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

var (
	mutationCount = flag.Int("attest.mutations", 2000, "how many mutations of the vectors to put to other verifiers")
	mutationSeed  = flag.Uint64("attest.seed", 3, "the seed of the mutations")
)

// alone are the checks of ours that an oracle leaves to another call or does
// not make: what it takes and we refuse must be refused by one of these, first
// of all. Each has the name of our row, its reason or words of it, and the row of
// DISAGREEMENTS.md.
var alone = map[string][][3]string{
	"go-sev-guest v0.15.0": {
		{"debug", "", "S4"}, {"migration", "", "S4"}, {"vmpl", "", "S5"}, {"tcb", "", "S6"}, {"chip", "", "S6"}, {"product", "", "S7"},
		{"revocation", "revocation-list-expired", "S8"}, {"revocation", "revocation-list-not-yet-valid", "S8"},
		{"revocation", "revocation-list-missing", "S12"}, {"revocation", "bytes after the end", "S10"},
		{"chain", "collateral entry 1", "S14"}, {"format", "trailing-bytes", "S15"},
	},
	"go-tdx-guest v0.3.1": {
		{"debug", "", "T1"}, {"sept-ve", "", "T4"}, {"format", "trailing-bytes", "T6"}, {"format", "too-large", "T6"},
		{"chain", "", "T5"}, {"dates", "collateral-not-yet-valid", "T7"}, {"dates", "revocation-list-not-yet-valid", "T7"},
		{"revocation", "bytes after the end", "T11"}, {"tcb-info", "lower-case", "T9"}, {"qe-identity", "lower-case", "T9"},
	},
	"go-tdx-guest v0.3.1, quote and chain": {
		{"format", "trailing-bytes", "T6"}, {"format", "too-large", "T6"}, {"chain", "in PEM", "T5"},
	},
}

// pickier are words of refusals of an oracle of what we take, with the row of
// DISAGREEMENTS.md.
var pickier = map[string][][2]string{
	"go-tdx-guest v0.3.1":                  {{"Issuer-Chain", "T8"}, {"404 Not Found", "T8"}, {"found in PCK Certificate Chain", "T10"}, {"incomplete PCK Certificate", "T10"}},
	"go-tdx-guest v0.3.1, quote and chain": {{"found in PCK Certificate Chain", "T10"}, {"incomplete PCK Certificate", "T10"}},
}

// Mutations of the vectors are put to the oracles that are written in Go: what
// we accept they accept, and what they accept and we refuse is refused by a
// check that DISAGREEMENTS.md says they do not make.
func TestAgreesWithOtherVerifiersOnMutations(t *testing.T) {
	listed, err := os.ReadFile(disagreements)
	if err != nil {
		t.Fatal(err)
	}
	caches := NewCaches()
	for _, o := range goOracles {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			vs := comparable(t, o)
			m := newMutator(*mutationSeed, vs)
			signed := map[string]bool{}
			for _, v := range vs {
				signed[signedPart(v.Parts[0])] = true
			}
			tally := map[string]int{}
			count := *mutationCount / len(goOracles)
			for i := range count {
				v, how := m.mutate(vs[i%len(vs)])
				claims, verdict := judge(t, v, caches)
				theirs := o.answer(t, v)
				ours := o.ours(verdict)
				if claims != nil && !signed[signedPart(v.Parts[0])] {
					t.Errorf("%s, mutation %d (%s): accepted what nobody signed", v.Name, i, how)
				}
				switch {
				case ours && theirs == nil:
					tally["both accept"]++
				case ours:
					tally["we alone accept"]++
					row := picked(o, theirs)
					tally["  for them "+row]++
					if !strings.Contains(string(listed), "\n| "+row+" |") {
						t.Errorf("%s, mutation %d (%s): accepted by us, refused by %s: %v", v.Name, i, how, o.name, theirs)
					}
				case theirs == nil:
					tally["they alone accept"]++
					row := refusal(o, verdict)
					tally["  by "+row]++
					if !strings.Contains(string(listed), "\n| "+row+" |") {
						t.Errorf("%s, mutation %d (%s): accepted by %s, refused by us: %v", v.Name, i, how, o.name, verdict.Err())
					}
				default:
					tally["both refuse"]++
					if strings.HasPrefix(theirs.Error(), "panics") {
						tally["  of them by panicking"]++
					}
				}
			}
			t.Logf("%d mutations", count)
			for _, k := range slices.Sorted(maps.Keys(tally)) {
				t.Logf("%8d %s", tally[k], k)
			}
			if tally["both accept"] == 0 || tally["both refuse"] == 0 {
				t.Error("nothing was compared")
			}
		})
	}
}

// comparable are the vectors on which the oracle agrees that they are good,
// as it sees them.
func comparable(t testing.TB, o oracle) (out []corpus.Vector) {
	t.Helper()
	seen := map[string]bool{}
	for _, v := range corpus.Vectors(t) {
		if !o.asked(v) || v.Ignored {
			continue
		}
		v = o.question(v)
		key := v.At.String()
		for _, p := range v.Parts {
			key += p.File
		}
		_, verdict := judge(t, v, Caches{})
		if !seen[key] && o.ours(verdict) && o.answer(t, v) == nil {
			seen[key] = true
			out = append(out, v)
		}
	}
	if len(out) < 2 {
		t.Fatalf("%d vectors to mutate", len(out))
	}
	return out
}

// signedPart is what the platform's key signed of the evidence, or the part of
// it that all forms have: of a report all but the signature, of a quote header
// and body, of a document all but the signature.
func signedPart(p corpus.Part) string {
	size := len(p.Value)
	switch p.MediaType {
	case attest.MediaTypeSNP:
		size = 0x2a0
	case attest.MediaTypeTDX:
		size = 48 + 584
	case attest.MediaTypeSGX:
		size = 48 + 384
	case attest.MediaTypeNitro:
		size -= 96
	}
	return string(p.Value[:max(0, min(size, len(p.Value)))])
}

// refusal is the row of DISAGREEMENTS.md that explains why we refuse what the
// oracle takes, by the first row of ours that failed; "" if there is none.
func refusal(o oracle, verdict attest.Verdict) string {
	for _, r := range verdict {
		_, name, _ := strings.Cut(r.Check, ".")
		if r.Outcome != attest.Fail || o.rows != nil && !slices.Contains(o.rows, name) {
			continue
		}
		for _, a := range alone[o.name] {
			if a[0] == name && (a[1] == string(r.Reason) || strings.Contains(r.Seen, a[1])) {
				return a[2]
			}
		}
		return ""
	}
	return ""
}

// picked is the row that explains why the oracle refuses what we take.
func picked(o oracle, theirs error) string {
	for _, p := range pickier[o.name] {
		if strings.Contains(theirs.Error(), p[0]) {
			return p[1]
		}
	}
	return ""
}
