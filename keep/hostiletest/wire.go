// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// Side is one end of a session.
type Side int

// The two ends.
const (
	Client Side = iota
	Keep
)

func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "keep"
}

// TLS record types (RFC 8446, section 5.1). After the handshake of TLS 1.3
// everything reads application data, alerts too.
const (
	RecordHandshake = 22
	RecordData      = 23
)

// Record is one TLS record on its way.
type Record struct {
	From Side
	// N counts the records of this side and this type from 0.
	N int
	// Type is the content type that shows on the wire.
	Type byte
	// Bytes is the whole record, its 5 bytes of header included.
	Bytes []byte
	// Cut says that the tunnel ended inside the record.
	Cut bool
}

// Hook decides what becomes of a record: what it returns is forwarded in its
// place, in order. It runs before the record is forwarded, one call at a time
// for each side.
type Hook func(w *Wire, r Record) [][]byte

// Wire is a tapped tunnel.
type Wire struct {
	hook Hook
	ends [2]net.Conn // the tap's end towards the client, and the tunnel to the Keep

	mu      sync.Mutex
	records []Record
	sent    [2]int // bytes from each side
	pumps   sync.WaitGroup
}

// Tap stands in the tunnel to a Keep and returns the end that a client gets in
// its place. A nil hook forwards everything.
func Tap(keep net.Conn, hook Hook) (*Wire, net.Conn) {
	inner, outer := net.Pipe()
	w := &Wire{hook: hook, ends: [2]net.Conn{inner, keep}}
	w.pumps.Add(2)
	go w.pump(Client)
	go w.pump(Keep)
	return w, outer
}

// Cut closes the tunnel towards both ends at once.
func (w *Wire) Cut() {
	w.ends[Client].Close()
	w.ends[Keep].Close()
}

// Forward sends bytes to the other side of from, for a hook that then cuts.
func (w *Wire) Forward(from Side, b []byte) { w.ends[1-from].Write(b) }

// Wait returns when the tunnel is closed and everything is recorded.
func (w *Wire) Wait() { w.pumps.Wait() }

// pump moves whole records of one side; when that side ends or does not speak
// TLS, the rest of what it said is recorded, and the tunnel is closed.
func (w *Wire) pump(from Side) {
	defer w.pumps.Done()
	defer w.Cut()
	var n [256]int
	for {
		b, err := readRecord(w.ends[from])
		if len(b) == 0 {
			return
		}
		r := Record{From: from, N: n[b[0]], Type: b[0], Bytes: bytes.Clone(b), Cut: err != nil}
		n[b[0]]++
		w.mu.Lock()
		w.records = append(w.records, r)
		w.sent[from] += len(b)
		w.mu.Unlock()
		out := [][]byte{b}
		if w.hook != nil {
			r.Bytes = b
			out = w.hook(w, r)
		}
		for _, o := range out {
			if _, werr := w.ends[1-from].Write(o); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func readRecord(c net.Conn) ([]byte, error) {
	b := make([]byte, 5)
	n, err := io.ReadFull(c, b)
	if err != nil {
		return b[:n], err
	}
	size := int(binary.BigEndian.Uint16(b[3:]))
	b = append(b, make([]byte, size)...)
	n, err = io.ReadFull(c, b[5:])
	return b[:5+n], err
}

// Sent is how many bytes came from a side so far.
func (w *Wire) Sent(from Side) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[from]
}

// Records are the records of one side so far, as they came.
func (w *Wire) Records(from Side) []Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rs []Record
	for _, r := range w.records {
		if r.From == from {
			rs = append(rs, r)
		}
	}
	return rs
}

// Bytes is everything that passed, of both sides.
func (w *Wire) Bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b []byte
	for _, r := range w.records {
		b = append(b, r.Bytes...)
	}
	return b
}
