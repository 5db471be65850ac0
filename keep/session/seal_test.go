// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"crypto/ed25519"
	"testing"
)

// A sealed record has the size of its class to the byte, whatever the lengths
// of what is in it: the heads of CBOR strings grow with their contents.
func TestInvariant3HostSeesCiphertext_RecordSizes(t *testing.T) {
	owner, err := NewOwnerKey()
	if err != nil {
		t.Fatal(err)
	}
	pub := owner.Public()
	chanPub, channel, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[int]int{}
	for _, n := range []int{0, 1, 22, 23, 24, 25, 200, 253, 254, 255, 256, 257, 258, 259, 3000, 60_000, 65_000, 66_000, 200_000} {
		b, err := SealRecord(&EndRecord{Digest: make([]byte, 32), Exit: Exit{End: EndExit}, Log: []Chunk{{Data: make([]byte, n)}}}, channel, &pub)
		if err != nil {
			t.Fatal(err)
		}
		sizes[len(b)]++
		r, err := owner.OpenRecord(b, chanPub)
		if err != nil || len(r.Log[0].Data) != n {
			t.Fatalf("a record with a log of %d bytes does not open: %v", n, err)
		}
	}
	if len(sizes) != 3 {
		t.Errorf("records have sizes %v, expected three of the %d classes", sizes, len(recordClasses))
	}
}

func TestInvariant4HostileInputIsBounded_RecordPadding(t *testing.T) {
	good, err := padRecord([]byte("record"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := unpadRecord(good); err != nil || string(b) != "record" {
		t.Fatalf("unpad: %q, %v", b, err)
	}
	change := func(f func(p []byte)) []byte { p := append([]byte(nil), good...); f(p); return p }
	for name, bad := range map[string][]byte{
		"empty":            {},
		"three bytes":      {0, 0, 0},
		"no class":         good[:len(good)-1],
		"length too large": change(func(p []byte) { p[0] = 0xff }),
		"length one more":  change(func(p []byte) { p[2] = byte((len(p) - 3) >> 8); p[3] = byte(len(p) - 3) }),
		"padding":          change(func(p []byte) { p[len(p)-1] = 1 }),
	} {
		if b, err := unpadRecord(bad); err == nil {
			t.Errorf("%s: accepted as %q", name, b)
		}
	}
	if _, err := padRecord(make([]byte, recordClasses[len(recordClasses)-1]-3)); err == nil {
		t.Error("a record above the largest class was accepted")
	}
}
