// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// closeNotify is the size of an encrypted alert: 2 bytes, content type, tag.
const closeNotify = 2 + 1 + 16

// Shape is what a host learns from the records of one side without any key:
// the type and size of each, in order, and the plain text of the client's
// hello but for its random parts. Records that were cut by the end of the
// tunnel and close_notify are left out: which of two ends closes first is a
// matter of luck.
func (w *Wire) Shape(from Side) []string {
	var s []string
	for _, r := range w.Records(from) {
		if r.Cut || r.Type == RecordData && len(r.Bytes)-5 == closeNotify {
			continue
		}
		line := fmt.Sprintf("%s %d %d", from, r.Type, len(r.Bytes)-5)
		if from == Client && r.Type == RecordHandshake && r.N == 0 {
			line += " " + hello(r.Bytes)
		}
		s = append(s, line)
	}
	return s
}

// hello is a ClientHello (RFC 8446, section 4.1.2) without what is random in
// it: the random, the session id of the compatibility mode, the key shares.
func hello(record []byte) string {
	const fixed = 5 + 4 + 2 // record header, handshake header, legacy version
	b := record[min(fixed, len(record)):]
	var random, id, suites, compression, extensions []byte
	if !cut(&b, 32, &random) || !cut8(&b, &id) || !cut16(&b, &suites) || !cut8(&b, &compression) || !cut16(&b, &extensions) {
		return "no hello: " + hex.EncodeToString(record)
	}
	s := fmt.Sprintf("id:%d suites:%x compression:%x", len(id), suites, compression)
	for len(extensions) > 0 {
		var kind, body []byte
		if !cut(&extensions, 2, &kind) || !cut16(&extensions, &body) {
			return s + " and a broken extension"
		}
		if binary.BigEndian.Uint16(kind) == 51 { // key_share
			s += fmt.Sprintf(" %x:%d bytes", kind, len(body))
			continue
		}
		s += fmt.Sprintf(" %x:%x", kind, body)
	}
	return s
}

func cut(b *[]byte, n int, out *[]byte) bool {
	if len(*b) < n {
		return false
	}
	*out, *b = (*b)[:n], (*b)[n:]
	return true
}

func cut8(b *[]byte, out *[]byte) bool {
	var n []byte
	return cut(b, 1, &n) && cut(b, int(n[0]), out)
}

func cut16(b *[]byte, out *[]byte) bool {
	var n []byte
	return cut(b, 2, &n) && cut(b, int(binary.BigEndian.Uint16(n)), out)
}

// Seen is a pile of bytes that a host saw.
type Seen []byte

// Find returns the markers that are in the pile: as they are, in hexadecimal,
// or in base64 at any of its three alignments.
func (s Seen) Find(markers ...string) []string {
	var found []string
	for _, m := range markers {
		if bytes.Contains(s, []byte(m)) || bytes.Contains(s, []byte(hex.EncodeToString([]byte(m)))) || s.base64(m) {
			found = append(found, m)
		}
	}
	return found
}

func (s Seen) base64(m string) bool {
	for skip := range 3 {
		// Whole groups of three bytes that lie inside the marker encode the
		// same wherever they are.
		body := m[min(skip, len(m)):]
		body = body[:len(body)/3*3]
		if len(body) >= 9 && bytes.Contains(s, []byte(base64.StdEncoding.EncodeToString([]byte(body)))) {
			return true
		}
	}
	return false
}
