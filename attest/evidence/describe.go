// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// Description says field by field what some bytes mean. Nothing in it has been
// verified: it tells what is written there, whoever wrote it.
type Description struct {
	// Kind is what is described, the same word for all versions of it.
	Kind string `json:"kind"`
	// Title says for people what is described.
	Title string `json:"title"`
	// Platform of evidence; empty for collateral.
	Platform string  `json:"platform,omitempty"`
	Fields   []Field `json:"fields"`
	// Notes say what a verifier will object to at first sight, such as
	// reserved bits that are set or bytes that follow.
	Notes []string `json:"notes,omitempty"`
}

// Field is one field, or a part of one.
type Field struct {
	// Name as in the specification, unique among its siblings.
	Name string `json:"name"`
	// Offset of the field in bytes from the beginning of what is described,
	// and its size. A part that has no place of its own, such as a bit or
	// what stands in a document of text, has the size 0.
	Offset int `json:"offset"`
	Size   int `json:"size"`
	// Value is a number in decimal or, for bytes, hexadecimal in the order in
	// which they stand; for bits "set" or "clear".
	Value string `json:"value,omitempty"`
	// Meaning says in one sentence what the value means for trust.
	Meaning string `json:"meaning,omitempty"`
	// Spec names document and section or table.
	Spec string `json:"spec,omitempty"`
	// Fields are the parts.
	Fields []Field `json:"fields,omitempty"`
}

// Describe decodes a piece of evidence without judging it. Damaged evidence is
// described as far as it goes, with a note; the error is for what is nothing
// of its kind.
func Describe(p Piece) (*Description, error) {
	if n := len(p.Evidence.Value); n > attest.MaxEvidence {
		return nil, tooLarge("the evidence", fmt.Sprintf("%d bytes", n), attest.MaxEvidence)
	}
	var d *Description
	var err error
	switch p.Evidence.MediaType {
	case attest.MediaTypeSNP:
		d, err = describeSNP(p.Evidence.Value, p.Collateral)
	case attest.MediaTypeTDX, attest.MediaTypeSGX:
		d, err = describeQuote(p.Evidence.Value)
	case attest.MediaTypeNitro:
		d, err = describeNitro(p.Evidence.Value)
	case attest.MediaTypeTPM:
		d, err = describeKeepTPM(p.Evidence.Value)
	case attest.MediaTypeTPMQuote:
		d, err = describeForeignTPM(p.Evidence.Value)
	default:
		return nil, fmt.Errorf("%w: evidence of type %s", ErrUnsupported, shown(p.Evidence.MediaType))
	}
	if err != nil {
		return nil, err
	}
	d.Platform = p.Platform
	uniqueNames(d.Fields)
	return d, nil
}

// Parts walks all fields and their parts, depth first, with the path of names
// that leads to each.
func (d *Description) Parts(visit func(path string, f *Field)) {
	var walk func(prefix string, fs []Field)
	walk = func(prefix string, fs []Field) {
		for i := range fs {
			path := prefix + fs[i].Name
			visit(path, &fs[i])
			walk(path+" / ", fs[i].Fields)
		}
	}
	walk("", d.Fields)
}

// note adds a note.
func (d *Description) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// cursor takes fields off the front of some bytes and remembers where it is
// and that they ran out.
type cursor struct {
	b    []byte
	at   int
	spec string
	out  []Field
	// short is the name of the field that was not there in full.
	short string
}

// take gives the next n bytes, or nil if they are not there.
func (c *cursor) take(name string, n int) []byte {
	if c.short != "" {
		return nil
	}
	if n < 0 || n > len(c.b)-c.at {
		c.short = name
		return nil
	}
	b := c.b[c.at : c.at+n : c.at+n]
	c.at += n
	return b
}

// raw adds a field of n bytes, shown as hexadecimal.
func (c *cursor) raw(name string, n int, meaning string) []byte {
	b := c.take(name, n)
	if b != nil {
		c.add(name, n, hex.EncodeToString(b), meaning)
	}
	return b
}

// number adds a field of n bytes (1, 2, 4 or 8), a little-endian number.
func (c *cursor) number(name string, n int, meaning string) (uint64, bool) {
	b := c.take(name, n)
	if b == nil {
		return 0, false
	}
	v := le(b)
	c.add(name, n, fmt.Sprint(v), meaning)
	return v, true
}

// skip steps over reserved bytes, which are shown only if they are not zero.
func (c *cursor) skip(n int) {
	at := c.at
	b := c.take("reserved", n)
	if b != nil && !zero(b) {
		c.add(fmt.Sprintf("reserved at %d", at), n, hex.EncodeToString(b), "The specification says that these bytes are zero.")
	}
}

func (c *cursor) add(name string, n int, value, meaning string) *Field {
	c.out = append(c.out, Field{Name: name, Offset: c.at - n, Size: n, Value: value, Meaning: meaning, Spec: c.spec})
	return &c.out[len(c.out)-1]
}

// last is the field that was added last, for its parts.
func (c *cursor) last() *Field { return &c.out[len(c.out)-1] }

// le reads a little-endian number of at most 8 bytes.
func le(b []byte) uint64 {
	var buf [8]byte
	copy(buf[:], b)
	return binary.LittleEndian.Uint64(buf[:])
}

// bit is one bit of a flag field.
type bit struct {
	n       int
	name    string
	set     string // what it means when set
	cleared string // what it means when clear; empty leaves it out
}

// bits describes the bits of v. Bits that are not listed are reserved: they
// are shown when they are set.
func bits(v uint64, spec string, list []bit) []Field {
	var fs []Field
	known := uint64(0)
	for _, b := range list {
		known |= 1 << b.n
		name := fmt.Sprintf("bit %d %s", b.n, b.name)
		switch {
		case v>>b.n&1 != 0:
			fs = append(fs, Field{Name: name, Value: "set", Meaning: b.set, Spec: spec})
		case b.cleared != "":
			fs = append(fs, Field{Name: name, Value: "clear", Meaning: b.cleared, Spec: spec})
		}
	}
	for n := range 64 {
		if v&^known>>n&1 != 0 {
			fs = append(fs, Field{Name: fmt.Sprintf("bit %d", n), Value: "set", Meaning: "Not known to this program.", Spec: spec})
		}
	}
	return fs
}

// printable gives b as text if it is nothing but printable ASCII, as people put
// into user data; otherwise nothing.
func printable(b []byte) string {
	t := strings.TrimRight(string(b), "\x00")
	if len(t) < 4 {
		return ""
	}
	for _, c := range []byte(t) {
		if c < 0x20 || c > 0x7e {
			return ""
		}
	}
	return t
}
