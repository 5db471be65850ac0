// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/*.json anew")

// hexBytes is written in hexadecimal digits.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }
func (h *hexBytes) UnmarshalText(p []byte) error {
	b, err := hex.DecodeString(string(p))
	*h = b
	return err
}

func load[T any](t *testing.T, name string, fresh func() T) T {
	t.Helper()
	path := "testdata/" + name + ".json"
	if *update {
		b, err := json.MarshalIndent(fresh(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// testOwner is an owner key with known halves.
func testOwner(t *testing.T) (*OwnerKey, []byte, []byte) {
	t.Helper()
	signSeed, sealSeed := bytes.Repeat([]byte{0x11}, 32), bytes.Repeat([]byte{0x22}, 32)
	k, err := ParseOwnerKey(signSeed, sealSeed)
	if err != nil {
		t.Fatal(err)
	}
	return k, signSeed, sealSeed
}

type ownerVector struct {
	SignSeed, SealSeed hexBytes // private keys: Ed25519 seed, X-Wing seed
	Public             hexBytes // CBOR of Owner
	Hash               hexBytes
	Exporter           hexBytes // 32 bytes of the TLS exporter
	ProofMessage       hexBytes
	ProofSignature     hexBytes
}

func TestOwnerVectors(t *testing.T) {
	k, a, b := testOwner(t)
	exporter := bytes.Repeat([]byte{0x33}, 32)
	now := func() ownerVector {
		pub := k.Public()
		enc, err := Encode(&pub)
		if err != nil {
			t.Fatal(err)
		}
		h, err := pub.Hash()
		if err != nil {
			t.Fatal(err)
		}
		msg := append([]byte(ownerProofDomain), exporter...)
		return ownerVector{a, b, enc, h[:], exporter, msg, k.Sign(msg)}
	}
	want, got := load(t, "owner", now), now()
	for name, p := range map[string][2]hexBytes{
		"public": {got.Public, want.Public}, "hash": {got.Hash, want.Hash},
		"proof message": {got.ProofMessage, want.ProofMessage}, "proof": {got.ProofSignature, want.ProofSignature},
	} {
		if len(p[1]) == 0 || !bytes.Equal(p[0], p[1]) {
			t.Errorf("%s = %x, expected %x", name, p[0], p[1])
		}
	}
	if s, o, err := k.Bytes(); err != nil || !bytes.Equal(s, a) || !bytes.Equal(o, b) {
		t.Errorf("Bytes = %x, %x, %v", s, o, err)
	}
}

type frameVector struct {
	Name    string
	Type    Type
	Payload hexBytes
	Wire    hexBytes // without the zeros at its end
	Sizes   []int    // of the frames
}

func TestFrameVectors(t *testing.T) {
	msgs := []struct {
		name string
		m    message
	}{
		{"hello", message{TypeHello, []byte{0xa1, 0x01, 0x01}}},
		{"end of stdin", message{TypeStdin, nil}},
		{"credit of 65536", message{TypeCredit, []byte{0, 1, 0, 0}}},
		{"largest of the first class", message{TypeStdout, bytes.Repeat([]byte{'a'}, 248)}},
		{"smallest of the second class", message{TypeStdout, bytes.Repeat([]byte{'a'}, 249)}},
	}
	now := func() (vs []frameVector) {
		for _, m := range msgs {
			wire := frames(t, m.m)
			vs = append(vs, frameVector{m.name, m.m.t, m.m.p, bytes.TrimRight(wire, "\x00"), []int{len(wire)}})
		}
		return vs
	}
	want := load(t, "frames", now)
	if len(want) != len(msgs) {
		t.Fatalf("%d vectors, expected %d", len(want), len(msgs))
	}
	for _, v := range want {
		wire := make([]byte, v.Sizes[0])
		copy(wire, v.Wire)
		typ, p, err := plain(readWriter{bytes.NewReader(wire), nil}).ReadMessage()
		if err != nil || typ != v.Type || !bytes.Equal(p, v.Payload) {
			t.Errorf("%s: type %d, %x, %v", v.Name, typ, p, err)
		}
		if got := frames(t, message{v.Type, v.Payload}); !bytes.Equal(got, wire) {
			t.Errorf("%s: written as %x", v.Name, got)
		}
	}
}

type recordVector struct {
	SignSeed, SealSeed hexBytes // of the owner
	ChannelSeed        hexBytes // Ed25519 seed of the Keep's channel key
	Info               hexBytes // HPKE info
	Record             hexBytes // CBOR of EndRecord
	Signed             hexBytes // what is padded: CBOR of record and signature
	PlainSize          int
	Sealed             hexBytes // HPKE encapsulated key and ciphertext
}

func TestRecordVectors(t *testing.T) {
	k, a, b := testOwner(t)
	seed := bytes.Repeat([]byte{0x44}, 32)
	channel := ed25519.NewKeyFromSeed(seed)
	rec := &EndRecord{
		Digest: bytes.Repeat([]byte{0x55}, 32), Exit: Exit{End: EndExit, Code: 7},
		StartedNS: 1_800_000_000_000_000_000, EndedNS: 1_800_000_001_000_000_000, Lost: 3,
		Log: []Chunk{{false, []byte("to stdout\n")}, {true, []byte("to stderr\n")}},
	}
	v := load(t, "record", func() recordVector {
		pub := k.Public()
		sealed, err := SealRecord(rec, channel, &pub)
		if err != nil {
			t.Fatal(err)
		}
		h, _ := pub.Hash()
		plain, err := hpke.Open(k.seal, hpke.HKDFSHA256(), hpke.AES256GCM(), recordInfo(h), sealed)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := Encode(rec)
		inner, err := unpadRecord(plain)
		if err != nil {
			t.Fatal(err)
		}
		return recordVector{a, b, seed, recordInfo(h), body, inner, len(plain), sealed}
	})
	plain, err := hpke.Open(k.seal, hpke.HKDFSHA256(), hpke.AES256GCM(), v.Info, v.Sealed)
	if err != nil || len(plain) != v.PlainSize || !bytes.Equal(plain[4:4+len(v.Signed)], v.Signed) {
		t.Fatalf("the sealed record opens to %d bytes, %v", len(plain), err)
	}
	if body, err := Encode(rec); err != nil || !bytes.Equal(body, v.Record) {
		t.Errorf("record = %x, expected %x", body, v.Record)
	}
	got, err := k.OpenRecord(v.Sealed, channel.Public().(ed25519.PublicKey))
	if err != nil || got.Exit.Code != 7 || len(got.Log) != 2 || got.Lost != 3 {
		t.Errorf("OpenRecord = %+v, %v", got, err)
	}
}
