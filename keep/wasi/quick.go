// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"io"

	"github.com/enarx/enarx-go/keep/engine"
)

// Entering Go from a guest is cheap on one engine and expensive on the other,
// which therefore answers the most frequent calls itself. What it may do is
// said here, in an engine.Quick, by the functions themselves: a read or write
// that was simple describes its descriptor, and any call that could change a
// descriptor makes all descriptions void. A forgotten place costs speed only.

// Steady is a [Clock] that is the machine's CLOCK_MONOTONIC plus a constant.
type Steady interface {
	// Offsets are what to add to CLOCK_MONOTONIC, in nanoseconds, modulo
	// 2^64.
	Offsets() (realtime, monotonic uint64)
}

// quickKinds are the functions that an engine may answer.
var quickKinds = map[string]engine.QuickKind{
	"clock_time_get": engine.QuickClock,
	"random_get":     engine.QuickRandom,
	"fd_read":        engine.QuickRead,
	"fd_write":       engine.QuickWrite,
	"sched_yield":    engine.QuickNothing,
}

// quickRandom is up to how many bytes a request for random bytes is answered
// out of a store.
const quickRandom = 256

func newQuick(c Clock) *engine.Quick {
	q := new(engine.Quick)
	if s, ok := c.(Steady); ok {
		q.Offset[0], q.Offset[1] = s.Offsets()
		q.Clock = 1
	}
	return q
}

// quickly describes descriptor fd to the engine after a read or write of it.
func (s *System) quickly(fd uint64, e *entry) {
	n := uint32(fd)
	if s.quick.Active == 0 || n >= uint32(len(s.quick.FDs)) {
		return
	}
	st, ok := e.stream.(*fdStream)
	if !ok || st.fd < 0 {
		return
	}
	q := &s.quick.FDs[n]
	// Reads of a socket look for more than bytes: see fdStream.read.
	if e.base&rightFDRead != 0 && !st.socket {
		q.Read = int32(st.fd) + 1
	}
	if e.base&rightFDWrite != 0 {
		q.Write = int32(st.fd) + 1
	}
	if e.flags&flagNonblock != 0 {
		q.NonBlock = 1
	}
}

// fillRandom gives b fresh random bytes. Small requests are served out of a
// store, which the engine shares, if it wants one.
func (s *System) fillRandom(b []byte) error {
	q := s.quick
	if q.Active == 0 || len(b) > quickRandom {
		_, err := io.ReadFull(s.random, b)
		return err
	}
	if int(q.RandomLeft) < len(b) {
		q.RandomLeft = 0
		if _, err := io.ReadFull(s.random, q.Random[:]); err != nil {
			clear(q.Random[:])
			return err
		}
		q.RandomLeft = uint32(len(q.Random))
	}
	left := int(q.RandomLeft) - len(b)
	copy(b, q.Random[left:])
	clear(q.Random[left : left+len(b)])
	q.RandomLeft = uint32(left)
	return nil
}
