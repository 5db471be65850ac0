// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package enginetest holds what every engine must do alike, as tests that an
// engine's own test calls, and builds the modules for them byte by byte.
package enginetest

import "bytes"

// Section is one section of a module, of up to 2^28 bytes.
func Section(id byte, body ...byte) []byte {
	return append(append([]byte{id}, leb(len(body))...), body...)
}

func leb(n int) []byte {
	var b []byte
	for {
		c := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// Wasm is a module of the given sections.
func Wasm(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

// Body is a function body without locals.
func Body(code ...byte) []byte {
	b := append(append([]byte{0}, code...), 0x0b)
	return append(leb(len(b)), b...)
}

// Code is a code section.
func Code(bodies ...[]byte) []byte {
	return Section(10, append(leb(len(bodies)), bytes.Join(bodies, nil)...)...)
}

// Parts of a module with one function "f" of type () -> ().
var (
	TypeVoid   = Section(1, 1, 0x60, 0, 0)
	OneFunc    = Section(3, 1, 0)
	ExportF    = Section(7, 1, 1, 'f', 0, 0)
	OnePage    = Section(5, 1, 0, 1)
	ImportHost = Section(2, 1, 1, 'm', 1, 'h', 0, 0)
)
