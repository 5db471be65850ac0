// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !enarx_wasmtime || !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "engine: this is a part of a Keep with Wasmtime and was built without it; see scripts/build")
	os.Exit(2)
}
