// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corim

import (
	"crypto/ed25519"
	"fmt"

	"github.com/enarx/enarx-go/internal/detcbor"
	"github.com/enarx/enarx-go/measure"
)

const (
	// algEdDSA is EdDSA (RFC 9053, section 2.2), here with Ed25519.
	algEdDSA = -8
	// contentType is that of a signed CoRIM's payload.
	contentType = "application/rim+cbor"
	// maxSigner bounds a signer's name.
	maxSigner = 64
	// maxKeys bounds the keys that a signature is tried with.
	maxKeys = 64
)

// protected is the protected header (draft-ietf-rats-corim-10, section 4.2.1).
type protected struct {
	Alg         int    `cbor:"1,keyasint"`
	ContentType string `cbor:"3,keyasint"`
	Meta        []byte `cbor:"8,keyasint"`
}

// meta is corim-meta-map, without dates: the payload has them.
type meta struct {
	Signer signerMap `cbor:"0,keyasint"`
}

type signerMap struct {
	Name string `cbor:"0,keyasint"`
}

type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int]int // empty
	Payload     []byte
	Signature   []byte
}

// toBeSigned is Sig_structure of COSE_Sign1 (RFC 9052, section 4.4).
func toBeSigned(header, payload []byte) ([]byte, error) {
	return detcbor.Marshal([]any{"Signature1", header, []byte{}, payload})
}

// Sign writes entries as a signed CoRIM: COSE_Sign1 with Ed25519. signer is
// who signs, in words; readers trust the key and not the name.
func Sign(entries []measure.Entry, signer string, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("corim: signing key of %d bytes, expected %d", len(key), ed25519.PrivateKeySize)
	}
	if signer == "" || len(signer) > maxSigner {
		return nil, fmt.Errorf("corim: signer's name of %d bytes, expected 1 to %d", len(signer), maxSigner)
	}
	payload, err := Encode(entries)
	if err != nil {
		return nil, err
	}
	m, err := detcbor.Marshal(meta{signerMap{signer}})
	if err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	header, err := detcbor.Marshal(protected{Alg: algEdDSA, ContentType: contentType, Meta: m})
	if err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	signed, err := toBeSigned(header, payload)
	if err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	t, err := tag(tagSign1, sign1{Protected: header, Unprotected: map[int]int{}, Payload: payload, Signature: ed25519.Sign(key, signed)})
	if err != nil {
		return nil, err
	}
	return detcbor.Marshal(t)
}

// Open checks a signed CoRIM and gives its entries, whatever their dates, and
// the key that signed it.
func Open(b []byte, keys []ed25519.PublicKey) ([]measure.Entry, ed25519.PublicKey, error) {
	payload, signer, err := open(b, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("corim: %w", err)
	}
	entries, err := Decode(payload)
	if err != nil {
		return nil, nil, err
	}
	return entries, signer, nil
}

func open(b []byte, keys []ed25519.PublicKey) ([]byte, ed25519.PublicKey, error) {
	if len(b) > maxCoRIM+4096 {
		return nil, nil, fmt.Errorf("%d bytes, expected at most %d", len(b), maxCoRIM)
	}
	var t detcbor.Tag
	if err := detcbor.UnmarshalTagged(b, &t); err != nil {
		return nil, nil, err
	}
	if t.Number != tagSign1 {
		return nil, nil, fmt.Errorf("CBOR tag %d, expected %d: it is not signed", t.Number, tagSign1)
	}
	var s sign1
	if err := detcbor.Unmarshal(t.Content, &s); err != nil {
		return nil, nil, err
	}
	if err := checkHeader(s); err != nil {
		return nil, nil, err
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, nil, fmt.Errorf("%d keys to check the signature with, expected 1 to %d", len(keys), maxKeys)
	}
	signed, err := toBeSigned(s.Protected, s.Payload)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range keys {
		if len(k) == ed25519.PublicKeySize && ed25519.Verify(k, signed, s.Signature) {
			return s.Payload, k, nil
		}
	}
	return nil, nil, fmt.Errorf("none of the %d keys signed it", len(keys))
}

func checkHeader(s sign1) error {
	var p protected
	if err := detcbor.Unmarshal(s.Protected, &p); err != nil {
		return err
	}
	var m meta
	if err := detcbor.Unmarshal(p.Meta, &m); err != nil {
		return err
	}
	if p.Alg != algEdDSA || p.ContentType != contentType || len(s.Unprotected) != 0 {
		return fmt.Errorf("signed with algorithm %d over %.40q, expected %d over %s and no unprotected header", p.Alg, p.ContentType, algEdDSA, contentType)
	}
	return nil
}
