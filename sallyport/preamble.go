// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// role is an end of the sallyport.
type role uint8

const (
	roleHost role = 1
	roleKeep role = 2
)

func (r role) peer() role { return roleHost + roleKeep - r }

// step is what a preamble says.
type step uint8

const (
	stepHello step = 1 // I am here; the nonce I last saw of you is echo
	stepGo    step = 2 // you have seen me; the next byte belongs to the mux
)

// A preamble is 64 bytes: magic, version, role, step, a zero byte, the
// sender's nonce, the echoed nonce, and a checksum. The first byte of the
// magic is no valid first byte of a mux frame, so a peer that begins anew is
// noticed by a session that still runs; CR LF and 0x1a show a channel that is
// not clean for all bytes (a terminal).
const (
	preambleMagic   = "\xffENARX-SP\r\n\x1a"
	preambleVersion = 1
	preambleSize    = 64
	nonceSize       = 16
	filler          = 0xff // never a valid first byte of a mux frame
)

type nonce [nonceSize]byte

type preamble struct {
	version uint8
	role    role
	step    step
	nonce   nonce
	echo    nonce
}

func (p preamble) encode() []byte {
	b := make([]byte, 0, preambleSize)
	b = append(b, preambleMagic...)
	b = append(b, p.version, byte(p.role), byte(p.step), 0)
	b = append(b, p.nonce[:]...)
	b = append(b, p.echo[:]...)
	sum := sha256.Sum256(b)
	return append(b, sum[:16]...)
}

// parsePreamble reads exactly 64 bytes; false for anything that encode does
// not produce. The checksum guards against accidents only: nothing here is
// secret or authentic.
func parsePreamble(b []byte) (preamble, bool) {
	if len(b) != preambleSize {
		return preamble{}, false
	}
	p := preamble{version: b[12], role: role(b[13]), step: step(b[14])}
	copy(p.nonce[:], b[16:])
	copy(p.echo[:], b[32:])
	if !bytes.Equal(p.encode(), b) {
		return preamble{}, false
	}
	return p, true
}

// scanner finds preambles in a stream of anything.
type scanner struct {
	buf [preambleSize]byte
	n   int
}

// push takes one byte and returns a preamble that ends with it.
func (s *scanner) push(b byte) (preamble, bool) {
	s.buf[s.n] = b
	s.n++
	for s.n > 0 {
		k := min(s.n, len(preambleMagic))
		if string(s.buf[:k]) == preambleMagic[:k] {
			if s.n < preambleSize {
				return preamble{}, false
			}
			if p, ok := parsePreamble(s.buf[:]); ok {
				s.n = 0
				return p, true
			}
		}
		s.n = copy(s.buf[:], s.buf[1:s.n])
	}
	return preamble{}, false
}

// handshake is one end's state while it looks for the other.
type handshake struct {
	line  *Line
	self  role
	own   nonce
	peer  nonce // last seen; zero before
	gone  nonce // the nonce that go was sent to
	ticks int   // hellos without any answer
	scan  scanner
	out   chan []byte // to the writer
	other uint8       // a version that was seen and is not ours
}

// shake runs the preamble and leaves the line at the first byte of the mux.
//
// Each end repeats hello until the peer has echoed its fresh nonce, which
// proves that the peer lives and reads now; only then it sends go, once, and
// nothing but mux frames after it. Go counts only with our nonce in it, so a
// hello or go of an earlier life is never believed.
func shake(ctx context.Context, l *Line, self role) error {
	limit := time.Duration(1<<63 - 1)
	if _, ok := ctx.Deadline(); !ok {
		limit = connectTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel() // and with it the writer, before anybody else may write
	h := &handshake{line: l, self: self, out: make(chan []byte, 2)}
	rand.Read(h.own[:]) // never fails: it ends the program rather than return without randomness
	writeErr := make(chan error, 1)
	go func() { writeErr <- h.writer(ctx) }()
	err := h.run(ctx)
	close(h.out)
	if err != nil {
		return h.explain(ctx, err)
	}
	select {
	case err = <-writeErr: // go is on its way before the mux writes
	case <-ctx.Done():
		err = ErrClosed
	}
	return h.explain(ctx, err)
}

func (h *handshake) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, ErrClosed) || ctx.Err() == nil:
		return err
	case h.other != 0:
		return fmt.Errorf("sallyport: the other end speaks version %d, this one %d; use programs of one release: %w", h.other, preambleVersion, ctx.Err())
	case h.peer == nonce{}:
		return fmt.Errorf("sallyport: the other end has not answered: %w", ctx.Err())
	}
	return fmt.Errorf("sallyport: the other end has not finished the preamble: %w", ctx.Err())
}

