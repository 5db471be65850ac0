// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

// field translates one field of the module.
func (m *module) field(f *node) {
	if f.head() == "" {
		failAt(f.pos, "expected a field such as (func …), found %s", f.what())
	}
	switch f.head() {
	case "type": // done in the first pass
	case "import":
		m.importField(f)
	case "func":
		if _, rest := m.header(f, funcs, extFunc); rest != nil {
			m.function(rest)
		}
	case "table":
		if idx, rest := m.header(f, tables, extTable); rest != nil {
			m.table(f, idx, rest)
		}
	case "memory":
		if idx, rest := m.header(f, memories, extMemory); rest != nil {
			m.memory(f, idx, rest)
		}
	case "global":
		if _, rest := m.header(f, globals, extGlobal); rest != nil {
			t, init := globalType(f, rest)
			m.globals.add(append(t, m.constant(init)...))
		}
	case "export":
		m.exportField(f)
	case "start":
		if len(f.kids) != 2 || !isIndex(&f.kids[1]) {
			failAt(f.pos, "expected (start FUNCTION)")
		}
		if m.start != nil {
			failAt(f.pos, "there is already a start function")
		}
		m.start = &f.kids[1]
	case "elem":
		m.elemField(f)
	case "data":
		m.dataField(f)
	default:
		failAt(f.pos, "unknown field %s: expected type, import, func, table, memory, global, export, start, elem or data", f.what())
	}
}

// header consumes the keyword, identifier, inline exports and inline import of
// a definition. rest is nil if it was an import and therefore complete.
func (m *module) header(f *node, sp space, ext byte) (idx uint32, rest []node) {
	idx = m.next[sp]
	m.next[sp]++
	rest = afterID(f)
	for len(rest) > 0 && rest[0].head() == "export" {
		e := &rest[0]
		if len(e.kids) != 2 {
			failAt(e.pos, "expected (export \"name\")")
		}
		m.export(e.kids[1].name(), ext, idx)
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0].head() == "import" {
		i := &rest[0]
		if len(i.kids) != 3 {
			failAt(i.pos, "expected (import \"module\" \"name\")")
		}
		m.addImport(f, i.kids[1].name(), i.kids[2].name(), ext, rest[1:])
		return idx, nil
	}
	if rest == nil {
		rest = []node{}
	}
	return idx, rest
}

// afterID is what follows the keyword and the identifier, if there is one.
func afterID(f *node) []node {
	if len(f.kids) > 1 && f.kids[1].isID() {
		return f.kids[2:]
	}
	return f.kids[1:]
}

func (m *module) export(name string, ext byte, idx uint32) {
	m.exports.add(uleb(append(sized(nil, []byte(name)), ext), idx))
}

// exportField is (export "name" (func x)).
func (m *module) exportField(f *node) {
	if len(f.kids) != 3 || len(f.kids[2].kids) != 2 {
		failAt(f.pos, "expected (export \"name\" (func INDEX)) or another kind of export")
	}
	what := &f.kids[2]
	sp, ext := m.external(what)
	m.export(f.kids[1].name(), ext, m.resolve(sp, &what.kids[1]))
}

// external is the kind of an import or export.
func (m *module) external(n *node) (space, byte) {
	switch n.head() {
	case "func":
		return funcs, extFunc
	case "table":
		return tables, extTable
	case "memory":
		return memories, extMemory
	case "global":
		return globals, extGlobal
	}
	failAt(n.pos, "expected func, table, memory or global, found %s", n.what())
	return 0, 0
}

// importField is (import "module" "name" (kind $id? type)). Its shape was
// checked when it was declared.
func (m *module) importField(f *node) {
	desc := &f.kids[3]
	sp, ext := m.external(desc)
	m.next[sp]++
	m.addImport(f, f.kids[1].name(), f.kids[2].name(), ext, afterID(desc))
}

func (m *module) addImport(f *node, mod, name string, ext byte, desc []node) {
	b := append(sized(sized(nil, []byte(mod)), []byte(name)), ext)
	switch ext {
	case extFunc:
		_, i, rest := m.usedType(desc)
		end(rest)
		b = uleb(b, i)
	case extTable:
		lim, rest := limits(f, desc)
		b = append(append(b, refType(f, rest)), lim...)
	case extMemory:
		lim, rest := limits(f, desc)
		end(rest)
		b = append(b, lim...)
	case extGlobal:
		t, rest := globalType(f, desc)
		end(rest)
		b = append(b, t...)
	}
	m.imports.add(b)
}

