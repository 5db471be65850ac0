// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
)

// A cache changes no verdict: every vector and every refusal, cold, warm, and
// warmed by the others.
func TestCacheChangesNoVerdict(t *testing.T) {
	shared := NewCache(64)
	for range 2 {
		for _, x := range vectors {
			ev, col := x.evidence(t), x.collateral(t)
			exp := attesttest.ExpectedOf(ev.Value)
			cached := x.options()
			cached.Cache = shared
			for _, at := range []time.Time{x.at, x.at.AddDate(-10, 0, 0), x.at.AddDate(20, 0, 0)} {
				c1, v1 := New(x.options()).Verify(ev, col, exp, at)
				c2, v2 := New(cached).Verify(ev, col, exp, at)
				if (c1 == nil) != (c2 == nil) || v1.Text(100) != v2.Text(100) {
					t.Errorf("%s at %v: %v without, %v with the cache", x.name, at, v1.Err(), v2.Err())
				}
			}
		}
	}
	// Ten leaves and two lists; what is built in needs no entry.
	if shared.Len() != 12 {
		t.Errorf("%d signatures remembered, expected 12", shared.Len())
	}
}

// Good signatures are remembered, and nothing else is; what is remembered
// excuses no date, no revocation and no other byte.
func TestCacheHoldsGoodSignaturesOnly(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	cache := NewCache(64)
	v := fake(Options{Cache: cache}, a, false)
	c := a.Case("", "", false, nil)
	verify := func(want string, col attest.Collateral, at time.Time) {
		t.Helper()
		claims, verdict := v.Verify(c.Evidence, col, c.Expected, at)
		if failed(verdict) != want || (claims != nil) != (want == "") {
			t.Errorf("failed %q, expected %q", failed(verdict), want)
		}
	}
	size := func(want int) {
		t.Helper()
		if cache.Len() != want {
			t.Errorf("%d remembered, expected %d", cache.Len(), want)
		}
	}
	size(0)
	bad := append(attest.Collateral{}, c.Collateral...)
	bad[0] = attesttest.Cert(bytes.Clone(c.Collateral[0].Value))
	bad[0].Value[len(bad[0].Value)-1] ^= 1 // in the signature
	verify("chain signature", bad, c.At)
	size(2) // intermediate and list, which are good
	for range 3 {
		verify("", c.Collateral, c.At)
		size(3) // and leaf and list
	}
	verify("chain signature", bad, c.At)
	verify("dates", c.Collateral, attesttest.Made.Add(-time.Second))
	verify("dates", c.Collateral, attesttest.Made.AddDate(7, 0, 0).Add(time.Second))
	size(3)
	revoked := append(c.Collateral[:2:2], attesttest.CRL(a.List(attesttest.Revoke(askSerial))))
	for range 2 {
		verify("revocation", revoked, c.At)
	}
	size(4)
	// The names are the same under another root, the bytes are not.
	other := newVerifier(Options{Cache: cache}, nil, "the test")
	if claims, _ := other.Verify(c.Evidence, c.Collateral, c.Expected, c.At); claims != nil {
		t.Error("accepted without any root, out of the cache")
	}
	l := foreign(a).(verifier)
	l.p.Signatures = cache.signatures
	if claims, verdict := l.Verify(c.Evidence, c.Collateral, c.Expected, c.At); claims != nil || failed(verdict) != "chain signature" {
		t.Errorf("under the forged root: failed %q", failed(verdict))
	}
}

// However many certificates come by, a cache stays within its limit, forgets
// the oldest, and never forgets that something is bad.
func TestInvariant4HostileInputIsBounded_Cache(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	for _, limit := range []int{-1, 0, 1, 2, 5} {
		cache := NewCache(limit)
		v := fake(Options{Cache: cache}, a, true)
		c := a.Case("", "", false, nil)
		var wg sync.WaitGroup
		for range 6 {
			col := append(attest.Collateral{attesttest.Cert(a.Leaf(false, nil))}, c.Collateral[2])
			wg.Go(func() {
				for range 3 {
					if claims, verdict := v.Verify(c.Evidence, col, c.Expected, c.At); claims == nil {
						t.Errorf("limit %d: %v", limit, verdict.Err())
					}
				}
			})
		}
		wg.Wait()
		if cache.Len() > max(limit, 1) || cache.Len() == 0 {
			t.Errorf("limit %d: %d remembered", limit, cache.Len())
		}
	}
	if (*Cache)(nil).Len() != 0 {
		t.Error("a nil cache remembers something")
	}
}
