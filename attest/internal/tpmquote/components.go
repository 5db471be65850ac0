// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpmquote

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// registerComponent is the name of a component that is a register's final
// value (see attest.Component).
const registerComponent = "register"

// measurement compares the measurement with the reference values, and says
// component by component what differs.
func (v *verification) measurement() {
	const check = "measurement"
	if !v.pcrsOK {
		v.row(false, attest.ReasonUnchecked, check, "no proven registers", "a reference value", "the reference values given", "see the row of the PCRs")
		return
	}
	if v.p.MeasureLog == nil {
		v.measure = v.p.Measure(v.in.pcrs)
	} else if v.logOK {
		v.measure = v.p.MeasureLog(v.in.log, v.provenData)
	}
	if v.measure == nil {
		v.row(false, attest.ReasonMeasurement, check, "the log has no measurement, or more than that", "one event with the measurement", ours, forged)
		return
	}
	seen := fmt.Sprintf("%x", v.measure)
	if v.waived(attest.WaiveMeasurement, len(v.exp.Measurements) == 0, check, seen) {
		return
	}
	var ours []attest.ReferenceValue
	for _, ref := range v.exp.Measurements {
		if ref.Platform == v.p.Platform {
			ours = append(ours, ref)
		}
	}
	for i, ref := range ours {
		if bytes.Equal(ref.Measurement, v.measure) {
			v.accepted = &ours[i]
			v.row(true, "", check, seen, "Keep release "+shown(ref.Name()), shown(ref.Source), "")
			v.components(ref)
			v.debugged(ref)
			return
		}
	}
	const todo = "this is not a Keep release you accept; name its reference values if you trust them"
	want := fmt.Sprintf("one of %d reference values for %s", len(ours), v.p.Platform)
	if closest, ok := v.closest(ours); ok {
		if differ := v.differing(closest); len(differ) != 0 {
			seen += ", which differs from release " + shown(closest.Release) + " in: " + strings.Join(differ, ", ")
		}
		v.components(closest)
	}
	v.row(false, attest.ReasonMeasurement, check, seen, want, "the reference values given", todo)
}

// provenData are the data of the events of a register; nil in place of data
// that are not what the event's digest is of.
func (v *verification) provenData(pcr uint32) [][]byte {
	var out [][]byte
	for _, e := range v.log.of[pcr] {
		w := hashes[v.log.alg].New()
		w.Write(e.Data)
		if !bytes.Equal(w.Sum(nil), v.log.digest(e.Event)) {
			e.Data = nil
		}
		out = append(out, e.Data)
	}
	return out
}

// debugged says DEBUG of an image that its host can look into.
func (v *verification) debugged(ref attest.ReferenceValue) {
	const check, want = "debug", "an image without console and tools to look inside"
	switch {
	case !ref.Debug:
		v.row(true, "", check, "no debug image", want, shown(ref.Source), "")
	case !v.p.Demands.AcceptDebug:
		v.row(false, attest.ReasonDebug, check, "DEBUG image", want, shown(ref.Source), "start the Keep from the release image; a debug image shows its host what it does")
	default:
		v.debug = true
		v.note(attest.Warn, check, "DEBUG image", want, shown(ref.Source), "a debug image shows its host what it does; use it for tests only")
	}
}

// compared is one component of a reference value beside what was measured in
// its place.
type compared struct {
	attest.Component
	got  []byte // nil if nothing was measured there
	what string // the event in its place
}

func (c compared) same() bool { return bytes.Equal(c.got, c.Digest) }

// compare puts the components of ref beside the events of the log, register by
// register and in order.
func (v *verification) compare(ref attest.ReferenceValue) []compared {
	if !v.logOK {
		return nil
	}
	next := map[string]int{}
	var out []compared
	for _, c := range ref.Components[:min(len(ref.Components), maxComponents)] {
		i, ok := pcrOf(c.Register)
		if !ok || c.Name == registerComponent {
			continue
		}
		x := compared{Component: c}
		if events, n := v.log.of[i], next[c.Register]; n < len(events) {
			x.got, x.what = v.log.digest(events[n].Event), events[n].name()
		}
		next[c.Register]++
		out = append(out, x)
	}
	return out
}

// maxComponents bounds the components of one reference value that are shown.
const maxComponents = 256

// pcrOf reads the name of a register of a reference value, "PCR4".
func pcrOf(name string) (uint32, bool) {
	s, ok := strings.CutPrefix(name, "PCR")
	n, err := strconv.ParseUint(s, 10, 5)
	return uint32(n), ok && err == nil && n < attest.TPMPCRs
}

// closest is the reference value with the most components that were measured;
// of those that agree in as many, the one with the fewest that were not.
func (v *verification) closest(refs []attest.ReferenceValue) (best attest.ReferenceValue, ok bool) {
	most, least := -1, 0
	for _, ref := range refs {
		n, all := 0, v.compare(ref)
		for _, c := range all {
			if c.same() {
				n++
			}
		}
		if len(all) != 0 && (n > most || n == most && len(all)-n < least) {
			best, most, least, ok = ref, n, len(all)-n, true
		}
	}
	return best, ok
}

// differing names the components of ref that were measured otherwise.
func (v *verification) differing(ref attest.ReferenceValue) []string {
	var names []string
	for _, c := range v.compare(ref) {
		name := fmt.Sprintf("%s (%s)", clean([]byte(c.Name)), c.Register)
		if !c.same() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// components makes a row for each part of an image: kernel, initrd, command
// line, UKI. A part that is measured several times is one row.
func (v *verification) components(ref attest.ReferenceValue) {
	all := v.compare(ref)
	var names []string
	for _, c := range all {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	// A UKI holds the other parts: which of them differs says more than that
	// the whole does.
	if i := slices.Index(names, "UKI"); i >= 0 {
		names = append(slices.Delete(names, i, i+1), "UKI")
	}
	for _, name := range names {
		check := checkName(name)
		var where []string
		var bad *compared
		for i, c := range all {
			if c.Name != name {
				continue
			}
			if !slices.Contains(where, c.Register) {
				where = append(where, c.Register)
			}
			if bad == nil && !c.same() {
				bad = &all[i]
			}
		}
		source := "release " + shown(ref.Release) + ", " + shown(ref.Source)
		switch {
		case bad == nil:
			v.row(true, "", check, "as in the release, in "+strings.Join(where, ", "), "as in the release", source, "")
		case bad.got == nil:
			v.row(false, attest.ReasonMeasurement, check, "not measured into "+bad.Register, fmt.Sprintf("%x", bad.Digest), source, otherPart(name))
		default:
			v.row(false, attest.ReasonMeasurement, check, fmt.Sprintf("%x in %s, %s", bad.got, bad.Register, bad.what), fmt.Sprintf("%x", bad.Digest), source, otherPart(name))
		}
	}
}

func otherPart(name string) string {
	return "the host started another " + clean([]byte(name)) + " than the release has; do not use this Keep"
}

// checkName makes the name of a component into that of a row.
func checkName(name string) string {
	if name == "platform" { // what UEFI firmware measures around every boot; "platform" is another row
		return "boot-events"
	}
	var b strings.Builder
	for _, c := range strings.ToLower(name[:min(len(name), maxShown)]) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case c == ' ' || c == '-':
			b.WriteByte('-')
		}
	}
	if b.Len() == 0 {
		return "component"
	}
	return b.String()
}
