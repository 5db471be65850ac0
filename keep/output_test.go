// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/enarx/enarx-go/keep/session"
)

func never() bool { return false }

// model is all output there ever was.
type model struct {
	data   []byte
	stderr []bool
}

func (m *model) write(stderr bool, p []byte) {
	m.data = append(m.data, p...)
	for range p {
		m.stderr = append(m.stderr, stderr)
	}
}

// check compares a piece of log that begins at pos with what was written.
func (m *model) check(t *testing.T, pos uint64, c session.Chunk) {
	t.Helper()
	end := pos + uint64(len(c.Data))
	if end > uint64(len(m.data)) || !bytes.Equal(m.data[pos:end], c.Data) {
		t.Fatalf("the %d bytes at %d are not those that were written there", len(c.Data), pos)
	}
	for i := pos; i < end; i++ {
		if m.stderr[i] != c.Stderr {
			t.Fatalf("the byte at %d is of the wrong stream", i)
		}
	}
}

// TestOutputLogLosesNothingUnseen writes at random, with readers that begin and
// read at random, and compares with everything that was ever written: each
// byte reaches each reader in order and on its stream, or is counted as lost.
func TestOutputLogLosesNothingUnseen(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		l, m := newOutputLog(), &model{}
		type reader struct {
			c   *cursor
			pos uint64
		}
		readers := []*reader{{c: l.cursor(true)}}
		drain := func(rd *reader, n int) {
			for range n {
				chunk, lost, ok := rd.c.read(false, never)
				rd.pos += lost
				if !ok {
					if rd.pos != uint64(len(m.data)) {
						t.Fatalf("seed %d: a reader is at its end at %d of %d", seed, rd.pos, len(m.data))
					}
					return
				}
				m.check(t, rd.pos, chunk)
				rd.pos += uint64(len(chunk.Data))
			}
		}
		steps, most := 300, 30_000
		if seed%3 == 0 {
			steps, most = 6000, 8 // many pieces
		}
		for range steps {
			switch r.IntN(6) {
			case 0:
				fromStart := r.IntN(2) == 0
				rd := &reader{c: l.cursor(fromStart)}
				if !fromStart {
					rd.pos = uint64(len(m.data))
				}
				if len(readers) < 8 {
					readers = append(readers, rd)
				}
			case 1:
				drain(readers[r.IntN(len(readers))], r.IntN(20))
			default:
				p := make([]byte, r.IntN(most))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				stderr := r.IntN(3) == 0
				l.write(stderr, p)
				m.write(stderr, p)
			}
			if l.size > logLimit || len(l.chunks) > logChunks {
				t.Fatalf("seed %d: the log holds %d bytes in %d pieces", seed, l.size, len(l.chunks))
			}
		}
		l.close()
		for _, rd := range readers {
			drain(rd, 1<<30)
		}
		chunks, lost := l.end()
		pos := lost
		for _, c := range chunks {
			m.check(t, pos, c)
			pos += uint64(len(c.Data))
		}
		if pos != uint64(len(m.data)) {
			t.Errorf("seed %d: %d bytes lost and held, %d written", seed, pos, len(m.data))
		}
		if total, l := l.counts(); total != uint64(len(m.data)) || l != lost {
			t.Errorf("seed %d: counts %d and %d, expected %d and %d", seed, total, l, len(m.data), lost)
		}
	}
}

// A program that writes line by line keeps as much log as any other.
func TestOutputLogKeepsSmallWrites(t *testing.T) {
	l := newOutputLog()
	line := []byte("a line of forty bytes, with its newline\n")
	for range 50_000 {
		l.write(false, line)
	}
	if l.size < logLimit-logChunk {
		t.Errorf("%d bytes are held, expected almost %d", l.size, logLimit)
	}
}

func TestOutputLogReaderWaitsAndIsWoken(t *testing.T) {
	l := newOutputLog()
	got := make(chan string, 1)
	read := func(c *cursor, gone func() bool) {
		chunk, _, ok := c.read(true, gone)
		if !ok {
			got <- "end"
			return
		}
		got <- string(chunk.Data)
	}
	want := func(s string) {
		t.Helper()
		select {
		case g := <-got:
			if g != s {
				t.Errorf("read %q, expected %q", g, s)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("a reader still waits, expected %q", s)
		}
	}
	c := l.cursor(true)
	go read(c, never)
	l.write(false, []byte("first"))
	want("first")
	gone := make(chan struct{})
	go read(c, func() bool {
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
	close(gone)
	l.wake()
	want("end")
	go read(c, never)
	l.close()
	want("end")
}
