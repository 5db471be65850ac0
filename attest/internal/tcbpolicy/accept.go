// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tcbpolicy

import (
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// Acceptance is what the policy says of a status that is not UpToDate.
type Acceptance struct {
	// OK says that one acceptance in force covers the status and all
	// advisories. Terms are its end and note, for people.
	OK    bool
	Terms string
	// Otherwise, Uncovered are the advisories that the acceptance which
	// comes closest does not name; nil if none in force names the status.
	Uncovered []string
	// Ended is when the last acceptance that would have covered everything
	// came to its end; the zero time if there is none.
	Ended time.Time
}

// Accepts asks the policy about a status and the advisories that apply, at a
// time. One acceptance must cover them all: two that each cover a part were
// not decided together.
func Accepts(p attest.TCBPolicy, status string, advisories []string, at time.Time) Acceptance {
	var a Acceptance
	if !Acceptable(status) {
		return a
	}
	var end time.Time // of the acceptance found so far; the zero time is never
	for _, x := range p.Accept {
		if !slices.Contains(x.Statuses, status) {
			continue
		}
		missing := uncovered(x, advisories)
		over := !x.Until.IsZero() && !at.Before(x.Until)
		switch {
		case over:
			if len(missing) == 0 && x.Until.After(a.Ended) {
				a.Ended = x.Until
			}
		case len(missing) > 0:
			if a.Uncovered == nil || len(missing) < len(a.Uncovered) {
				a.Uncovered = missing
			}
		case !a.OK || !end.IsZero() && (x.Until.IsZero() || x.Until.After(end)):
			a.OK, end, a.Terms = true, x.Until, terms(x)
		}
	}
	return a
}

// terms says how long an acceptance holds, and why it was given.
func terms(x attest.TCBAcceptance) string {
	if x.Until.IsZero() {
		return "accepted without an end" + note(x.Note)
	}
	return "accepted until " + stamp(x.Until) + note(x.Note)
}

func uncovered(x attest.TCBAcceptance, advisories []string) []string {
	var missing []string
	for _, a := range advisories {
		if !slices.Contains(x.Advisories, a) {
			missing = append(missing, shown(a))
		}
	}
	return missing
}

// Describe says for a row what p accepts at a time.
func Describe(p attest.TCBPolicy, at time.Time) string {
	s := "UpToDate"
	for _, x := range p.Accept {
		if !x.Until.IsZero() && !at.Before(x.Until) {
			continue
		}
		for _, status := range x.Statuses {
			if Acceptable(status) && status != "UpToDate" {
				s += " or " + status
			}
		}
		if len(x.Advisories) > 0 {
			s += " with " + strings.Join(x.Advisories, ", ")
		}
	}
	return s
}
