// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"crypto/sha256"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
)

// The floor is one bare P-256 check: cold has ten (root, intermediate, PCK, TCB
// signer, two lists, TCB info, QE identity, QE report, quote), warm one.
func BenchmarkP256(b *testing.B) {
	v := dcaptest.New(b)
	message := make([]byte, 4000)
	sig := v.Raw(v.PCK, message)
	digest := sha256.Sum256(message)
	for b.Loop() {
		if !formRaw.good(&v.PCK.PublicKey, digest[:], sig) {
			b.Fatal("does not verify")
		}
	}
}

func benchmark(b *testing.B, name string, cache *Cache) {
	for _, r := range reals {
		if r.name != name {
			continue
		}
		p, quote, col, at := r.load(b)
		p.Cache = cache
		ev := attest.Evidence{MediaType: p.MediaType, Value: quote}
		b.ReportAllocs()
		for b.Loop() {
			if c, v := Appraise(p, ev, col, lenient, at).Finish(attest.Claims{}); c == nil {
				b.Fatal(v.Err())
			}
		}
		return
	}
	b.Fatal("no such vector")
}

func BenchmarkTDXCold(b *testing.B) { benchmark(b, "tdx/v5-90c06f-td15", nil) }
func BenchmarkTDXWarm(b *testing.B) { benchmark(b, "tdx/v5-90c06f-td15", NewCache(100)) }
func BenchmarkSGXCold(b *testing.B) { benchmark(b, "sgx/v3-00a067-phala", nil) }
func BenchmarkSGXWarm(b *testing.B) { benchmark(b, "sgx/v3-00a067-phala", NewCache(100)) }

// Verifications at the same time share one cache.
func BenchmarkTDXWarmParallel(b *testing.B) {
	p, quote, col, at := reals[13].load(b)
	p.Cache = NewCache(100)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if ok, v := appraise(p, quote, col, at); !ok {
				b.Fatal(v.Err())
			}
		}
	})
}
