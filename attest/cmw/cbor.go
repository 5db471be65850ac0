// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cmw

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// nesting is what a wrapper at the limit has: a level for each collection, one
// for a record or tag, and one for what is in it.
const nesting = MaxDepth + 2

type modes struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// cborModes are constant options; an error refuses everything.
var cborModes = sync.OnceValues(func() (m modes, err error) {
	if m.enc, err = cbor.CoreDetEncOptions().EncMode(); err != nil {
		return m, fmt.Errorf("cmw: %w", err)
	}
	m.dec, err = cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthAllowed, // RFC 9999, section 3.4, names them
		TagsMd:           cbor.TagsAllowed,
		IntDec:           cbor.IntDecConvertSignedOrFail,
		MaxNestedLevels:  nesting,
		MaxArrayElements: 16, // a record has at most 3; 16 is the least that can be set
		MaxMapPairs:      MaxNodes + 1,
		UTF8:             cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		err = fmt.Errorf("cmw: %w", err)
	}
	return m, err
})

// ParseCBOR reads a wrapper in CBOR: record, tag or collection.
func ParseCBOR(b []byte) (*Node, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("cmw: %d bytes, expected at most %d", len(b), MaxSize)
	}
	m, err := cborModes()
	if err != nil {
		return nil, err
	}
	// One pass over all of it first: whether it is well-formed, how deep it
	// nests, and that nothing follows.
	if err := m.dec.Wellformed(b); err != nil {
		return nil, fmt.Errorf("cmw: malformed CBOR: %w", err)
	}
	count := 0
	n, err := m.node(b, 0, &count)
	if err != nil {
		return nil, err
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	return n, nil
}

func (m modes) node(b []byte, depth int, count *int) (*Node, error) {
	if *count++; *count > MaxNodes {
		return nil, fmt.Errorf("cmw: more than %d records and collections", MaxNodes)
	}
	switch b[0] >> 5 { // the major type; b is well-formed and so not empty
	case 4:
		r, err := m.record(b)
		return &Node{Record: r}, err
	case 6:
		r, err := m.tag(b)
		return &Node{Record: r}, err
	case 5:
		if depth >= MaxDepth {
			return nil, fmt.Errorf("cmw: collections nest deeper than %d", MaxDepth)
		}
		c, err := m.collection(b, depth, count)
		return &Node{Collection: c}, err
	}
	return nil, fmt.Errorf("cmw: CBOR item beginning with %#02x, expected an array (record), a tag or a map (collection)", b[0])
}

func (m modes) record(b []byte) (*Record, error) {
	var parts []cbor.RawMessage
	if err := m.dec.Unmarshal(b, &parts); err != nil {
		return nil, fmt.Errorf("cmw: record: %w", err)
	}
	if len(parts) != 2 && len(parts) != 3 {
		return nil, fmt.Errorf("cmw: record of %d elements, expected 2 or 3", len(parts))
	}
	r := new(Record)
	switch parts[0][0] >> 5 {
	case 0:
		var n uint64
		if err := m.dec.Unmarshal(parts[0], &n); err != nil || n > math.MaxUint16 {
			return nil, fmt.Errorf("cmw: record of content format %d, expected at most %d", n, math.MaxUint16)
		}
		r.Type = ContentFormat(uint16(n))
	case 3:
		if err := m.dec.Unmarshal(parts[0], &r.Type.name); err != nil {
			return nil, fmt.Errorf("cmw: record type: %w", err)
		}
	default:
		return nil, fmt.Errorf("cmw: record type is neither text nor an unsigned number")
	}
	var err error
	if r.Value, err = m.bytes(parts[1]); err != nil {
		return nil, err
	}
	if len(parts) == 3 {
		var n uint64
		if parts[2][0]>>5 != 0 || m.dec.Unmarshal(parts[2], &n) != nil || n == 0 || n >= uint64(indEnd) {
			return nil, fmt.Errorf("cmw: record has an indicator that is not a number from 1 to %d", indEnd-1)
		}
		r.Ind = Ind(n)
	}
	return r, nil
}

