// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// way is one way to do a thing; run fails the benchmark if it does not work.
type way struct {
	name string
	run  func()
}

// median of the values, by nearest rank.
func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

func quantile[T cmp.Ordered](values []T, q float64) T {
	s := slices.Sorted(slices.Values(values))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// cpu is what this process has computed so far, on all its threads.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// inARow is how often a way runs before the next has its turn: often enough that
// most runs find the processor's caches as a service finds them that does one
// thing, and short enough (some milliseconds) that a disturbance hits all ways.
const inARow = 5

// inTurn runs the ways in turn and reports the medians of wall and CPU time,
// and the allocations of each.
func inTurn(b *testing.B, ways []way) {
	b.Helper()
	for _, w := range ways {
		w.run() // what a way remembers, it remembers from here
	}
	wall, used := make([][]time.Duration, len(ways)), make([][]time.Duration, len(ways))
	for b.Loop() {
		for i, w := range ways {
			for range inARow {
				before, start := cpu(b), time.Now()
				w.run()
				wall[i] = append(wall[i], time.Since(start))
				used[i] = append(used[i], cpu(b)-before)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, w := range ways {
		b.ReportMetric(micro(median(wall[i])), "µs/"+w.name)
		b.ReportMetric(micro(quantile(wall[i], 0.1)), "low-µs/"+w.name)
		b.ReportMetric(micro(median(used[i])), "cpu-µs/"+w.name)
		objects, bytes := allocated(50, w.run)
		b.ReportMetric(objects, "allocs/"+w.name)
		b.ReportMetric(bytes, "B/"+w.name)
	}
}

// allocated is what one run of f allocates, in objects and bytes.
func allocated(runs int, f func()) (objects, bytes float64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(runs), float64(after.TotalAlloc-before.TotalAlloc) / float64(runs)
}

// rate reports how many runs per second all processors do of each way.
func rate(b *testing.B, ways []way) {
	b.Helper()
	const each = 8 // runs between two meetings, so that meeting costs little
	n := runtime.GOMAXPROCS(0)
	took := make([]time.Duration, len(ways))
	rounds := 0
	for b.Loop() {
		rounds++
		for i, w := range ways {
			start := time.Now()
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					for range each {
						w.run()
					}
				})
			}
			wg.Wait()
			took[i] += time.Since(start)
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, w := range ways {
		b.ReportMetric(float64(rounds*n*each)/took[i].Seconds(), "per-second/"+w.name)
	}
}

// burstSize is how many verifications arrive at the same time.
const burstSize = 64

// burst starts 64 runs of each way at the same time and reports how long they
// took from then to their own end: median and 99th percentile.
func burst(b *testing.B, ways []way) {
	b.Helper()
	took := make([][]time.Duration, len(ways))
	for b.Loop() {
		for i, w := range ways {
			one := make([]time.Duration, burstSize)
			begin := make(chan struct{})
			var start time.Time
			var wg sync.WaitGroup
			for k := range one {
				wg.Go(func() {
					<-begin
					w.run()
					one[k] = time.Since(start)
				})
			}
			start = time.Now()
			close(begin)
			wg.Wait()
			took[i] = append(took[i], one...)
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, w := range ways {
		b.ReportMetric(micro(quantile(took[i], 0.5)), "p50-µs/"+w.name)
		b.ReportMetric(micro(quantile(took[i], 0.99)), "p99-µs/"+w.name)
	}
}
