// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package tcbpolicy holds what all verifiers do alike with an
// [attest.TCBPolicy]: floors, chips, acceptances and the question whether the
// policy can mean anything at all. Rows come without the platform before their
// name.
package tcbpolicy

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
)

const relying = "the relying party"

// maxShown bounds text of the policy in a row.
const maxShown = 96

// productLines of snp. A floor for another is a mistake rather than a rule for
// machines to come: a verifier that does not know a line verifies none of it.
var productLines = []string{"Milan", "Genoa", "Turin", "Sim"}

// components are the names of Claims.TCB on all platforms.
var components = func() map[string]bool {
	m := map[string]bool{}
	for _, n := range []string{"bootloader", "tee", "snp", "microcode", "fmc", "pcesvn", "qesvn", "evaluation"} {
		m[n] = true
	}
	for i := range 16 {
		m[fmt.Sprintf("sgx%02d", i+1)], m[fmt.Sprintf("tdx%02d", i+1)] = true, true
	}
	return m
}()

// statuses that an acceptance may name, in the vendor's words. Those that can
// never be accepted are not among them.
var statuses = []string{
	"UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
	"OutOfDateConfigurationNeeded", "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded",
}

// Acceptable says whether a status can be accepted by naming it.
func Acceptable(status string) bool { return slices.Contains(statuses, status) }

// Check gives the row of a policy that cannot mean what it says: a word that
// no evidence ever has would otherwise never match, and nobody would notice.
// There is no row for a policy that is in order.
func Check(p attest.TCBPolicy) attest.Verdict {
	wrong := problems(p)
	if len(wrong) == 0 {
		return nil
	}
	seen := wrong[0]
	if len(wrong) > 1 {
		seen += fmt.Sprintf(", and %d more mistakes", len(wrong)-1)
	}
	return attest.Verdict{{
		Check: "tcb-policy", Seen: seen, Expected: "a policy of which every word can match", Source: relying,
		Outcome: attest.Fail, Reason: attest.ReasonPolicy, Todo: "correct the policy; nothing is accepted under it",
	}}
}

func problems(p attest.TCBPolicy) (wrong []string) {
	no := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for i, f := range p.Floors {
		if f.Line != "" && !slices.Contains(productLines, f.Line) && !isFMSPC(f.Line) {
			no("floor %d is for line %s, which is neither one of %s nor an FMSPC of 12 hexadecimal digits", i+1, shown(f.Line), strings.Join(productLines[:3], ", "))
		}
		for _, c := range sorted(f.Min) {
			if !components[c] {
				no("floor %d names the component %s, which no platform has", i+1, shown(c))
			}
		}
	}
	for i, a := range p.Accept {
		if len(a.Statuses) == 0 {
			no("acceptance %d names no status", i+1)
		}
		for _, s := range a.Statuses {
			if !Acceptable(s) {
				no("acceptance %d names the status %s, which is none or never acceptable", i+1, shown(s))
			}
		}
		if slices.Contains(a.Advisories, "") {
			no("acceptance %d names an empty advisory", i+1)
		}
	}
	for i, c := range p.Chips {
		if len(c) != 64 && len(c) != 16 {
			no("chip %d has %d bytes, expected 64 (CHIP_ID) or 16 (PPID or platform instance id)", i+1, len(c))
		} else if allZero(c) {
			no("chip %d is all zeroes, which is how a chip is masked", i+1)
		}
	}
	return wrong
}

// isFMSPC says whether a line is a platform model of Intel's.
func isFMSPC(line string) bool {
	b, err := hex.DecodeString(line)
	return err == nil && len(b) == 6
}

// Level is a level to hold against the floors.
type Level struct {
	// Check names the row, such as "tcb-floor".
	Check string
	// Line is the product line or FMSPC.
	Line string
	// Have are the components, and Text says them to people.
	Have map[string]uint64
	Text string
	// Todo is what to do about one that is too low.
	Todo string
}

