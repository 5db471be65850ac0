// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Limits on what comes from outside. Sizes are in bytes.
const (
	// MaxLog bounds a log with its buffer; the firmware of a TD keeps 64 or
	// 256 KiB, and TPM logs of 73 KB have been seen.
	MaxLog = 512 << 10
	// maxEvents bounds the events; 159 have been seen in one log, and a host
	// that measures files can have some thousands.
	maxEvents = 1 << 14
	// maxAlgs bounds the digests of one event; TPMs have up to four banks.
	maxAlgs = 8
	// maxIndex is the last register: a TPM has 24.
	maxIndex = 23
)

// Alg is a digest algorithm by its TCG identifier (TCG Algorithm Registry).
type Alg uint16

// The algorithms of logs.
const (
	SHA1   Alg = 0x0004
	SHA256 Alg = 0x000b
	SHA384 Alg = 0x000c
	SHA512 Alg = 0x000d
)

// sizes are the digest sizes of algorithms whose logs can be replayed.
var sizes = map[Alg]int{SHA1: 20, SHA256: 32, SHA384: 48, SHA512: 64}

// noAction is the type of events that are not extended (EV_NO_ACTION).
const noAction = 3

// noRegister is the index of events that are about no register.
const noRegister = 0xffffffff

// Digest is one digest of an event.
type Digest struct {
	Alg   Alg
	Value []byte
}

// Event is one entry of a log.
type Event struct {
	Index   uint32 // register
	Type    uint32
	Digests []Digest
	Data    []byte
}

// Log is a log as it was read.
type Log struct {
	// Agile says that events have a digest for each of Algs; otherwise they
	// have one of SHA-1.
	Agile bool
	Algs  []Alg
	// Events are all events but the Spec ID event.
	Events []Event
	// Padding is the number of 0xff after the last event.
	Padding int

	head     []byte // the Spec ID event, byte for byte; empty if there is none
	algSizes map[Alg]int
}

// reader takes numbers and bytes off the front of a log.
type reader struct {
	b   []byte
	err error
}

func (r *reader) bytes(n int, what string) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b) {
		r.err = fmt.Errorf("%s of %d bytes, of which %d are there", what, n, len(r.b))
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) uint(n int, what string) uint32 {
	var v [4]byte
	copy(v[:], r.bytes(n, what))
	return binary.LittleEndian.Uint32(v[:])
}

// size reads a length of four bytes that must fit into what is left.
func (r *reader) size(what string) int {
	n := r.uint(4, "size of "+what)
	if r.err == nil && uint64(n) > uint64(len(r.b)) {
		r.err = fmt.Errorf("%s of %d bytes, of which %d are there", what, n, len(r.b))
		return 0
	}
	return int(n)
}

// Parse reads a whole binary log. The result refers to b.
func Parse(b []byte) (*Log, error) {
	if len(b) > MaxLog {
		return nil, fmt.Errorf("event log of %d bytes, expected at most %d", len(b), MaxLog)
	}
	l := &Log{Algs: []Alg{SHA1}, algSizes: map[Alg]int{SHA1: sizes[SHA1]}}
	r := &reader{b: b}
	first := r.event(l)
	if r.err != nil {
		return nil, fmt.Errorf("event 0: %w", r.err)
	}
	if first.Type == noAction {
		if err := l.readSpecID(first); err != nil {
			return nil, fmt.Errorf("event 0: %w", err)
		}
		l.head = b[:len(b)-len(r.b)]
	} else {
		r.b = b
	}
	for n := 1; len(r.b) != 0; n++ {
		if padding(r.b) {
			l.Padding = len(r.b)
			break
		}
		if len(l.Events) == maxEvents {
			return nil, fmt.Errorf("more than %d events", maxEvents)
		}
		e := r.event(l)
		if r.err != nil {
			return nil, fmt.Errorf("event %d: %w", n, r.err)
		}
		if e.Type == noAction && bytes.HasPrefix(e.Data, []byte(specEvent)) {
			return nil, fmt.Errorf("event %d: a second event Spec ID, from which others would read the log in another form", n)
		}
		l.Events = append(l.Events, e)
	}
	return l, nil
}

// padding says whether b is what a firmware leaves unused. An event cannot
// begin with eight such bytes: there is no such type.
func padding(b []byte) bool {
	for _, x := range b {
		if x != 0xff {
			return false
		}
	}
	return true
}

