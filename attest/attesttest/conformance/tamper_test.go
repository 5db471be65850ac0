// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"crypto/sha256"
	"sync/atomic"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
)

// TestInvariant4HostileInputIsBounded_DamagedVectors flips one bit of each byte
// of the corpus, or with -attest.everybit each bit: reports and quotes with
// their padding, leaves, intermediates and roots, revocation lists, TCB info
// and QE identity with their frames. Each flip must fail a row that did not
// fail before; so those vectors count too that are refused for what they are.
//
// What lies in several vectors, such as the upper certificates in quotes, is
// damaged in the first of them only. Without the flag, of the collateral of tdx
// and sgx beyond the first set of each it is one byte in eight, and of padding
// one in sixteen.
//
// Nothing is left out as unsigned: padding must be zero, PEM has one spelling,
// and so have the frames of the documents.
func TestInvariant4HostileInputIsBounded_DamagedVectors(t *testing.T) {
	caches := NewCaches() // as in production: good parts are remembered
	var flips, segments atomic.Int64
	// Registered before the subtests, so run after they have ended.
	t.Cleanup(func() {
		t.Logf("%d bits flipped in %d parts, none accepted", flips.Load(), segments.Load())
		least := int64(170_000)
		if attesttest.EveryBit() {
			least = 2_000_000
		}
		if flips.Load() < least || segments.Load() < 140 {
			t.Errorf("%d bits in %d parts: too little was damaged", flips.Load(), segments.Load())
		}
	})
	seen, sets := map[[32]byte]bool{}, map[string]int{}
	for _, s := range subjects(t, caches) {
		if s.Platform == attest.PlatformSNP {
			s = s.chained(t)
		}
		var todo []segment
		for n, p := range s.Parts {
			for _, g := range split(n, p.Value) {
				digest := sha256.Sum256(append([]byte(s.Platform+p.MediaType), p.Value[g.from:g.to]...))
				if seen[digest] {
					continue
				}
				seen[digest] = true
				if n > 0 && isIntel(s) && sets[s.Platform] > 0 {
					g.step = 8
				}
				todo = append(todo, g)
			}
		}
		sets[s.Platform]++
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for _, g := range todo {
				segments.Add(1)
				flips.Add(int64(s.damage(t, g)))
			}
			if got := s.fresh(); len(got) != 0 {
				t.Errorf("undamaged again: fails %v", got)
			}
		})
	}
}

// segment is a stretch of a part, of which each step-th byte is damaged.
type segment struct{ part, from, to, step int }

// split cuts a part before each certificate in it, and before long padding.
func split(part int, b []byte) (out []segment) {
	end := len(bytes.TrimRight(b, "\x00"))
	cuts := []int{0}
	for i := 0; ; {
		n := bytes.Index(b[i:], []byte("-----BEGIN"))
		if n < 0 {
			break
		}
		if i += n; i > 0 {
			cuts = append(cuts, i)
		}
		i++
	}
	if len(b)-end < 128 {
		end = len(b)
	}
	for i, from := range cuts {
		to := end
		if i+1 < len(cuts) {
			to = cuts[i+1]
		}
		out = append(out, segment{part, from, to, 1})
	}
	if end < len(b) {
		out = append(out, segment{part, end, len(b), 16})
	}
	return out
}

// damage flips bits of a segment, one at a time.
func (s subject) damage(t *testing.T, g segment) (flips int) {
	t.Helper()
	b, step := s.Parts[g.part].Value, g.step
	if attesttest.EveryBit() {
		step = 1
	}
	for n, i := 0, g.from+g.part%step; i < g.to; n, i = n+1, i+step {
		first, last := n%8, n%8
		if attesttest.EveryBit() {
			first, last = 0, 7
		}
		for bit := first; bit <= last; bit++ {
			flips++
			b[i] ^= 1 << bit
			if len(s.fresh()) == 0 {
				t.Errorf("bit %d of byte %#x of %s: not noticed", bit, i, s.Parts[g.part].File)
			}
			b[i] ^= 1 << bit
		}
	}
	return flips
}