// writer is apart so that a peer that does not read cannot keep the deadline
// from being met.
func (h *handshake) writer(ctx context.Context) error {
	for b := range h.out {
		if err := h.line.write(b, ctx.Done()); err != nil {
			return err
		}
	}
	return nil
}

// hello may be dropped while the writer is busy: it will be repeated.
func (h *handshake) hello() {
	m := preamble{preambleVersion, h.self, stepHello, h.own, h.peer}.encode()
	h.ticks++
	if h.ticks%fillerEvery == 0 {
		// A peer in the middle of a frame of an earlier session would take
		// hello for its body. This carries it past the frame's end, to a byte
		// that no frame begins with.
		m = append(bytes.Repeat([]byte{filler}, maxFrame+muxHeader), m...)
	}
	select {
	case h.out <- m:
	default:
	}
}

func (h *handshake) sendGo(ctx context.Context) error {
	select {
	case h.out <- (preamble{preambleVersion, h.self, stepGo, h.own, h.peer}).encode():
		h.gone = h.peer
		return nil
	case <-ctx.Done():
		return ErrClosed
	}
}

func (h *handshake) run(ctx context.Context) error {
	tick := time.NewTicker(helloEvery)
	defer tick.Stop()
	wake := make(chan struct{}, 1)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-tick.C:
				select {
				case wake <- struct{}{}:
				default:
				}
			case <-stop:
				return
			}
		}
	}()
	h.hello()
	seen := 0
	for {
		switch err := h.line.fill(ctx.Done(), wake); {
		case err == errWoken:
			if (h.gone == nonce{}) {
				h.hello()
			}
			continue
		case err != nil:
			return err
		}
		for len(h.line.rest) > 0 {
			n := 1
			if h.scan.n == 0 {
				// Nothing begins before the next first byte of the magic.
				if n = bytes.IndexByte(h.line.rest, preambleMagic[0]) + 1; n == 0 {
					n = len(h.line.rest)
				}
			}
			b := h.line.rest[n-1]
			h.line.rest = h.line.rest[n:]
			if seen += n; seen > maxGarbage {
				return fmt.Errorf("sallyport: no answer of the other end in %d bytes of its output", maxGarbage)
			}
			p, ok := h.scan.push(b)
			if !ok {
				continue
			}
			if done, err := h.take(ctx, p); done || err != nil {
				return err
			}
		}
	}
}

// take handles one preamble of the input; true when the mux comes next.
func (h *handshake) take(ctx context.Context, p preamble) (bool, error) {
	if p.role != h.self.peer() || (p.nonce == nonce{}) {
		return false, nil
	}
	if p.version != preambleVersion {
		h.other = p.version
		return false, nil
	}
	alive := p.echo == h.own
	if p.step == stepGo {
		if !alive {
			return false, nil
		}
		h.peer = p.nonce
		if h.gone != p.nonce {
			return true, h.sendGo(ctx)
		}
		return true, nil
	}
	if p.step != stepHello || h.gone == p.nonce {
		return false, nil
	}
	h.peer, h.ticks = p.nonce, 0
	if alive {
		return false, h.sendGo(ctx)
	}
	h.gone = nonce{} // another life of the peer: what was sent to the former is void
	h.hello()
	return false, nil
}
