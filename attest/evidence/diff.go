// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import "strings"

// Change is one difference between two descriptions.
type Change struct {
	// Item is the title of what differs, such as "TCB info tdx 90c06f000000".
	Item string `json:"item"`
	// Field is the path of names to the field, joined with " / "; empty if
	// the whole item is there on one side only.
	Field string `json:"field,omitempty"`
	// Old and New are the values; empty on the side that has no such field.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
	// Meaning says what the field is for.
	Meaning string `json:"meaning,omitempty"`
}

// Diff compares what two files hold, field by field, as far as it is described.
// Items are compared with what is of the same kind on the other side: first
// those of the same title, such as certificates of the same subject, then in
// their order. No change means that all that was described is the same.
func Diff(old, new []*Description) []Change {
	var changes []Change
	for _, p := range pairUp(old, new) {
		switch {
		case p.new == nil:
			changes = append(changes, Change{Item: p.old.Title, Old: "there"})
		case p.old == nil:
			changes = append(changes, Change{Item: p.new.Title, New: "there"})
		default:
			title := p.new.Title
			if p.old.Title != p.new.Title {
				title = p.old.Title + " → " + p.new.Title
			}
			changes = append(changes, diffFields(title, "", p.old.Fields, p.new.Fields)...)
		}
	}
	return changes
}

type pair struct{ old, new *Description }

// pairUp finds for each item the one to compare it with.
func pairUp(old, new []*Description) []pair {
	var pairs []pair
	taken := make([]bool, len(new))
	matched := make([]bool, len(old))
	match := func(same func(a, b *Description) bool) {
		for i, a := range old {
			if matched[i] {
				continue
			}
			for j, b := range new {
				if !taken[j] && same(a, b) {
					pairs, matched[i], taken[j] = append(pairs, pair{a, b}), true, true
					break
				}
			}
		}
	}
	match(func(a, b *Description) bool { return a.Kind == b.Kind && a.Title == b.Title })
	// Of another title, only what is the one of its kind left on both sides:
	// two certificates of different subjects are not versions of each other.
	match(func(a, b *Description) bool {
		return a.Kind == b.Kind && left(old, matched, a.Kind) == 1 && left(new, taken, a.Kind) == 1
	})
	for i, a := range old {
		if !matched[i] {
			pairs = append(pairs, pair{a, nil})
		}
	}
	for j, b := range new {
		if !taken[j] {
			pairs = append(pairs, pair{nil, b})
		}
	}
	return pairs
}

// left counts what is of a kind and has no partner yet.
func left(list []*Description, done []bool, kind string) int {
	n := 0
	for i, d := range list {
		if !done[i] && d.Kind == kind {
			n++
		}
	}
	return n
}

// diffFields compares fields by their names. Where parts of a field say what
// has changed, the field itself is not repeated.
func diffFields(item, prefix string, old, new []Field) []Change {
	var changes []Change
	byName := make(map[string]*Field, len(old))
	for i := range old {
		byName[old[i].Name] = &old[i]
	}
	seen := make(map[string]bool, len(new))
	for i := range new {
		b := &new[i]
		seen[b.Name] = true
		a := byName[b.Name]
		if a == nil {
			changes = append(changes, Change{Item: item, Field: prefix + b.Name, Old: absent(b.Name), New: present(b), Meaning: b.Meaning})
			continue
		}
		parts := diffFields(item, prefix+b.Name+" / ", a.Fields, b.Fields)
		if a.Value != b.Value && (len(parts) == 0 || isStatus(a, b)) {
			changes = append(changes, Change{Item: item, Field: prefix + b.Name, Old: a.Value, New: b.Value, Meaning: b.Meaning})
		}
		changes = append(changes, parts...)
	}
	for i := range old {
		if a := &old[i]; !seen[a.Name] {
			changes = append(changes, Change{Item: item, Field: prefix + a.Name, Old: present(a), New: absent(a.Name), Meaning: a.Meaning})
		}
	}
	return changes
}

// isStatus says whether the values are words of their own and not a summary of
// the parts: those of a TCB level.
func isStatus(a, b *Field) bool { return statusMeaning(a.Value) != "" || statusMeaning(b.Value) != "" }

// absent is the value of a field that is left out: a bit without a meaning of
// its own when it is clear.
func absent(name string) string {
	if strings.HasPrefix(name, "bit ") {
		return "clear"
	}
	return ""
}

// present is the value of a field that the other side does not have.
func present(f *Field) string {
	if f.Value == "" {
		return "there"
	}
	return f.Value
}
