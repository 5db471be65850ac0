// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Reports is how a kernel makes the reports of a confidential virtual machine.
// [OpenReports] gives it; the first process of the machine serves it to the
// Keep's parent process with [ServeReports].
type Reports interface {
	// Provider is the kernel's name for the platform, such as "sev_guest".
	Provider() string
	// Report gives a report over reportData, and what came along with it.
	Report(reportData [64]byte) (report, along []byte, err error)
	// Extend extends the register for claims, or returns
	// errors.ErrUnsupported.
	Extend(digest [48]byte) error
}

// The protocol between the two processes. A request is one byte that says what
// is asked for, and a payload of fixed length. The answer is a status byte and
// then parts of a length (4 bytes, big endian) and that many bytes.
const (
	opProvider = 'p' // no payload; one part: the provider
	opReport   = 'r' // 64 bytes of report data; two parts: the report, what came along
	opExtend   = 'x' // a SHA-384 digest; no part

	statusOK         = 0
	statusRefused    = 1 // one part: why
	statusNoRegister = 2 // to opExtend; no part
)

// ops has the payload's length of each request and the parts of its answer with
// the most bytes of each.
var ops = map[byte]struct {
	payload int
	parts   []uint32
}{
	opProvider: {0, []uint32{64}},
	opReport:   {64, []uint32{maxReport, maxReport}},
	opExtend:   {48, nil},
}

// refusal is why the kernel gave no report.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

var errNoRegister = errors.New("the kernel offers no register to extend; Linux 6.16 or later does")

// askDevice sends a request and reads its answer.
func askDevice(rw io.ReadWriter, op byte, payload []byte) ([][]byte, error) {
	if _, err := rw.Write(append([]byte{op}, payload...)); err != nil {
		return nil, fmt.Errorf("send the request: %w", err)
	}
	var status [1]byte
	if _, err := io.ReadFull(rw, status[:]); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	switch status[0] {
	case statusOK:
		return readParts(rw, ops[op].parts)
	case statusRefused:
		parts, err := readParts(rw, []uint32{maxRefusal})
		if err != nil {
			return nil, err
		}
		return nil, &refusal{string(parts[0])}
	case statusNoRegister:
		return nil, errNoRegister
	}
	return nil, fmt.Errorf("read the answer: status %d, expected 0 to 2", status[0])
}

func readParts(r io.Reader, limits []uint32) ([][]byte, error) {
	var parts [][]byte
	for i, limit := range limits {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return nil, fmt.Errorf("read part %d of the answer: %w", i, err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > limit {
			return nil, fmt.Errorf("read part %d of the answer: %d bytes, at most %d are taken", i, n, limit)
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(r, p); err != nil {
			return nil, fmt.Errorf("read part %d of the answer: %w", i, err)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// ServeReports answers the requests that come on rw until it ends: with nil at
// its end, with an error when something else than a request comes. Whoever
// holds the other end can have anything reported, so it goes to the Keep's
// parent process and nowhere else.
func ServeReports(rw io.ReadWriter, r Reports) error {
	for {
		var op [1]byte
		if _, err := io.ReadFull(rw, op[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("serve reports: %w", err)
		}
		o, ok := ops[op[0]]
		if !ok {
			return fmt.Errorf("serve reports: request %#x, expected %q, %q or %q", op[0], opProvider, opReport, opExtend)
		}
		payload := make([]byte, o.payload)
		if _, err := io.ReadFull(rw, payload); err != nil {
			return fmt.Errorf("serve reports: %w", err)
		}
		if _, err := rw.Write(serveOne(r, op[0], payload)); err != nil {
			return fmt.Errorf("serve reports: %w", err)
		}
	}
}

func serveOne(r Reports, op byte, payload []byte) []byte {
	var parts [][]byte
	var err error
	switch op {
	case opProvider:
		parts = [][]byte{[]byte(r.Provider())}
	case opReport:
		var report, along []byte
		report, along, err = r.Report([64]byte(payload))
		parts = [][]byte{report, along}
	case opExtend:
		if err = r.Extend([48]byte(payload)); errors.Is(err, errors.ErrUnsupported) {
			return []byte{statusNoRegister}
		}
	}
	for i, p := range parts {
		if limit := ops[op].parts[i]; err == nil && uint32(len(p)) > limit {
			err = fmt.Errorf("the kernel gives %d bytes, at most %d are passed on", len(p), limit)
		}
	}
	if err != nil {
		why := err.Error()
		return appendPart([]byte{statusRefused}, []byte(why[:min(len(why), maxRefusal)]))
	}
	b := []byte{statusOK}
	for _, p := range parts {
		b = appendPart(b, p)
	}
	return b
}

func appendPart(b, p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
}
