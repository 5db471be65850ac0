// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/conformance"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// The evidence: of each platform some that the peer accepts too. (Of the other
// quotes go-tdx-guest v0.3.1 refuses those of version 5, which it does not know,
// and FMSPCs that Intel writes in capitals.)
const (
	milan = "milan-v2-azure"
	genoa = "genoa-v5"
	tdxV4 = "v4-00806f-gcp-cos113"
	sgxV3 = "v3-00a067-phala"
	nitro = "enclave-2025-12"
)

// vector is the first one of a piece of evidence that is to be accepted.
func vector(t testing.TB, file string) corpus.Vector {
	t.Helper()
	for _, v := range corpus.Vectors(t) {
		if v.File == file && v.Accepted() {
			return v
		}
	}
	t.Fatalf("no vector of %s that is to be accepted", file)
	return corpus.Vector{}
}

// ours is a way to verify v; a cache that is not zero is warm from the second
// time on.
func ours(t testing.TB, name string, v corpus.Vector, c conformance.Caches) way {
	verifier, ev, col, exp := conformance.Verifier(v, c), v.Evidence(), v.Collateral(), conformance.Expected(v)
	return way{name, func() {
		if claims, verdict := verifier.Verify(ev, col, exp, v.At); claims == nil {
			t.Error(verdict.Err())
		}
	}}
}

// theirs is a peer's way.
func theirs(t testing.TB, name string, ask func() error) way {
	return way{name, func() {
		if err := ask(); err != nil {
			t.Error(err)
		}
	}}
}

func bare(t testing.TB, name string, checks ...func() bool) way {
	return way{name, func() {
		for i, good := range checks {
			if !good() {
				t.Errorf("bare check %d is not good", i)
			}
		}
	}}
}

// withoutList is v without its revocation list, whose absence is accepted.
func withoutList(v corpus.Vector) corpus.Vector {
	var parts []corpus.Part
	for _, p := range v.Parts {
		if p.MediaType != attest.MediaTypeCRL {
			parts = append(parts, p)
		}
	}
	v.Parts, v.Options.AcceptMissingCRL = parts, true
	return v
}

