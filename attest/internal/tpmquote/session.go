// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpmquote

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tpm"
)

// secretSize is the size of a credential's secret in bytes: no larger than any
// digest that names a key.
const secretSize = 32

// Session is one conversation with a Keep about its TPM, and the verifier that
// counts its outcome: both [attest.Challenger] and [attest.Verifier]. It
// belongs to one session and is not safe for several goroutines.
type Session struct {
	p      Params
	col    attest.Collateral
	at     time.Time
	random io.Reader

	step   int
	secret []byte
	act    activation
}

// NewSession makes a session in which the chain of the endorsement key is
// checked with col at the given time. random gives the secret and the seed of
// the credential: it must be the operating system's.
func NewSession(p Params, col attest.Collateral, at time.Time, random io.Reader) *Session {
	return &Session{p: p, col: col, at: at, random: random}
}

// Next follows the contract of [attest.Challenger]. Evidence for which no
// credential can be made ends the conversation without an error: the verdict
// says better what is wrong with it.
func (s *Session) Next(answer attest.Evidence) (attest.Evidence, bool, error) {
	s.step++
	switch s.step {
	case 1:
		s.act = activation{state: noCredential, keys: keysOf(answer)}
		challenge, err := s.challenge(answer)
		if err != nil {
			s.act.err = fmt.Errorf("no credential could be made: %w", err)
			return attest.Evidence{}, true, nil
		}
		s.act.state = noAnswer
		return challenge, false, nil
	case 2:
		if s.act.state != noAnswer {
			break
		}
		s.act.state = wrongAnswer
		if answer.MediaType == attest.MediaTypeTPMAnswer && len(s.secret) == secretSize && subtle.ConstantTimeCompare(answer.Value, s.secret) == 1 {
			s.act.state = activated
		}
		s.secret = nil
		return attest.Evidence{}, true, nil
	}
	return attest.Evidence{}, false, errors.New("vtpm: the conversation is over; make a new session")
}

// challenge makes the credential for the attestation key of the evidence.
func (s *Session) challenge(ev attest.Evidence) (attest.Evidence, error) {
	in, err := decode(ev)
	if err != nil {
		return attest.Evidence{}, err
	}
	if !in.keep {
		return attest.Evidence{}, fmt.Errorf("evidence of type %s, expected %s", shown(ev.MediaType), attest.MediaTypeTPM)
	}
	ak, err := tpm.ParsePublic(in.public)
	if err == nil {
		err = ak.CheckAttestationKey()
	}
	if err != nil {
		return attest.Evidence{}, fmt.Errorf("attestation key: %w", err)
	}
	name, err := ak.Name()
	if err != nil {
		return attest.Evidence{}, err
	}
	e, err := s.p.endorse(in.endorsements, s.col, s.at, -1)
	if err != nil {
		return attest.Evidence{}, err
	}
	s.act.endorsement = e.index
	s.secret = make([]byte, secretSize)
	if _, err := io.ReadFull(s.random, s.secret); err != nil {
		return attest.Evidence{}, fmt.Errorf("random bytes for a secret: %w", err)
	}
	id, sealed, err := tpm.MakeCredential(s.random, e.public, name, s.secret)
	if err != nil {
		return attest.Evidence{}, err
	}
	b, err := (&attest.TPMChallenge{Endorsement: uint32(e.index), IDObject: id, Secret: sealed}).Encode()
	if err != nil {
		return attest.Evidence{}, err
	}
	return attest.Evidence{MediaType: attest.MediaTypeTPMChallenge, Value: b}, nil
}

// Platform is the platform of the session.
func (s *Session) Platform() string { return s.p.Platform }

// MediaTypes are those of evidence of Keeps.
func (s *Session) MediaTypes() []string { return []string{attest.MediaTypeTPM} }

// keysOf is a digest of the keys that evidence shows: what an activation is
// about. Later evidence of the same keys needs no other one.
func keysOf(ev attest.Evidence) [32]byte {
	h := sha256.New()
	e, err := attest.DecodeTPMEvidence(ev.Value)
	if ev.MediaType != attest.MediaTypeTPM || err != nil {
		h.Write(ev.Value)
		return [32]byte(h.Sum(nil))
	}
	parts := [][]byte{e.AK}
	for _, k := range e.Endorsements {
		parts = append(parts, k.Certificate, k.Public)
	}
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// Verify follows the contract of [attest.Verifier]. Without a conversation that
// came to its good end, about the keys of this evidence, the row of the
// activation fails. A quote that is not a Keep's is refused, since it would need
// no conversation.
func (s *Session) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	if ev.MediaType == attest.MediaTypeTPMQuote {
		v := &verification{p: s.p}
		v.row(false, attest.ReasonPlatform, "format", "a quote that is not a Keep's", "evidence of type "+attest.MediaTypeTPM, ours, "ask a Keep for its own evidence")
		return nil, v.rows
	}
	act := s.act
	if act.state == notAsked {
		act.state = noCredential
		act.keys = keysOf(ev)
	}
	return verify(s.p, act, ev, col, exp, at)
}
