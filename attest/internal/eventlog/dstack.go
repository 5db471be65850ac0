// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// maxIMR is the last register of a TD in dstack's log.
const maxIMR = 3

// dstackRuntime is the type of events that dstack's guest agent makes while
// the TD runs; their digest is of type, name and payload.
const dstackRuntime = 0x08000001

// dstackEvent is one object of dstack's log. Others of its fields are for
// people.
type dstackEvent struct {
	IMR     *uint32 `json:"imr"`
	Type    uint32  `json:"event_type"`
	Digest  string  `json:"digest"`
	Event   string  `json:"event"`
	Payload string  `json:"event_payload"`
}

// ParseDstack reads the event log of dstack: a JSON array with one object per
// event, "imr" from 0 to 3 and "digest", 48 bytes in hexadecimal. In the result
// it is an agile log of SHA-384 alone, with index 1 to 4 as in a TD's log of TCG
// form.
//
// The digest of an event that dstack's guest agent made is recomputed from its
// name and payload, which are thus proven along with it.
func ParseDstack(b []byte) (*Log, error) {
	if len(b) > MaxLog {
		return nil, fmt.Errorf("event log of %d bytes, expected at most %d", len(b), MaxLog)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, fmt.Errorf("not an array of JSON: %v", err)
	}
	l := &Log{Agile: true, Algs: []Alg{SHA384}, algSizes: map[Alg]int{SHA384: sizes[SHA384]}}
	for d.More() {
		if len(l.Events) == maxEvents {
			return nil, fmt.Errorf("more than %d events", maxEvents)
		}
		var e dstackEvent
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("event %d: %w", len(l.Events), err)
		}
		out, err := e.event()
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", len(l.Events), err)
		}
		l.Events = append(l.Events, out)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("event log without an end: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the event log")
	}
	return l, nil
}

func (e dstackEvent) event() (Event, error) {
	digest, err := hex.DecodeString(e.Digest)
	switch {
	case e.IMR == nil || *e.IMR > maxIMR:
		return Event{}, fmt.Errorf("no imr from 0 to %d", maxIMR)
	case err != nil || len(digest) != sizes[SHA384]:
		return Event{}, fmt.Errorf("digest of %d characters, expected %d bytes in hexadecimal", len(e.Digest), sizes[SHA384])
	case e.Type == noAction:
		return Event{}, fmt.Errorf("an event of no action, which dstack's log has none of")
	}
	payload, err := hex.DecodeString(e.Payload)
	if err != nil {
		return Event{}, fmt.Errorf("event_payload is not in hexadecimal")
	}
	if e.Type == dstackRuntime {
		h := sha512.New384()
		h.Write([]byte{0x01, 0x00, 0x00, 0x08, ':'})
		h.Write([]byte(e.Event + ":"))
		h.Write(payload)
		if !bytes.Equal(h.Sum(nil), digest) {
			return Event{}, fmt.Errorf("digest is not that of its name and payload")
		}
	}
	return Event{Index: *e.IMR + 1, Type: e.Type, Digests: []Digest{{SHA384, digest}}, Data: payload}, nil
}
