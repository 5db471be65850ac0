// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"slices"
)

// Register is what a log says of one register.
type Register struct {
	// Value is what the register holds after all events.
	Value []byte
	// Events is the number of events that were extended into it.
	Events int
}

var hashes = map[Alg]func() hash.Hash{SHA1: sha1.New, SHA256: sha256.New, SHA384: sha512.New384, SHA512: sha512.New}

// startupLocality is the event that says from which locality the TPM was
// started (TCG PC Client Platform Firmware Profile, section 10.4.5.3).
const startupLocality = "StartupLocality\x00"

// Replay extends the log's digests of alg, in order, and gives the registers
// that anything was extended into.
func (l *Log) Replay(alg Alg) (map[uint32]Register, error) {
	h, known := hashes[alg]
	if !known || !slices.Contains(l.Algs, alg) {
		return nil, fmt.Errorf("event log without digests of algorithm %#x", uint16(alg))
	}
	regs := map[uint32]Register{}
	start, said := byte(0), false
	for n, e := range l.Events {
		if e.Type == noAction {
			locality, is, err := e.locality()
			if err != nil {
				return nil, fmt.Errorf("event %d after the head: %w", n, err)
			}
			if is && (regs[0].Events != 0 || said) {
				return nil, fmt.Errorf("event %d after the head: StartupLocality after PCR0 was extended, or again", n)
			}
			if is {
				start, said = locality, true
			}
			continue
		}
		r := regs[e.Index]
		if r.Events == 0 {
			r.Value = make([]byte, sizes[alg])
			if e.Index == 0 {
				r.Value[len(r.Value)-1] = start
			}
		}
		for _, d := range e.Digests {
			if d.Alg == alg {
				sum := h()
				sum.Write(r.Value)
				sum.Write(d.Value)
				r.Value, r.Events = sum.Sum(nil), r.Events+1
			}
		}
		regs[e.Index] = r
	}
	return regs, nil
}

// locality is the locality that e says, if that is what it is about: 0, 3 or 4.
func (e Event) locality() (byte, bool, error) {
	if len(e.Data) < len(startupLocality) || string(e.Data[:len(startupLocality)]) != startupLocality {
		return 0, false, nil
	}
	if e.Index != 0 || len(e.Data) != len(startupLocality)+1 {
		return 0, false, fmt.Errorf("StartupLocality of register %d and %d bytes, expected register 0 and %d", e.Index, len(e.Data), len(startupLocality)+1)
	}
	v := e.Data[len(startupLocality)]
	if v != 0 && v != 3 && v != 4 {
		return 0, false, fmt.Errorf("StartupLocality %d, expected 0, 3 or 4", v)
	}
	return v, true, nil
}
