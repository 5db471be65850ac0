// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

import "slices"

// segment is an element segment.
type segment struct {
	table    uint32
	active   bool
	declared bool
	offset   []byte
	typ      byte // reference type
	// Elements are function indices, or expressions where any of them is
	// something else.
	funcs []uint32
	exprs [][]byte
}

// Bits of the leading number of a segment (section 5.5.12).
const (
	segPassive  = 1 // with segExplicit: declarative
	segExplicit = 2
	segExprs    = 4
)

func (s *segment) encode() []byte {
	flags := uint32(0)
	switch {
	case s.declared:
		flags = segPassive | segExplicit
	case !s.active:
		flags = segPassive
	case s.table != 0 || s.typ != valTypes["funcref"]:
		flags = segExplicit
	}
	if s.exprs != nil {
		flags |= segExprs
	}
	b := uleb(nil, flags)
	if flags&3 == segExplicit {
		b = uleb(b, s.table)
	}
	if s.active {
		b = append(b, s.offset...)
	}
	if flags&3 != 0 {
		if s.exprs != nil {
			b = append(b, s.typ)
		} else {
			b = append(b, 0) // element kind: functions
		}
	}
	if s.exprs != nil {
		return append(uleb(b, uint32(len(s.exprs))), slices.Concat(s.exprs...)...)
	}
	b = uleb(b, uint32(len(s.funcs)))
	for _, f := range s.funcs {
		b = uleb(b, f)
	}
	return b
}

// elemField is (elem $id? declare? (table x)? offset? list).
func (m *module) elemField(f *node) {
	kids := afterID(f)
	s := segment{typ: valTypes["funcref"]}
	if len(kids) > 0 && kids[0].kind == atom && kids[0].text == "declare" {
		s.declared = true
		kids = kids[1:]
	} else {
		if len(kids) > 0 && kids[0].head() == "table" {
			s.active, s.table = true, m.useOf(&kids[0], tables)
			kids = kids[1:]
		}
		if len(kids) > 0 && kids[0].kind == list {
			s.active, s.offset = true, m.offset(&kids[0])
			kids = kids[1:]
		} else if s.active {
			failAt(f.pos, "expected an offset after the table")
		}
	}
	switch {
	case len(kids) > 0 && isRefType(&kids[0]):
		s.typ = valType(&kids[0])
		kids = kids[1:]
		if len(kids) > 0 && kids[0].kind != list {
			failAt(kids[0].pos, "expected (item …) or (ref.func …), found %s", kids[0].what())
		}
	case len(kids) > 0 && kids[0].kind == atom && kids[0].text == "func":
		kids = kids[1:]
	case len(kids) > 0 && !s.active:
		failAt(kids[0].pos, "expected func, funcref or externref, found %s", kids[0].what())
	}
	m.items(&s, kids)
	m.elems.add(s.encode())
}

// items reads function indices or element expressions.
func (m *module) items(s *segment, kids []node) {
	if len(kids) == 0 || kids[0].kind == atom {
		for i := range kids {
			s.funcs = append(s.funcs, m.resolve(funcs, &kids[i]))
		}
		if s.typ != valTypes["funcref"] {
			s.exprs = [][]byte{}
		}
		return
	}
	allFuncs := s.typ == valTypes["funcref"]
	for i := range kids {
		n := &kids[i]
		if n.kind != list {
			failAt(n.pos, "expected (item …) or (ref.func …), found %s", n.what())
		}
		expr := []node{*n}
		if n.head() == "item" {
			expr = n.kids[1:]
		}
		if f, ok := m.plainRefFunc(expr); ok {
			s.funcs = append(s.funcs, f)
		} else {
			allFuncs = false
		}
		s.exprs = append(s.exprs, m.constant(expr))
	}
	if allFuncs {
		s.exprs = nil
	} else {
		s.funcs = nil
	}
}

// plainRefFunc recognises the one expression that has a short form.
func (m *module) plainRefFunc(expr []node) (uint32, bool) {
	if len(expr) == 1 && expr[0].head() == "ref.func" {
		expr = expr[0].kids
	}
	if len(expr) != 2 || expr[0].text != "ref.func" || !isIndex(&expr[1]) {
		return 0, false
	}
	return m.resolve(funcs, &expr[1]), true
}
