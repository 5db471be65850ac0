// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader/qemu"
	"github.com/enarx/enarx-go/workload"
)

// TestMachinesAreAsLargeAsTheirWorkload: compiling CPython ran out of memory in
// a machine of the usual size of vm.
func TestMachinesAreAsLargeAsTheirWorkload(t *testing.T) {
	const mib = 1 << 20
	usual := qemu.DefaultMemory(attest.PlatformVM)
	for _, x := range []struct {
		bundle        int
		limit, usual  uint64
		scratch, want uint64
	}{
		{bundle: mib, usual: usual, want: 0},
		{bundle: 27 * mib, usual: usual, want: 512 * mib},
		{bundle: 27 * mib, usual: agentMemory, want: 0},
		{bundle: mib, limit: 256 * mib, usual: usual, want: 512 * mib},
		{bundle: mib, limit: 1024 * mib, usual: agentMemory, want: 2048 * mib},
		{bundle: mib, scratch: 64 * mib, usual: usual, want: 512 * mib},
	} {
		w := &packed{Bundle: make([]byte, x.bundle)}
		w.Config.Limits.MemoryBytes = x.limit
		if x.scratch > 0 {
			w.Config.Scratch = []workload.Scratch{{Bytes: x.scratch}}
		}
		if got := memoryClass(w, x.usual); got != x.want {
			t.Errorf("%+v: a machine of %d bytes, expected %d", x, got, x.want)
		}
	}
}
