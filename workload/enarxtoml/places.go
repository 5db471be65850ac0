// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import "github.com/enarx/enarx-go/workload"

// defaultScratchFiles is how many files a scratch directory may have that does
// not say.
const defaultScratchFiles = 4096

// readScratch reads the directories that the workload can write.
func (d *Doc) readScratch(t table) {
	for _, s := range t.subs("scratch") {
		if s.m == nil {
			continue
		}
		s.keys(" in scratch", scratchKeys...)
		x := workload.Scratch{Files: defaultScratchFiles}
		x.Path, _ = s.str("guest")
		for _, key := range []string{"guest", "size"} {
			if _, there := s.m[key]; !there {
				s.r.bad(s.path, "a scratch directory without %s; expected guest = \"/PATH\" and size = \"64MiB\"", key)
			}
		}
		x.Bytes = s.amount("size", ParseSize)
		if n, ok := s.count("files"); ok {
			x.Files = n
		}
		d.config.Scratch = append(d.config.Scratch, x)
	}
}
