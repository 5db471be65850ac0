// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"
	"sync"
)

// Cache remembers which signatures were good. It is keyed by the exact key,
// message and signature and holds nothing else: no date, no list, no verdict.
// A nil Cache remembers nothing. A Cache may be shared by any number of
// verifiers and goroutines.
type Cache struct {
	mu   sync.Mutex
	good map[[32]byte]struct{}
	ring [][32]byte // in order of arrival; the oldest makes room
	next int
	size int
}

// NewCache makes a cache of at most entries signatures, between 1 and
// [MaxCacheEntries]. One verification adds nine at most, five of which
// are the same for all platforms of a kind.
func NewCache(entries int) *Cache {
	size := min(max(entries, 1), MaxCacheEntries)
	return &Cache{good: make(map[[32]byte]struct{}), size: size}
}

func (c *Cache) has(k [32]byte) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.good[k]
	return ok
}

func (c *Cache) add(k [32]byte) {
	if c == nil || c.size == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.good[k]; ok {
		return
	}
	if len(c.ring) < c.size {
		c.ring = append(c.ring, k)
	} else {
		delete(c.good, c.ring[c.next])
		c.ring[c.next] = k
		c.next = (c.next + 1) % c.size
	}
	c.good[k] = struct{}{}
}

// signatureKey names one signature under one key over one message digest. All
// parts but the last have a fixed length, so no two triples share a name.
func signatureKey(key *ecdsa.PublicKey, digest [32]byte, form string, sig []byte) ([32]byte, bool) {
	pub, err := key.Bytes()
	if err != nil || len(form) != 3 {
		return [32]byte{}, false
	}
	b := make([]byte, 0, 3+len(pub)+len(digest)+len(sig))
	b = append(append(append(append(b, form...), pub...), digest[:]...), sig...)
	return sha256.Sum256(b), true
}

// verifyASN1 checks an ECDSA P-256 signature over SHA-256 of message, in DER.
func (c *Cache) verifyASN1(key *ecdsa.PublicKey, message, sig []byte) bool {
	return c.verify(key, message, "der", sig, ecdsa.VerifyASN1)
}

// verifyRaw checks the same in Intel's form: r and s, 32 bytes each, big-endian.
func (c *Cache) verifyRaw(key *ecdsa.PublicKey, message, sig []byte) bool {
	return c.verify(key, message, "raw", sig, verifyRS)
}

func verifyRS(key *ecdsa.PublicKey, digest, sig []byte) bool {
	if len(sig) != signatureSize {
		return false
	}
	return ecdsa.Verify(key, digest, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}

func (c *Cache) verify(key *ecdsa.PublicKey, message []byte, form string, sig []byte, f func(*ecdsa.PublicKey, []byte, []byte) bool) bool {
	if key == nil || key.Curve != elliptic.P256() {
		return false
	}
	digest := sha256.Sum256(message)
	if c == nil {
		return f(key, digest[:], sig)
	}
	name, ok := signatureKey(key, digest, form, sig)
	if ok && c.has(name) {
		return true
	}
	good := f(key, digest[:], sig)
	if good && ok {
		c.add(name)
	}
	return good
}
