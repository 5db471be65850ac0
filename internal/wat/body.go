// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

import "strings"

// body translates instructions.
type body struct {
	m      *module
	out    []byte
	locals map[string]uint32
	// labels are the open blocks, outermost first; byName has the positions
	// of each name in it, so that a thousand nested blocks cost no search.
	labels []label
	byName map[string][]int
}

type label struct {
	id  string
	pos int
	op  string // block, loop, if or else
	els int    // position of the else opcode in out, if op is else
}

// constant translates an initialiser.
func (m *module) constant(kids []node) []byte {
	b := body{m: m, byName: map[string][]int{}}
	b.instrs(kids)
	return append(b.out, 0x0b)
}

// function is what follows the header: type use, locals, instructions.
func (m *module) function(kids []node) {
	t, ti, kids := m.usedType(kids)
	m.functions.add(uleb(nil, ti))
	b := body{m: m, locals: map[string]uint32{}, byName: map[string][]int{}}
	for i, n := range t.names {
		if n != nil {
			b.local(n, uint32(i))
		}
	}
	count := uint32(len(t.params))
	var types []byte
	for len(kids) > 0 && kids[0].head() == "local" {
		l := kids[0].kids[1:]
		if len(l) > 0 && l[0].isID() {
			if len(l) != 2 {
				failAt(l[0].pos, "expected one type after the name of a local")
			}
			b.local(&l[0], count+uint32(len(types)))
			l = l[1:]
		}
		for i := range l {
			types = append(types, valType(&l[i]))
		}
		kids = kids[1:]
	}
	var runs counted
	for i := 0; i < len(types); {
		j := i
		for j < len(types) && types[j] == types[i] {
			j++
		}
		runs.add(append(uleb(nil, uint32(j-i)), types[i]))
		i = j
	}
	b.instrs(kids)
	code := append(uleb(nil, runs.n), runs.body...)
	code = append(append(code, b.out...), 0x0b)
	m.code.add(sized(nil, code))
}

func (b *body) local(n *node, index uint32) {
	if _, dup := b.locals[n.text]; dup {
		failAt(n.pos, "there is already a local %s", quote(n.text))
	}
	b.locals[n.text] = index
}

// instrs translates a sequence in which flat and folded instructions may mix.
// Blocks opened in it by a bare word must be closed in it.
func (b *body) instrs(kids []node) {
	base := len(b.labels)
	for len(kids) > 0 {
		n := &kids[0]
		kids = kids[1:]
		switch {
		case n.kind == list:
			b.folded(n)
		case n.kind == text:
			failAt(n.pos, "expected an instruction, found a string")
		case n.text == "end" || n.text == "else":
			if len(b.labels) == base {
				failAt(n.pos, "%q without an open block", n.text)
			}
			kids = b.closing(n, kids)
		default:
			o := lookup(n)
			if o.imm == immStructured {
				kids = b.open(n, o, kids)
				continue
			}
			var code []byte
			code, kids = b.immediates(o, n, kids)
			b.out = append(b.out, code...)
		}
	}
	if len(b.labels) > base {
		l := b.labels[len(b.labels)-1]
		failAt(l.pos, "this %s has no end", l.op)
	}
}

// closing is a flat end or else, with the block's name repeated or not.
func (b *body) closing(n *node, kids []node) []node {
	l := &b.labels[len(b.labels)-1]
	if len(kids) > 0 && kids[0].isID() {
		if kids[0].text != l.id {
			failAt(kids[0].pos, "%s does not match the name of the block it belongs to", quote(kids[0].text))
		}
		kids = kids[1:]
	}
	if n.text == "end" {
		b.close()
		return kids
	}
	if l.op != "if" {
		failAt(n.pos, "else in a %s: expected an if", l.op)
	}
	b.elseBranch()
	return kids
}

// open begins a block: label, type, opcode.
func (b *body) open(n *node, o op, kids []node) []node {
	l := label{pos: n.pos, op: n.text}
	if n.kind == list {
		l.op = n.head()
	}
	if len(kids) > 0 && kids[0].isID() {
		l.id = kids[0].text
		kids = kids[1:]
	}
	code, kids := b.blockType(o, kids)
	b.push(l, code)
	return kids
}

