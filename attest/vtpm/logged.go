// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm

import (
	"fmt"

	"github.com/enarx/enarx-go/attest/internal/eventlog"
)

// LoggedEvent is an event of a log that the SHA-256 bank was extended by.
type LoggedEvent struct {
	Number int // in the log, from 1; the log's own head is 0
	PCR    uint32
	Type   uint32 // TCG PC Client Platform Firmware Profile, 10.4.1
	Digest [32]byte
}

// LoggedEvents takes an event log apart, for showing: whether it is the log of
// what a TPM has measured is what a verifier finds out.
func LoggedEvents(log []byte) ([]LoggedEvent, error) {
	const noAction = 3 // EV_NO_ACTION is not extended
	l, err := eventlog.Parse(log)
	if err != nil {
		return nil, fmt.Errorf("vtpm: %w", err)
	}
	var out []LoggedEvent
	for i, e := range l.Events {
		if e.Type == noAction {
			continue
		}
		for _, d := range e.Digests {
			if d.Alg == eventlog.SHA256 && len(d.Value) == 32 {
				out = append(out, LoggedEvent{Number: i + 1, PCR: e.Index, Type: e.Type, Digest: [32]byte(d.Value)})
			}
		}
	}
	return out, nil
}
