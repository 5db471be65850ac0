// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
	"time"

	oracle "github.com/google/go-sev-guest/verify"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
)

// bench is one vector with everything that both verifiers need.
type bench struct {
	vector
	ev   attest.Evidence
	col  attest.Collateral
	exp  attest.Expected
	key  *ecdsa.PublicKey
	r, s *big.Int
}

func newBench(b testing.TB, x vector) *bench {
	b.Helper()
	n := &bench{vector: x, ev: x.evidence(b), col: x.collateral(b)}
	n.exp = attesttest.ExpectedOf(n.ev.Value)
	leaf, err := x509.ParseCertificate(n.col[0].Value)
	if err != nil {
		b.Fatal(err)
	}
	n.key = leaf.PublicKey.(*ecdsa.PublicKey)
	number := func(off int) *big.Int {
		be := slices.Clone(n.ev.Value[off : off+48])
		slices.Reverse(be)
		return new(big.Int).SetBytes(be)
	}
	n.r, n.s = number(0x2a0), number(0x2e8)
	return n
}

// bare is one P-384 signature check, the floor for everybody.
func (n *bench) bare(b testing.TB) {
	digest := sha512.Sum384(n.ev.Value[:0x2a0])
	if !ecdsa.Verify(n.key, digest[:], n.r, n.s) {
		b.Fatal("bad signature")
	}
}

func (n *bench) ours(b testing.TB, v attest.Verifier, col attest.Collateral) {
	if c, verdict := v.Verify(n.ev, col, n.exp, n.at); c == nil {
		b.Fatal(verdict.Err())
	}
}

// BenchmarkVerify runs all ways in turn on the same vector and reports medians
// and ratios, so that what else the machine does falls on all of them.
//
// Equal checks: "list" is with the revocation list on both sides, "no list"
// without on both. go-sev-guest compares neither chip nor level nor
// expectations in this call; ours does.
func BenchmarkVerify(b *testing.B) {
	for _, x := range []vector{vectors[0], vectors[7]} { // Milan version 2, Genoa version 5
		b.Run(x.name, func(b *testing.B) {
			n := newBench(b, x)
			noList := n.options()
			noList.AcceptMissingCRL = true
			warm := n.options()
			warm.Cache = NewCache(64)
			warmV, coldV, noListV := New(warm), New(n.options()), New(noList)
			roots := oracleRoots(b)
			list := &oracle.Options{CheckRevocations: true, DisableCertFetching: true, Now: n.at, TrustedRoots: roots, Getter: listGetter(n.col[1].Value)}
			noListO := &oracle.Options{DisableCertFetching: true, Now: n.at, TrustedRoots: roots}
			theirs := func(o *oracle.Options) func() {
				return func() {
					if err := theirsWith(o, n.ev.Value, n.col[0].Value, false); err != nil {
						b.Fatal(err)
					}
				}
			}
			ways := []struct {
				name string
				run  func()
			}{
				{"bare", func() { n.bare(b) }},
				{"warm", func() { n.ours(b, warmV, n.col) }},
				{"cold", func() { n.ours(b, coldV, n.col) }},
				{"cold-nolist", func() { n.ours(b, noListV, n.col[:1]) }},
				{"theirs", theirs(list)},
				{"theirs-nolist", theirs(noListO)},
			}
			took := make([][]time.Duration, len(ways))
			for b.Loop() {
				for i, w := range ways {
					start := time.Now()
					w.run()
					took[i] = append(took[i], time.Since(start))
				}
			}
			median := map[string]float64{}
			for i, w := range ways {
				slices.Sort(took[i])
				median[w.name] = float64(took[i][len(took[i])/2].Nanoseconds())
				b.ReportMetric(median[w.name]/1e3, "µs-"+w.name)
			}
			b.ReportMetric(median["warm"]/median["bare"], "warm/bare")
			b.ReportMetric(median["cold"]/median["theirs"], "cold/theirs")
			b.ReportMetric(median["cold-nolist"]/median["theirs-nolist"], "coldnolist/theirs")
		})
	}
}

// BenchmarkWarm is a verification with a warm cache alone: allocations, and
// with -cpu the rate on several cores.
func BenchmarkWarm(b *testing.B) {
	n := newBench(b, vectors[7])
	o := n.options()
	o.Cache = NewCache(64)
	v := New(o)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			n.ours(b, v, n.col)
		}
	})
}
