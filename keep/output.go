// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"sync"

	"github.com/enarx/enarx-go/keep/session"
)

const (
	// logLimit is how much output of a detached workload the Keep holds. It
	// leaves room in the largest class of end records.
	logLimit = 1 << 20
	// logChunks bounds how many pieces the log has, so that a workload which
	// writes single bytes to alternating streams does not turn each into an
	// allocation and an array element of the end record.
	logChunks = 2048
)

// outputLog holds the last logLimit bytes of a detached workload's output.
// What falls out is counted, never hidden.
type outputLog struct {
	mu     sync.Mutex
	cond   *sync.Cond
	chunks []session.Chunk
	size   int    // bytes in chunks
	first  uint64 // sequence number of chunks[0]
	lost   uint64 // bytes dropped from the front
	total  uint64
	closed bool
}

func newOutputLog() *outputLog {
	l := &outputLog{}
	l.cond = sync.NewCond(&l.mu)
	return l
}

// write appends a copy of p, which is at most one read of a pump and so far
// below logLimit.
func (l *outputLog) write(stderr bool, p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += uint64(len(p))
	l.chunks = append(l.chunks, session.Chunk{Stderr: stderr, Data: append([]byte(nil), p...)})
	l.size += len(p)
	for l.size > logLimit || len(l.chunks) > logChunks {
		n := len(l.chunks[0].Data)
		l.chunks[0] = session.Chunk{}
		l.chunks = l.chunks[1:]
		l.first++
		l.size -= n
		l.lost += uint64(n)
	}
	l.cond.Broadcast()
}

// close says that no more output comes.
func (l *outputLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.cond.Broadcast()
}

// wake makes blocked readers look again whether they are gone.
func (l *outputLog) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cond.Broadcast()
}

// end is the log as it goes into the end record.
func (l *outputLog) end() (chunks []session.Chunk, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chunks, l.lost
}

func (l *outputLog) counts() (total, lost uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.lost
}

// cursor reads the log as it grows.
type cursor struct {
	log  *outputLog
	next uint64 // sequence number of the next chunk
	pos  uint64 // bytes of output before it, lost ones included
}

// cursor starts at the very first byte of output, or behind the last one.
func (l *outputLog) cursor(fromStart bool) *cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	if fromStart {
		return &cursor{log: l}
	}
	return &cursor{log: l, next: l.first + uint64(len(l.chunks)), pos: l.total}
}

// read returns the next chunk, and how many bytes before it are lost to this
// reader. With wait it blocks until there is one; ok is false at the end of
// the log, when gone says that the reader is, or without wait when nothing
// more is held.
func (c *cursor) read(wait bool, gone func() bool) (chunk session.Chunk, lost uint64, ok bool) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if c.next < l.first {
			// Drops happen at the front only, so l.lost is the position of
			// the first byte that is still held.
			lost += l.lost - c.pos
			c.next, c.pos = l.first, l.lost
		}
		if i := c.next - l.first; i < uint64(len(l.chunks)) {
			c.next++
			c.pos += uint64(len(l.chunks[i].Data))
			return l.chunks[i], lost, true
		}
		if !wait || l.closed || gone() {
			return session.Chunk{}, lost, false
		}
		l.cond.Wait()
	}
}
