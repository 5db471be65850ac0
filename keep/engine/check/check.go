// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package check is what every engine does with a module before its compiler
// sees it, and with what the module imports before it runs: bounds, and the
// words for what does not fit. A module is hostile input like any other.
//
//	if err := check.Module(wasm); err != nil { ... }
//	wanted, err := check.Match(imports, host)
package check

import (
	"errors"
	"fmt"

	"github.com/enarx/enarx-go/keep/engine"
)

// Module walks the sections of a module (WebAssembly core specification,
// section 5.5) and bounds every count in them. It does not validate: the
// compiler does that. It exists because the compiler allocates by a count
// before it has seen the elements, and a Go program that runs out of memory
// cannot recover.
func Module(wasm []byte) error {
	if len(wasm) > maxModuleBytes {
		return fmt.Errorf("module has %d bytes, at most %d are allowed", len(wasm), maxModuleBytes)
	}
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		return engine.ErrNotWasm
	}
	switch string(wasm[4:8]) {
	case "\x01\x00\x00\x00":
	case "\x0d\x00\x01\x00":
		return errors.New("this is a WebAssembly component, not a core module; build for wasm32-wasip1 instead")
	default:
		return fmt.Errorf("module has binary version %#x, only version 1 is supported", wasm[4:8])
	}
	c := checker{}
	for rest := wasm[8:]; len(rest) > 0; {
		r := reader{b: rest}
		id := r.byte()
		size := r.u32()
		body := r.take(size)
		if r.bad {
			return fmt.Errorf("module is truncated: a section of kind %d at byte %d runs past the end", id, len(wasm)-len(rest))
		}
		if err := c.section(id, body); err != nil {
			return fmt.Errorf("section of kind %d at byte %d: %w", id, len(wasm)-len(rest), err)
		}
		rest = r.b
	}
	return nil
}

// checker carries what must be bounded over the whole module.
type checker struct {
	tableElements uint64
}

// section bounds one section's counts.
func (c *checker) section(id byte, body []byte) error {
	r := &reader{b: body}
	var err error
	switch id {
	case 0:
		err = customSection(r)
	case 1:
		err = r.each("types", maxTypes, funcType)
	case 2:
		err = r.each("imports", maxImports, c.importEntry)
	case 3:
		err = r.each("functions", maxFunctions, func(r *reader) error { r.u32(); return nil })
	case 4:
		err = r.each("tables", maxTables, c.table)
	case 6:
		err = r.each("globals", maxGlobals, func(r *reader) error { r.valType(); r.byte(); return r.constExpr() })
	case 7:
		err = r.each("exports", maxExports, func(r *reader) error { r.name(); r.byte(); r.u32(); return nil })
	case 9:
		err = r.each("element segments", maxSegments, elementSegment)
	case 10:
		err = r.each("function bodies", maxFunctions, functionBody)
	case 11:
		err = r.each("data segments", maxSegments, dataSegment)
	case 13:
		err = r.each("tags", maxTags, func(r *reader) error { r.byte(); r.u32(); return nil })
	default:
		// Memories, start and data count have no vectors of their own that
		// the compiler would allocate by; unknown kinds it refuses.
		return nil
	}
	if err != nil {
		return err
	}
	if r.bad {
		return errors.New("it ends in the middle of an entry")
	}
	return nil
}

func funcType(r *reader) error {
	if form := r.byte(); form != 0x60 && !r.bad {
		return fmt.Errorf("type of form %#x is not supported, only functions (0x60) are", form)
	}
	if err := r.each("parameters", maxParams, func(r *reader) error { r.valType(); return nil }); err != nil {
		return err
	}
	return r.each("results", maxResults, func(r *reader) error { r.valType(); return nil })
}

func (c *checker) importEntry(r *reader) error {
	r.name()
	r.name()
	switch kind := r.byte(); kind {
	case 0:
		r.u32()
	case 1:
		return c.table(r)
	case 2:
		r.limits()
	case 3:
		r.valType()
		r.byte()
	case 4:
		r.byte()
		r.u32()
	default:
		if !r.bad {
			return fmt.Errorf("import of unknown kind %d", kind)
		}
	}
	return nil
}

func (c *checker) table(r *reader) error {
	if len(r.b) > 0 && r.b[0] == 0x40 {
		// A table with an initial value: 0x40 0x00 type limits expression.
		r.byte()
		r.byte()
		r.valType()
		c.tableElements += uint64(r.limits())
		if err := r.constExpr(); err != nil {
			return err
		}
	} else {
		r.valType()
		c.tableElements += uint64(r.limits())
	}
	if c.tableElements > MaxTableElements {
		return fmt.Errorf("tables begin with %d elements together, at most %d are allowed", c.tableElements, MaxTableElements)
	}
	return nil
}

