// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// judge gives the verdict on a vector as it stands.
func judge(t testing.TB, v corpus.Vector, c Caches) (*attest.Claims, attest.Verdict) {
	t.Helper()
	verifier := Verifier(v, c)
	if verifier == nil {
		t.Fatalf("%s: no verifier of platform %q", v.Name, v.Platform)
	}
	claims, verdict := verifier.Verify(v.Evidence(), v.Collateral(), Expected(v), v.At)
	if (claims != nil) != verdict.OK() || len(verdict) == 0 {
		t.Errorf("%s: claims %v and verdict %v do not agree", v.Name, claims != nil, verdict.Err())
	}
	return claims, verdict
}

func row(v attest.Verdict, name string) attest.Row {
	for _, r := range v {
		if strings.HasSuffix(r.Check, "."+name) {
			return r
		}
	}
	return attest.Row{}
}

// Every vector, at its time, with its collateral, gives the verdict that is
// right: nothing but the named rows fails, each for the named reason.
func TestEveryVectorGivesItsVerdict(t *testing.T) {
	names := map[string]bool{}
	accepted, refused := 0, 0
	for _, v := range corpus.Vectors(t) {
		if names[v.Name] {
			t.Errorf("two vectors are called %s", v.Name)
		}
		names[v.Name] = true
		_, verdict := judge(t, v, Caches{})
		if got := corpus.Failed(verdict); got != v.Fails {
			t.Errorf("%s: failed rows %q, expected %q: %v", v.Name, got, v.Fails, verdict.Err())
		}
		if got := corpus.Reasons(verdict); got != v.Reasons {
			t.Errorf("%s: reasons %q, expected %q: %v", v.Name, got, v.Reasons, verdict.Err())
		}
		if v.Accepted() {
			accepted++
		} else {
			refused++
		}
		tcb := row(verdict, "tcb").Seen
		if v.TCB != "" && !strings.HasPrefix(tcb, v.TCB) {
			t.Errorf("%s: TCB %q, expected %q", v.Name, tcb, v.TCB)
		}
		_, notes, _ := strings.Cut(tcb, "; advisories ")
		want := strings.Split(v.Advisories, ", ")
		slices.Sort(want)
		if v.Fails == "" || v.Advisories != "" {
			if v.Platform != attest.PlatformSNP && notes != strings.Join(want, ", ") {
				t.Errorf("%s: advisories %q, expected %q", v.Name, notes, v.Advisories)
			}
		}
		for _, r := range verdict {
			if r.Seen == "" || r.Expected == "" || r.Source == "" || r.Outcome == attest.Fail && r.Todo == "" {
				t.Errorf("%s: a row that does not say everything: %+v", v.Name, r)
			}
		}
	}
	t.Logf("%d vectors accepted, %d refused, each for its reason", accepted, refused)
	if accepted < 25 || refused < 45 {
		t.Errorf("%d vectors accepted, %d refused: the corpus is not all there", accepted, refused)
	}
}
