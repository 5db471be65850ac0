// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package wasmtime runs modules on Wasmtime, an engine written in Rust, through
// its C library, which is linked statically. It compiles to code that is about
// twice as fast as wazero's, and it takes more time to compile.
//
// It is built with cgo and the tag enarx_wasmtime only, and needs the library
// and its headers; scripts/wasmtime says where they are:
//
//	eval "$(scripts/wasmtime)" && go test -tags enarx_wasmtime ./keep/engine/wasmtime
//
// [New] makes an engine; see package engine for its use. Modules may use what
// they may use on wazero, so that a module which runs here runs there, and the
// errors are in the same words. The difference is in calls out of the guest:
// entering Go from foreign code costs more than on wazero, so the frequent ones
// are answered in C, with what engine.Quick says (quick.c).
//
// An instance runs on the thread that calls it. There is no way to stop it
// from outside other than to end its process.
//
// The library is the work of the Bytecode Alliance, built by them; this
// repository pins its bytes by go.sum and does not build it. That is the price
// of its speed: docs/engines.md.
package wasmtime

// Version is the version of the engine that this package was written for; a
// test holds it to the library and to go.mod.
const Version = "v39.0.1"