func elementSegment(r *reader) error {
	flags := r.u32()
	if flags > 7 {
		return fmt.Errorf("element segment with unknown flags %#x", flags)
	}
	if flags&1 == 0 { // active
		if flags&2 != 0 {
			r.u32()
		}
		if err := r.constExpr(); err != nil {
			return err
		}
	}
	if flags&4 != 0 {
		if flags&3 != 0 {
			r.valType()
		}
		return r.each("elements", MaxTableElements, (*reader).constExpr)
	}
	if flags&3 != 0 {
		r.byte()
	}
	return r.each("elements", MaxTableElements, func(r *reader) error { r.u32(); return nil })
}

func functionBody(r *reader) error {
	size := r.u32()
	if size > maxFunctionBytes {
		return fmt.Errorf("function has %d bytes of code, at most %d are allowed", size, maxFunctionBytes)
	}
	body := &reader{b: r.take(size)}
	if r.bad {
		return nil
	}
	var locals uint64
	err := body.each("groups of locals", maxLocals, func(r *reader) error {
		locals += uint64(r.u32())
		r.valType()
		return nil
	})
	switch {
	case err != nil:
		return err
	case body.bad:
		return errors.New("function body ends in its locals")
	case locals > maxLocals:
		return fmt.Errorf("function has %d locals, at most %d are allowed", locals, maxLocals)
	}
	return instructions(body)
}

func dataSegment(r *reader) error {
	flags := r.u32()
	if flags > 2 {
		return fmt.Errorf("data segment with unknown flags %#x", flags)
	}
	if flags == 2 {
		r.u32()
	}
	if flags != 1 {
		if err := r.constExpr(); err != nil {
			return err
		}
	}
	r.take(r.u32())
	return nil
}

// customSection looks into the name section, the only custom section that the
// compiler decodes.
func customSection(r *reader) error {
	if string(r.take(r.u32())) != "name" {
		r.b = nil
		return nil
	}
	for len(r.b) > 0 && !r.bad {
		id := r.byte()
		sub := &reader{b: r.take(r.u32())}
		if r.bad {
			return nil
		}
		var err error
		switch id {
		case 0:
			sub.name()
		case 1:
			err = sub.each("function names", maxNames, nameAssoc)
		case 2:
			err = sub.each("functions with named locals", maxNames, func(r *reader) error {
				r.u32()
				return r.each("local names", maxNames, nameAssoc)
			})
		}
		if err != nil {
			return err
		}
		if sub.bad {
			return errors.New("name section ends in the middle of a name")
		}
	}
	return nil
}

func nameAssoc(r *reader) error {
	r.u32()
	r.name()
	return nil
}

// reader takes values off the front of b. A read past the end sets bad and
// gives zero from then on.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) take(n uint32) []byte {
	if r.bad || uint64(n) > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// u32 reads an unsigned LEB128 number of at most 32 bits (section 5.2.2).
func (r *reader) u32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if shift == 28 && b&0xf0 != 0 {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b&0x80 == 0 {
			return v
		}
	}
	r.bad, r.b = true, nil
	return 0
}

// skipSigned skips a signed LEB128 number of at most max bytes.
func (r *reader) skipSigned(max int) {
	for i := 0; i < max; i++ {
		if r.byte()&0x80 == 0 {
			return
		}
	}
	r.bad, r.b = true, nil
}

func (r *reader) name() { r.take(r.u32()) }

// valType skips a value type: one byte, or a reference with its heap type.
func (r *reader) valType() {
	if b := r.byte(); b == 0x63 || b == 0x64 {
		r.skipSigned(5)
	}
}

// limits skips limits and returns the minimum.
func (r *reader) limits() uint32 {
	flags := r.byte()
	least := r.u32()
	if flags&1 != 0 {
		r.u32()
	}
	return least
}

// constExpr skips a constant expression (section 3.3.10).
func (r *reader) constExpr() error {
	for !r.bad {
		switch op := r.byte(); op {
		case 0x0b:
			return nil
		case 0x41:
			r.skipSigned(5)
		case 0x42:
			r.skipSigned(10)
		case 0x43:
			r.take(4)
		case 0x44:
			r.take(8)
		case 0x23, 0xd2:
			r.u32()
		case 0xd0:
			r.skipSigned(5)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e:
		case 0xfd:
			if r.u32() != 12 {
				return errors.New("constant expression with a vector instruction other than v128.const")
			}
			r.take(16)
		default:
			if !r.bad {
				return fmt.Errorf("constant expression with instruction %#x", op)
			}
		}
	}
	return nil
}

// each reads a count and calls f that often. The count is bounded by limit and
// by the bytes that are left, because every entry has at least one.
func (r *reader) each(what string, limit uint32, f func(*reader) error) error {
	n := r.u32()
	if n > limit {
		return fmt.Errorf("%d %s, at most %d are allowed", n, what, limit)
	}
	if uint64(n) > uint64(len(r.b)) {
		return fmt.Errorf("%d %s are announced, but only %d bytes follow", n, what, len(r.b))
	}
	for i := uint32(0); i < n && !r.bad; i++ {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}
