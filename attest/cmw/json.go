// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cmw

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// jsonSpace is white space of RFC 8259, section 2.
const jsonSpace = " \t\r\n"

var base64url = base64.RawURLEncoding.Strict()

// ParseJSON reads a wrapper in JSON: record or collection.
func ParseJSON(b []byte) (*Node, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("cmw: %d bytes, expected at most %d", len(b), MaxSize)
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("cmw: JSON is not UTF-8")
	}
	r := &reader{rest: b}
	n, err := r.node(0)
	if err != nil {
		return nil, fmt.Errorf("%w (at byte %d)", err, len(b)-len(r.rest))
	}
	if r.space(); len(r.rest) > 0 {
		return nil, fmt.Errorf("cmw: %d bytes follow the JSON", len(r.rest))
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	return n, nil
}

// reader reads the little of JSON that a wrapper may hold. The library's reader
// takes the last of two members with one name, and so would hide the first.
type reader struct {
	rest  []byte
	count int
}

func (r *reader) space() { r.rest = bytes.TrimLeft(r.rest, jsonSpace) }

// next takes c, after white space, if it comes next.
func (r *reader) next(c byte) bool {
	if r.space(); len(r.rest) == 0 || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *reader) node(depth int) (*Node, error) {
	if r.count++; r.count > MaxNodes {
		return nil, fmt.Errorf("cmw: more than %d records and collections", MaxNodes)
	}
	switch {
	case r.next('['):
		rec, err := r.record()
		return &Node{Record: rec}, err
	case r.next('{'):
		if depth >= MaxDepth {
			return nil, fmt.Errorf("cmw: collections nest deeper than %d", MaxDepth)
		}
		c, err := r.collection(depth)
		return &Node{Collection: c}, err
	}
	return nil, fmt.Errorf("cmw: expected a record ([) or a collection ({)")
}

func (r *reader) record() (*Record, error) {
	name, err := r.text("record type", MaxType)
	if err != nil {
		return nil, err
	}
	if !r.next(',') {
		return nil, fmt.Errorf("cmw: record without a value")
	}
	value, err := r.text("value", MaxSize)
	if err != nil {
		return nil, err
	}
	rec := &Record{Type: MediaType(name)}
	// The library's decoder would pass over line breaks.
	if strings.ContainsAny(value, "\r\n") {
		return nil, fmt.Errorf("cmw: value has a line break in it")
	}
	if rec.Value, err = base64url.DecodeString(value); err != nil {
		return nil, fmt.Errorf("cmw: value is not base64url without padding: %w", err)
	}
	if r.next(',') {
		if rec.Ind, err = r.indicator(); err != nil {
			return nil, err
		}
	}
	if !r.next(']') {
		return nil, fmt.Errorf("cmw: record does not end after 2 or 3 elements")
	}
	return rec, nil
}

// indicator reads a number from 1 to 31: digits, as there is no other way to
// write it in a schema that says unsigned integer.
func (r *reader) indicator() (Ind, error) {
	r.space()
	n, i := 0, 0
	for ; i < len(r.rest) && i < 3 && r.rest[i] >= '0' && r.rest[i] <= '9'; i++ {
		n = 10*n + int(r.rest[i]-'0')
	}
	if i == 0 || r.rest[0] == '0' || n >= int(indEnd) {
		return 0, fmt.Errorf("cmw: record has an indicator that is not a number from 1 to %d", indEnd-1)
	}
	r.rest = r.rest[i:]
	return Ind(n), nil
}

func (r *reader) collection(depth int) (*Collection, error) {
	c := new(Collection)
	for seen := (map[string]bool{}); ; {
		name, err := r.text("label", MaxLabel)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("cmw: label %s comes twice", quote(name))
		}
		seen[name] = true
		if !r.next(':') {
			return nil, fmt.Errorf("cmw: label %s without a value", quote(name))
		}
		if name == typeLabel {
			if c.Type, err = r.text(typeLabel, MaxCollectionType); err == nil && c.Type == "" {
				err = fmt.Errorf("cmw: %s is empty", typeLabel)
			}
		} else {
			var n *Node
			if n, err = r.node(depth + 1); err == nil {
				c.Entries = append(c.Entries, Entry{Label: Text(name), Node: *n})
			}
		}
		if err != nil {
			return nil, err
		}
		if r.next('}') {
			c.sort()
			return c, nil
		}
		if !r.next(',') {
			return nil, fmt.Errorf("cmw: collection does not go on after label %s", quote(name))
		}
	}
}

// text reads a string of at most limit bytes.
func (r *reader) text(what string, limit int) (string, error) {
	if !r.next('"') {
		return "", fmt.Errorf("cmw: %s is not a text", what)
	}
	end, escaped := 0, false
	for ; ; end++ {
		if end >= len(r.rest) || r.rest[end] < 0x20 {
			return "", fmt.Errorf("cmw: %s does not end", what)
		}
		if r.rest[end] == '"' {
			break
		}
		if r.rest[end] == '\\' {
			escaped = true
			end++
		}
	}
	raw := r.rest[:end]
	r.rest = r.rest[end+1:]
	s := string(raw)
	if escaped {
		if err := json.Unmarshal([]byte("\""+s+"\""), &s); err != nil {
			return "", fmt.Errorf("cmw: %s: %w", what, err)
		}
		// The library reads half of a surrogate pair as U+FFFD.
		if strings.ContainsRune(s, utf8.RuneError) {
			return "", fmt.Errorf("cmw: %s has an escape that is no character, or U+FFFD", what)
		}
	}
	if len(s) > limit {
		return "", fmt.Errorf("cmw: %s of %d bytes, expected at most %d", what, len(s), limit)
	}
	return s, nil
}

// JSON writes the tree in JSON. A content format is written as the media type
// that it stands for, which must be known, and a tag as a record; labels must
// be texts.
func (n *Node) JSON() ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := n.appendJSON(&out); err != nil {
		return nil, err
	}
	if out.Len() > MaxSize {
		return nil, fmt.Errorf("cmw: %d bytes, expected at most %d", out.Len(), MaxSize)
	}
	return out.Bytes(), nil
}

func (n *Node) appendJSON(out *bytes.Buffer) error {
	if r := n.Record; r != nil {
		name := r.Type.Name()
		if name == "" {
			return fmt.Errorf("cmw: JSON has no way to say %s", r.Type)
		}
		out.WriteByte('[')
		if err := appendText(out, name); err != nil {
			return err
		}
		out.WriteString(",\"" + base64url.EncodeToString(r.Value) + "\"")
		if r.Ind != 0 {
			fmt.Fprintf(out, ",%d", r.Ind)
		}
		out.WriteByte(']')
		return nil
	}
	c := n.Collection
	type member struct {
		name string
		node *Node
	}
	var members []member
	if c.Type != "" {
		members = append(members, member{typeLabel, nil})
	}
	for i := range c.Entries {
		e := &c.Entries[i]
		if e.Label.numeric {
			return fmt.Errorf("cmw: JSON has no way to say label %d", e.Label.number)
		}
		members = append(members, member{e.Label.text, &e.Node})
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	for i, m := range members {
		out.WriteByte("{,"[min(i, 1)])
		if err := appendText(out, m.name); err != nil {
			return err
		}
		out.WriteByte(':')
		write := func() error { return appendText(out, c.Type) }
		if m.node != nil {
			write = func() error { return m.node.appendJSON(out) }
		}
		if err := write(); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func appendText(out *bytes.Buffer, s string) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return fmt.Errorf("cmw: %w", err)
	}
	out.Truncate(out.Len() - 1) // the line break
	return nil
}
