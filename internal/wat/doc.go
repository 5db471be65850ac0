// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package wat turns WebAssembly text (".wat") into a binary module, so that
// `enarx run hello.wat` needs no other tool.
//
// [Assemble] takes the text format of the WebAssembly core specification,
// section 6: the version 2.0 instructions without vectors, flat and folded,
// with every abbreviation of section 6 (inline imports, exports, data and
// element segments, type uses). It checks what it must in order to translate:
// syntax, names, literals and type uses. Whether the module is valid (the
// types on the stack, indices within range) is for the engine in the Keep,
// which checks every module whatever it came from.
//
// The output is what wabt's wat2wasm writes, byte for byte, except that names
// of functions are kept in a "name" section for the owner's stack traces. Equal
// text gives equal bytes. Errors are [*Error] with line and column. Sizes and
// nesting are bounded (limits.go).
//
// Text is assembled at the client only; no Keep contains this package.
package wat
