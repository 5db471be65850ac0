// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"math"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/engine"
)

// wait is one subscription of a poll, decoded.
type wait struct {
	userdata uint64
	typ      byte
	rc       errno  // known at once: an event with this result
	ready    bool   // known at once: an event
	nbytes   uint64 // of a regular file
	poll     int    // index in polls, -1 for none
	clock    uint32
	deadline uint64 // on that clock, nanoseconds
}

// pollOneoff waits for the first of many events and reports all that have
// happened by then.
func pollOneoff(s *System, mem engine.Memory, st []uint64) errno {
	n := uint32(st[2])
	if n == 0 || n > s.limits.Subscriptions {
		return errnoInval
	}
	in, rc := view(mem, st[0], uint64(n)*subscriptionSize)
	if rc != errnoSuccess {
		return rc
	}
	out, rc := view(mem, st[1], uint64(n)*eventSize)
	if rc != errnoSuccess {
		return rc
	}
	result, rc := view(mem, st[3], 4)
	if rc != errnoSuccess {
		return rc
	}
	s.waits, s.polls = s.waits[:0], s.polls[:0]
	for ; len(in) >= subscriptionSize; in = in[subscriptionSize:] {
		w, rc := s.subscription(in)
		if rc != errnoSuccess {
			return rc
		}
		s.waits = append(s.waits, w)
	}
	if rc := s.sleep(); rc != errnoSuccess {
		return rc
	}
	put32(result, s.events(out))
	return errnoSuccess
}

// subscription decodes witx: subscription, 48 bytes. userdata u64 at 0, tag u8
// at 8; for a clock: id u32 at 16, timeout u64 at 24, precision u64 at 32,
// flags u16 at 40; for a descriptor: number u32 at 16.
func (s *System) subscription(b []byte) (wait, errno) {
	w := wait{userdata: get64(b), typ: b[8], poll: -1}
	switch w.typ {
	case eventClock:
		w.clock = get32(b[16:])
		flags := uint16(b[40]) | uint16(b[41])<<8
		if flags&^clockAbsolute != 0 {
			return w, errnoInval
		}
		if w.clock != clockRealtime && w.clock != clockMonotonic {
			w.rc, w.ready = errnoInval, true
			return w, errnoSuccess
		}
		w.deadline = get64(b[24:])
		if flags&clockAbsolute == 0 {
			now := s.now(w.clock)
			if w.deadline > math.MaxUint64-now {
				w.deadline = math.MaxUint64
			} else {
				w.deadline += now
			}
		}
	case eventFDRead, eventFDWrite:
		s.subscribeFD(&w, uint64(get32(b[16:])))
	default:
		return w, errnoInval
	}
	return w, errnoSuccess
}

func (s *System) subscribeFD(w *wait, fd uint64) {
	e, rc := s.get(fd, rightPollFDReadwrite)
	if rc != errnoSuccess {
		w.rc, w.ready = rc, true
		return
	}
	fdToPoll := -1
	switch e.kind {
	case kindStdio, kindSocket:
		fdToPoll = e.stream.PollFD()
	case kindListener:
		fdToPoll = e.listener.PollFD()
	case kindFile:
		if stat, rc := e.file.stat(); rc == errnoSuccess && stat.size > e.offset && w.typ == eventFDRead {
			w.nbytes = stat.size - e.offset
		}
	}
	if fdToPoll < 0 {
		w.ready = true // files, null and streams without a kernel descriptor
		return
	}
	events := int16(unix.POLLIN)
	if w.typ == eventFDWrite {
		events = unix.POLLOUT
	}
	w.poll = len(s.polls)
	s.polls = append(s.polls, unix.PollFd{Fd: int32(fdToPoll), Events: events})
}

func (s *System) now(clock uint32) uint64 {
	if clock == clockRealtime {
		return s.clock.Realtime()
	}
	return s.clock.Monotonic()
}

// sleep returns when at least one event has happened. How long to wait is
// asked of the guest's clock again after every wake-up, as the kernel's may
// run at another speed.
func (s *System) sleep() errno {
	for {
		timeout, limited := s.timeout()
		var ts *unix.Timespec
		if limited {
			t := unix.NsecToTimespec(int64(min(timeout, math.MaxInt64)))
			ts = &t
		}
		n, err := unix.Ppoll(s.polls, ts, nil)
		switch {
		case err != nil && err != unix.EINTR:
			return toErrno(err)
		case n > 0 || (limited && timeout == 0 && err == nil):
			return errnoSuccess
		}
	}
}

// timeout is the time until the first event that is known, in nanoseconds, or
// false if there is none.
func (s *System) timeout() (uint64, bool) {
	least, limited := uint64(math.MaxUint64), false
	for i := range s.waits {
		w := &s.waits[i]
		left := uint64(0)
		switch {
		case w.ready:
		case w.typ == eventClock:
			if now := s.now(w.clock); now < w.deadline {
				left = w.deadline - now
			}
		default:
			continue
		}
		least, limited = min(least, left), true
	}
	return least, limited
}

// events writes what has happened, witx: event, 32 bytes. userdata u64 at 0,
// error u16 at 8, type u8 at 10, nbytes u64 at 16, flags u16 at 24.
func (s *System) events(out []byte) uint32 {
	n := uint32(0)
	for i := range s.waits {
		w := &s.waits[i]
		flags := byte(0)
		switch {
		case w.ready:
		case w.typ == eventClock:
			if s.now(w.clock) < w.deadline {
				continue
			}
		default:
			got := s.polls[w.poll].Revents
			if got == 0 {
				continue
			}
			if got&(unix.POLLHUP|unix.POLLERR) != 0 {
				flags = eventHangup
			}
			if got&unix.POLLNVAL != 0 {
				w.rc = errnoBadf
			}
			if got&(unix.POLLIN|unix.POLLOUT) != 0 {
				w.nbytes = 1 // at least; how many are there nobody has counted
			}
		}
		b := out[n*eventSize:][:eventSize]
		clear(b)
		put64(b, w.userdata)
		b[8], b[9] = byte(w.rc), byte(w.rc>>8)
		b[10] = w.typ
		put64(b[16:], w.nbytes)
		b[24] = flags
		n++
	}
	return n
}
