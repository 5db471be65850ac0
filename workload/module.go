// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"fmt"
)

// CheckModule says, for people and before anything else is done, whether b
// looks like something that can go into a bundle as its module: a WebAssembly
// binary (core specification, section 5.5.16, or a component). It reads the
// first eight bytes; whether the rest is valid is for the engine to say.
func CheckModule(b []byte) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("the module is empty; expected a WebAssembly binary (.wasm)")
	case len(b) > MaxModuleSize:
		return fmt.Errorf("the module has %d bytes, at most %d are allowed", len(b), MaxModuleSize)
	case IsBundle(b):
		return fmt.Errorf("the module is a bundle already; run or deploy it as it is")
	case bytes.HasPrefix(b, []byte("\x7fELF")), bytes.HasPrefix(b, []byte("#!")):
		return fmt.Errorf("the module is a program of this machine; build it for WebAssembly (for example GOOS=wasip1 GOARCH=wasm)")
	case !bytes.HasPrefix(b, []byte("\x00asm")):
		return fmt.Errorf("the module begins with %q; expected a WebAssembly binary, which begins with \"\\x00asm\"", b[:min(len(b), 4)])
	case len(b) < 8:
		return fmt.Errorf("the module has %d bytes; a WebAssembly binary has at least 8", len(b))
	}
	return nil
}
