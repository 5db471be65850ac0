// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

var held [][]byte

// TestGCStartsLateAndThenWorksAsUsual: a collector that stays off would be a
// workload that runs out of memory.
func TestGCStartsLateAndThenWorksAsUsual(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	defer debug.SetGCPercent(100)
	runtime.GC()
	count := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumGC
	}
	lateGC()
	before := count()
	held = append(held, make([]byte, firstGC/4))
	if n := count() - before; n != 0 {
		t.Errorf("%d collections below %d bytes", n, firstGC)
	}
	held = append(held, make([]byte, firstGC))
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		old := debug.SetGCPercent(100)
		if old == 100 {
			break
		}
		debug.SetGCPercent(old)
		if time.Now().After(deadline) {
			t.Fatalf("the collector is still at %d %% past %d bytes", old, firstGC)
		}
	}
	if limit := debug.SetMemoryLimit(-1); limit < 1<<62 {
		t.Errorf("the memory limit stayed at %d", limit)
	}
	held = nil
}
