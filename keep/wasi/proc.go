// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import "github.com/enarx/enarx-go/keep/engine"

// Arguments, environment, clocks, random bytes and the end of the process.

func argsGet(s *System, mem engine.Memory, st []uint64) errno {
	return s.args.get(mem, st[0], st[1])
}

func argsSizesGet(s *System, mem engine.Memory, st []uint64) errno {
	return s.args.sizes(mem, st[0], st[1])
}

func environGet(s *System, mem engine.Memory, st []uint64) errno {
	return s.env.get(mem, st[0], st[1])
}

func environSizesGet(s *System, mem engine.Memory, st []uint64) errno {
	return s.env.sizes(mem, st[0], st[1])
}

// get writes the strings to buf and their addresses to ptrs.
func (g *guestStrings) get(mem engine.Memory, ptrs, buf uint64) errno {
	table, e := view(mem, ptrs, uint64(g.count)*4)
	if e != errnoSuccess {
		return e
	}
	data, e := view(mem, buf, uint64(len(g.data)))
	if e != errnoSuccess {
		return e
	}
	copy(data, g.data)
	begin, n := 0, 0
	for i, c := range g.data {
		if c == 0 {
			put32(table[4*n:], uint32(buf)+uint32(begin))
			begin, n = i+1, n+1
		}
	}
	return errnoSuccess
}

func (g *guestStrings) sizes(mem engine.Memory, count, size uint64) errno {
	if e := store32(mem, count, uint32(g.count)); e != errnoSuccess {
		return e
	}
	return store32(mem, size, uint32(len(g.data)))
}

func clockResGet(s *System, mem engine.Memory, st []uint64) errno {
	switch uint32(st[0]) {
	case clockRealtime, clockMonotonic:
		return store64(mem, st[1], max(s.clock.Resolution(), 1))
	}
	return errnoInval
}

func clockTimeGet(s *System, mem engine.Memory, st []uint64) errno {
	switch uint32(st[0]) {
	case clockRealtime:
		return store64(mem, st[2], s.clock.Realtime())
	case clockMonotonic:
		return store64(mem, st[2], s.clock.Monotonic())
	}
	return errnoInval
}

func randomGet(s *System, mem engine.Memory, st []uint64) errno {
	b, e := view(mem, st[0], st[1])
	if e != errnoSuccess {
		return e
	}
	if err := s.fillRandom(b); err != nil {
		// What was written so far must not pass for random.
		clear(b)
		return errnoIO
	}
	return errnoSuccess
}

// procRaise ends the instance as a shell sees a program that a signal ended:
// 128 and the signal's number. Signals that are ignored unless a program
// handles them do nothing. WASI's numbers are Linux's up to 15 (witx: signal).
func procRaise(_ *System, _ engine.Memory, st []uint64) errno {
	const lastFatal, child, cont, urgent, winch = 15, 16, 17, 22, 27
	switch sig := uint32(st[0]); {
	case sig == 0, sig == child, sig == cont, sig == urgent, sig == winch:
		return errnoSuccess
	case sig <= lastFatal:
		panic(&engine.ExitError{Code: 128 + sig})
	case sig <= 30:
		return errnoNotSup
	}
	return errnoInval
}

// schedYield does nothing: a guest has one thread.
func schedYield(*System, engine.Memory, []uint64) errno { return errnoSuccess }
