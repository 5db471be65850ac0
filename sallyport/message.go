// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
)

// kind is the kind of a stream: its first byte (SPEC.md, "Messages").
type kind uint8

const (
	kindStart         kind = 1  // host to Keep
	kindAttach        kind = 2  // host to Keep, then raw
	kindDial          kind = 3  // Keep to host, then raw
	kindListen        kind = 4  // Keep to host
	kindAccepted      kind = 5  // host to Keep, then raw
	kindCloseListener kind = 6  // Keep to host
	kindLog           kind = 7  // Keep to host
	kindExit          kind = 8  // Keep to host
	kindQuote         kind = 9  // Keep to host
	kindHints         kind = 10 // host to Keep
	kindSpool         kind = 11 // Keep to host
	kindHeartbeat     kind = 12 // both

	// kindReply marks the answer to a message of the same kind.
	kindReply kind = 0x80
)

const (
	messageVersion = 1
	headerSize     = 8 // kind, version, two zero bytes, length as u32 big-endian
)

// maxSize is the largest message of a kind, 0 for a kind that does not exist.
func (k kind) maxSize() int {
	switch k {
	case kindHints:
		return maxHints
	case kindSpool:
		return MaxSpool + 16 // its CBOR wrapping
	case kindQuote | kindReply:
		return maxEvidence + maxMessage
	}
	if base := k &^ kindReply; base >= kindStart && base <= kindHeartbeat {
		return maxMessage
	}
	return 0
}

// Messages are CBOR maps with small integer keys, every key present, so that
// each value has exactly one encoding (RFC 8949, section 4.2).
type (
	emptyMessage struct{}

	dialMessage struct {
		Host    string `cbor:"1,keyasint"`
		Port    uint16 `cbor:"2,keyasint"`
		Purpose uint8  `cbor:"3,keyasint"`
	}
	listenMessage struct {
		ID      uint32 `cbor:"1,keyasint"`
		Host    string `cbor:"2,keyasint"`
		Port    uint16 `cbor:"3,keyasint"`
		Publish string `cbor:"4,keyasint"`
	}
	acceptedMessage struct {
		ID     uint32 `cbor:"1,keyasint"`
		Remote string `cbor:"2,keyasint"`
	}
	listenerMessage struct {
		ID uint32 `cbor:"1,keyasint"`
	}
	codeMessage struct { // log and exit
		Code uint16 `cbor:"1,keyasint"`
	}
	bytesMessage struct { // quote and spool
		Data []byte `cbor:"1,keyasint"`
	}
	hintMessage struct {
		MediaType string `cbor:"1,keyasint"`
		Value     []byte `cbor:"2,keyasint"`
	}
	hintsMessage struct {
		Hints []hintMessage `cbor:"1,keyasint"`
	}
	startMessage struct {
		Mode           string `cbor:"1,keyasint"`
		Platform       string `cbor:"2,keyasint"`
		BundleDigest   []byte `cbor:"3,keyasint"`
		Steward        string `cbor:"4,keyasint"`
		StewardKeyHash []byte `cbor:"5,keyasint"`
		MaxSessions    uint32 `cbor:"6,keyasint"`
	}
	replyMessage struct {
		Code uint16 `cbor:"1,keyasint"`
		Text string `cbor:"2,keyasint"`
		Body []byte `cbor:"3,keyasint"`
	}
)

var encMode, decMode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	eo := cbor.CoreDetEncOptions()
	// Absent byte strings are empty ones: null would be a second encoding.
	eo.NilContainers = cbor.NilContainerAsEmpty
	enc, err := eo.EncMode()
	if err != nil {
		panic("sallyport: the CBOR encoder's constant options are wrong: " + err.Error())
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  MaxHints,
		MaxMapPairs:       16,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic("sallyport: the CBOR decoder's constant options are wrong: " + err.Error())
	}
	return enc, dec
}

// encode gives the one encoding of a message.
func encode(v any) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		// The types above hold nothing that cannot be encoded.
		panic("sallyport: a message type cannot be encoded: " + err.Error())
	}
	return b
}

// decode reads a message strictly: no unknown or missing key, no duplicate,
// no second encoding of the same value, nothing after it.
func decode[T any](b []byte) (T, error) {
	var v, none T
	if err := decMode.Unmarshal(b, &v); err != nil {
		return none, fmt.Errorf("sallyport: message is not the expected CBOR: %w", err)
	}
	// Comparing with our own encoding settles everything that makes CBOR
	// ambiguous at once, missing keys included.
	if !bytes.Equal(encode(v), b) {
		return none, fmt.Errorf("sallyport: message of %d bytes is not in its deterministic encoding", len(b))
	}
	return v, nil
}

// writeMessage sends header and message in one write.
func writeMessage(w io.Writer, k kind, body []byte) error {
	if len(body) > k.maxSize() {
		return fmt.Errorf("sallyport: message of kind %d has %d bytes, at most %d are allowed", k, len(body), k.maxSize())
	}
	b := make([]byte, headerSize, headerSize+len(body))
	b[0], b[1] = byte(k), messageVersion
	binary.BigEndian.PutUint32(b[4:], uint32(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

// readMessage reads a header and its message.
func readMessage(r io.Reader, allowed func(kind) bool) (kind, []byte, error) {
	k, n, err := readHeader(r, allowed)
	if err != nil {
		return k, nil, err
	}
	body, err := readBody(r, k, n)
	return k, body, err
}

// readHeader reads a header and checks everything in it, the length against
// the kind's limit included. No byte of the message is read.
func readHeader(r io.Reader, allowed func(kind) bool) (kind, uint32, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, fmt.Errorf("sallyport: reading a stream's header: %w", err)
	}
	k, n := kind(h[0]), binary.BigEndian.Uint32(h[4:])
	switch {
	case h[1] != messageVersion:
		return k, 0, fmt.Errorf("sallyport: message version %d, expected %d", h[1], messageVersion)
	case h[2] != 0 || h[3] != 0:
		return k, 0, fmt.Errorf("sallyport: reserved header bytes are %#x, expected 0", h[2:4])
	case k.maxSize() == 0 || !allowed(k):
		return k, 0, fmt.Errorf("sallyport: message kind %d is not expected here", k)
	case uint64(n) > uint64(k.maxSize()):
		return k, 0, fmt.Errorf("sallyport: message of kind %d says it has %d bytes, at most %d are allowed", k, n, k.maxSize())
	}
	return k, n, nil
}

// readBody reads the message that a header announced. The memory grows with
// what really arrives.
func readBody(r io.Reader, k kind, n uint32) ([]byte, error) {
	var body bytes.Buffer
	if got, err := io.CopyN(&body, r, int64(n)); err != nil {
		return nil, fmt.Errorf("sallyport: message of kind %d ends after %d of %d bytes: %w", k, got, n, noEOF(err))
	}
	return body.Bytes(), nil
}

// noEOF keeps an end in the middle from looking like an orderly end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
