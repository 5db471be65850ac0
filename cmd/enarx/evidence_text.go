// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
)

// Columns of decoded evidence: offset and size, then the name, then the value.
// The meaning stands below the value, so that it can be told from it.
const (
	placeColumn = 12
	minName     = 12
	maxName     = 26
)

// text lays decoded evidence out for a person.
func (in *inspectedEvidence) text(width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "NOT VERIFIED: what follows is what the bytes say, whoever wrote them.\n\nformat: %s\n", oneLine(in.Format))
	for _, r := range in.Wrapper {
		fill(&b, "wrapping: ", wrapperWords(r), width)
	}
	for _, it := range in.Items {
		b.WriteString("\n")
		it.text(&b, width)
	}
	return b.String()
}

// wrapperWords words a row on the wrapping without the outcomes of a verdict:
// "verified" has no place here.
func wrapperWords(r attest.Row) string {
	switch r.Outcome {
	case attest.Pass:
		return r.Expected + ": yes"
	case attest.Fail:
		return r.Expected + ": no, " + r.Seen
	}
	return "not read: " + r.Seen
}

func (it *inspectedItem) text(b *strings.Builder, width int) {
	if it.Description == nil {
		fill(b, it.Role+": ", "cannot be decoded: "+it.Error, width)
		return
	}
	title := it.Title
	if it.Where != "" {
		title += " (" + it.Where + ")"
	}
	fill(b, it.Role+": ", title, width)
	for _, n := range it.Notes {
		fill(b, "note: ", n, width)
	}
	if it.ReportData != "" {
		fill(b, "must be bound to: ", it.ReportDataSource+", "+it.ReportData, width)
	}
	places := it.Role != "collateral"
	if places {
		fmt.Fprintf(b, "\n%*s  %s\n", placeColumn-2, "byte+size", "field")
	}
	w := fieldWriter{b: b, places: places, width: width, said: map[string]bool{}}
	w.write(it.Fields, 0)
}

// explainFields says what each field of the evidence in a file means, after a
// verdict on it. What cannot be read has been refused by then.
func explainFields(file []byte, width int) string {
	found, err := evidence.Find(file)
	if err != nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nthe fields of the evidence (they are worth what the rows above say):\n")
	for _, p := range found.Pieces {
		it := inspectedItem{Role: "evidence", Where: p.Where}
		it.describe(evidence.Describe(p))
		b.WriteString("\n")
		it.text(&b, width)
	}
	return b.String()
}

// fieldWriter writes fields and their parts, each part further in.
type fieldWriter struct {
	b      *strings.Builder
	places bool
	width  int
	said   map[string]bool // meanings of parts that need no repeating
}

func (w *fieldWriter) write(fs []evidence.Field, depth int) {
	names := minName
	for _, f := range fs {
		if n := utf8.RuneCountInString(oneLine(f.Name)); n <= maxName {
			names = max(names, n)
		}
	}
	for _, f := range fs {
		head := ""
		if w.places {
			if f.Size > 0 {
				head = fmt.Sprintf("%d+%d", f.Offset, f.Size)
			}
			head = fmt.Sprintf("%*s  ", placeColumn-2, head)
		}
		indent := utf8.RuneCountInString(head) + 2*depth
		head += strings.Repeat("  ", depth) + padTo(oneLine(f.Name), names) + "  "
		fill(w.b, head, valueText(f), w.width)
		if f.Meaning != "" && !(depth > 0 && w.said[f.Meaning]) {
			fill(w.b, strings.Repeat(" ", indent+2)+"· ", f.Meaning, w.width)
			w.said[f.Meaning] = true
		}
		w.write(f.Fields, depth+1)
	}
}

// valueText shortens values that are nothing but zeroes.
func valueText(f evidence.Field) string {
	if len(f.Value) > 8 && strings.Trim(f.Value, "0") == "" {
		return "zero"
	}
	return f.Value
}

// text lays a comparison out for a person.
func (d *evidenceDiff) text(width int) string {
	if d.Equal {
		return "the same, as far as it is decoded\n"
	}
	var b strings.Builder
	item := ""
	for _, c := range d.Changes {
		if c.Item != item {
			if item != "" {
				b.WriteString("\n")
			}
			item = c.Item
			fill(&b, "", item, width)
		}
		switch {
		case c.Field == "" && c.Old == "":
			b.WriteString("  only in the second\n")
			continue
		case c.Field == "":
			b.WriteString("  only in the first\n")
			continue
		}
		fill(&b, "  "+oneLine(c.Field)+"  ", changeText(c), width)
		if c.Meaning != "" {
			fill(&b, "    · ", c.Meaning, width)
		}
	}
	return b.String()
}

// changeText words one change. Of a list, only what came and what went.
func changeText(c evidence.Change) string {
	if strings.HasSuffix(c.Field, "advisories") {
		return listChange(strings.Split(c.Old, ", "), strings.Split(c.New, ", "))
	}
	side := func(s string) string {
		switch {
		case s == "":
			return "(none)"
		case len(s) > 32 && strings.Trim(s, "0") == "":
			return "zero"
		}
		return s
	}
	return side(c.Old) + " → " + side(c.New)
}

func listChange(old, new []string) string {
	var words []string
	for _, x := range []struct {
		word     string
		in, from []string
	}{{"added", new, old}, {"gone", old, new}} {
		var names []string
		for _, name := range x.in {
			if name != "" && !slices.Contains(x.from, name) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			words = append(words, x.word+": "+strings.Join(names, ", "))
		}
	}
	return strings.Join(words, "; ")
}

// fill writes head and text, text broken at spaces, or anywhere if a word is
// wider than the line, and indented to the width of head.
func fill(b *strings.Builder, head, text string, width int) {
	indent := utf8.RuneCountInString(head)
	if width-indent < 24 { // no room: the text goes on a line of its own
		b.WriteString(strings.TrimRight(head, " ") + "\n")
		indent = min(len(head)-len(strings.TrimLeft(head, " "))+4, 24)
		head = strings.Repeat(" ", indent)
	}
	room := max(width-indent, 16)
	line := []rune{}
	flush := func() {
		b.WriteString(strings.TrimRight(head+string(line), " ") + "\n")
		head, line = strings.Repeat(" ", indent), line[:0]
	}
	for _, word := range strings.Fields(oneLine(text)) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > room {
			flush()
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for len(line)+len(w) > room {
			n := room - len(line)
			line = append(line, w[:n]...)
			w = w[n:]
			flush()
		}
		line = append(line, w...)
	}
	if len(line) > 0 || head != strings.Repeat(" ", indent) || indent == 0 && text == "" {
		flush()
	}
}

func padTo(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}
