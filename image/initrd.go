// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"fmt"
	"path"

	"github.com/enarx/enarx-go/image/cpio"
	"github.com/enarx/enarx-go/internal/guestport"
)

// initrd makes the initial RAM file system and returns the names of the
// modules in it. It is not compressed: the kernel needs no time for it, and no
// compressor's version enters the measurement.
func initrd(keep []byte, modules []moduleFile) ([]byte, []string, error) {
	entries := []cpio.Entry{
		{Name: "dev", Mode: cpio.Dir | 0o755},
		// The kernel opens the console for the first process, and Go's runtime
		// wants three open descriptors, before anything is mounted.
		{Name: "dev/console", Mode: cpio.Char | 0o600, Major: 5, Minor: 1},
		{Name: "dev/null", Mode: cpio.Char | 0o666, Major: 1, Minor: 3},
		{Name: "init", Mode: cpio.Regular | 0o755, Data: keep},
	}
	dir := path.Base(guestport.ModulesDir)
	entries = append(entries, cpio.Entry{Name: dir, Mode: cpio.Dir | 0o755})
	var names []string
	for i, m := range modules {
		name := fmt.Sprintf("%02d-%s", i, m.base)
		names = append(names, name)
		entries = append(entries, cpio.Entry{Name: dir + "/" + name, Mode: cpio.Regular | 0o444, Data: m.data})
	}
	for _, name := range []string{"proc", "run", "sys", "tmp"} {
		entries = append(entries, cpio.Entry{Name: name, Mode: cpio.Dir | 0o755})
	}
	var b bytes.Buffer
	b.Grow(len(keep) + 1<<20)
	if err := cpio.Write(&b, entries); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), names, nil
}
