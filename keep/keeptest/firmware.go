// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keeptest

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// BootLog is the event log of a real boot: the release image of this project,
// its disk booted by OVMF with a software TPM in QEMU (testdata/ORIGIN.md).
//
//go:embed testdata/ovmf-uki.eventlog
var BootLog []byte

// Event is one event of a log that was extended into a PCR with SHA-256, or of
// type EV_NO_ACTION.
type Event struct {
	PCR, Type uint32
	Digest    [32]byte
	Data      []byte
}

// NoAction is EV_NO_ACTION: an event that is not extended.
const NoAction = 3

// logHead is the length of the first event, which says what digests the others
// have: index, type, SHA-1 digest and size, before its data.
const logHead = 4 + 4 + 20 + 4

// Events takes a log with SHA-256 digests apart (TCG PC Client Platform
// Firmware Profile, 10.2.2). It is for logs of tests and gives up on others.
func Events(t testing.TB, log []byte) []Event {
	t.Helper()
	events, err := parseLog(log)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func parseLog(log []byte) ([]Event, error) {
	var events []Event
	if len(log) < logHead {
		return nil, errors.New("event log: cut in its head")
	}
	b := log[logHead+int(binary.LittleEndian.Uint32(log[logHead-4:])):]
	for len(b) > 0 {
		if len(b) < 12 {
			return nil, fmt.Errorf("event %d: cut", len(events))
		}
		e := Event{PCR: binary.LittleEndian.Uint32(b), Type: binary.LittleEndian.Uint32(b[4:])}
		n := binary.LittleEndian.Uint32(b[8:])
		b = b[12:]
		if n != 1 || len(b) < 38 || binary.LittleEndian.Uint16(b) != uint16(tpm2.TPMAlgSHA256) {
			return nil, fmt.Errorf("event %d: %d digests, expected one, SHA-256", len(events), n)
		}
		e.Digest = [32]byte(b[2:34])
		size := int(binary.LittleEndian.Uint32(b[34:]))
		if b = b[38:]; size > len(b) {
			return nil, fmt.Errorf("event %d: cut", len(events))
		}
		e.Data, b = b[:size:size], b[size:]
		events = append(events, e)
	}
	return events, nil
}

// Log makes a log of events with the head of an earlier log.
func Log(log []byte, events []Event) []byte {
	out := append([]byte(nil), log[:logHead+int(binary.LittleEndian.Uint32(log[logHead-4:]))]...)
	le := binary.LittleEndian
	for _, e := range events {
		out = le.AppendUint32(le.AppendUint32(out, e.PCR), e.Type)
		out = le.AppendUint16(le.AppendUint32(out, 1), uint16(tpm2.TPMAlgSHA256))
		out = append(out, e.Digest[:]...)
		out = append(le.AppendUint32(out, uint32(len(e.Data))), e.Data...)
	}
	return out
}

// Boot does to a TPM what the firmware of a machine with these events does.
func Boot(t testing.TB, tpm io.ReadWriter, events []Event) {
	t.Helper()
	for i, e := range events {
		if e.Type == NoAction {
			continue
		}
		if err := Extend(tpm, e.PCR, e.Digest); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
}

// Extend extends a PCR of a TPM that nobody else is using at that moment.
func Extend(tpm io.ReadWriter, pcr uint32, digest [32]byte) error {
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
		Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{
			{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]},
		}},
	}.Execute(transport.FromReadWriter(tpm))
	return err
}
