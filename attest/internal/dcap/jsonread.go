// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// jsonReader reads JSON (RFC 8259) once, front to back, into variables of the
// caller's. A fifth of an appraisal went into package encoding/json, which
// reads everything twice and by reflection. It is stricter besides: names are
// exact, none stands twice in an object, and numbers are whole and not negative. What it takes, encoding/json reads as the same; a
// fuzz test holds it to that.
//
// The first error ends it: all methods return zero values from then on.
type jsonReader struct {
	b     []byte
	i     int
	depth int
	err   error
}

// maxJSONDepth bounds nesting; Intel's documents have five levels.
const maxJSONDepth = 16

// maxJSONNames bounds the names in one object; Intel's largest has 18.
const maxJSONNames = 32

func (r *jsonReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s at byte %d", what, r.i)
		r.i = len(r.b)
	}
}

// next gives the first byte that is no white space without taking it, or 0.
func (r *jsonReader) next() byte {
	for ; r.i < len(r.b); r.i++ {
		switch c := r.b[r.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take takes c and says whether it was there.
func (r *jsonReader) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.i++
	return true
}

func (r *jsonReader) must(c byte) {
	if !r.take(c) {
		r.fail("no " + string(rune(c)))
	}
}

// enter takes an opening bracket, if nesting is not too deep.
func (r *jsonReader) enter(c byte) {
	r.must(c)
	if r.depth++; r.depth > maxJSONDepth {
		r.fail("nested too deep")
	}
}

// object reads an object; member reads the value of the name it gets.
func (r *jsonReader) object(member func(name []byte)) {
	r.enter('{')
	var names [maxJSONNames][]byte
	n := 0
	for first := true; r.err == nil && (!first || r.next() != '}'); first = false {
		name := r.text()
		for _, other := range names[:n] {
			if bytes.EqualFold(other, name) {
				r.fail("a name twice")
			}
		}
		if n == maxJSONNames {
			r.fail("too many names")
			break
		}
		names[n] = name
		n++
		r.must(':')
		switch {
		case r.err != nil:
		case r.next() == 'n':
			r.skip() // null: as if the name were not there
		default:
			member(name)
		}
		if !r.take(',') {
			break
		}
	}
	r.must('}')
	r.depth--
}

// array reads an array; element reads one of its values.
func (r *jsonReader) array(element func()) {
	r.enter('[')
	for first := true; r.err == nil && (!first || r.next() != ']'); first = false {
		element()
		if !r.take(',') {
			break
		}
	}
	r.must(']')
	r.depth--
}

// text reads a string. What it returns may be a part of the input.
func (r *jsonReader) text() []byte {
	r.must('"')
	start, plain := r.i, true
	for ; r.i < len(r.b) && r.b[r.i] != '"'; r.i++ {
		switch c := r.b[r.i]; {
		case c == '\\':
			plain = false
			r.i++ // what follows is no end
		case c < 0x20 || c >= 0x80:
			plain = false
		}
	}
	if r.i >= len(r.b) {
		r.fail("a string without end")
		return nil
	}
	s := r.b[start:r.i]
	r.i++
	if plain {
		return s
	}
	var u string
	if err := json.Unmarshal(r.b[start-1:r.i], &u); err != nil {
		r.fail("no string")
		return nil
	}
	return []byte(u)
}

// number reads a whole number up to most.
func (r *jsonReader) number(most uint32) uint32 {
	r.next()
	start, n := r.i, uint64(0)
	for ; r.i < len(r.b) && r.b[r.i] >= '0' && r.b[r.i] <= '9' && n <= math.MaxUint32; r.i++ {
		n = n*10 + uint64(r.b[r.i]-'0')
	}
	switch digits := r.i - start; {
	case digits == 0, digits > 1 && r.b[start] == '0', n > uint64(most), r.i < len(r.b) && bytes.IndexByte([]byte(".eE0123456789"), r.b[r.i]) >= 0:
		r.fail(fmt.Sprintf("no whole number from 0 to %d", most))
		return 0
	}
	return uint32(n)
}

// skip reads a value of any kind.
func (r *jsonReader) skip() {
	switch r.next() {
	case '{':
		r.object(func([]byte) { r.skip() })
	case '[':
		r.array(r.skip)
	case '"':
		r.text()
	default:
		// A number or a word: up to where it must end.
		start := r.i
		for r.i < len(r.b) && bytes.IndexByte([]byte(",]} \t\r\n"), r.b[r.i]) < 0 {
			r.i++
		}
		if !json.Valid(r.b[start:r.i]) {
			r.fail("no value")
		}
	}
}

// end says what was wrong, or that something follows.
func (r *jsonReader) end() error {
	if r.next(); r.err == nil && r.i < len(r.b) {
		r.fail("bytes after the end")
	}
	return r.err
}
