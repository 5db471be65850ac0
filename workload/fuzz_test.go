// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"crypto/sha256"
	"runtime"
	"strings"
	"testing"
)

func sha(s string) string {
	d := sha256.Sum256([]byte(s))
	return string(d[:])
}

// remake writes a parsed bundle again from its values; sections that the
// package does not know are taken as they are.
func remake(t testing.TB, u *Bundle) []byte {
	t.Helper()
	sections, err := u.Package().sections()
	if err != nil {
		t.Fatalf("parsed, but cannot be packed: %v", err)
	}
	var out []section
	for _, s := range u.sections {
		if !kinds[s.typ].known {
			out = append(out, s)
			continue
		}
		if len(sections) == 0 || sections[0].typ != s.typ {
			t.Fatalf("section %s is gone", s.typ)
		}
		out, sections = append(out, sections[0]), sections[1:]
	}
	if len(sections) > 0 {
		t.Fatalf("section %s has come", sections[0].typ)
	}
	return assemble(out)
}

// FuzzParse: no bytes make Parse panic; a refusal names class and section;
// whatever is accepted is written again as the same bytes, so that nothing is
// malleable; and nothing allocates more than a small multiple of the input.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.bytes(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := Parse(b)
		if err != nil {
			fe, ok := err.(*FormatError)
			if u != nil || !ok || fe.Class == "" || fe.Section == "" || fe.Offset > uint64(len(b)) {
				t.Fatalf("%v with %#v", u, err)
			}
			return
		}
		if again := remake(t, u); !bytes.Equal(again, b) {
			t.Fatalf("accepted\n%x and written again as\n%x", b, again)
		}
		if u.Digest() != mustParse(t, b).Digest() || len(u.SectionList()) != len(u.sections) {
			t.Fatal("parsing twice gives two results")
		}
	})
}

func TestVectorsAreNotMalleable(t *testing.T) {
	for _, v := range vectors(t) {
		if v.Class != "" {
			continue
		}
		b := v.bytes(t)
		if !bytes.Equal(remake(t, mustParse(t, b)), b) {
			t.Errorf("%s is written again as other bytes", v.Name)
		}
	}
}

// TestInvariant4HostileBundleIsBounded: a bundle that states large numbers
// makes the reader allocate in proportion to its own size, not to what it
// states.
func TestInvariant4HostileBundleIsBounded(t *testing.T) {
	all := map[string][]byte{
		"null arguments":   forge(conf("\xa1\x64args\x9a\x00\x00\xff\xff"+strings.Repeat("\xf6", 0xffff)), mod),
		"null files":       forge(cfg, mod, idx("\x9a\x00\x00\xff\xff"+strings.Repeat("\xf6", 0xffff))),
		"too many files":   forge(cfg, mod, idx("\x9a\x00\x02\x00\x00"+strings.Repeat("\x83\x60\xf4\x00", 0x20000))),
		"damaged PEM":      forge(cfg, mod, sec{typ: 5, flags: 1, data: strings.Repeat("-----BEGIN CERTIFICATE-----\n", MaxCARootsSize/28)}),
		"half PEM":         forge(cfg, mod, sec{typ: 5, flags: 1, data: strings.Repeat("-----BEGIN A-----\n-----END B-----\n", MaxCARootsSize/35)}),
		"empty PEM blocks": forge(cfg, mod, sec{typ: 5, flags: 1, data: strings.Repeat("-----BEGIN A-----\n-----END A-----\n", MaxCARootsSize/35)}),
	}
	for _, v := range bad() {
		all[v.Name] = v.bytes(t)
	}
	const floor = 1 << 20 // for what does not depend on the input
	for name, b := range all {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Parse(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > floor+100*uint64(len(b)) {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(b))
		}
	}
}

// big is a package with a module of 30 MB, about the size of CPython.
func big() Package {
	p := sample()
	p.Module = append([]byte(nil), emptyModule...)
	p.Module = append(p.Module, bytes.Repeat([]byte("module "), 30_000_000/7)...)
	p.Precompiled = nil
	return p
}

func BenchmarkPack30MB(b *testing.B) {
	p := big()
	b.SetBytes(int64(len(p.Module)))
	for b.Loop() {
		if _, err := Pack(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse30MB(b *testing.B) {
	bundle := mustPack(b, big())
	b.SetBytes(int64(len(bundle)))
	b.ReportAllocs()
	for b.Loop() {
		u, err := Parse(bundle)
		if err != nil || u.Digest().IsZero() {
			b.Fatal(err)
		}
	}
}

// BenchmarkSHA256 is what BenchmarkParse30MB must stay close to.
func BenchmarkSHA256(b *testing.B) {
	bundle := mustPack(b, big())
	b.SetBytes(int64(len(bundle)))
	for b.Loop() {
		sha256.Sum256(bundle)
	}
}