func (b *body) push(l label, code []byte) {
	b.out = append(b.out, code...)
	if l.id != "" {
		b.byName[l.id] = append(b.byName[l.id], len(b.labels))
	}
	b.labels = append(b.labels, l)
}

// elseBranch turns an open if to its other branch.
func (b *body) elseBranch() {
	l := &b.labels[len(b.labels)-1]
	l.op, l.els = "else", len(b.out)
	b.out = append(b.out, 0x05)
}

// close ends the innermost block. An else with nothing in it is left out.
func (b *body) close() {
	l := b.labels[len(b.labels)-1]
	if l.op == "else" && len(b.out) == l.els+1 {
		b.out = b.out[:l.els]
	}
	b.out = append(b.out, 0x0b)
	b.labels = b.labels[:len(b.labels)-1]
	if l.id != "" {
		s := b.byName[l.id]
		b.byName[l.id] = s[:len(s)-1]
	}
}

// blockType is a result, or a type use with more than that (section 5.4.1).
func (b *body) blockType(o op, kids []node) ([]byte, []node) {
	code := append([]byte{}, o.code...)
	f, i, explicit, rest := b.m.typeUse(kids)
	switch {
	case len(f.params) == 0 && len(f.results) == 0:
		return append(code, 0x40), rest
	case len(f.params) == 0 && len(f.results) == 1:
		return append(code, f.results[0]), rest
	case !explicit:
		i = b.m.types.find(f)
	}
	return sleb(code, int64(i)), rest
}

// folded translates (op immediates operand*) and the folded blocks.
func (b *body) folded(n *node) {
	if n.head() == "" {
		failAt(n.pos, "expected an instruction, found %s", n.what())
	}
	o := lookup(&n.kids[0])
	kids := n.kids[1:]
	switch {
	case n.head() == "if":
		b.foldedIf(n, o, kids)
	case o.imm == immStructured:
		b.instrs(b.open(n, o, kids))
		b.close()
	default:
		code, operands := b.immediates(o, &n.kids[0], kids)
		for i := range operands {
			if operands[i].kind != list {
				failAt(operands[i].pos, "unexpected %s after %s", operands[i].what(), n.head())
			}
			b.folded(&operands[i])
		}
		b.out = append(b.out, code...)
	}
}

// foldedIf is (if $label type condition* (then …) (else …)?).
func (b *body) foldedIf(n *node, o op, kids []node) {
	l := label{pos: n.pos, op: "if"}
	if len(kids) > 0 && kids[0].isID() {
		l.id = kids[0].text
		kids = kids[1:]
	}
	code, kids := b.blockType(o, kids)
	for len(kids) > 0 && kids[0].head() != "then" {
		if kids[0].kind != list {
			failAt(kids[0].pos, "expected a folded condition or (then …), found %s", kids[0].what())
		}
		b.folded(&kids[0])
		kids = kids[1:]
	}
	if len(kids) == 0 {
		failAt(n.pos, "this if has no (then …)")
	}
	b.push(l, code)
	b.instrs(kids[0].kids[1:])
	kids = kids[1:]
	if len(kids) > 0 && kids[0].head() == "else" {
		b.elseBranch()
		b.instrs(kids[0].kids[1:])
		kids = kids[1:]
	}
	end(kids)
	b.close()
}

// lookup finds an instruction by its name.
func lookup(n *node) op {
	o, ok := ops()[n.text]
	if ok {
		return o
	}
	if n.text == "then" || n.text == "else" {
		failAt(n.pos, "%s outside of an if", n.text)
	}
	for _, p := range unsupported {
		if strings.Contains(n.text, p) {
			failAt(n.pos, "instruction %s is not supported in text: assemble the module with wat2wasm and use the .wasm file", quote(n.text))
		}
	}
	failAt(n.pos, "unknown instruction %s", quote(n.text))
	return op{}
}

// unsupported are parts of the names of vector, thread and tail-call
// instructions, which this assembler leaves to others.
var unsupported = []string{"v128", "i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2", ".atomic.", "return_call"}
