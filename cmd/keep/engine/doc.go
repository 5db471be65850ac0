// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Command engine is the program of the engine child in a Keep that is built
// with Wasmtime. It is never installed: scripts/build links it statically with
// the C library and puts it into the Keep's ELF (tag enarx_wasmtime), whose
// engine child becomes it after it has given up its power. It does what package
// keep/child says, and is part of the trusted computing base of that Keep alone.
package main
