// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package dsse is the Dead Simple Signing Envelope (DSSE, version 1.0.2) with
// Ed25519 and nothing else: a payload with a type, and signatures over both.
//
// The signature covers "DSSEv1", the payload's type and its bytes, so that a
// payload signed as one thing never passes for another. Key identifiers in an
// envelope are hints for people; this package ignores them. What lies around
// the payload in the envelope (white space, unknown fields) is not signed and
// not returned.
package dsse

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// maxSignatures bounds the signatures that are tried: each costs an Ed25519
// verification per key.
const maxSignatures = 16

type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// PAE is the encoding that is signed (DSSE protocol, "Signature Definition").
func PAE(payloadType string, payload []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload)), payload...)
}

// KeyID is the hint under which Seal names a key: the SHA-256 digest of its
// SubjectPublicKeyInfo, in hexadecimal.
func KeyID(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Seal makes an envelope with one signature. sign gets the bytes to sign with
// the private half of pub; its result is checked before it is let go.
func Seal(payloadType string, payload []byte, pub ed25519.PublicKey, sign func([]byte) []byte) ([]byte, error) {
	if len(pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("envelope: key of %d bytes, expected %d", len(pub), ed25519.PublicKeySize)
	}
	msg := PAE(payloadType, payload)
	sig := sign(msg)
	if !ed25519.Verify(pub, msg, sig) {
		return nil, fmt.Errorf("envelope: the signature just made is not by the key it is to be named for")
	}
	b, err := json.Marshal(envelope{
		PayloadType: payloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures:  []signature{{KeyID: KeyID(pub), Sig: base64.StdEncoding.EncodeToString(sig)}},
	})
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return append(b, '\n'), nil
}

// Unverified gives the payload without looking at a signature. Its only use is
// to find the key that a self-certifying payload names; whatever was read must
// be thrown away unless Open then succeeds with that key.
func Unverified(b []byte, payloadType string, limit int) ([]byte, error) {
	_, payload, err := parse(b, payloadType, limit)
	return payload, err
}

// Open gives the payload if one of keys signed it as payloadType, and which of
// them did. limit bounds the envelope in bytes.
func Open(b []byte, payloadType string, limit int, keys []ed25519.PublicKey) (payload []byte, signer ed25519.PublicKey, err error) {
	e, payload, err := parse(b, payloadType, limit)
	if err != nil {
		return nil, nil, err
	}
	if len(keys) == 0 {
		return nil, nil, fmt.Errorf("envelope: no key to check it with was given")
	}
	msg := PAE(e.PayloadType, payload)
	for _, s := range e.Signatures {
		sig, err := decode(s.Sig)
		if err != nil || len(sig) != ed25519.SignatureSize {
			continue // a signature of another kind, for somebody else
		}
		for _, k := range keys {
			if len(k) == ed25519.PublicKeySize && ed25519.Verify(k, msg, sig) {
				return payload, k, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("envelope: %d signatures, none by one of the %d keys given", len(e.Signatures), len(keys))
}

func parse(b []byte, payloadType string, limit int) (*envelope, []byte, error) {
	if len(b) > limit {
		return nil, nil, fmt.Errorf("envelope of %d bytes, expected at most %d", len(b), limit)
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, nil, fmt.Errorf("envelope is not the JSON of DSSE: %w", err)
	}
	if e.PayloadType != payloadType {
		return nil, nil, fmt.Errorf("envelope holds %.64q, expected %q", e.PayloadType, payloadType)
	}
	if n := len(e.Signatures); n == 0 || n > maxSignatures {
		return nil, nil, fmt.Errorf("envelope with %d signatures, expected 1 to %d", n, maxSignatures)
	}
	payload, err := decode(e.Payload)
	if err != nil {
		return nil, nil, fmt.Errorf("envelope: payload: %w", err)
	}
	return &e, payload, nil
}

// decode takes both alphabets, as DSSE demands.
func decode(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return base64.URLEncoding.Strict().DecodeString(s)
	}
	return b, nil
}
