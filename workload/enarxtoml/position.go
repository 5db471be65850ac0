// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positions knows where the keys and values of a TOML text are. The stable
// interface of the TOML library gives values without positions; its unstable
// one, which can change with any release and is used in this file only, gives
// positions. A position that is not found falls back to the enclosing one, so
// a mistake here makes a message less exact and nothing else.
type positions struct {
	data   []byte
	keys   map[string]uint32 // offset of the first mention of a key
	values map[string]uint32
	arrays map[string]int // array tables and how many elements they have so far
	count  int            // table headers and key = value pairs, at every depth
}

// locate records the positions of a text, up to its first error of syntax.
func locate(data []byte) *positions {
	x := &positions{data: data, keys: map[string]uint32{}, values: map[string]uint32{}, arrays: map[string]int{}}
	var p unstable.Parser
	p.Reset(data)
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			x.count++
			table = x.table(e)
		case unstable.KeyValue:
			x.count += pairs(e)
			x.keyValue(table, e)
		}
	}
	return x
}

// pairs counts the key = value pairs in n. The parser bounds the depth.
func pairs(n *unstable.Node) int {
	count := 0
	if n.Kind == unstable.KeyValue {
		count = 1
	}
	for it := n.Children(); it.Next(); {
		count += pairs(it.Node())
	}
	return count
}

func join(path []string) string { return strings.Join(path, "\x00") }

// table records a table header and gives its path, with the index of the
// latest element after each array table on the way.
func (x *positions) table(e *unstable.Node) []string {
	var path []string
	for it := e.Key(); it.Next() && len(path) < maxDepth; {
		n := it.Node()
		path = append(path, string(n.Data))
		x.key(path, n)
		at := join(path)
		if e.Kind == unstable.ArrayTable && it.IsLast() {
			path = append(path, strconv.Itoa(x.arrays[at]))
			x.key(path, n)
			x.arrays[at]++
		} else if n, ok := x.arrays[at]; ok {
			path = append(path, strconv.Itoa(n-1))
		}
	}
	return path
}

func (x *positions) keyValue(table []string, e *unstable.Node) {
	path := slices.Clone(table)
	for it := e.Key(); it.Next(); {
		if len(path) >= maxDepth {
			return
		}
		path = append(path, string(it.Node().Data))
		x.key(path, it.Node())
	}
	x.value(path, e.Value())
}

func (x *positions) value(path []string, n *unstable.Node) {
	if n.Raw.Length > 0 {
		x.values[join(path)] = n.Raw.Offset
	}
	if len(path) >= maxDepth {
		return
	}
	i := 0
	for it := n.Children(); it.Next(); i++ {
		switch {
		case n.Kind == unstable.Array:
			x.value(append(slices.Clone(path), strconv.Itoa(i)), it.Node())
		case n.Kind == unstable.InlineTable && it.Node().Kind == unstable.KeyValue:
			x.keyValue(path, it.Node())
		}
	}
}

func (x *positions) key(path []string, n *unstable.Node) {
	at := join(path)
	if _, ok := x.keys[at]; !ok && n.Raw.Length > 0 {
		x.keys[at] = n.Raw.Offset
	}
}

// find gives line and column of the value at path, of its key if the value has
// no position or the key is wanted, or of what encloses it.
func (x *positions) find(path []string, key bool) (line, col int) {
	for n := len(path); n > 0; n-- {
		at := join(path[:n])
		if off, ok := x.values[at]; ok && !key {
			return x.lineCol(off)
		}
		if off, ok := x.keys[at]; ok {
			return x.lineCol(off)
		}
	}
	return 1, 1
}

func (x *positions) lineCol(off uint32) (line, col int) {
	before := x.data[:min(int(off), len(x.data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}
