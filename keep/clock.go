// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// BuildTime is the floor of trusted time, nanoseconds since 1970 UTC: no Keep
// of this release ran before it. It is a constant of the source and not of the
// build, so that the same source always gives the same Keep; a release moves it
// forward.
const BuildTime = 1_795_219_200_000_000_000 // 2026-11-21T00:00:00Z

// Clock is the Keep's trusted time (invariant 5). It is set once, by whoever
// claimed the Keep, and advances by the platform's monotonic counter alone; the
// host's idea of the time never enters. All copies of a Clock are one clock.
// The zero Clock is not set and reads BuildTime.
type Clock struct {
	wall uint64 // nanoseconds since 1970 UTC at mono
	mono uint64 // the counter at wall, nanoseconds
	read func() (uint64, error)
	last *atomic.Uint64 // the latest time that was told
}

// maxRun bounds how far a clock advances, so that no counter makes the time
// wrap around: 73 years.
const maxRun = 1 << 61

// monotonic reads the kernel's monotonic clock. In a VM Keep it counts the
// TSC, which the CPU keeps from the host's hands on SNP (with Secure TSC) and
// TDX; in a process Keep it is the host's.
func monotonic() (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read the monotonic clock: %w", err)
	}
	return uint64(ts.Nano()), nil
}

// newClock starts a clock at the claimed time, nanoseconds since 1970 UTC and
// at most 1<<62, or at BuildTime if the claim says less: a client whose clock
// is wrong must not take certificates back to life that had expired before
// this Keep was built.
func newClock(claimed uint64) (Clock, error) { return startClock(claimed, monotonic) }

func startClock(claimed uint64, read func() (uint64, error)) (Clock, error) {
	m, err := read()
	if err != nil {
		return Clock{}, err
	}
	return Clock{wall: max(claimed, BuildTime), mono: m, read: read, last: new(atomic.Uint64)}, nil
}

// Now is the trusted time. It never goes backwards, whatever the counter does:
// one that cannot be read, or that reads less than before, stops the clock
// until it has caught up.
func (c Clock) Now() time.Time {
	if c.read == nil {
		return time.Unix(0, BuildTime)
	}
	w := c.wall
	if m, err := c.read(); err == nil && m > c.mono {
		w += min(m-c.mono, maxRun)
	}
	for {
		last := c.last.Load()
		if w <= last {
			return time.Unix(0, int64(last))
		}
		if c.last.CompareAndSwap(last, w) {
			return time.Unix(0, int64(w))
		}
	}
}
