// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corim

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/measure"
)

var from = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func entries() []measure.Entry {
	e := measure.Entry{
		Platform: attest.PlatformVTPM, Measurement: bytes.Repeat([]byte{1}, 32), Release: "0.1.0", SourceCommit: strings.Repeat("0a", 20), Engine: "wazero v1.12.0",
		NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
		Image:      &measure.Image{ManifestSHA256: [32]byte{2}, KeepSHA256: [32]byte{3}},
		Launch:     &measure.Launch{Boot: "uki"},
		Components: []attest.Component{{Name: "kernel", Register: "PCR4", Digest: bytes.Repeat([]byte{4}, 32)}, {Name: "register", Register: "PCR4", Digest: bytes.Repeat([]byte{5}, 32)}},
	}
	snp := e
	snp.Platform, snp.Measurement, snp.Debug = attest.PlatformSNP, bytes.Repeat([]byte{6}, 48), true
	snp.Launch = &measure.Launch{VCPUs: 2, MemoryMiB: 512, CPU: "EPYC-v4 x", Boot: "direct", FirmwareSHA256: [32]byte{7}}
	plain := e
	plain.Measurement, plain.Image, plain.Launch, plain.Components = bytes.Repeat([]byte{8}, 32), nil, nil, nil
	return []measure.Entry{e, snp, plain}
}

func key(seed byte) (ed25519.PrivateKey, []ed25519.PublicKey) {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return k, []ed25519.PublicKey{k.Public().(ed25519.PublicKey)}
}

func TestEntriesComeBack(t *testing.T) {
	b, err := Encode(entries())
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(b)
	if err != nil || !reflect.DeepEqual(back, entries()) {
		t.Errorf("%+v, %v", back, err)
	}
	k, pubs := key(1)
	s, err := Sign(entries(), "a releaser", k)
	if err != nil {
		t.Fatal(err)
	}
	back, signer, err := Open(s, pubs)
	if err != nil || !signer.Equal(pubs[0]) || !reflect.DeepEqual(back, entries()) {
		t.Errorf("%+v, %v", back, err)
	}
	if again, err := Sign(entries(), "a releaser", k); err != nil || !bytes.Equal(s, again) {
		t.Errorf("a second run gives other bytes: %v", err)
	}
}

// The structure as the draft has it, read without this package's types.
func TestStructureIsThatOfTheDraft(t *testing.T) {
	b, err := Encode(entries()[:1])
	if err != nil {
		t.Fatal(err)
	}
	var outer cbor.Tag
	if err := cbor.Unmarshal(b, &outer); err != nil || outer.Number != 501 {
		t.Fatalf("tag %d, %v", outer.Number, err)
	}
	m := outer.Content.(map[any]any)
	tag := m[uint64(1)].([]any)[0].(cbor.Tag)
	if tag.Number != 506 {
		t.Fatalf("concise tag %d", tag.Number)
	}
	var c map[any]any
	if err := cbor.Unmarshal(tag.Content.([]byte), &c); err != nil {
		t.Fatal(err)
	}
	triple := c[uint64(4)].(map[any]any)[uint64(0)].([]any)[0].([]any)
	class := triple[0].(map[any]any)[uint64(0)].(map[any]any)
	if class[uint64(1)] != "Enarx" || class[uint64(2)] != "vtpm" {
		t.Errorf("class %v", class)
	}
	mval := triple[1].([]any)[0].(map[any]any)[uint64(1)].(map[any]any)
	digest := mval[uint64(2)].([]any)[0].([]any)
	if digest[0] != uint64(1) || !bytes.Equal(digest[1].([]byte), bytes.Repeat([]byte{1}, 32)) {
		t.Errorf("digest %v", digest)
	}
	if mval[uint64(0)].(map[any]any)[uint64(0)] != "0.1.0" {
		t.Errorf("version %v", mval)
	}
	for i, want := range []time.Time{from, from.AddDate(1, 0, 0)} {
		if at, ok := m[uint64(4)].(map[any]any)[uint64(i)].(time.Time); !ok || !at.Equal(want) {
			t.Errorf("validity %v", m[uint64(4)])
		}
	}
}

func TestInvariant1NoSilentDowngrade_SignedCoRIMs(t *testing.T) {
	k, pubs := key(1)
	_, foreign := key(2)
	s, err := Sign(entries(), "x", k)
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := Encode(entries())
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		b    []byte
		keys []ed25519.PublicKey
	}{"foreign key": {s, foreign}, "no key": {s, nil}, "short key": {s, []ed25519.PublicKey{pubs[0][:4]}}, "unsigned": {unsigned, pubs}, "empty": {nil, pubs}, "huge": {make([]byte, maxCoRIM*2), pubs}} {
		if e, signer, err := Open(x.b, x.keys); err == nil || e != nil || signer != nil {
			t.Errorf("%s: taken", name)
		}
	}
	for i := range s {
		c := bytes.Clone(s)
		c[i] ^= 1
		if e, _, err := Open(c, pubs); err == nil {
			t.Fatalf("byte %d changed: %d entries", i, len(e))
		}
		if _, _, err := Open(s[:i], pubs); err == nil {
			t.Fatalf("cut at %d: taken", i)
		}
	}
	if e, err := Decode(s); err == nil || e != nil {
		t.Error("a signed CoRIM was read without its signature being checked")
	}
}

func TestInvariant4HostileInputIsBounded_CoRIMs(t *testing.T) {
	b, err := Encode(entries())
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		if e, err := Decode(c); (err == nil) == (e == nil) || err == nil && reflect.DeepEqual(e, entries()) {
			t.Fatalf("byte %d changed: %v and %v", i, e, err)
		}
		if _, err := Decode(b[:i]); err == nil {
			t.Fatalf("cut at %d: taken", i)
		}
	}
	if _, err := Decode(append(bytes.Clone(b), 0)); err == nil {
		t.Error("something after the end was taken")
	}
	other := entries()
	other[1].NotAfter = other[1].NotAfter.Add(time.Second)
	sha1 := entries()
	sha1[0].Components[0].Digest = make([]byte, 20)
	for name, e := range map[string][]measure.Entry{"none": nil, "other dates": other, "digest without algorithm": sha1, "empty": {{}}} {
		if b, err := Encode(e); err == nil || b != nil {
			t.Errorf("%s: encoded", name)
		}
	}
	k, _ := key(1)
	for _, signer := range []string{"", strings.Repeat("x", maxSigner+1)} {
		if _, err := Sign(entries(), signer, k); err == nil {
			t.Errorf("signed by %q", signer)
		}
	}
}

func FuzzCoRIM(f *testing.F) {
	k, pubs := key(1)
	b, err := Encode(entries())
	if err != nil {
		f.Fatal(err)
	}
	s, err := Sign(entries(), "x", k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(s)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := Open(b, pubs); err == nil && !bytes.Equal(b, s) {
			t.Fatal("a signature was made up")
		}
		e, err := Decode(b)
		if err != nil {
			return
		}
		if again, err := Encode(e); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("comes back as other bytes: %v", err)
		}
	})
}
