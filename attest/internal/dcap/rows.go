// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// Sources of expected values.
const (
	specQuote = "Intel SGX and TDX DCAP quote formats"
	specPCS   = "Intel PCS API and quote verification library"
	ours      = "rule of this verifier"
	session   = "computed from this connection"
	theParty  = "the relying party"
)

// Rows collects the checks of one appraisal.
type Rows struct {
	platform  string
	simulated bool // what passes reads so
	waive     attest.Waiver
	waived    []string // what was missing and waived
	list      attest.Verdict
}

// Check adds one row that passed or failed; why and todo are shown only if it
// failed.
func (r *Rows) Check(ok bool, why attest.Reason, check, seen, expected, source, todo string) bool {
	row := attest.Row{Check: r.platform + "." + check, Seen: seen, Expected: expected, Source: source, Outcome: attest.Pass}
	switch {
	case !ok:
		row.Outcome, row.Reason, row.Todo = attest.Fail, why, todo
	case r.simulated:
		row.Outcome = attest.Simulated
	}
	r.list = append(r.list, row)
	return ok
}

// add takes rows that were made without the platform.
func (r *Rows) add(rows ...attest.Row) {
	for _, row := range rows {
		row.Check = r.platform + "." + row.Check
		if r.simulated && row.Outcome == attest.Pass {
			row.Outcome = attest.Simulated
		}
		r.list = append(r.list, row)
	}
}

// NotChecked names something that nobody demanded, with what the evidence says
// of it, so that the verdict is silent about nothing.
func (r *Rows) NotChecked(check, seen string) {
	r.list = append(r.list, attest.Row{
		Check: r.platform + "." + check, Seen: seen, Expected: "nothing was demanded", Source: theParty, Outcome: attest.Skipped,
	})
}

// Demand adds the row of an optional demand: what was not demanded is named as
// not checked.
func (r *Rows) Demand(demanded, ok bool, why attest.Reason, check, seen, expected, todo string) {
	if !demanded {
		r.NotChecked(check, seen)
		return
	}
	r.Check(ok, why, check, seen, expected, theParty, todo)
}

// Excused adds the row of something that the verifier refuses unless the
// relying party has accepted it by name, as it has here.
func (r *Rows) Excused(check, seen, expected, todo string) {
	r.warn(check, seen, expected, theParty, todo)
}

func (r *Rows) warn(check, seen, expected, source, todo string) {
	r.list = append(r.list, attest.Row{
		Check: r.platform + "." + check, Seen: seen, Expected: expected, Source: source, Outcome: attest.Warn, Todo: todo,
	})
}

// Waived says whether an expectation is missing and waived; if so it makes the
// row that names it and remembers it for the claims.
func (r *Rows) Waived(w attest.Waiver, missing bool, check, seen string) bool {
	if r.waive&w == 0 || !missing {
		return false
	}
	r.NotChecked(check, seen)
	r.waived = append(r.waived, check)
	return true
}

// Measurement checks that got is a reference value of this platform.
func (r *Rows) Measurement(got []byte, detail string, refs []attest.ReferenceValue) {
	n, seen := 0, hex.EncodeToString(got)
	if detail != "" {
		seen += " (" + detail + ")"
	}
	if r.Waived(attest.WaiveMeasurement, len(refs) == 0, "measurement", seen) {
		return
	}
	for _, ref := range refs {
		if ref.Platform != r.platform {
			continue
		}
		n++
		if len(got) != 0 && bytes.Equal(ref.Measurement, got) {
			r.Check(true, "", "measurement", seen, "Keep release "+shown(ref.Name()), shown(ref.Source), "")
			return
		}
	}
	r.Check(false, attest.ReasonMeasurement, "measurement", seen, fmt.Sprintf("one of %d reference values for %s", n, r.platform),
		"the reference values given", "this is not a Keep release you accept; name its reference values if you trust them")
}

// HostData checks that field is want and zeroes after it. A zero expectation
// is a missing one.
func (r *Rows) HostData(name string, field []byte, want [32]byte) {
	seen := name + " " + hex.EncodeToString(field)
	if r.Waived(attest.WaiveHostData, want == [32]byte{}, "host-data", seen) {
		return
	}
	ok := want != [32]byte{} && len(field) > len(want) && bytes.Equal(field[:len(want)], want[:]) && allZero(field[len(want):])
	r.Check(ok, attest.ReasonHostData, "host-data", seen, hex.EncodeToString(want[:])+" and zeroes",
		"digest of the start configuration", "the Keep was started with another configuration than it says")
}

// ReportData checks the 64 bytes that tie the evidence to the session.
func (r *Rows) ReportData(got, want [64]byte) {
	seen := hex.EncodeToString(got[:])
	if r.Waived(attest.WaiveReportData, want == [64]byte{}, "report-data", seen) {
		return
	}
	r.Check(want != [64]byte{} && got == want, attest.ReasonReportData, "report-data", seen, hex.EncodeToString(want[:]), session,
		"the evidence was made for another session or another Keep; somebody may stand in between")
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// shown makes text from outside fit for a row.
func shown(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "..."
	}
	return strconv.QuoteToASCII(s)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
