// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package guestport is what a VM Keep and its loader agree on beside the
// sallyport: the names of the two virtio-serial ports, and the frames of the
// second one.
//
// Port [Sallyport] carries the sallyport's bytes and nothing else. Port [Words]
// goes one way, from the guest to its host, and carries what on platform
// process are the Keep's standard error and its exit status:
//
//	frame = type (1 byte) ‖ length (2 bytes, big endian) ‖ payload
//
//	'w'  words of the Keep runtime for its host, 1 to [MaxWords] bytes
//	'g'  goodbye: 1 byte exit status, then a reason in ASCII, 0 to [MaxReason] bytes
//
// A goodbye is the guest's last frame. Its reason is one of the Reason
// constants, or says in words why the machine could not start the Keep. The host
// shows that it has it by closing its end of the port, for which the guest waits
// a second; then the guest ends the machine, and to its host a machine that ends
// without a goodbye has failed: QEMU's own exit status is 0 for a panic, for a
// guest out of memory and for a restart alike.
//
// What QEMU says of the end (QMP event SHUTDOWN) depends on the machine:
//
//	ACPI                                   guest-shutdown
//	acpi=off, pvpanic of QEMU 9.1 or later guest-shutdown, after GUEST_PVSHUTDOWN
//	acpi=off without that                  guest-reset
//
// acpi=off is the command line of platform snp, whose QEMU is newer than 9.1; give
// the machine the device pvpanic-pci. Where there is none, the guest restarts,
// because asked to power off the kernel would halt and never end; a loader that
// has seen the goodbye takes guest-reset, too, for the end that was announced.
// Without a goodbye, guest-reset is a panic.
//
// All of this is untrusted: it tells a host how its guest says that it ended, and
// a client nothing at all.
package guestport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Names of the virtio-serial ports, as in /sys/class/virtio-ports/*/name.
const (
	Sallyport = "enarx.sallyport"
	Words     = "enarx.words"
)

// Frame types of port [Words].
const (
	TypeWords   = 'w'
	TypeGoodbye = 'g'
)

const (
	// MaxWords bounds one frame of words.
	MaxWords = 4096
	// MaxReason bounds the reason of a goodbye.
	MaxReason = 256
	header    = 3
)

// Frame is one frame of port [Words].
type Frame struct {
	Type    byte
	Payload []byte
}

// Reasons of a goodbye, the words that platform process has for the same.
const (
	ReasonExited    = "exited"
	ReasonKilled    = "killed" // by a signal
	ReasonForbidden = "killed for a forbidden system call"
	ReasonMemory    = "out of memory"
)

// Goodbye is how the guest says that the Keep ended.
type Goodbye struct {
	// Status is the exit status of the Keep's parent process, or 128 and the
	// number of the signal that ended it.
	Status byte
	Reason string
}

// AppendWords appends the frames that carry p.
func AppendWords(b, p []byte) []byte {
	for len(p) > 0 {
		n := min(len(p), MaxWords)
		b = append(b, TypeWords)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
		b, p = append(b, p[:n]...), p[n:]
	}
	return b
}

// AppendGoodbye appends the frame of g. What does not fit or is not printable
// ASCII in its reason is left out.
func AppendGoodbye(b []byte, g Goodbye) []byte {
	reason := clean(g.Reason)
	b = append(b, TypeGoodbye)
	b = binary.BigEndian.AppendUint16(b, uint16(1+len(reason)))
	b = append(b, g.Status)
	return append(b, reason...)
}

func clean(s string) string {
	var out []byte
	for _, c := range []byte(s) {
		if c >= 0x20 && c < 0x7f && len(out) < MaxReason {
			out = append(out, c)
		}
	}
	return string(out)
}

// ReadFrame reads one frame. It returns io.EOF between frames only, and an
// error for a frame that breaks the rules: nothing can be read after that.
func ReadFrame(r io.Reader) (Frame, error) {
	var h [header]byte
	if _, err := io.ReadFull(r, h[:1]); err != nil {
		return Frame{}, err
	}
	if _, err := io.ReadFull(r, h[1:]); err != nil {
		return Frame{}, fmt.Errorf("guest's words: frame header: %w", noEOF(err))
	}
	n := int(binary.BigEndian.Uint16(h[1:]))
	limit := 0
	switch h[0] {
	case TypeWords:
		limit = MaxWords
	case TypeGoodbye:
		limit = 1 + MaxReason
	default:
		return Frame{}, fmt.Errorf("guest's words: frame of type %#x, expected %q or %q", h[0], TypeWords, TypeGoodbye)
	}
	if n == 0 || n > limit {
		return Frame{}, fmt.Errorf("guest's words: frame of %d bytes, expected 1 to %d", n, limit)
	}
	f := Frame{Type: h[0], Payload: make([]byte, n)}
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		return Frame{}, fmt.Errorf("guest's words: frame of %d bytes: %w", n, noEOF(err))
	}
	return f, nil
}

// Goodbye takes a frame of type [TypeGoodbye] apart.
func (f Frame) Goodbye() (Goodbye, error) {
	if f.Type != TypeGoodbye || len(f.Payload) == 0 {
		return Goodbye{}, errors.New("guest's words: no goodbye")
	}
	return Goodbye{Status: f.Payload[0], Reason: clean(string(f.Payload[1:]))}, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
