// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"slices"
	"strings"
)

// Change is one difference between two reports.
type Change struct {
	// Kind is "launch", "image", "command line", "initrd" or "register".
	Kind string `json:"kind"`
	// What differs: "vCPUs", "word 3", "init", "PCR9", …
	What string `json:"what"`
	// Event is, for a register, the event that differs; "" for its value.
	Event string `json:"event,omitempty"`
	From  string `json:"from"` // "" if it is only in the second
	To    string `json:"to"`   // "" if it is only in the first
}

// String words a change for people.
func (c Change) String() string {
	what := c.Kind + ": " + c.What
	if c.Event != "" {
		what += ", " + c.Event
	}
	switch {
	case c.From == "":
		return what + ": only in the second: " + c.To
	case c.To == "":
		return what + ": only in the first: " + c.From
	}
	return fmt.Sprintf("%s: %s → %s", what, c.From, c.To)
}

// Diff names what differs between two reports, from its causes (launch,
// image, command line, initrd) to what they change (registers, down to their
// events).
func Diff(a, b *Report) []Change {
	var out []Change
	add := func(kind, what, event, from, to string) {
		if from != to {
			out = append(out, Change{Kind: kind, What: what, Event: event, From: from, To: to})
		}
	}
	add("launch", "platform", "", a.Platform, b.Platform)
	if !a.Measured && !b.Measured {
		out = append(out, diffCauses(a, b)...)
	}
	for _, r := range a.Registers {
		other := find(b.Registers, r.Name)
		switch {
		case other == nil:
		case a.Measured && !b.Measured:
			r.Events = alike(r.Events, other.Events)
		case b.Measured && !a.Measured:
			x := *other
			x.Events = alike(x.Events, r.Events)
			other = &x
		}
		out = append(out, diffRegister(r, other)...)
	}
	for _, r := range b.Registers {
		if find(a.Registers, r.Name) == nil {
			add("register", r.Name, "", "", r.Value)
		}
	}
	return out
}

// diffCauses names what differs between two launches and their images.
func diffCauses(a, b *Report) []Change {
	var out []Change
	add := func(kind, what, event, from, to string) {
		if from != to {
			out = append(out, Change{Kind: kind, What: what, Event: event, From: from, To: to})
		}
	}
	add("launch", "vCPUs", "", fmt.Sprint(a.Launch.VCPUs), fmt.Sprint(b.Launch.VCPUs))
	add("launch", "memory", "", fmt.Sprint(a.Launch.MemoryMiB, " MiB"), fmt.Sprint(b.Launch.MemoryMiB, " MiB"))
	add("launch", "CPU model", "", a.Launch.CPU, b.Launch.CPU)
	add("launch", "way of booting", "", a.Launch.Boot, b.Launch.Boot)
	add("launch", "firmware", "", a.Launch.Firmware, b.Launch.Firmware)
	add("launch", "setup header patched", "", fmt.Sprint(a.Launch.PatchedKernel), fmt.Sprint(b.Launch.PatchedKernel))
	add("image", "release", "", a.Image.Release, b.Image.Release)
	add("image", "engine", "", a.Image.Engine, b.Image.Engine)
	add("image", "debug", "", fmt.Sprint(a.Image.Debug), fmt.Sprint(b.Image.Debug))
	add("image", "kernel", "", a.Image.Kernel, b.Image.Kernel)
	out = append(out, diffWords(a.Image.Cmdline, b.Image.Cmdline)...)
	return append(out, diffInitrd(a.Image.Initrd, b.Image.Initrd)...)
}

func find(rs []ReportRegister, name string) *ReportRegister {
	for i := range rs {
		if rs[i].Name == name {
			return &rs[i]
		}
	}
	return nil
}

// diffWords compares command lines word by word. A word with a value
// ("panic=-1") that has another one is one change.
func diffWords(a, b string) []Change {
	if a == b {
		return nil
	}
	first, second := strings.Fields(a), strings.Fields(b)
	var out []Change
	left := slices.Clone(second)
	take := func(match func(string) bool) (string, bool) {
		i := slices.IndexFunc(left, match)
		if i < 0 {
			return "", false
		}
		w := left[i]
		left = slices.Delete(left, i, i+1)
		return w, true
	}
	var gone []string
	for _, w := range first {
		if _, ok := take(func(x string) bool { return x == w }); !ok {
			gone = append(gone, w)
		}
	}
	for _, w := range gone {
		key, _, hasValue := strings.Cut(w, "=")
		to := ""
		if hasValue {
			to, _ = take(func(x string) bool { return strings.HasPrefix(x, key+"=") })
		}
		out = append(out, Change{Kind: "command line", What: key, From: w, To: to})
	}
	for _, w := range left {
		key, _, _ := strings.Cut(w, "=")
		out = append(out, Change{Kind: "command line", What: key, To: w})
	}
	if len(out) == 0 {
		out = append(out, Change{Kind: "command line", What: "order or spaces", From: fmt.Sprintf("%q", a), To: fmt.Sprintf("%q", b)})
	}
	return out
}

func diffInitrd(a, b []ReportFile) []Change {
	var out []Change
	text := func(f ReportFile) string {
		if f.SHA256 == "" {
			return "mode " + f.Mode
		}
		return fmt.Sprintf("mode %s, sha256:%s", f.Mode, f.SHA256)
	}
	second := map[string]string{}
	for _, f := range b {
		second[f.Name] = text(f)
	}
	for _, f := range a {
		if to := second[f.Name]; to != text(f) {
			out = append(out, Change{Kind: "initrd", What: f.Name, From: text(f), To: to})
		}
		delete(second, f.Name)
	}
	for _, f := range b {
		if to, left := second[f.Name]; left {
			out = append(out, Change{Kind: "initrd", What: f.Name, To: to})
		}
	}
	return out
}

// diffRegister compares events by their component, type and number among those
// alike.
func diffRegister(a ReportRegister, b *ReportRegister) []Change {
	if b == nil {
		return []Change{{Kind: "register", What: a.Name, From: a.Value}}
	}
	var out []Change
	if a.Value != b.Value {
		out = append(out, Change{Kind: "register", What: a.Name, From: or(a.Value, "not known"), To: or(b.Value, "not known")})
	}
	first, order := keyed(a.Events)
	second, order2 := keyed(b.Events)
	for _, k := range order {
		if first[k] != second[k] {
			out = append(out, Change{Kind: "register", What: a.Name, Event: k, From: first[k], To: second[k]})
		}
	}
	for _, k := range order2 {
		if _, both := first[k]; !both {
			out = append(out, Change{Kind: "register", What: a.Name, Event: k, To: second[k]})
		}
	}
	return out
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// keyed names each event so that two registers' events can be matched.
func keyed(events []ReportEvent) (digests map[string]string, order []string) {
	digests, count := map[string]string{}, map[string]int{}
	for _, e := range events {
		k := fmt.Sprintf("%s (%s)", e.Component, e.Type)
		if count[k]++; count[k] > 1 {
			k = fmt.Sprintf("%s number %d", k, count[k])
		}
		digests[k] = e.Digest
		order = append(order, k)
	}
	return digests, order
}