// refType demands exactly one reference type.
func refType(f *node, rest []node) byte {
	if len(rest) == 0 || !isRefType(&rest[0]) {
		failAt(f.pos, "expected the table's type, funcref or externref, after its limits")
	}
	end(rest[1:])
	return valType(&rest[0])
}

// limits reads a minimum and perhaps a maximum.
func limits(f *node, kids []node) ([]byte, []node) {
	if len(kids) == 0 || kids[0].kind != atom {
		failAt(f.pos, "expected the least size and, if wanted, the most")
	}
	if t := kids[0].text; t == "i64" || t == "i32" {
		failAt(kids[0].pos, "index type %s is not supported: memories and tables are indexed by 32 bits, write only their size", t)
	}
	lo := unsigned(&kids[0])
	kids = kids[1:]
	if len(kids) > 0 && kids[0].kind == atom && !isRefType(&kids[0]) {
		if kids[0].text == "shared" {
			failAt(kids[0].pos, "shared memories are not supported")
		}
		return uleb(uleb([]byte{1}, lo), unsigned(&kids[0])), kids[1:]
	}
	return uleb([]byte{0}, lo), kids
}

// globalType is t or (mut t).
func globalType(f *node, kids []node) ([]byte, []node) {
	if len(kids) == 0 {
		failAt(f.pos, "expected the type of the global")
	}
	if kids[0].head() == "mut" {
		if len(kids[0].kids) != 2 {
			failAt(kids[0].pos, "expected (mut TYPE)")
		}
		return []byte{valType(&kids[0].kids[1]), 1}, kids[1:]
	}
	return []byte{valType(&kids[0]), 0}, kids[1:]
}

func (m *module) table(f *node, idx uint32, rest []node) {
	if len(rest) == 0 || !isRefType(&rest[0]) {
		lim, rest := limits(f, rest)
		m.tables.add(append([]byte{refType(f, rest)}, lim...))
		return
	}
	// (table funcref (elem …)): as large as its elements.
	t := valType(&rest[0])
	if len(rest) != 2 || rest[1].head() != "elem" {
		failAt(f.pos, "expected limits before the type, or (elem …) after it")
	}
	s := segment{table: idx, active: true, offset: constZero(), typ: t}
	m.items(&s, rest[1].kids[1:])
	n := uint32(len(s.funcs) + len(s.exprs))
	m.tables.add(uleb(uleb([]byte{t, 1}, n), n))
	m.elems.add(s.encode())
}

func (m *module) memory(f *node, idx uint32, rest []node) {
	if len(rest) == 1 && rest[0].head() == "data" {
		data := stringData(rest[0].kids[1:])
		pages := uint32((len(data) + 65535) / 65536)
		m.memories.add(uleb(uleb([]byte{1}, pages), pages))
		m.datas.add(sized(append(activeData(idx), constZero()...), data))
		return
	}
	lim, rest := limits(f, rest)
	end(rest)
	m.memories.add(lim)
}

// constZero is the expression i32.const 0.
func constZero() []byte { return []byte{0x41, 0, 0x0b} }

// activeData is the beginning of an active data segment (section 5.5.14).
func activeData(memory uint32) []byte {
	if memory == 0 {
		return []byte{0}
	}
	return uleb([]byte{2}, memory)
}

func stringData(kids []node) []byte {
	var b []byte
	for i := range kids {
		b = append(b, kids[i].unescape()...)
	}
	return b
}

// dataField is (data $id? (memory x)? offset? string*); without an offset the
// segment is passive.
func (m *module) dataField(f *node) {
	kids := afterID(f)
	memory := uint32(0)
	if len(kids) > 0 && kids[0].head() == "memory" {
		memory = m.useOf(&kids[0], memories)
		kids = kids[1:]
		if len(kids) == 0 || kids[0].kind != list {
			failAt(f.pos, "expected an offset after the memory")
		}
	}
	if len(kids) == 0 || kids[0].kind != list {
		m.datas.add(sized([]byte{1}, stringData(kids)))
		return
	}
	b := append(activeData(memory), m.offset(&kids[0])...)
	m.datas.add(sized(b, stringData(kids[1:])))
}

// useOf is (memory x) or (table x).
func (m *module) useOf(n *node, sp space) uint32 {
	if len(n.kids) != 2 {
		failAt(n.pos, "expected (%s INDEX)", spaceNames[sp])
	}
	return m.resolve(sp, &n.kids[1])
}

// offset is (offset instr*) or one folded instruction.
func (m *module) offset(n *node) []byte {
	if n.head() == "offset" {
		return m.constant(n.kids[1:])
	}
	return m.constant([]node{*n})
}
