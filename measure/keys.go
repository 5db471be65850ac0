// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// GenerateKey makes a signing key and gives it as the text of two key files:
// the private half (PKCS #8, PEM; keep it at mode 0600) and the public half
// (SubjectPublicKeyInfo, PEM). openssl makes and reads the same.
func GenerateKey() (private, public []byte, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("signing key: %w", err)
	}
	priv, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), nil
}

// ParsePrivateKey reads a private key file: one Ed25519 key, PKCS #8 in PEM.
func ParsePrivateKey(file []byte) (ed25519.PrivateKey, error) {
	if len(file) > maxKeyFile {
		return nil, fmt.Errorf("signing key: file of %d bytes, expected at most %d", len(file), maxKeyFile)
	}
	block, rest := pem.Decode(file)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("signing key: file is not one PEM block PRIVATE KEY")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("signing key: %T, expected Ed25519", k)
	}
	return key, nil
}

// ParsePublicKeys reads a public key file: one or more Ed25519 keys,
// SubjectPublicKeyInfo in PEM. Anything else in the file is an error, since a
// key that was silently passed over would be missed later.
func ParsePublicKeys(file []byte) ([]ed25519.PublicKey, error) {
	if len(file) > maxKeyFile {
		return nil, fmt.Errorf("public key: file of %d bytes, expected at most %d", len(file), maxKeyFile)
	}
	var keys []ed25519.PublicKey
	for rest := bytes.TrimSpace(file); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		if !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return nil, fmt.Errorf("public key: file holds something that is no PEM block")
		}
		block, tail := pem.Decode(rest)
		if block == nil || block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("public key: file holds something other than PEM blocks PUBLIC KEY")
		}
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("public key: %w", err)
		}
		key, ok := k.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("public key: %T, expected Ed25519", k)
		}
		if keys = append(keys, key); len(keys) > maxKeys {
			return nil, fmt.Errorf("public key: more than %d keys in one file", maxKeys)
		}
		rest = tail
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("public key: the file is empty")
	}
	return keys, nil
}
