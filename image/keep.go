// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"regexp"
)

// keepLine is what `keep version` prints. It is one constant string of the
// Keep runtime, so that it can be found in the file without running it, on
// whatever machine.
var keepLine = regexp.MustCompile(`keep ([0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}(?:-[0-9a-z.]{1,20})?), ([a-z]{2,20} v[0-9.]{1,20})\n`)

// describeKeep says which release a Keep runtime is and which engine is in it.
func describeKeep(b []byte) (release, engine string, err error) {
	info, err := buildinfo.Read(bytes.NewReader(b))
	if err != nil {
		return "", "", fmt.Errorf("the Keep runtime is no Go program: %w", err)
	}
	m := keepLine.FindSubmatch(b)
	if m == nil {
		return "", "", fmt.Errorf("the Keep runtime is the Go program %s, which does not say which release it is", info.Path)
	}
	return string(m[1]), string(m[2]), nil
}

// checkKeep demands what the kernel can start as the first process: a static
// ELF for this architecture.
func checkKeep(b []byte) error {
	if len(b) > maxKeep {
		return fmt.Errorf("the Keep runtime has %d bytes, the most accepted is %d", len(b), maxKeep)
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("the Keep runtime is no ELF: %w", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("the Keep runtime is made for %v, expected %v", f.Machine, elf.EM_X86_64)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("the Keep runtime is linked dynamically, and the image has no libraries; build it with CGO_ENABLED=0")
		}
	}
	return nil
}
