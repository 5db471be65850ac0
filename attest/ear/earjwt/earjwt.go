// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package earjwt signs attestation results (package ear) as a JSON Web Token,
// media type application/eat+jwt (RFC 9782). It is apart from what it signs
// because signing needs randomness, and verifiers are pure.
package earjwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// maxKeyFile bounds a key file in bytes; a P-384 key in PEM has some 300.
const maxKeyFile = 16 << 10

// Key signs results.
type Key struct {
	signer    crypto.Signer
	algorithm jose.SignatureAlgorithm
	id        string
}

// ParseKey reads a private key file: one PEM block PRIVATE KEY (PKCS #8) with a
// key on P-256, on P-384, or Ed25519, as openssl and enarx reference key make
// them. The curve decides on the algorithm: ES256, ES384 or EdDSA.
func ParseKey(file []byte) (*Key, error) {
	if len(file) > maxKeyFile {
		return nil, fmt.Errorf("signing key: file of %d bytes, expected at most %d", len(file), maxKeyFile)
	}
	block, rest := pem.Decode(file)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("signing key: file is not one PEM block PRIVATE KEY (PKCS #8)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return NewKey(parsed)
}

// NewKey takes an *ecdsa.PrivateKey on P-256 or P-384 or an ed25519.PrivateKey.
func NewKey(private any) (*Key, error) {
	k := &Key{}
	switch p := private.(type) {
	case ed25519.PrivateKey:
		k.signer, k.algorithm = p, jose.EdDSA
	case *ecdsa.PrivateKey:
		k.signer = p
		switch p.Curve {
		case elliptic.P256():
			k.algorithm = jose.ES256
		case elliptic.P384():
			k.algorithm = jose.ES384
		default:
			return nil, fmt.Errorf("signing key on %s, expected P-256, P-384 or Ed25519", p.Curve.Params().Name)
		}
	default:
		return nil, fmt.Errorf("signing key of type %T, expected P-256, P-384 or Ed25519", private)
	}
	sum, err := (&jose.JSONWebKey{Key: k.signer.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	k.id = base64.RawURLEncoding.EncodeToString(sum)
	return k, nil
}

// Public is the public half, for whoever verifies.
func (k *Key) Public() crypto.PublicKey { return k.signer.Public() }

// Algorithm is the JWS algorithm: "ES256", "ES384" or "EdDSA".
func (k *Key) Algorithm() string { return string(k.algorithm) }

// ID is the key id of the token: the RFC 7638 thumbprint with SHA-256.
func (k *Key) ID() string { return k.id }

// Sign makes the token of claims, which must be one JSON object: compact
// serialisation, header typ "eat+jwt".
func Sign(claims []byte, k *Key) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(claims, &object); err != nil || len(object) == 0 {
		return nil, fmt.Errorf("signing: the claims are no JSON object")
	}
	opts := (&jose.SignerOptions{}).WithType("eat+jwt").WithHeader("kid", k.id)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: k.signer}, opts)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	signed, err := s.Sign(bytes.TrimSpace(claims))
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return []byte(token), nil
}
