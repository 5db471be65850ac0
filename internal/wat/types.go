// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

// Value types (specification, section 5.3.1 to 5.3.4).
var valTypes = map[string]byte{
	"i32": 0x7f, "i64": 0x7e, "f32": 0x7d, "f64": 0x7c, "funcref": 0x70, "externref": 0x6f,
}

func valType(n *node) byte {
	t, ok := valTypes[n.text]
	if n.kind == atom && n.text == "v128" {
		failAt(n.pos, "vectors (v128) are not supported in text: assemble the module with wat2wasm and use the .wasm file")
	}
	if n.kind != atom || !ok {
		failAt(n.pos, "expected a type (i32, i64, f32, f64, funcref, externref), found %s", n.what())
	}
	return t
}

func isRefType(n *node) bool {
	return n.kind == atom && (n.text == "funcref" || n.text == "externref")
}

// funcType is a signature; params has the names of parameters where given.
type funcType struct {
	params, results []byte
	names           []*node // same length as params, nil where unnamed
}

func (f *funcType) encode() []byte {
	return sized(sized([]byte{0x60}, f.params), f.results)
}

// typeTable is the type section with what finds a signature in it.
type typeTable struct {
	list   []funcType
	names  map[string]uint32
	byCode map[string]uint32
}

func newTypeTable() typeTable {
	return typeTable{names: map[string]uint32{}, byCode: map[string]uint32{}}
}

func (t *typeTable) section() counted {
	var c counted
	for i := range t.list {
		c.add(t.list[i].encode())
	}
	return c
}

func (t *typeTable) add(f funcType) uint32 {
	i := uint32(len(t.list))
	t.list = append(t.list, f)
	// The first of equal types is the one that abbreviations mean.
	code := string(f.encode())
	if _, known := t.byCode[code]; !known {
		t.byCode[code] = i
	}
	return i
}

// find returns the index of a signature, adding it at the end if it is new.
func (t *typeTable) find(f funcType) uint32 {
	if i, ok := t.byCode[string(f.encode())]; ok {
		return i
	}
	return t.add(f)
}

// typeField is (type $id? (func param* result*)).
func (m *module) typeField(n *node) {
	kids := n.kids[1:]
	id := ""
	if len(kids) > 0 && kids[0].isID() {
		id = kids[0].text
		if _, dup := m.types.names[id]; dup {
			failAt(kids[0].pos, "there is already a type %s", quote(id))
		}
		kids = kids[1:]
	}
	if len(kids) != 1 || kids[0].head() != "func" {
		failAt(n.pos, "expected (type (func …))")
	}
	f, rest := signature(kids[0].kids[1:])
	end(rest)
	i := m.types.add(f)
	if id != "" {
		m.types.names[id] = i
	}
}

// end demands that nothing is left.
func end(rest []node) {
	if len(rest) > 0 {
		failAt(rest[0].pos, "unexpected %s", rest[0].what())
	}
}

// signature reads param and result lists and returns what follows them.
func signature(kids []node) (funcType, []node) {
	var f funcType
	for len(kids) > 0 && kids[0].head() == "param" {
		p := kids[0].kids[1:]
		kids = kids[1:]
		if len(p) > 0 && p[0].isID() {
			if len(p) != 2 {
				failAt(p[0].pos, "expected one type after the name of a parameter")
			}
			f.params = append(f.params, valType(&p[1]))
			f.names = append(f.names, &p[0])
			continue
		}
		for i := range p {
			f.params = append(f.params, valType(&p[i]))
			f.names = append(f.names, nil)
		}
	}
	for len(kids) > 0 && kids[0].head() == "result" {
		for i := 1; i < len(kids[0].kids); i++ {
			f.results = append(f.results, valType(&kids[0].kids[i]))
		}
		kids = kids[1:]
	}
	if len(kids) > 0 && kids[0].head() == "param" {
		failAt(kids[0].pos, "parameters must come before results")
	}
	return f, kids
}

// typeUse is (type x)? param* result*: with both, they must agree. explicit
// says that (type x) was there; index is valid only then.
func (m *module) typeUse(kids []node) (f funcType, index uint32, explicit bool, rest []node) {
	if len(kids) == 0 || kids[0].head() != "type" {
		f, rest = signature(kids)
		return f, 0, false, rest
	}
	use := &kids[0]
	if len(use.kids) != 2 {
		failAt(use.pos, "expected (type INDEX)")
	}
	index = m.typeIndex(&use.kids[1])
	written, rest := signature(kids[1:])
	f = m.types.list[index]
	if len(written.params)+len(written.results) > 0 {
		if string(written.encode()) != string(f.encode()) {
			failAt(kids[1].pos, "these parameters and results are not those of type %s", quote(use.kids[1].text))
		}
		f.names = written.names
	} else {
		// Names in the type's own definition are not in scope at its uses.
		f.names = make([]*node, len(f.params))
	}
	return f, index, true, rest
}

func (m *module) typeIndex(n *node) uint32 {
	if n.isID() {
		i, ok := m.types.names[n.text]
		if !ok {
			failAt(n.pos, "there is no type %s", quote(n.text))
		}
		return i
	}
	i := unsigned(n)
	if int64(i) >= int64(len(m.types.list)) {
		failAt(n.pos, "there is no type %d: the module has %d so far", i, len(m.types.list))
	}
	return i
}

// usedType is the index of a type use, adding the type if it is new.
func (m *module) usedType(kids []node) (funcType, uint32, []node) {
	f, i, explicit, rest := m.typeUse(kids)
	if !explicit {
		i = m.types.find(f)
	}
	return f, i, rest
}
