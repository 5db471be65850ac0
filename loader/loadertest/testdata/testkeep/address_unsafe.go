// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "unsafe"

// held keeps what was given to the kernel by address alive.
var held []*byte

func address(p *byte) uintptr {
	held = append(held, p)
	return uintptr(unsafe.Pointer(p))
}