// event reads one event in the log's form; before its Spec ID event is known,
// that is the form of TCG 1.2.
func (r *reader) event(l *Log) Event {
	e := Event{Index: r.uint(4, "register"), Type: r.uint(4, "type")}
	if r.err == nil && e.Index > maxIndex && (e.Index != noRegister || e.Type != noAction) {
		r.err = fmt.Errorf("register %#x, expected at most %d", e.Index, maxIndex)
	}
	if l.Agile {
		e.Digests = r.digests(l)
	} else {
		e.Digests = []Digest{{SHA1, r.bytes(sizes[SHA1], "digest")}}
	}
	e.Data = r.bytes(r.size("event data"), "event data")
	return e
}

// digests reads exactly one digest for each algorithm of the log.
func (r *reader) digests(l *Log) []Digest {
	n := r.uint(4, "number of digests")
	if r.err == nil && uint64(n) != uint64(len(l.Algs)) {
		r.err = fmt.Errorf("%d digests, expected %d as the log's head says", n, len(l.Algs))
	}
	if r.err != nil {
		return nil
	}
	out := make([]Digest, 0, len(l.Algs))
	for range l.Algs {
		alg := Alg(r.uint(2, "digest algorithm"))
		size, known := l.algSizes[alg]
		if r.err == nil && (!known || slices.ContainsFunc(out, func(d Digest) bool { return d.Alg == alg })) {
			r.err = fmt.Errorf("digest of algorithm %#x, which the log's head does not name or which is there already", uint16(alg))
		}
		out = append(out, Digest{alg, r.bytes(size, "digest")})
	}
	return out
}

// specEvent is how the signatures of all Spec ID events begin.
const specEvent = "Spec ID Event"

// Signatures of Spec ID events: of PC clients, of EFI in TCG 1.2, and of
// crypto-agile logs.
const (
	specPC    = "Spec ID Event00\x00"
	specEFI   = "Spec ID Event02\x00"
	specAgile = "Spec ID Event03\x00"
)

// readSpecID reads the event at the head of a log, which says its form.
func (l *Log) readSpecID(e Event) error {
	// It is extended nowhere. TPMs' firmware gives it register 0, TDs' 1.
	if e.Index > 1 || slices.ContainsFunc(e.Digests[0].Value, func(b byte) bool { return b != 0 }) {
		return fmt.Errorf("event Spec ID of register %d with digest %x, expected register 0 or 1 and zeros", e.Index, e.Digests[0].Value)
	}
	r := &reader{b: e.Data}
	switch sig := string(r.bytes(16, "Spec ID event")); sig {
	case specPC, specEFI:
		r.bytes(8, "platform class and versions")
	case specAgile:
		r.bytes(8, "platform class and versions")
		if err := l.readAlgs(r); err != nil {
			return err
		}
	default:
		if r.err == nil {
			return fmt.Errorf("an event of no action that is no Spec ID event (%q)", sig)
		}
	}
	r.bytes(int(r.uint(1, "size of vendor information")), "vendor information")
	if r.err != nil {
		return fmt.Errorf("event Spec ID: %w", r.err)
	}
	if len(r.b) != 0 {
		return fmt.Errorf("event Spec ID: %d bytes after its end", len(r.b))
	}
	return nil
}

func (l *Log) readAlgs(r *reader) error {
	n := r.uint(4, "number of algorithms")
	if r.err == nil && (n == 0 || n > maxAlgs) {
		return fmt.Errorf("event Spec ID: %d algorithms, expected 1 to %d", n, maxAlgs)
	}
	l.Agile, l.Algs, l.algSizes = true, nil, map[Alg]int{}
	for i := uint32(0); r.err == nil && i < n; i++ {
		alg, size := Alg(r.uint(2, "algorithm")), int(r.uint(2, "digest size"))
		want, known := sizes[alg]
		if _, twice := l.algSizes[alg]; r.err == nil && (twice || size == 0 || size > 64 || known && size != want) {
			return fmt.Errorf("event Spec ID: algorithm %#x with digests of %d bytes, or twice", uint16(alg), size)
		}
		l.Algs = append(l.Algs, alg)
		l.algSizes[alg] = size
	}
	return r.err
}

// Encode gives the log back, byte for byte as it was parsed.
func (l *Log) Encode() []byte {
	le := binary.LittleEndian
	b := bytes.Clone(l.head)
	for _, e := range l.Events {
		b = le.AppendUint32(le.AppendUint32(b, e.Index), e.Type)
		if l.Agile {
			b = le.AppendUint32(b, uint32(len(e.Digests)))
		}
		for _, d := range e.Digests {
			if l.Agile {
				b = le.AppendUint16(b, uint16(d.Alg))
			}
			b = append(b, d.Value...)
		}
		b = append(le.AppendUint32(b, uint32(len(e.Data))), e.Data...)
	}
	return append(b, bytes.Repeat([]byte{0xff}, l.Padding)...)
}
