// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"math"
	"runtime"
	"runtime/debug"
)

// lateGC puts the first garbage collection off until the process has taken
// firstGC bytes, and has it work as usual from then on. Loading a module of a
// few megabytes makes nothing that could be freed, and the collector's habit
// of starting at 4 MiB took a tenth of that time.
func lateGC() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(firstGC)
	// The first collection finds nobody who holds this.
	first := new([64]byte)
	runtime.AddCleanup(first, func(int) {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
	}, 0)
}
