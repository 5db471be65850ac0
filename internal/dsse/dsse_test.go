// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dsse

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	peer "github.com/secure-systems-lab/go-securesystemslib/dsse"
)

const typ = "application/vnd.enarx.test"

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func seal(t testing.TB, payload []byte, key ed25519.PrivateKey) []byte {
	t.Helper()
	b, err := Seal(typ, payload, key.Public().(ed25519.PublicKey), func(m []byte) []byte { return ed25519.Sign(key, m) })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTripAndRefusals(t *testing.T) {
	key, other := testKey(1), testKey(2)
	pub, otherPub := key.Public().(ed25519.PublicKey), other.Public().(ed25519.PublicKey)
	b := seal(t, []byte("payload"), key)
	payload, signer, err := Open(b, typ, len(b), []ed25519.PublicKey{otherPub, pub})
	if err != nil || string(payload) != "payload" || !signer.Equal(pub) {
		t.Fatalf("%q, %v", payload, err)
	}
	refuse := func(name string, b []byte, typ string, limit int, keys ...ed25519.PublicKey) {
		t.Helper()
		if p, s, err := Open(b, typ, limit, keys); err == nil || p != nil || s != nil {
			t.Errorf("%s: opened", name)
		}
	}
	refuse("foreign key", b, typ, len(b), otherPub)
	refuse("no key", b, typ, len(b))
	refuse("short key", b, typ, len(b), pub[:31])
	refuse("other type", b, typ+"2", len(b), pub)
	refuse("too big", b, typ, len(b)-1, pub)
	refuse("trailing", append(bytes.Clone(b), b...), typ, 1<<20, pub)
	refuse("empty", nil, typ, 1<<20, pub)
	refuse("retyped", bytes.Replace(b, []byte(typ), []byte(typ+"2"), 1), typ+"2", 1<<20, pub)
	refuse("unsigned", []byte(`{"payloadType":"`+typ+`","payload":"","signatures":[]}`), typ, 1<<20, pub)
	many := `{"payloadType":"` + typ + `","payload":"","signatures":[` + strings.Repeat(`{"sig":""},`, maxSignatures) + `{"sig":""}]}`
	refuse("too many signatures", []byte(many), typ, 1<<20, pub)
	if b, err := Seal(typ, nil, pub, func(m []byte) []byte { return ed25519.Sign(other, m) }); err == nil || b != nil {
		t.Error("sealed with a key that is not the one named")
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		if p, _, err := Open(c, typ, len(c), []ed25519.PublicKey{pub}); err == nil && string(p) != "payload" {
			t.Fatalf("byte %d changed the payload", i)
		}
	}
}

// peerVerifier hands the peer's library our key.
type peerVerifier struct{ pub ed25519.PublicKey }

func (v peerVerifier) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(v.pub, data, sig) {
		return errors.New("bad signature")
	}
	return nil
}
func (v peerVerifier) KeyID() (string, error)   { return KeyID(v.pub), nil }
func (v peerVerifier) Public() crypto.PublicKey { return v.pub }

// The envelope must be readable by, and from, go-securesystemslib.
func TestAgreesWithSecureSystemsLib(t *testing.T) {
	key := testKey(1)
	pub := key.Public().(ed25519.PublicKey)
	b := seal(t, []byte("payload"), key)
	if !bytes.Equal(PAE(typ, []byte("payload")), peer.PAE(typ, []byte("payload"))) {
		t.Error("PAE differs")
	}
	var e peer.Envelope
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	v, err := peer.NewEnvelopeVerifier(peerVerifier{pub})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), &e); err != nil {
		t.Errorf("the peer refuses our envelope: %v", err)
	}
	e.Payload = base64.URLEncoding.EncodeToString([]byte("\xff\xfe??>"))
	e.Signatures[0].Sig = base64.URLEncoding.EncodeToString(ed25519.Sign(key, peer.PAE(typ, []byte("\xff\xfe??>"))))
	theirs, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if p, _, err := Open(theirs, typ, 1<<20, []ed25519.PublicKey{pub}); err != nil || string(p) != "\xff\xfe??>" {
		t.Errorf("the peer's envelope in the other alphabet is refused: %q, %v", p, err)
	}
}

func FuzzOpen(f *testing.F) {
	key := testKey(1)
	f.Add(seal(f, []byte("payload"), key))
	f.Add([]byte(`{"payloadType":"` + typ + `","payload":"AA==","signatures":[{"keyid":"","sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := Open(b, typ, 1<<16, []ed25519.PublicKey{key.Public().(ed25519.PublicKey)})
		if err == nil && string(p) != "payload" {
			t.Fatalf("opened %q, which was never signed", p)
		}
	})
}
