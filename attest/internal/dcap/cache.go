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

// form is how a signature is written down.
type form uint8

const (
	formDER form = iota // in ASN.1, as in certificates
	formRaw             // Intel's: r and s, 32 bytes each, big-endian
)

// good says whether sig is key's signature over a SHA-256 digest.
func (f form) good(key *ecdsa.PublicKey, digest, sig []byte) bool {
	if f == formDER {
		return ecdsa.VerifyASN1(key, digest, sig)
	}
	if len(sig) != signatureSize {
		return false
	}
	return ecdsa.Verify(key, digest, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}

// signatureKey names one signature under one key over one message digest. All
// parts but the last have a fixed length, so no two of them share a name.
func signatureKey(key *ecdsa.PublicKey, digest [32]byte, f form, sig []byte) ([32]byte, bool) {
	pub, err := key.Bytes()
	if err != nil {
		return [32]byte{}, false
	}
	b := make([]byte, 0, 1+len(pub)+len(digest)+len(sig))
	b = append(append(append(append(b, byte(f)), pub...), digest[:]...), sig...)
	return sha256.Sum256(b), true
}

// verify checks an ECDSA P-256 signature over SHA-256 of message, or knows it.
func (c *Cache) verify(key *ecdsa.PublicKey, f form, message, sig []byte) bool {
	r := &computed{key: key, form: f, message: message, sig: sig}
	if work := c.begin(r); work != nil {
		work()
	}
	return r.good
}

// begin gives the work that decides whether r is good, or nil if that is known
// without any. Only good signatures are remembered.
func (c *Cache) begin(r *computed) (work func()) {
	if r.key == nil || r.key.Curve != elliptic.P256() {
		return nil
	}
	digest := sha256.Sum256(r.message)
	if c == nil {
		return func() { r.good = r.form.good(r.key, digest[:], r.sig) }
	}
	name, ok := signatureKey(r.key, digest, r.form, r.sig)
	if ok && c.has(name) {
		r.good = true
		return nil
	}
	return func() {
		if r.good = r.form.good(r.key, digest[:], r.sig); r.good && ok {
			c.add(name)
		}
	}
}
