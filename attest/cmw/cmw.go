// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cmw

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// Media types of wrappers themselves (RFC 9999, section 8.6).
const (
	MediaTypeCBOR = "application/cmw+cbor"
	MediaTypeJSON = "application/cmw+json"
)

// typeLabel is the label that names the type of a collection and nothing else.
const typeLabel = "__cmwc_t"

// Form is a serialisation.
type Form uint8

// The serialisations.
const (
	CBOR Form = iota + 1
	JSON
)

// String names the form for people.
func (f Form) String() string {
	switch f {
	case CBOR:
		return "CBOR"
	case JSON:
		return "JSON"
	}
	return "unknown"
}

// Node is a wrapper or a part of one. Exactly one of its fields is set.
type Node struct {
	Record     *Record
	Collection *Collection
}

// Record is one wrapped message.
type Record struct {
	Type  Type
	Value []byte
	// Ind says which conceptual messages Value holds; zero says nothing.
	Ind Ind
	// Tag chooses the form of a CBOR tag, which has a content format for a
	// type and no Ind. JSON has no such form.
	Tag bool
}

// Collection holds labelled nodes.
type Collection struct {
	// Type is an absolute URI or an object identifier in dotted form that
	// says what the labels mean; "" leaves it open.
	Type string
	// Entries have no order of their own: readers return them in the order
	// that writers give them.
	Entries []Entry
}

// Entry is one member of a collection.
type Entry struct {
	Label Label
	Node  Node
}

// Label names an entry: a text or, in CBOR only, a number.
type Label struct {
	text    string
	number  int64
	numeric bool
}

// Text makes a label of a text.
func Text(s string) Label { return Label{text: s} }

// Number makes a label of a number. RFC 8949 has numbers of 65 bits; labels
// outside of 64 bits with a sign are refused.
func Number(n int64) Label { return Label{number: n, numeric: true} }

// String shows the label to people.
func (l Label) String() string {
	if l.numeric {
		return fmt.Sprint(l.number)
	}
	return l.text
}

// Ind is the bit map of conceptual messages (RFC 9999, section 3.1.1).
type Ind uint32

// The registered indicators.
const (
	ReferenceValues Ind = 1 << iota
	Endorsements
	Evidence
	AttestationResults
	AppraisalPolicy
	indEnd
)

// String lists the indicators for people.
func (i Ind) String() string {
	var out []string
	for n, name := range []string{"reference values", "endorsements", "evidence", "attestation results", "appraisal policy"} {
		if i&(1<<n) != 0 {
			out = append(out, name)
		}
	}
	if rest := i &^ (indEnd - 1); rest != 0 {
		out = append(out, fmt.Sprintf("unknown %#x", uint32(rest)))
	}
	return strings.Join(out, ", ")
}

// Get finds the entry with a label, or nil.
func (c *Collection) Get(l Label) *Node {
	for i := range c.Entries {
		if c.Entries[i].Label == l {
			return &c.Entries[i].Node
		}
	}
	return nil
}

// Leaf is a record with the labels that lead to it.
type Leaf struct {
	Path   []Label
	Record *Record
}

// Where shows the path to people, for example "cpu/report"; a wrapper that is
// a record has the path "".
func (l Leaf) Where() string {
	words := make([]string, len(l.Path))
	for i, p := range l.Path {
		words[i] = p.String()
	}
	return strings.Join(words, "/")
}

// Records walks all records of the tree, in the order of entries.
func (n *Node) Records() iter.Seq[Leaf] {
	return func(yield func(Leaf) bool) { n.walk(nil, yield) }
}

func (n *Node) walk(path []Label, yield func(Leaf) bool) bool {
	if n.Record != nil {
		return yield(Leaf{Path: path, Record: n.Record})
	}
	if n.Collection == nil || len(path) > MaxDepth {
		return true
	}
	for i := range n.Collection.Entries {
		e := &n.Collection.Entries[i]
		if !e.Node.walk(append(path[:len(path):len(path)], e.Label), yield) {
			return false
		}
	}
	return true
}

