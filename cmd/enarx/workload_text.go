// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// maxShownFiles bounds the list of files for people; --json has them all.
const maxShownFiles = 20

// text shows a bundle to a person. Names and values come from whoever made the
// bundle, so each is quoted or made harmless.
func (b *bundleInfo) text() string {
	var s strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "%-13s%s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
	row("digest", "%s", b.Digest)
	row("size", "%s", formatBytes(uint64(b.Size)))
	if b.Confidential {
		row("confidential", "yes: refuses to run where the host can see inside")
	} else {
		row("confidential", "no")
	}
	if b.Evidence {
		row("evidence", "may ask for evidence over bytes of its own")
	}
	row("arguments", "%s", quoteAll(b.Args))
	for _, e := range b.Env {
		row("variable", "%s=%s", e.Name, strconv.Quote(e.Value))
	}
	for _, d := range b.Descriptors {
		row("descriptor", "%s", d.text())
	}
	for _, x := range b.Secrets {
		where := "variable " + x.Env
		if x.Path != "" {
			where = "file " + x.Path
		}
		row("secret", "%s as %s", x.Name, where)
	}
	for _, x := range b.Scratch {
		row("scratch", "%s  at most %s in %d files", x.Path, formatBytes(x.Bytes), x.Files)
	}
	if b.MemoryBytes != 0 {
		row("memory", "at most %s", formatBytes(b.MemoryBytes))
	}
	if b.TimeoutMS != 0 {
		row("time", "at most %s", time.Duration(b.TimeoutMS)*time.Millisecond)
	}
	if b.Steward != "" {
		row("steward", "%s (kept, never obeyed)", b.Steward)
	}
	for i, f := range b.Files {
		if i == maxShownFiles {
			row("", "… and %d more; --json lists them all", len(b.Files)-i)
			break
		}
		if f.Dir {
			row("directory", "%s", f.Path)
		} else {
			row("file", "%s  %s", f.Path, formatBytes(uint64(f.Size)))
		}
	}
	for _, r := range b.Sections {
		note := ""
		if !r.Covered {
			note = "  not covered by the digest"
		}
		row("section", "%-12s %10s  sha256:%.16s…%s", r.Name, formatBytes(r.Size), r.SHA256, note)
	}
	return s.String()
}

func (d *fdInfo) text() string {
	head := fmt.Sprintf("%-3d %s %s", d.FD, d.Kind, strconv.Quote(d.Name))
	switch {
	case d.Addr != "":
		return fmt.Sprintf("%s on %s port %d, %s", head, d.Addr, d.Port, d.Prot)
	case d.Host != "":
		return fmt.Sprintf("%s to %s port %d, %s", head, d.Host, d.Port, d.Prot)
	}
	return head
}

func quoteAll(args []string) string {
	if len(args) == 0 {
		return "none"
	}
	q := make([]string, len(args))
	for i, a := range args {
		q[i] = strconv.Quote(a)
	}
	return strings.Join(q, " ")
}
