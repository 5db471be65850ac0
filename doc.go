// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package enarx is Enarx in Go: run an unmodified WebAssembly program on a
// machine you do not trust, inside a Trusted Execution Environment, and know
// that you did.
package enarx
