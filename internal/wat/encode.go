// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

import (
	"bytes"
	"encoding/binary"
)

// Section numbers (specification, section 5.5.2).
const (
	secCustom    = 0
	secType      = 1
	secImport    = 2
	secFunction  = 3
	secTable     = 4
	secMemory    = 5
	secGlobal    = 6
	secExport    = 7
	secStart     = 8
	secElement   = 9
	secCode      = 10
	secData      = 11
	secDataCount = 12
)

// External kinds (section 5.5.5).
const (
	extFunc   = 0
	extTable  = 1
	extMemory = 2
	extGlobal = 3
)

// uleb appends v in LEB128.
func uleb(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

// sleb appends v in signed LEB128.
func sleb(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// sized appends data with its length before it.
func sized(b, data []byte) []byte { return append(uleb(b, uint32(len(data))), data...) }

// counted is the content of a section that is a vector.
type counted struct {
	n    uint32
	body []byte
}

func (c *counted) add(item []byte) {
	c.n++
	c.body = append(c.body, item...)
}

// section appends a vector section, or nothing if it is empty.
func section(b []byte, id byte, c counted) []byte {
	if c.n == 0 {
		return b
	}
	return rawSection(b, id, append(uleb(nil, c.n), c.body...))
}

func rawSection(b []byte, id byte, content []byte) []byte {
	return sized(append(b, id), content)
}

// binary puts the sections together in the order of section 5.5.15.
func (m *module) binary() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = section(b, secType, m.types.section())
	b = section(b, secImport, m.imports)
	b = section(b, secFunction, m.functions)
	b = section(b, secTable, m.tables)
	b = section(b, secMemory, m.memories)
	b = section(b, secGlobal, m.globals)
	b = section(b, secExport, m.exports)
	if m.start != nil {
		b = rawSection(b, secStart, uleb(nil, m.resolve(funcs, m.start)))
	}
	b = section(b, secElement, m.elems)
	if m.usesDataCount && m.datas.n > 0 {
		b = rawSection(b, secDataCount, uleb(nil, m.datas.n))
	}
	b = section(b, secCode, m.code)
	b = section(b, secData, m.datas)
	return m.nameSection(b)
}

// nameSection keeps the names of module and functions (appendix, "Name
// Section"): what a stack trace can show to the workload's owner.
func (m *module) nameSection(b []byte) []byte {
	var sub []byte
	if m.name != "" {
		sub = append(sub, 0)
		sub = sized(sub, sized(nil, []byte(m.name)))
	}
	var names counted
	for i, id := range m.spaces[funcs].byIndex {
		if id != "" {
			names.add(sized(uleb(nil, uint32(i)), []byte(id[1:])))
		}
	}
	if names.n > 0 {
		sub = append(sub, 1)
		sub = sized(sub, append(uleb(nil, names.n), names.body...))
	}
	if len(sub) == 0 {
		return b
	}
	return rawSection(b, secCustom, bytes.Join([][]byte{sized(nil, []byte("name")), sub}, nil))
}
