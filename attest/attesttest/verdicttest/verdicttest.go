// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package verdicttest holds a verdict to what every verdict must keep. It is
// apart from attesttest so that tests inside of the verifiers can use it.
package verdicttest

import (
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// Check reports rows that do not say everything: each says what was checked and
// seen, what was expected and on whose word; each failed one has a reason for
// programs and something to do for people, and no other row has a reason.
func Check(t testing.TB, v attest.Verdict) {
	t.Helper()
	if len(v) == 0 {
		t.Error("a verdict without rows")
	}
	for _, r := range v {
		if r.Check == "" || r.Seen == "" || r.Expected == "" || r.Source == "" {
			t.Errorf("a row that does not say everything: %+v", r)
		}
		failed := r.Outcome == attest.Fail
		if failed != (r.Reason != "") || r.Reason == attest.ReasonUnspecified {
			t.Errorf("row %s reads %s and has the reason %q: %+v", r.Check, r.Outcome, r.Reason, r)
		}
		if failed && r.Todo == "" {
			t.Errorf("row %s failed and says nothing to do: %+v", r.Check, r)
		}
	}
	if v.OK() != (v.Reason() == "") {
		t.Errorf("verdict OK %v with the reason %q", v.OK(), v.Reason())
	}
}
