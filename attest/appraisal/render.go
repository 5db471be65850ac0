// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// JSON is the result for programs: one object, indented, with a line end. The
// same result has the same bytes everywhere.
func (res *Result) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // "<" in a row is no markup here
	e.SetIndent("", "  ")
	if err := e.Encode(res); err != nil {
		return nil, fmt.Errorf("appraisal: encoding the result: %w", err)
	}
	return b.Bytes(), nil
}

// Text is the result for people, in lines of at most width characters: the
// verdict, every row, the trust statement, and what to do next.
func (res *Result) Text(width int) string {
	return res.head(width) + "\n" + res.Rows.Text(width) + res.tail(width)
}

func (res *Result) head(width int) string {
	s := attest.Wrap(res.headline(), "", width)
	if skipped := res.names(attest.Skipped); len(skipped) > 0 && res.Accepted {
		s += attest.Wrap("not checked, because nobody demanded it: "+strings.Join(skipped, ", "), "", width)
	}
	return s
}

func (res *Result) tail(width int) string {
	s := "\n" + attest.TrustText(res.Trust, width)
	if next := res.Next(); len(next) > 0 {
		s += "\nwhat to do next:\n"
		for _, line := range next {
			s += attest.Wrap(line, "  - ", width)
		}
	}
	return s
}

// headline is the verdict in one sentence.
func (res *Result) headline() string {
	what := "the file"
	if res.Platform != "" {
		what = "the evidence of platform " + res.Platform
	}
	at := res.At.Format(time.RFC3339)
	if !res.Accepted {
		s := "REFUSED (" + string(res.Reason) + "): " + what + " does not pass at " + at
		if lead := res.Rows.Lead(); lead != nil {
			s += "; " + lead.Check + ": " + lead.Seen
		}
		return s
	}
	s := "ACCEPTED: " + what + " passes at " + at
	if res.Claims.Simulated {
		s = "SIMULATED: " + what + " passes at " + at + " and proves nothing about any host"
	}
	if n := len(res.names(attest.Warn)); n > 0 {
		s += fmt.Sprintf("; warnings: %s", strings.Join(res.names(attest.Warn), ", "))
	}
	return s
}

// names are the checks of the rows with the given outcome, each once.
func (res *Result) names(o attest.Outcome) []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range res.Rows {
		if r.Outcome == o && !seen[r.Check] {
			seen[r.Check] = true
			out = append(out, r.Check)
		}
	}
	return out
}

// Next is what to do, in order: about what failed, the cause first, or if
// nothing did about what was not checked.
func (res *Result) Next() []string {
	var out []string
	seen := map[string]bool{}
	add := func(r attest.Row) {
		if r.Todo != "" && !seen[r.Todo] && !strings.HasPrefix(r.Todo, "see the row") {
			seen[r.Todo] = true
			out = append(out, r.Check+": "+r.Todo)
		}
	}
	if lead := res.Rows.Lead(); lead != nil {
		add(*lead)
	}
	for _, r := range res.Rows {
		if r.Outcome == attest.Fail || res.Accepted && (r.Outcome == attest.Warn || r.Outcome == attest.Skipped) {
			add(r)
		}
	}
	return out
}
