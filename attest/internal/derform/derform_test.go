// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package derform

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lists are revocation lists of real vendors.
func lists(t testing.TB) (ders [][]byte) {
	t.Helper()
	for _, pattern := range []string{"../dcap/testdata/*/collateral/*/*.crl.der", "../snpreport/testdata/*.der"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			ders = append(ders, b)
		}
	}
	if len(ders) < 30 {
		t.Fatalf("%d certificates and lists", len(ders))
	}
	return ders
}

// Keys that make signatures slow to check are refused, those of authorities not.
func TestInvariant4HostileInputIsBounded_Keys(t *testing.T) {
	n := func(bits int) *big.Int { return new(big.Int).SetBit(big.NewInt(1), bits-1, 1) }
	for _, x := range []struct {
		key  crypto.PublicKey
		good bool
	}{
		{&rsa.PublicKey{N: n(2048), E: 65537}, true}, {&rsa.PublicKey{N: n(4096), E: 3}, true}, {&rsa.PublicKey{N: n(8192), E: 65537}, true},
		{&rsa.PublicKey{N: n(8193), E: 65537}, false}, {&rsa.PublicKey{N: n(250_000), E: 65537}, false},
		{&rsa.PublicKey{N: n(2048), E: 65539}, false}, {&rsa.PublicKey{N: n(2048), E: 1<<31 - 1}, false},
		{&ecdsa.PublicKey{Curve: elliptic.P384()}, true}, {ed25519.PublicKey{}, true}, {nil, true},
	} {
		if err := Checkable(x.key); (err == nil) != x.good {
			t.Errorf("%T: %v", x.key, err)
		}
	}
}

// wrap is a sequence of the parts.
func wrap(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	b, err := asn1.Marshal(asn1.RawValue{Tag: 16, IsCompound: true, Bytes: bytes.Join(parts, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSigned(t *testing.T) {
	for _, der := range lists(t) {
		if err := Signed(der); err != nil {
			t.Error(err)
		}
		var outer asn1.RawValue
		if _, err := asn1.Unmarshal(der, &outer); err != nil {
			t.Fatal(err)
		}
		null := []byte{5, 0}
		for name, b := range map[string][]byte{
			"after the end":       append(bytes.Clone(der), 0),
			"after the signature": wrap(t, outer.Bytes, null),
			"twice":               append(bytes.Clone(der), der...),
		} {
			if err := Signed(b); err == nil || !strings.Contains(err.Error(), "bytes after") {
				t.Errorf("%s: %v", name, err)
			}
		}
		// What the standard library passes over is why this package is here.
		if l, err := x509.ParseRevocationList(der); err == nil {
			if again, err := x509.ParseRevocationList(wrap(t, outer.Bytes, null)); err != nil || !again.NextUpdate.Equal(l.NextUpdate) {
				t.Logf("the standard library refuses it now: %v", err)
			}
		}
		for n := range der {
			if Signed(der[:n]) == nil {
				t.Fatalf("cut to %d bytes: taken", n)
			}
		}
	}
	part := []byte{2, 1, 7}
	for name, b := range map[string][]byte{
		"nothing": nil, "one byte": {0x30}, "two parts": wrap(t, part, part), "no sequence": append([]byte{0x31}, wrap(t, part, part, part)[1:]...),
		"long form of a short length": {0x30, 0x81, 9, 2, 1, 7, 2, 1, 7, 2, 1, 7}, "leading zero in the length": {0x30, 0x82, 0, 9, 2, 1, 7, 2, 1, 7, 2, 1, 7},
		"no length": {0x30, 0x80, 2, 1, 7, 2, 1, 7, 2, 1, 7, 0, 0}, "length of four bytes": {0x30, 0x84, 1, 0, 0, 0}, "tag of two bytes": wrap(t, part, part, []byte{0x1f, 1, 1, 7}),
	} {
		if Signed(b) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := Signed(wrap(t, part, part, part)); err != nil {
		t.Error(err)
	}
}

// FuzzSigned: the standard library reads the same three parts in what is taken.
func FuzzSigned(f *testing.F) {
	for _, b := range lists(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if Signed(b) != nil {
			return
		}
		var outer asn1.RawValue
		if rest, err := asn1.Unmarshal(b, &outer); err != nil || len(rest) != 0 {
			t.Fatalf("%d bytes after it, %v", len(rest), err)
		}
		rest := outer.Bytes
		for range 3 {
			var part asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &part); err != nil {
				t.Fatal(err)
			}
		}
		if len(rest) != 0 {
			t.Fatalf("%d bytes after the signature", len(rest))
		}
	})
}

func TestNarrows(t *testing.T) {
	for n, want := range map[int]bool{20: false, 21: false, 27: true, 28: true, 29: true, 30: false, 35: false} {
		if got := Narrows(asn1.ObjectIdentifier{2, 5, 29, n}); got != want {
			t.Errorf("%d: %v", n, got)
		}
	}
	if Narrows(asn1.ObjectIdentifier{2, 5, 29, 27, 1}) || Narrows(asn1.ObjectIdentifier{1, 5, 29, 27}) || Narrows(nil) {
		t.Error("another identifier")
	}
}
