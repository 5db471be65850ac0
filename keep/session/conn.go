// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Type says what a frame carries. Values are in SPEC.md.
type Type uint8

// Message types. C is the client, K the Keep.
const (
	TypeHello     Type = 1  // C: asks for evidence
	TypeEvidence  Type = 2  // K: attest.EvidenceMessage
	TypeChallenge Type = 3  // C: platform challenge, bounded rounds
	TypeResponse  Type = 4  // K: answer to a challenge
	TypeClaim     Type = 5  // C: Claim
	TypeClaimed   Type = 6  // K: Claimed
	TypeRefused   Type = 7  // K: Refused, the last frame of a session
	TypeBundle    Type = 8  // C: BundleHeader, then data frames
	TypeData      Type = 9  // C: bytes of the bundle, zero padded at its end
	TypeAccepted  Type = 10 // K: Accepted
	TypeSecrets   Type = 11 // C: sealed secret values
	TypeRun       Type = 12 // C: Run
	TypeRunning   Type = 13 // K: Running
	TypeStdin     Type = 14 // C: bytes; empty payload is end of file
	TypeStdout    Type = 15 // K: bytes
	TypeStderr    Type = 16 // K: bytes
	TypeCredit    Type = 17 // K: u32, bytes of stdin that may be sent in addition
	TypeSignal    Type = 18 // C: u8, signal number
	TypeExit      Type = 19 // K: Exit, the last frame of a session
	TypeOwner     Type = 20 // C: OwnerProof
	TypeVerb      Type = 21 // C: Verb, what an owner wants
	TypeStatus    Type = 22 // K: Status
	TypeLoss      Type = 23 // K: u64, bytes of output that are lost here
	TypePing      Type = 24 // both: keeps a quiet session alive
)

const flagMore = 1 // the message goes on in the next frame of the same type

// Conn is one session: a TLS connection that carries padded frames. One
// goroutine may read while others write.
type Conn struct {
	tls *tls.Conn
	rw  io.ReadWriter // tls; tests put plain bytes here
	out *gather       // below tls

	wmu  sync.Mutex
	wbuf []byte
	werr error // the first error of a write: part of a frame may be out

	rbuf []byte
	r, w int // rbuf[r:w] is received and not yet parsed
}

// Server runs the Keep's side of the handshake on raw.
func Server(raw net.Conn, cfg *tls.Config) (*Conn, error) {
	return handshake(raw, func(c net.Conn) *tls.Conn { return tls.Server(c, cfg) })
}

// Client runs the client's side of the handshake on raw.
func Client(raw net.Conn) (*Conn, error) {
	return handshake(raw, func(c net.Conn) *tls.Conn { return tls.Client(c, ClientTLS()) })
}

func handshake(raw net.Conn, wrap func(net.Conn) *tls.Conn) (*Conn, error) {
	g := &gather{Conn: raw}
	t := wrap(g)
	if err := raw.SetDeadline(time.Now().Add(HandshakeTimeout)); err != nil {
		raw.Close()
		return nil, fmt.Errorf("attested channel: set handshake deadline: %w", err)
	}
	if err := t.Handshake(); err != nil {
		raw.Close()
		return nil, fmt.Errorf("attested channel: handshake: %w", err)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		raw.Close()
		return nil, fmt.Errorf("attested channel: clear handshake deadline: %w", err)
	}
	return &Conn{tls: t, rw: t, out: g}, nil
}

// State is the TLS connection's state, from which bindings are derived.
func (c *Conn) State() tls.ConnectionState { return c.tls.ConnectionState() }

// SetReadDeadline bounds the next reads; the zero time removes the bound.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tls.SetReadDeadline(t) }

// SetWriteDeadline bounds the next writes; the zero time removes the bound. A
// write that ran into its deadline has broken the session for good.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }

// Close ends the session: in order if the peer takes the last record within
// seconds, and at once if a write is under way, which then fails.
func (c *Conn) Close() error {
	if !c.wmu.TryLock() {
		return c.out.Conn.Close()
	}
	defer c.wmu.Unlock()
	return c.tls.Close()
}

// classOf is the size on the wire of a frame with n bytes of payload.
func classOf(n int) int {
	for _, s := range frameClasses {
		if headerSize+n <= s {
			return s
		}
	}
	return maxFrame
}

// WriteMessage sends p as one message, in as many frames as it takes.
func (c *Conn) WriteMessage(t Type, p []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	for {
		n := min(len(p), MaxPayload)
		var flags byte
		if n < len(p) {
			flags = flagMore
		}
		if err := c.writeFrames(t, flags, p[:n]); err != nil {
			return err
		}
		p = p[n:]
		if len(p) == 0 {
			return nil
		}
	}
}