func snpWays(t testing.TB, name, line string) []way {
	v := vector(t, name)
	chain, err := os.ReadFile(filepath.Join(corpus.Root(t), "attest/snp/roots", line+"-vcek-chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return []way{
		bare(t, "p384", snpReport(t, v).good),
		theirs(t, "rsa", amdChain(t, v, chain)),
		ours(t, "warm", v, conformance.NewCaches()),
		ours(t, "cold", v, conformance.Caches{}),
		ours(t, "cold-no-list", withoutList(v), conformance.Caches{}),
		theirs(t, "go-sev-guest", goSevGuest(t, v, true)),
		theirs(t, "go-sev-guest-no-list", goSevGuest(t, v, false)),
	}
}

// quoteWays are those of a quote. Not every peer takes every version.
func quoteWays(t testing.TB, name string, peer bool) []way {
	v := vector(t, name)
	checks := quoteChecks(t, v)
	ways := []way{
		bare(t, "p256", checks[0]),
		bare(t, "all-checks", checks...),
		ours(t, "warm", v, conformance.NewCaches()),
		ours(t, "cold", v, conformance.Caches{}),
	}
	if peer {
		ways = append(ways, theirs(t, "go-tdx-guest", goTDXGuest(t, v, true)), theirs(t, "go-tdx-guest-chain-only", goTDXGuest(t, v, false)))
	}
	return ways
}

func nitroWays(t testing.TB) []way {
	v := vector(t, nitro)
	checks := documentChecks(t, v)
	return []way{
		bare(t, "p384", checks[0]),
		bare(t, "all-checks", checks...),
		ours(t, "warm", v, conformance.NewCaches()),
		ours(t, "cold", v, conformance.Caches{}),
	}
}

// What is compared must say yes: each way fails the test if it does not.
func TestEveryWayAccepts(t *testing.T) {
	ways := append(snpWays(t, milan, "milan"), snpWays(t, genoa, "genoa")...)
	ways = append(ways, quoteWays(t, tdxV4, true)...)
	ways = append(ways, quoteWays(t, sgxV3, false)...)
	ways = append(ways, nitroWays(t)...)
	for _, w := range ways {
		t.Run(w.name, func(*testing.T) { w.run(); w.run() })
	}
}

func BenchmarkMilan(b *testing.B) { inTurn(b, snpWays(b, milan, "milan")) }
func BenchmarkGenoa(b *testing.B) { inTurn(b, snpWays(b, genoa, "genoa")) }
func BenchmarkTDX(b *testing.B)   { inTurn(b, quoteWays(b, tdxV4, true)) }
func BenchmarkSGX(b *testing.B)   { inTurn(b, quoteWays(b, sgxV3, false)) }
func BenchmarkNitro(b *testing.B) { inTurn(b, nitroWays(b)) }

// many are the ways that are compared under load.
func many(t testing.TB) []way {
	v, q, e := vector(t, genoa), vector(t, tdxV4), vector(t, sgxV3)
	return []way{
		ours(t, "snp-warm", v, conformance.NewCaches()),
		ours(t, "snp-cold", v, conformance.Caches{}),
		theirs(t, "go-sev-guest", goSevGuest(t, v, true)),
		ours(t, "tdx-warm", q, conformance.NewCaches()),
		ours(t, "tdx-cold", q, conformance.Caches{}),
		theirs(t, "go-tdx-guest", goTDXGuest(t, q, true)),
		ours(t, "sgx-warm", e, conformance.NewCaches()),
		ours(t, "sgx-cold", e, conformance.Caches{}),
		ours(t, "nitro-warm", vector(t, nitro), conformance.NewCaches()),
		ours(t, "nitro-cold", vector(t, nitro), conformance.Caches{}),
	}
}

// BenchmarkRate is how many verifications per second all cores do.
func BenchmarkRate(b *testing.B) { rate(b, many(b)) }

// BenchmarkBurst is how long 64 that arrive at the same time take.
func BenchmarkBurst(b *testing.B) { burst(b, many(b)) }

// TestInvariant4HostileInputIsBounded_AllocationsFollowTheInput holds what a
// verification allocates, good or bad, against the size of what it was given.
// Most is spent per row and per certificate, so that small inputs have a floor.
func TestInvariant4HostileInputIsBounded_AllocationsFollowTheInput(t *testing.T) {
	const floor, factor = 192 << 10, 24
	verified := 0
	for _, v := range corpus.Vectors(t) {
		verifier := conformance.Verifier(v, conformance.Caches{})
		size := func(parts []corpus.Part) (n int) {
			for _, p := range parts {
				n += len(p.Value)
			}
			return n
		}
		hold := func(what string, v corpus.Vector) {
			t.Helper()
			verified++
			_, bytes := allocated(1, func() { verifier.Verify(v.Evidence(), v.Collateral(), conformance.Expected(v), v.At) })
			if most := float64(floor + factor*size(v.Parts)); bytes > most {
				t.Errorf("%s, %s: %.0f bytes allocated for %d, expected at most %.0f", v.Name, what, bytes, size(v.Parts), most)
			}
		}
		hold("as it is", v)
		// Every part in turn, with a long tail: what is too long is refused by
		// its length, before anything is made of it.
		for i := range v.Parts {
			w := v
			w.Parts = slices.Clone(v.Parts)
			w.Parts[i].Value = append(bytes.Clone(v.Parts[i].Value), make([]byte, 1<<20)...)
			hold("part "+v.Parts[i].File+" with a long tail", w)
		}
		// Every part many times.
		w := v
		for range 50 {
			w.Parts = append(w.Parts, v.Parts[1:]...)
		}
		hold("all collateral 50 times", w)
	}
	if verified < 400 {
		t.Fatalf("%d verifications measured", verified)
	}
}
