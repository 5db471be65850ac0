// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

// Assemble translates the text of one module to its binary form. The error,
// if any, is an *Error.
func Assemble(src []byte) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(fault)
			if !ok {
				panic(r)
			}
			out, err = nil, place(src, f)
		}
	}()
	if len(src) > maxSource {
		failAt(0, "the text has %d bytes, the most accepted is %d: assemble it with a tool made for large files, such as wat2wasm, and use the .wasm file", len(src), maxSource)
	}
	r := reader{src: string(src)}
	m := newModule()
	m.fields(moduleFields(m, r.read()))
	return m.binary(), nil
}

// IsText says that b looks like WebAssembly text: the first thing in it that
// is neither white space nor comment is a parenthesis.
func IsText(b []byte) (is bool) {
	defer func() {
		if recover() != nil { // an endless comment
			is = false
		}
	}()
	r := reader{src: string(b[:min(len(b), maxSource)])}
	r.space()
	return r.pos < len(r.src) && r.src[r.pos] == '('
}

// moduleFields unwraps (module $id? field*), which may be left out around the
// fields (section 6.6.13).
func moduleFields(m *module, top []node) []node {
	if len(top) == 0 {
		failAt(0, "there is no module in this text")
	}
	if top[0].head() != "module" {
		return top
	}
	if len(top) > 1 {
		failAt(top[1].pos, "expected the end of the text after the module, found %s", top[1].what())
	}
	kids := top[0].kids[1:]
	if len(kids) > 0 && kids[0].isID() {
		m.name = kids[0].text[1:]
		kids = kids[1:]
	}
	if len(kids) > 0 && kids[0].kind == atom {
		failAt(kids[0].pos, "expected a field such as (func …), found %s", kids[0].what())
	}
	return kids
}

// space is an index space: a name stands for the number of a thing of a kind.
type space int

const (
	funcs space = iota
	tables
	memories
	globals
	elems
	datas
	spaceCount
)

// spaceNames are the kinds as users write them.
var spaceNames = [spaceCount]string{"function", "table", "memory", "global", "element segment", "data segment"}

// indexSpace holds the names of one space.
type indexSpace struct {
	byName  map[string]uint32
	byIndex []string
}

// module collects the sections while the fields are gone through.
type module struct {
	name   string
	types  typeTable
	spaces [spaceCount]indexSpace

	imports, functions, tables, memories, globals, exports, elems, code, datas counted

	start         *node
	usesDataCount bool
	// next is the index of the next field of each space in the second pass.
	next [spaceCount]uint32
}

func newModule() *module {
	m := &module{types: newTypeTable()}
	for i := range m.spaces {
		m.spaces[i].byName = map[string]uint32{}
	}
	return m
}

// fields goes through the module three times: explicit types first, since any
// use may come before them; then the names of everything; then the contents.
func (m *module) fields(fields []node) {
	for i := range fields {
		if fields[i].head() == "type" {
			m.typeField(&fields[i])
		}
	}
	m.declare(fields)
	for i := range fields {
		m.field(&fields[i])
	}
}

// declare gives every import and definition its index and name. Imports come
// first in each index space, which the text format ensures by their position.
func (m *module) declare(fields []node) {
	var defined *node
	for i := range fields {
		f := &fields[i]
		sp, imported := declares(f)
		if sp < 0 {
			continue
		}
		switch {
		case imported && defined != nil:
			failAt(f.pos, "imports must come before all functions, tables, memories and globals")
		case !imported && sp <= globals:
			defined = f
		}
		decl := f
		if f.head() == "import" {
			decl = &f.kids[3]
		}
		m.spaces[sp].declare(spaceNames[sp], decl)
		// An abbreviation declares a segment of its own behind the others'.
		if sp == tables && !imported && inlineSegment(f, "elem") {
			m.spaces[elems].byIndex = append(m.spaces[elems].byIndex, "")
		}
		if sp == memories && !imported && inlineSegment(f, "data") {
			m.spaces[datas].byIndex = append(m.spaces[datas].byIndex, "")
		}
	}
}

// declares says into which space a field goes (-1: none) and whether it is an
// import.
func declares(f *node) (space, bool) {
	head, imported := f.head(), false
	if head == "import" {
		if len(f.kids) != 4 || f.kids[3].kind != list {
			failAt(f.pos, "expected (import \"module\" \"name\" (func …)) or another kind of import")
		}
		head, imported = f.kids[3].head(), true
	}
	for _, k := range f.kids {
		if k.head() == "import" {
			imported = true
		}
	}
	switch head {
	case "func":
		return funcs, imported
	case "table":
		return tables, imported
	case "memory":
		return memories, imported
	case "global":
		return globals, imported
	case "elem":
		return elems, false
	case "data":
		return datas, false
	}
	if f.head() == "import" {
		failAt(f.kids[3].pos, "unknown kind of import %s: expected func, table, memory or global", f.kids[3].what())
	}
	return -1, false
}

func inlineSegment(f *node, head string) bool {
	for _, k := range f.kids {
		if k.head() == head {
			return true
		}
	}
	return false
}

// declare takes the identifier after the keyword, if there is one.
func (s *indexSpace) declare(what string, n *node) {
	id := ""
	if len(n.kids) > 1 && n.kids[1].isID() {
		id = n.kids[1].text
		if _, dup := s.byName[id]; dup {
			failAt(n.kids[1].pos, "there is already a %s %s", what, quote(id))
		}
		s.byName[id] = uint32(len(s.byIndex))
	}
	s.byIndex = append(s.byIndex, id)
}

// resolve turns a name or number into an index.
func (m *module) resolve(sp space, n *node) uint32 {
	if n.isID() {
		i, ok := m.spaces[sp].byName[n.text]
		if !ok {
			failAt(n.pos, "there is no %s %s", spaceNames[sp], quote(n.text))
		}
		return i
	}
	return unsigned(n)
}

// isIndex says that n can be an index.
func isIndex(n *node) bool {
	if n.isID() {
		return true
	}
	_, ok := unsignedText(n.text)
	return n.kind == atom && ok
}