// WriteStream sends p, bytes of a stream, as messages of one frame each. Two
// full frames go into one write to the connection below: what carries them
// works by the write more than by the byte.
func (c *Conn) WriteStream(t Type, p []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	for len(p) > 0 {
		n := min(len(p), StreamBatch)
		if err := c.writeFrames(t, 0, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// writeFrames sends p in padded frames, which leave together. The caller holds
// wmu.
func (c *Conn) writeFrames(t Type, flags byte, p []byte) error {
	if c.werr != nil {
		return c.werr
	}
	c.out.hold()
	var err error
	for first := true; err == nil && (first || len(p) > 0); first = false {
		n := min(len(p), MaxPayload)
		err = c.sealFrame(t, flags, p[:n])
		p = p[n:]
	}
	if ferr := c.out.release(); err == nil {
		err = ferr
	}
	if err != nil {
		c.werr = fmt.Errorf("attested channel: write: %w", err)
	}
	return c.werr
}

// sealFrame pads one frame and passes it to TLS.
func (c *Conn) sealFrame(t Type, flags byte, p []byte) error {
	size := classOf(len(p))
	if cap(c.wbuf) < size {
		c.wbuf = make([]byte, size)
	}
	f := c.wbuf[:size]
	f[0], f[1], f[2], f[3] = byte(t), flags, 0, 0
	binary.BigEndian.PutUint32(f[4:], uint32(len(p)))
	clear(f[headerSize+copy(f[headerSize:], p):])
	_, err := c.rw.Write(f)
	return err
}

// ReadMessage reads one whole message of any type. The bytes are valid until
// the next read. The error is io.EOF only if the peer itself ended the session,
// between two messages; a session that somebody cut is io.ErrUnexpectedEOF.
func (c *Conn) ReadMessage() (Type, []byte, error) {
	t, more, p, err := c.readFrame()
	if err != nil || !more {
		return t, p, err
	}
	msg := append([]byte(nil), p...)
	for more {
		var nt Type
		nt, more, p, err = c.readFrame()
		if err != nil {
			return 0, nil, err
		}
		if nt != t {
			return 0, nil, fmt.Errorf("attested channel: a message of type %d is interrupted by type %d", t, nt)
		}
		if len(msg)+len(p) > maxControl {
			return 0, nil, fmt.Errorf("attested channel: a message of type %d is larger than %d bytes", t, maxControl)
		}
		if len(p) == 0 {
			return 0, nil, errors.New("attested channel: the last frame of a message is empty")
		}
		msg = append(msg, p...)
	}
	return t, msg, nil
}

// Expect reads one message and demands its type. A refusal by the Keep comes
// back as *Refused.
func (c *Conn) Expect(want Type) ([]byte, error) {
	t, p, err := c.ReadMessage()
	for err == nil && t == TypePing {
		t, p, err = c.ReadMessage()
	}
	if err != nil {
		return nil, err
	}
	if t == want {
		return p, nil
	}
	if t == TypeRefused {
		var r Refused
		if err := Decode(p, &r); err != nil {
			return nil, err
		}
		return nil, &r
	}
	return nil, fmt.Errorf("attested channel: seen a message of type %d, expected %d", t, want)
}

func (c *Conn) readFrame() (t Type, more bool, p []byte, err error) {
	h, err := c.fill(headerSize)
	if err != nil {
		return 0, false, nil, err
	}
	n := binary.BigEndian.Uint32(h[4:])
	if n > MaxPayload || h[1]&^flagMore != 0 || h[2] != 0 || h[3] != 0 {
		return 0, false, nil, errors.New("attested channel: malformed frame header")
	}
	t, more = Type(h[0]), h[1]&flagMore != 0
	if more && n != MaxPayload {
		return 0, false, nil, errors.New("attested channel: a continued frame is not full")
	}
	size := classOf(int(n))
	f, err := c.fill(size)
	if err != nil {
		return 0, false, nil, err
	}
	for _, b := range f[headerSize+int(n):] {
		if b != 0 {
			return 0, false, nil, errors.New("attested channel: padding is not zero")
		}
	}
	c.r += size
	return t, more, f[headerSize : headerSize+int(n)], nil
}

// fill makes sure that n bytes are buffered and returns them without taking
// them. The buffer grows with what the peer really sends, up to one frame.
func (c *Conn) fill(n int) ([]byte, error) {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	for c.w-c.r < n {
		if c.r > 0 && c.r+n > len(c.rbuf) {
			copy(c.rbuf, c.rbuf[c.r:c.w])
			c.r, c.w = 0, c.w-c.r
		}
		if len(c.rbuf) < n {
			grown := make([]byte, max(n, frameClasses[2]))
			c.w = copy(grown, c.rbuf[c.r:c.w])
			c.r, c.rbuf = 0, grown
		}
		m, err := c.rw.Read(c.rbuf[c.w:])
		c.w += m
		if m == 0 && err != nil {
			if err == io.EOF && (c.w > c.r || c.out.ended.Load()) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("attested channel: read: %w", err)
		}
	}
	return c.rbuf[c.r : c.r+n], nil
}

// gather is the connection under TLS. While held it collects the records of
// one frame, so that a 64 KiB frame crosses the multiplexer below as one write
// and not as four.
//
// It also remembers that the byte stream ended: crypto/tls takes an end between
// two records for the peer's close_notify, and whoever carries the bytes can
// make one.
type gather struct {
	net.Conn
	ended atomic.Bool

	mu   sync.Mutex
	held bool
	buf  []byte
}

func (g *gather) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if n > 0 {
		return n, nil // an error with data comes again without
	}
	if err == io.EOF {
		g.ended.Store(true)
	}
	return 0, err
}

func (g *gather) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held {
		g.buf = append(g.buf, p...)
		return len(p), nil
	}
	return g.Conn.Write(p)
}

func (g *gather) hold() {
	g.mu.Lock()
	g.held = true
	g.mu.Unlock()
}

func (g *gather) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = false
	if len(g.buf) == 0 {
		return nil
	}
	_, err := g.Conn.Write(g.buf)
	g.buf = g.buf[:0]
	return err
}
