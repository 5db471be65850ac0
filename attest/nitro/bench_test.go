// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"crypto/ecdsa"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

// BenchmarkVerify runs a bare P-384 check of the document's signature and full
// verifications with a warm and without a cache in turn, and reports medians, so
// that what else the machine does falls on all of them.
func BenchmarkVerify(b *testing.B) {
	doc, when := file(b, "enclave-2025-12.cbor"), at(b, "2025-12-25T13:15:37Z")
	d, err := nitrodoc.Parse(doc)
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(d.Certificate)
	if err != nil {
		b.Fatal(err)
	}
	verify := func(v attest.Verifier) func() {
		return func() {
			if c, verdict := v.Verify(document(doc), nil, attest.Expected{}, when); c == nil {
				b.Fatal(verdict.Err())
			}
		}
	}
	ways := []struct {
		name string
		run  func()
	}{
		{"bare", func() {
			if err := d.CheckSignature(leaf.PublicKey.(*ecdsa.PublicKey)); err != nil {
				b.Fatal(err)
			}
		}},
		{"warm", verify(New(Options{Waive: waiveAll, Cache: NewCache(64)}))},
		{"cold", verify(New(Options{Waive: waiveAll}))},
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
	b.ReportMetric(median["cold"]/median["bare"], "cold/bare")
}

// BenchmarkWarm is a verification with a warm cache alone: allocations, and
// with -cpu the rate on several cores.
func BenchmarkWarm(b *testing.B) {
	doc, when := file(b, "enclave-2025-12.cbor"), at(b, "2025-12-25T13:15:37Z")
	v := New(Options{Waive: waiveAll, Cache: NewCache(64)})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if c, verdict := v.Verify(document(doc), nil, attest.Expected{}, when); c == nil {
				b.Error(verdict.Err())
				return
			}
		}
	})
}
