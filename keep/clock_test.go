// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// counter is a monotonic counter in a test's, or an attacker's, hands.
type counter struct {
	mu  sync.Mutex
	at  uint64
	err error
}

func (c *counter) read() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, c.err
}

func (c *counter) set(at uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.err = at, err
}

func TestInvariant5UntrustedClock_NeverBelowBuildTime(t *testing.T) {
	for _, claimed := range []uint64{0, 1, BuildTime - 1, BuildTime} {
		c, err := startClock(claimed, (&counter{at: 5}).read)
		if err != nil {
			t.Fatal(err)
		}
		if now := c.Now().UnixNano(); now != BuildTime {
			t.Errorf("claimed %d, the clock says %d, expected the build time", claimed, now)
		}
	}
	if now := (Clock{}).Now().UnixNano(); now != BuildTime {
		t.Errorf("a clock that was not set says %d, expected the build time", now)
	}
	if _, err := startClock(BuildTime, (&counter{err: errors.New("no counter")}).read); err == nil {
		t.Error("a clock without a counter was started")
	}
}

// Time moves with the counter and with nothing else, and never back: not when
// the counter does, not when it cannot be read, not between copies.
func TestInvariant5UntrustedClock_NeverBackwards(t *testing.T) {
	const start = BuildTime + uint64(time.Hour)
	cnt := &counter{at: 1000}
	c, err := startClock(start, cnt.read)
	if err != nil {
		t.Fatal(err)
	}
	copied := c
	for _, s := range []struct {
		at   uint64
		err  error
		want uint64
	}{
		{1000, nil, start}, {1500, nil, start + 500}, {900, nil, start + 500}, {0, nil, start + 500},
		{1400, nil, start + 500}, {2000, errors.New("gone"), start + 500}, {2000, nil, start + 1000},
		{math.MaxUint64, nil, start + maxRun}, {2000, nil, start + maxRun},
	} {
		cnt.set(s.at, s.err)
		for _, clock := range []Clock{c, copied} {
			if got := clock.Now().UnixNano(); got != int64(s.want) {
				t.Errorf("counter %d, %v: the clock says %d, expected %d", s.at, s.err, got, s.want)
			}
		}
	}
	// The latest time that a claim can carry does not wrap around.
	cnt.set(0, nil)
	late, err := startClock(1<<62, cnt.read)
	if err != nil {
		t.Fatal(err)
	}
	cnt.set(math.MaxUint64, nil)
	if now := late.Now(); now.Before(time.Unix(0, BuildTime)) {
		t.Errorf("the clock wrapped around to %v", now)
	}
}

func TestInvariant5UntrustedClock_ManyReaders(t *testing.T) {
	cnt := &counter{}
	c, err := startClock(BuildTime, cnt.read)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := c.Now()
			for range 2000 {
				cnt.set(rand.Uint64N(1<<40), nil)
				now := c.Now()
				if now.Before(last) {
					t.Errorf("%v came after %v", now, last)
					return
				}
				last = now
			}
		})
	}
	wg.Wait()
}

func TestRealCounterAdvances(t *testing.T) {
	c, err := newClock(BuildTime)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Now()
	time.Sleep(5 * time.Millisecond)
	if d := c.Now().Sub(a); d < 5*time.Millisecond || d > time.Minute {
		t.Errorf("5 ms took %v by the trusted clock", d)
	}
}
