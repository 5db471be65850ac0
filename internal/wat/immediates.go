// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

import (
	"math/bits"
	"strings"
)

// immediates reads what belongs to an instruction itself, and returns its
// whole code and what follows.
func (b *body) immediates(o op, n *node, kids []node) ([]byte, []node) {
	code := append(make([]byte, 0, 8), o.code...)
	m := b.m
	switch o.imm {
	case immNone:
		return code, kids
	case immMemArg:
		return memArg(code, o, kids)
	case immLabels:
		return b.labelTable(code, n, kids)
	case immIndirect:
		table, kids := m.optional(tables, kids)
		_, i, kids := m.usedType(kids)
		return uleb(uleb(code, i), table), kids
	case immSelect:
		return selectTypes(code, kids)
	case immTable:
		i, kids := m.optional(tables, kids)
		return uleb(code, i), kids
	case immMemory:
		i, kids := m.optional(memories, kids)
		return uleb(code, i), kids
	case immMemCopy:
		return m.pair(code, memories, kids)
	case immTableCopy:
		return m.pair(code, tables, kids)
	case immMemInit:
		m.usesDataCount = true
		return m.segmentAndPlace(code, n, datas, memories, kids)
	case immTableInit:
		return m.segmentAndPlace(code, n, elems, tables, kids)
	}
	if len(kids) == 0 || kids[0].kind != atom {
		failAt(n.pos, "%s needs something after it", n.text)
	}
	return b.single(code, o, &kids[0]), kids[1:]
}

// single appends the one immediate that an instruction must have.
func (b *body) single(code []byte, o op, arg *node) []byte {
	m := b.m
	switch o.imm {
	case immLabel:
		return uleb(code, b.label(arg))
	case immFunc:
		return uleb(code, m.resolve(funcs, arg))
	case immGlobal:
		return uleb(code, m.resolve(globals, arg))
	case immElem:
		return uleb(code, m.resolve(elems, arg))
	case immData:
		m.usesDataCount = true
		return uleb(code, m.resolve(datas, arg))
	case immI32:
		return sleb(code, integer(arg, 32))
	case immI64:
		return sleb(code, integer(arg, 64))
	case immF32:
		return append(code, float(arg, 32)...)
	case immF64:
		return append(code, float(arg, 64)...)
	case immHeapType:
		switch arg.text {
		case "func":
			return append(code, valTypes["funcref"])
		case "extern":
			return append(code, valTypes["externref"])
		}
		failAt(arg.pos, "expected func or extern, found %s", arg.what())
	}
	// immLocal
	if !arg.isID() {
		return uleb(code, unsigned(arg))
	}
	i, ok := b.locals[arg.text]
	if !ok {
		failAt(arg.pos, "there is no local %s", quote(arg.text))
	}
	return uleb(code, i)
}

// label is how many blocks lie between here and the one meant.
func (b *body) label(n *node) uint32 {
	if !n.isID() {
		return unsigned(n)
	}
	s := b.byName[n.text]
	if len(s) == 0 {
		failAt(n.pos, "there is no open block %s", quote(n.text))
	}
	return uint32(len(b.labels) - 1 - s[len(s)-1])
}

func (b *body) labelTable(code []byte, n *node, kids []node) ([]byte, []node) {
	count := 0
	for count < len(kids) && isIndex(&kids[count]) {
		count++
	}
	if count == 0 {
		failAt(n.pos, "%s needs at least one label, the default", n.text)
	}
	code = uleb(code, uint32(count-1))
	for i := range count {
		code = uleb(code, b.label(&kids[i]))
	}
	return code, kids[count:]
}

// optional is an index that stands for 0 when it is not written.
func (m *module) optional(sp space, kids []node) (uint32, []node) {
	if len(kids) > 0 && isIndex(&kids[0]) {
		return m.resolve(sp, &kids[0]), kids[1:]
	}
	return 0, kids
}

// pair is two indices or none: destination and source.
func (m *module) pair(code []byte, sp space, kids []node) ([]byte, []node) {
	if len(kids) == 0 || !isIndex(&kids[0]) {
		return append(code, 0, 0), kids
	}
	if len(kids) == 1 || !isIndex(&kids[1]) {
		failAt(kids[0].pos, "expected two indices of a %s, or none", spaceNames[sp])
	}
	return uleb(uleb(code, m.resolve(sp, &kids[0])), m.resolve(sp, &kids[1])), kids[2:]
}

// segmentAndPlace is "segment" or "place segment"; the binary has the segment
// first.
func (m *module) segmentAndPlace(code []byte, n *node, seg, place space, kids []node) ([]byte, []node) {
	count := 0
	for count < len(kids) && count < 2 && isIndex(&kids[count]) {
		count++
	}
	switch count {
	case 0:
		failAt(n.pos, "%s needs the index of a %s", n.text, spaceNames[seg])
	case 1:
		return uleb(uleb(code, m.resolve(seg, &kids[0])), 0), kids[1:]
	}
	return uleb(uleb(code, m.resolve(seg, &kids[1])), m.resolve(place, &kids[0])), kids[2:]
}

// selectTypes: with a result the typed form, which has an opcode of its own.
func selectTypes(code []byte, kids []node) ([]byte, []node) {
	var types counted
	typed := false
	for len(kids) > 0 && kids[0].head() == "result" {
		typed = true
		for i := 1; i < len(kids[0].kids); i++ {
			types.add([]byte{valType(&kids[0].kids[i])})
		}
		kids = kids[1:]
	}
	if !typed {
		return code, kids
	}
	return append(uleb([]byte{0x1c}, types.n), types.body...), kids
}

// memArg is offset= and align=, in this order, both optional.
func memArg(code []byte, o op, kids []node) ([]byte, []node) {
	offset, align := uint32(0), o.align
	if v, n, ok := keyed("offset=", kids); ok {
		offset = v
		kids = kids[n:]
	}
	if v, n, ok := keyed("align=", kids); ok {
		if bits.OnesCount32(v) != 1 {
			failAt(kids[0].pos, "alignment %d is not a power of two", v)
		}
		align = uint32(bits.TrailingZeros32(v))
		kids = kids[n:]
	}
	return uleb(uleb(code, align), offset), kids
}

// keyed reads key=NUMBER.
func keyed(key string, kids []node) (uint32, int, bool) {
	if len(kids) == 0 || kids[0].kind != atom || !strings.HasPrefix(kids[0].text, key) {
		return 0, 0, false
	}
	v, ok := unsignedText(kids[0].text[len(key):])
	if !ok {
		failAt(kids[0].pos, "expected an unsigned 32-bit number after %s", key)
	}
	return v, 1, true
}
