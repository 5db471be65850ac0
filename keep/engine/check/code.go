// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
)

// instructions goes through the code of a function (WebAssembly core
// specification, section 5.4) for the depth of its blocks and the length of
// its branch tables, and refuses what it does not know.
func instructions(r *reader) error {
	for depth := 0; len(r.b) > 0; {
		if r.b = skipPlain(r.b); len(r.b) == 0 {
			break
		}
		switch op := r.byte(); op {
		case 0x02, 0x03, 0x04: // block, loop, if: a block type
			if depth++; depth > maxNesting {
				return fmt.Errorf("function has blocks nested more than %d deep", maxNesting)
			}
			r.blockType()
		case 0x0b:
			depth--
		case 0x0e: // br_table
			if err := r.each("branch targets", maxFunctionBytes, func(r *reader) error { r.u32(); return nil }); err != nil {
				return err
			}
			r.u32()
		case 0x1c: // select with types
			if err := r.each("types of a select", maxResults, func(r *reader) error { r.valType(); return nil }); err != nil {
				return err
			}
		default:
			if !r.immediates(op) {
				return fmt.Errorf("function has instruction %#x, which is not supported", op)
			}
		}
		if r.bad {
			return errors.New("function ends in the middle of an instruction")
		}
	}
	return nil
}

// skipPlain skips the instructions at the front of b that have nothing to
// bound and whose immediates are numbers of at most five bytes, whole ones
// only. It does nothing that the caller's own loop would not do, but faster: a
// module is checked on every start, also when its code is cached.
func skipPlain(b []byte) []byte {
	for len(b) > 11 { // the longest: an opcode and two numbers
		n := 1
		switch numbers[b[0]] {
		case 0:
			return b
		case 2:
			n += number(b[n:])
			if n == 1 {
				return b
			}
		case 3:
			m := number(b[n:])
			n += m + number(b[n+m:])
			if m == 0 || n == 1+m {
				return b
			}
		}
		b = b[n:]
	}
	return b
}

// number is how many bytes the LEB128 number at the front of b takes, 0 if more
// than four: whether a fifth byte is right depends on the kind of number.
func number(b []byte) int {
	_ = b[3]
	switch {
	case b[0] < 0x80:
		return 1
	case b[1] < 0x80:
		return 2
	case b[2] < 0x80:
		return 3
	case b[3] < 0x80:
		return 4
	}
	return 0
}

// numbers is, for the instructions that skipPlain knows, how many numbers
// follow, and one.
var numbers = func() (n [256]byte) {
	for op := range n {
		switch {
		case op <= 0x01, op == 0x05, op == 0x0f, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4:
			n[op] = 1
		case op == 0x0c, op == 0x0d, op == 0x10, op >= 0x20 && op <= 0x24, op == 0x41, op == 0x42:
			n[op] = 2
		case op >= 0x28 && op <= 0x3e:
			n[op] = 3
		}
	}
	return n
}()

// blockType skips a type index, or a single byte or reference type.
func (r *reader) blockType() {
	if len(r.b) > 0 && (r.b[0] == 0x63 || r.b[0] == 0x64) {
		r.valType()
		return
	}
	r.skipSigned(5)
}

// immediates skips what follows an instruction; false for an unknown one.
func (r *reader) immediates(op byte) bool {
	switch {
	case op == 0xfc:
		return r.prefixFC()
	case op == 0xfd:
		return r.prefixFD()
	case op <= 0x01, op == 0x05, op == 0x0f, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
	case op == 0x0c, op == 0x0d, op == 0x10, op == 0x12, op >= 0x20 && op <= 0x26, op == 0x3f, op == 0x40, op == 0xd2:
		r.u32()
	case op == 0x11, op == 0x13:
		r.u32()
		r.u32()
	case op >= 0x28 && op <= 0x3e:
		r.memArg()
	case op == 0x41, op == 0xd0:
		r.skipSigned(5)
	case op == 0x42:
		r.skipSigned(10)
	case op == 0x43:
		r.take(4)
	case op == 0x44:
		r.take(8)
	default:
		return false
	}
	return true
}

// memArg skips alignment and offset of a memory access.
func (r *reader) memArg() {
	r.u32()
	r.u32()
}

// prefixFC skips saturating truncation (0 to 7), bulk memory and table
// instructions.
func (r *reader) prefixFC() bool {
	switch op := r.u32(); op {
	case 0, 1, 2, 3, 4, 5, 6, 7:
	case 9, 11, 13, 15, 16, 17:
		r.u32()
	case 8, 10, 12, 14:
		r.u32()
		r.u32()
	default:
		return false
	}
	return true
}

// prefixFD skips vector instructions.
func (r *reader) prefixFD() bool {
	switch op := r.u32(); {
	case op <= 11, op == 92, op == 93:
		r.memArg()
	case op == 12, op == 13:
		r.take(16)
	case op >= 21 && op <= 34:
		r.byte()
	case op >= 84 && op <= 91:
		r.memArg()
		r.byte()
	case op > 255:
		return false // relaxed vectors, which this engine does not have
	}
	return true
}
