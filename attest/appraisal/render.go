// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
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
// verdict; the rows that were checked, with what was expected where it did not
// pass; what was not checked; the trust statement; and what to do next. Long
// values that are in order are cut; [Result.JSON] has all of them.
func (res *Result) Text(width int) string {
	var checked, skipped attest.Verdict
	for _, r := range res.Rows {
		switch r.Outcome {
		case attest.Skipped:
			if strings.HasSuffix(r.Check, ".activation") {
				// Nobody has left this out: it cannot be seen in what was saved.
				r.Todo = ""
				break
			}
			skipped = append(skipped, r)
			continue
		case attest.Pass, attest.Simulated:
			r.Seen = short(r.Seen)
		default:
			r.Todo = "" // stands at the end
		}
		checked = append(checked, r)
	}
	s := res.head(width) + "\n" + checked.Text(width)
	if len(skipped) > 0 {
		s += "\nnot checked, because nothing was demanded:\n" + brief(skipped, width)
	}
	return s + res.tail(width)
}

func (res *Result) head(width int) string { return attest.Wrap(res.headline(), "", width) }

func (res *Result) tail(width int) string {
	s := "\nnothing is proven about this machine: trust nothing that the evidence says\n"
	if res.Accepted {
		s = "\n" + attest.TrustText(res.Trust, width)
	}
	if next := res.Next(); len(next) > 0 {
		s += "\nwhat to do next:\n"
		for _, line := range next {
			s += attest.Wrap(line, "  - ", width)
		}
	}
	return s
}

// longHex are values too long for the eye.
var longHex = regexp.MustCompile(`[0-9a-f]{40,}`)

// short cuts long values: what passed need not be read to its end.
func short(s string) string {
	return longHex.ReplaceAllStringFunc(s, func(h string) string {
		if strings.Trim(h, "0") == "" {
			return fmt.Sprintf("zeroes (%d bytes)", len(h)/2)
		}
		return h[:16] + "…"
	})
}

// brief gives each row one line.
func brief(rows attest.Verdict, width int) string {
	names := 0
	for _, r := range rows {
		names = max(names, len(r.Check))
	}
	var b strings.Builder
	for _, r := range rows {
		r.Seen = zeroes.ReplaceAllStringFunc(r.Seen, short)
		text := []rune(strings.TrimSuffix(attest.Wrap(r.Seen, "", maxBrief), "\n"))
		if room := max(width-names-4, 16); len(text) > room {
			text = append(text[:room-1], '…')
		}
		fmt.Fprintf(&b, "  %-*s  %s\n", names, r.Check, strings.ReplaceAll(string(text), "\n", " "))
	}
	return b.String()
}

var zeroes = regexp.MustCompile(`0{40,}`)

// maxBrief bounds what is laid out before it is cut, in characters.
const maxBrief = 400

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
	if w := res.names(attest.Warn); len(w) > 0 {
		s += "; warnings: " + strings.Join(w, ", ")
	}
	if len(res.Claims.Waived) > 0 {
		s += "; not checked: " + strings.Join(res.Claims.Waived, ", ")
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
