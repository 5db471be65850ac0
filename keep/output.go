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
	// logChunk is how large a piece of the log grows before the next one is
	// begun, and so about how much is lost at once.
	logChunk = 16 << 10
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
	chunks []session.Chunk // without gaps
	size   int             // bytes in chunks
	lost   uint64          // bytes dropped from the front: the position of chunks[0]
	total  uint64          // bytes ever written; lost + size
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
	if len(p) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.chunks); n > 0 && l.chunks[n-1].Stderr == stderr && len(l.chunks[n-1].Data)+len(p) <= logChunk {
		// Slices that readers hold end before what is appended.
		l.chunks[n-1].Data = append(l.chunks[n-1].Data, p...)
	} else {
		l.chunks = append(l.chunks, session.Chunk{Stderr: stderr, Data: append([]byte(nil), p...)})
	}
	l.size += len(p)
	l.total += uint64(len(p))
	for l.size > logLimit || len(l.chunks) > logChunks {
		n := len(l.chunks[0].Data)
		l.chunks[0] = session.Chunk{}
		l.chunks = l.chunks[1:]
		l.size -= n
		l.lost += uint64(n)
	}
	l.cond.Broadcast()
}

// passed counts output that went to an attached session and is not held.
func (l *outputLog) passed(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += uint64(n)
	l.lost += uint64(n)
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
	log *outputLog
	pos uint64 // bytes of output before it, lost ones included
}

// cursor starts at the very first byte of output, or behind the last one.
func (l *outputLog) cursor(fromStart bool) *cursor {
	if fromStart {
		return &cursor{log: l}
	}
	total, _ := l.counts()
	return &cursor{log: l, pos: total}
}

// read returns the next bytes, and how many before them are lost to this
// reader. With wait it blocks until there are some; ok is false at the end of
// the log, when gone says that the reader is, or without wait when nothing
// more is held.
func (c *cursor) read(wait bool, gone func() bool) (chunk session.Chunk, lost uint64, ok bool) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if c.pos < l.lost { // drops happen at the front only
			lost += l.lost - c.pos
			c.pos = l.lost
		}
		if c.pos < l.total {
			chunk = l.at(c.pos)
			c.pos += uint64(len(chunk.Data))
			return chunk, lost, true
		}
		if !wait || l.closed || gone() {
			return session.Chunk{}, lost, false
		}
		l.cond.Wait()
	}
}

// at is the rest of the chunk that holds the byte at pos, which is there.
func (l *outputLog) at(pos uint64) session.Chunk {
	begin := l.total
	for i := len(l.chunks) - 1; ; i-- { // readers are mostly near the end
		c := l.chunks[i]
		begin -= uint64(len(c.Data))
		if begin <= pos {
			return session.Chunk{Stderr: c.Stderr, Data: c.Data[pos-begin:]}
		}
	}
}
