// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// minWidth is the narrowest text that is laid out; below it, lines are
	// longer than asked for rather than unreadable.
	minWidth = 40
	// maxCell bounds a value of a row in text, in characters: long enough
	// for 64 bytes in hexadecimal. JSON keeps all of it.
	maxCell = 160
	// maxParagraph bounds a paragraph: a handful of such values.
	maxParagraph = 2000
)

// Text lays the verdict out for a person: one line per row with its outcome,
// and for rows that did not pass what was seen, expected, from where, and what
// to do. Lines are at most width characters wide (but see the limit above);
// control characters and everything else that a terminal could act upon are
// escaped, because some of the text comes from certificates. No colour.
func (v Verdict) Text(width int) string {
	width = max(width, minWidth)
	outcomes, checks := 0, 0
	for _, r := range v {
		outcomes = max(outcomes, utf8.RuneCountInString(string(r.Outcome)))
		checks = max(checks, utf8.RuneCountInString(clean(r.Check)))
	}
	var b strings.Builder
	for _, r := range v {
		head := pad(string(r.Outcome), outcomes) + "  " + pad(clean(r.Check), checks) + "  "
		wrap(&b, head, clean(r.Seen), width)
		if r.Outcome == Pass || r.Outcome == Simulated {
			continue
		}
		indent := strings.Repeat(" ", outcomes+2)
		wrap(&b, indent+"expected: ", clean(r.Expected)+" ("+clean(r.Source)+")", width)
		if r.Todo != "" {
			wrap(&b, indent+"do: ", clean(r.Todo), width)
		}
	}
	return b.String()
}

// TrustText lays a trust statement out for a person, under the same rules as
// [Verdict.Text].
func TrustText(layers []Layer, width int) string {
	width = max(width, minWidth)
	names, stands := 0, 0
	for _, l := range layers {
		names = max(names, utf8.RuneCountInString(clean(l.Layer)))
		stands = max(stands, utf8.RuneCountInString(string(l.Standing)))
	}
	var b strings.Builder
	for _, l := range layers {
		words := clean(l.Words)
		if l.By != "" && l.By != notAll {
			words += " [" + clean(shortNames(l.By)) + "]"
		}
		wrap(&b, pad(clean(l.Layer), names)+"  "+pad(string(l.Standing), stands)+"  ", words, width)
	}
	return b.String()
}

// shortNames leaves out of a list of checks the part before the dot that the one
// before has as well: "snp.chain, dates, signature".
func shortNames(list string) string {
	names := strings.Split(list, ", ")
	last := ""
	for i, n := range names {
		dot := strings.LastIndexByte(n, '.') + 1
		if dot > 0 && n[:dot] == last {
			names[i] = n[dot:]
		}
		last = n[:dot]
	}
	return strings.Join(names, ", ")
}

// Wrap lays one paragraph out under the same rules, with lead in front of its
// first line and the same room before the others. An address is never broken,
// since a person copies it: it may make a line longer than width.
func Wrap(text, lead string, width int) string {
	text = escape(text, maxParagraph)
	indent := utf8.RuneCountInString(lead)
	room := max(max(width, minWidth)-indent, minWidth/2)
	var b strings.Builder
	line, words := "", strings.Fields(text)
	flush := func() {
		if line != "" {
			b.WriteString(strings.TrimRight(lead+line, " ") + "\n")
			lead, line = strings.Repeat(" ", indent), ""
		}
	}
	for _, w := range words {
		parts := []string{w}
		if !strings.Contains(w, "://") {
			parts = lines(w, room)
		}
		for _, p := range parts {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(p) > room {
				flush()
			}
			if line != "" {
				line += " "
			}
			line += p
		}
	}
	flush()
	return b.String()
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

// wrap writes head and text, text broken at spaces (or anywhere, if a word is
// wider than the line) and indented to the width of head.
func wrap(b *strings.Builder, head, text string, width int) {
	indent := utf8.RuneCountInString(head)
	room := width - indent
	if room < minWidth/2 {
		// The head leaves no room: continue on lines of their own.
		b.WriteString(strings.TrimRight(head, " ") + "\n")
		indent = 4
		room = width - indent
		head = strings.Repeat(" ", indent)
	}
	for _, line := range lines(text, room) {
		b.WriteString(strings.TrimRight(head+line, " ") + "\n")
		head = strings.Repeat(" ", indent)
	}
}

func lines(text string, room int) []string {
	var out []string
	line := []rune{}
	for _, word := range strings.Fields(text) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > room {
			out, line = append(out, string(line)), line[:0]
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for len(line)+len(w) > room {
			n := room - len(line)
			out, line = append(out, string(append(line, w[:n]...))), []rune{}
			w = w[n:]
		}
		line = append(line, w...)
	}
	if len(line) > 0 || len(out) == 0 {
		out = append(out, string(line))
	}
	return out
}

// clean bounds s and replaces what a terminal could act upon: control and
// format characters (escape sequences, right-to-left overrides), and bytes
// that are no UTF-8.
func clean(s string) string { return escape(s, maxCell) }

func escape(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError:
			b.WriteString("?")
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