// Floors holds a level against all floors that apply to it: one row for those
// in force, and a warning for each to come that the level is below.
func Floors(p attest.TCBPolicy, l Level, at time.Time) attest.Verdict {
	floor, applies, missing := map[string]uint64{}, false, false
	var ahead attest.Verdict
	for _, f := range p.Floors {
		if !forLine(f.Line, l.Line) {
			missing = missing || isFMSPC(f.Line) == isFMSPC(l.Line)
			continue
		}
		if at.Before(f.From) {
			ahead = append(ahead, upcoming(f, l)...)
			continue
		}
		applies = true
		for name, n := range f.Min {
			floor[name] = max(floor[name], n)
		}
	}
	row := attest.Row{Check: l.Check, Seen: l.Text, Source: relying}
	low := below(l.Have, floor)
	switch {
	case applies && len(low) > 0:
		row.Expected, row.Outcome, row.Reason = "at least "+Text(floor), attest.Fail, attest.ReasonTCBFloor
		row.Todo = l.Todo + ": too low or not known is " + strings.Join(low, ", ")
	case applies:
		row.Expected, row.Outcome = "at least "+Text(floor), attest.Pass
	case len(ahead) > 0 || !missing:
		row.Expected, row.Outcome = "no floor is in force", attest.Warn
	default:
		row.Expected, row.Outcome, row.Reason = "a floor for "+l.Line, attest.Fail, attest.ReasonTCBFloor
		row.Todo = "add a floor for this line, even an empty one, if you accept it"
	}
	return append(attest.Verdict{row}, ahead...)
}

// forLine says whether a floor for want applies to line; hexadecimal digits may
// be of either case.
func forLine(want, line string) bool {
	return want == "" || want == line || isFMSPC(want) && strings.EqualFold(want, line)
}

// upcoming warns of a floor that is not in force yet.
func upcoming(f attest.TCBFloor, l Level) attest.Verdict {
	low := below(l.Have, f.Min)
	if len(low) == 0 {
		return nil
	}
	return attest.Verdict{{
		Check: l.Check + "-ahead", Seen: l.Text, Expected: "at least " + Text(f.Min) + " from " + stamp(f.From) + " on" + note(f.Note),
		Source: relying, Outcome: attest.Warn,
		Todo: l.Todo + " before " + stamp(f.From) + ", when it will be refused: too low or not known is " + strings.Join(low, ", "),
	}}
}

// Chips holds the ids of a chip against the list. name says them to people; an
// id of zeroes is masked.
func Chips(p attest.TCBPolicy, name string, ids ...[]byte) attest.Row {
	row := attest.Row{Check: "chip-list", Seen: name, Expected: fmt.Sprintf("one of %d chips", len(p.Chips)), Source: relying, Outcome: attest.Pass}
	if p.Chips == nil {
		row.Expected, row.Outcome = "nothing was demanded", attest.Skipped
		return row
	}
	for _, id := range ids {
		if !allZero(id) && slices.ContainsFunc(p.Chips, func(c []byte) bool { return slices.Equal(c, id) }) {
			return row
		}
	}
	row.Outcome, row.Reason, row.Todo = attest.Fail, attest.ReasonChip, "this machine is not among those you accept"
	return row
}

// below names the components that are lower than floor, or not there at all.
func below(have, floor map[string]uint64) []string {
	var low []string
	for _, name := range sorted(floor) {
		if got, ok := have[name]; !ok || got < floor[name] {
			low = append(low, shown(name))
		}
	}
	return low
}

// Text words a level with its components in a fixed order.
func Text(m map[string]uint64) string {
	var names []string
	for _, n := range sorted(m) {
		names = append(names, fmt.Sprintf("%s %d", shown(n), m[n]))
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

func sorted(m map[string]uint64) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func note(s string) string {
	if s == "" {
		return ""
	}
	return " (" + shown(s) + ")"
}

func shown(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