func (m modes) bytes(b []byte) ([]byte, error) {
	if b[0]>>5 != 2 {
		return nil, fmt.Errorf("cmw: value is not a byte string")
	}
	var v []byte
	if err := m.dec.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("cmw: value: %w", err)
	}
	return v, nil
}

func (m modes) tag(b []byte) (*Record, error) {
	var t cbor.RawTag
	if err := m.dec.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("cmw: tag: %w", err)
	}
	typ, err := typeOfTag(t.Number)
	if err != nil {
		return nil, err
	}
	v, err := m.bytes(t.Content)
	return &Record{Type: typ, Value: v, Tag: true}, err
}

func (m modes) collection(b []byte, depth int, count *int) (*Collection, error) {
	var pairs map[any]cbor.RawMessage
	if err := m.dec.Unmarshal(b, &pairs); err != nil {
		return nil, fmt.Errorf("cmw: collection: %w", err)
	}
	c := &Collection{Entries: make([]Entry, 0, min(len(pairs), MaxNodes))}
	for key, raw := range pairs {
		var l Label
		switch k := key.(type) {
		case string:
			l = Text(k)
		case int64:
			l = Number(k)
		default:
			return nil, fmt.Errorf("cmw: a label is neither text nor a number")
		}
		if l == Text(typeLabel) {
			if raw[0]>>5 != 3 || m.dec.Unmarshal(raw, &c.Type) != nil || c.Type == "" {
				return nil, fmt.Errorf("cmw: %s is not a text", typeLabel)
			}
			continue
		}
		n, err := m.node(raw, depth+1, count)
		if err != nil {
			return nil, fmt.Errorf("%w (in %s)", err, quote(l.String()))
		}
		c.Entries = append(c.Entries, Entry{Label: l, Node: *n})
	}
	c.sort()
	return c, nil
}

// sort puts entries into the order of deterministic CBOR, which is that of
// their encoded labels: numbers from 0 up, numbers from -1 down, texts by length
// of the head and then by their bytes.
func (c *Collection) sort() {
	slices.SortFunc(c.Entries, func(a, b Entry) int { return a.Label.compare(b.Label) })
}

func (l Label) compare(o Label) int {
	rank := func(l Label) int {
		switch {
		case !l.numeric:
			return 2
		case l.number < 0:
			return 1
		}
		return 0
	}
	if d := cmp.Compare(rank(l), rank(o)); d != 0 {
		return d
	}
	switch rank(l) {
	case 0:
		return cmp.Compare(l.number, o.number)
	case 1:
		return cmp.Compare(o.number, l.number)
	}
	return cmp.Or(cmp.Compare(len(l.text), len(o.text)), cmp.Compare(l.text, o.text))
}

// CBOR writes the tree in core deterministic encoding.
func (n *Node) CBOR() ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	m, err := cborModes()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := m.enc.NewEncoder(&out).Encode(n.item()); err != nil {
		return nil, fmt.Errorf("cmw: %w", err)
	}
	if out.Len() > MaxSize {
		return nil, fmt.Errorf("cmw: %d bytes, expected at most %d", out.Len(), MaxSize)
	}
	return out.Bytes(), nil
}

// item is the tree as the encoder takes it. The tree has been checked.
func (n *Node) item() any {
	if r := n.Record; r != nil {
		if number, err := r.Type.tagNumber(); r.Tag && err == nil {
			return cbor.Tag{Number: number, Content: r.Value}
		}
		var typ any = r.Type.name
		if r.Type.numeric {
			typ = r.Type.format
		}
		if r.Ind == 0 {
			return []any{typ, r.Value}
		}
		return []any{typ, r.Value, uint32(r.Ind)}
	}
	pairs := make(map[any]any, len(n.Collection.Entries)+1)
	if n.Collection.Type != "" {
		pairs[typeLabel] = n.Collection.Type
	}
	for i := range n.Collection.Entries {
		e := &n.Collection.Entries[i]
		if e.Label.numeric {
			pairs[e.Label.number] = e.Node.item()
		} else {
			pairs[e.Label.text] = e.Node.item()
		}
	}
	return pairs
}