// Parse reads a wrapper in either form, which its first byte tells apart (RFC
// 9999, section 3.4). Nothing of the result shares memory with b.
func Parse(b []byte) (*Node, Form, error) {
	switch Sniff(b) {
	case CBOR:
		n, err := ParseCBOR(b)
		return n, CBOR, err
	case JSON:
		n, err := ParseJSON(b)
		return n, JSON, err
	}
	return nil, 0, fmt.Errorf("cmw: not a conceptual message wrapper: expected an array, a map or a tag in CBOR or JSON")
}

// Sniff tells the form of what may be a wrapper by its first byte, or 0. It
// says nothing about the bytes after it.
func Sniff(b []byte) Form {
	b = bytes.TrimLeft(b, jsonSpace)
	if len(b) == 0 {
		return 0
	}
	switch c := b[0]; {
	case c == '[', c == '{':
		return JSON
	case c == 0x82, c == 0x83, c == 0x9f, c == 0xda, c >= 0xa0 && c <= 0xbb, c == 0xbf:
		return CBOR
	}
	return 0
}

// Canonical says whether b is the one form that n is written in.
func Canonical(n *Node, form Form, b []byte) bool {
	write := n.CBOR
	if form == JSON {
		write = n.JSON
	}
	again, err := write()
	return err == nil && bytes.Equal(again, b)
}

// check holds a tree to the rules that both forms share.
func (n *Node) check() error {
	count := 0
	return n.checkBelow(0, &count)
}

func (n *Node) checkBelow(depth int, count *int) error {
	if *count++; *count > MaxNodes {
		return fmt.Errorf("cmw: more than %d records and collections", MaxNodes)
	}
	switch {
	case (n.Record == nil) == (n.Collection == nil):
		return fmt.Errorf("cmw: a node must be a record or a collection")
	case n.Record != nil:
		return n.Record.check()
	case depth >= MaxDepth:
		return fmt.Errorf("cmw: collections nest deeper than %d", MaxDepth)
	}
	c := n.Collection
	if c.Type != "" {
		if err := checkCollectionType(c.Type); err != nil {
			return err
		}
	}
	if len(c.Entries) == 0 {
		return fmt.Errorf("cmw: a collection without entries")
	}
	seen := make(map[Label]bool, min(len(c.Entries), MaxNodes))
	for i := range c.Entries {
		e := &c.Entries[i]
		if err := e.Label.check(); err != nil {
			return err
		}
		if seen[e.Label] {
			return fmt.Errorf("cmw: label %s comes twice", quote(e.Label.String()))
		}
		seen[e.Label] = true
		if err := e.Node.checkBelow(depth+1, count); err != nil {
			return err
		}
	}
	return nil
}

func (l Label) check() error {
	switch {
	case l.numeric:
		return nil
	case len(l.text) > MaxLabel:
		return fmt.Errorf("cmw: label of %d bytes, expected at most %d", len(l.text), MaxLabel)
	case !utf8.ValidString(l.text):
		return fmt.Errorf("cmw: label is not UTF-8")
	case l.text == typeLabel:
		return fmt.Errorf("cmw: label %s is reserved for the type of a collection", typeLabel)
	}
	return nil
}

func (r *Record) check() error {
	if err := r.Type.check(); err != nil {
		return err
	}
	if len(r.Value) == 0 {
		return fmt.Errorf("cmw: record of type %s has an empty value", r.Type)
	}
	if r.Ind >= indEnd {
		return fmt.Errorf("cmw: indicators %#x, expected 1 to %#x or none", uint32(r.Ind), uint32(indEnd-1))
	}
	if !r.Tag {
		return nil
	}
	if r.Ind != 0 {
		return fmt.Errorf("cmw: a tag has no indicators")
	}
	_, err := r.Type.tagNumber()
	return err
}

// quote shows text from outside in an error.
func quote(s string) string { return fmt.Sprintf("%.80q", s) }
