// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Signatures remembers signatures of certificates and revocation lists that
// were found good, so that they need not be computed again. It holds nothing
// else: no date, no revocation, no decision, and nothing that was found bad.
//
// An entry is the SHA-256 digest of the exact bytes of the issuer and of what
// it signed, so that a byte more or less is another entry. Its methods may be
// used by several goroutines at once; a nil Signatures remembers nothing.
type Signatures struct {
	mu    sync.RWMutex
	known map[[sha256.Size]byte]struct{}
	ring  [][sha256.Size]byte // in the order of arrival; the oldest goes first
	next  int
}

// NewSignatures makes a memory of at most limit signatures, some 100 bytes
// each; a limit below 1 counts as 1.
func NewSignatures(limit int) *Signatures {
	limit = max(limit, 1)
	return &Signatures{known: map[[sha256.Size]byte]struct{}{}, ring: make([][sha256.Size]byte, 0, limit)}
}

// has says whether the signature of that name is known to be good.
func (s *Signatures) has(key [sha256.Size]byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.known[key]
	return ok
}

// signatureKey digests both byte strings with the length of the first, so that
// no other pair gives the same input. A certificate never has the bytes of a
// list, so the two need no domain of their own.
func signatureKey(issuer, signed []byte) (key [sha256.Size]byte) {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(issuer))))
	h.Write(issuer)
	h.Write(signed)
	h.Sum(key[:0])
	return key
}

func (s *Signatures) remember(key [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[key]; ok {
		return
	}
	s.known[key] = struct{}{}
	if len(s.ring) < cap(s.ring) {
		s.ring = append(s.ring, key)
		return
	}
	delete(s.known, s.ring[s.next])
	s.ring[s.next] = key
	s.next = (s.next + 1) % len(s.ring)
}

// Len is the number of signatures remembered.
func (s *Signatures) Len() int {
	if s == nil {
		return 0
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.known)
}
