// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"sync"
)

// Cache remembers which signatures of certificates and revocation lists were
// good. An entry is the SHA-256 digest of the exact bytes of the issuer and of
// what it signed; there is no date in it, no list, no verdict, and nothing of a
// document. A nil Cache remembers nothing. A Cache may serve any number of
// verifiers and goroutines.
type Cache struct {
	mu   sync.RWMutex
	good map[[sha256.Size]byte]struct{}
	ring [][sha256.Size]byte // in order of arrival; the oldest makes room
	next int
}

// NewCache makes a cache of at most entries signatures, between 1 and
// [MaxCacheEntries]. A document adds four at most; region, zone and instance
// come again with the next.
func NewCache(entries int) *Cache {
	size := min(max(entries, 1), MaxCacheEntries)
	return &Cache{good: make(map[[sha256.Size]byte]struct{}), ring: make([][sha256.Size]byte, 0, size)}
}

// Len is the number of signatures remembered.
func (c *Cache) Len() int {
	if c == nil {
		return 0
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.good)
}

// check calls verify unless the same issuer's signature on the same bytes is
// known to be good.
func (c *Cache) check(issuer *x509.Certificate, signed []byte, verify func() error) error {
	if c == nil {
		return verify()
	}
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(issuer.Raw))))
	h.Write(issuer.Raw)
	h.Write(signed)
	key := [sha256.Size]byte(h.Sum(nil))
	c.mu.RLock()
	_, ok := c.good[key]
	c.mu.RUnlock()
	if ok {
		return nil
	}
	if err := verify(); err != nil {
		return err
	}
	c.remember(key)
	return nil
}

func (c *Cache) remember(key [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.good[key]; ok || cap(c.ring) == 0 {
		return
	}
	if len(c.ring) < cap(c.ring) {
		c.ring = append(c.ring, key)
	} else {
		delete(c.good, c.ring[c.next])
		c.ring[c.next] = key
		c.next = (c.next + 1) % len(c.ring)
	}
	c.good[key] = struct{}{}
}
