// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"io"
)

// kdfa is KDFa (Part 1, 11.4.10.2): SP 800-108 in counter mode with HMAC.
func kdfa(h crypto.Hash, key []byte, label string, contextU, contextV []byte, bits int) []byte {
	var out []byte
	for i := uint32(1); len(out) < bits/8; i++ {
		m := hmac.New(h.New, key)
		m.Write(binary.BigEndian.AppendUint32(nil, i))
		m.Write(append([]byte(label), 0))
		m.Write(contextU)
		m.Write(contextV)
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(bits)))
		out = m.Sum(out)
	}
	return out[:bits/8]
}

// kdfe is KDFe (Part 1, 11.4.10.3): SP 800-56A with a hash.
func kdfe(h crypto.Hash, z []byte, label string, partyU, partyV []byte, bits int) []byte {
	var out []byte
	for i := uint32(1); len(out) < bits/8; i++ {
		w := h.New()
		w.Write(binary.BigEndian.AppendUint32(nil, i))
		w.Write(z)
		w.Write(append([]byte(label), 0))
		w.Write(partyU)
		w.Write(partyV)
		out = w.Sum(out)
	}
	return out[:bits/8]
}

// labels of Part 1, 24 and annexes B.10.4 and C.6.4.
const (
	labelIdentity  = "IDENTITY"
	labelStorage   = "STORAGE"
	labelIntegrity = "INTEGRITY"
)

// MakeCredential encrypts secret so that only a TPM which holds both the
// endorsement key ek and a key with the given Name gives it back (Part 1,
// section 24; Part 3, TPM2_MakeCredential). It returns TPM2B_ID_OBJECT and
// TPM2B_ENCRYPTED_SECRET, with their lengths. Randomness comes from random.
func MakeCredential(random io.Reader, ek *Public, name, secret []byte) (idObject, encrypted []byte, err error) {
	if err := ek.CheckEndorsementKey(); err != nil {
		return nil, nil, fmt.Errorf("endorsement key: %w", err)
	}
	h, err := ek.NameAlg.Hash()
	if err != nil {
		return nil, nil, err
	}
	if len(secret) > h.Size() {
		return nil, nil, fmt.Errorf("secret of %d bytes, expected at most %d", len(secret), h.Size())
	}
	seed, sealed, err := ek.shareSeed(random, h)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(kdfa(h, seed, labelStorage, name, nil, ek.SymmetricBits))
	if err != nil {
		return nil, nil, err
	}
	inner := append2B(nil, secret)
	cfb(block, inner, true)
	return append2B(nil, append(append2B(nil, integrity(h, seed, inner, name)), inner...)), append2B(nil, sealed), nil
}

// integrity is the outer HMAC over an encrypted identity and a Name.
func integrity(h crypto.Hash, seed, identity, name []byte) []byte {
	m := hmac.New(h.New, kdfa(h, seed, labelIntegrity, nil, nil, 8*h.Size()))
	m.Write(identity)
	m.Write(name)
	return m.Sum(nil)
}

// cfb encrypts or decrypts b in place in full-block CFB mode with an initial
// vector of zeros, as the TPM does for credentials (Part 1, 24.4).
func cfb(block cipher.Block, b []byte, encrypt bool) {
	previous, stream := make([]byte, block.BlockSize()), make([]byte, block.BlockSize())
	for len(b) > 0 {
		block.Encrypt(stream, previous)
		n := min(len(b), len(stream))
		if !encrypt {
			copy(previous, b[:n])
		}
		for i := range n {
			b[i] ^= stream[i]
		}
		if encrypt {
			copy(previous, b[:n])
		}
		b = b[n:]
	}
}

// shareSeed makes a seed and seals it to the endorsement key: OAEP for RSA
// (annex B.10.4), one pass of ECDH for ECC (annex C.6.4).
func (p *Public) shareSeed(random io.Reader, h crypto.Hash) (seed, sealed []byte, err error) {
	switch k := p.Key.(type) {
	case *rsa.PublicKey:
		seed = make([]byte, h.Size())
		if _, err := io.ReadFull(random, seed); err != nil {
			return nil, nil, fmt.Errorf("random bytes for a seed: %w", err)
		}
		sealed, err = rsa.EncryptOAEP(h.New(), random, k, seed, append([]byte(labelIdentity), 0))
		return seed, sealed, err
	case *ecdsa.PublicKey:
		theirs, err := k.ECDH()
		if err != nil {
			return nil, nil, fmt.Errorf("endorsement key: %w", err)
		}
		ours, err := ephemeral(theirs.Curve(), random)
		if err != nil {
			return nil, nil, err
		}
		z, err := ours.ECDH(theirs)
		if err != nil {
			return nil, nil, fmt.Errorf("endorsement key: %w", err)
		}
		x, y := coordinates(ours.PublicKey())
		theirX, _ := coordinates(theirs)
		seed = kdfe(h, z, labelIdentity, x, theirX, 8*h.Size())
		return seed, append2B(append2B(nil, x), y), nil
	}
	return nil, nil, fmt.Errorf("endorsement key: no RSA or ECC key")
}

// ephemeral makes a key from random, so that whoever gives the randomness
// decides about it: this package has none of its own.
func ephemeral(c ecdh.Curve, random io.Reader) (*ecdh.PrivateKey, error) {
	size := map[ecdh.Curve]int{ecdh.P256(): 32, ecdh.P384(): 48, ecdh.P521(): 66}[c]
	for range 64 { // a value at or above the order is rare, except on P-521
		b := make([]byte, size)
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("random bytes for a key: %w", err)
		}
		if c == ecdh.P521() {
			b[0] &= 1
		}
		if k, err := c.NewPrivateKey(b); err == nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("the source of randomness gives no private key")
}

func coordinates(k *ecdh.PublicKey) (x, y []byte) {
	b := k.Bytes() // 4 ‖ x ‖ y
	n := (len(b) - 1) / 2
	return b[1 : 1+n], b[1+n:]
}

// OpenCredential is the TPM's side of [MakeCredential], for TPMs that are
// programs: key is *rsa.PrivateKey or *ecdsa.PrivateKey of ek.
func OpenCredential(ek *Public, key crypto.PrivateKey, name, idObject, encrypted []byte) ([]byte, error) {
	h, err := ek.NameAlg.Hash()
	if err != nil {
		return nil, err
	}
	outer := &reader{b: encrypted}
	sealed := outer.sized(maxStructure, "TPM2B_ENCRYPTED_SECRET")
	if err := outer.end("encrypted secret"); err != nil {
		return nil, err
	}
	seed, err := openSeed(h, key, sealed)
	if err != nil {
		return nil, err
	}
	outer = &reader{b: idObject}
	r := &reader{b: outer.sized(maxStructure, "TPM2B_ID_OBJECT")}
	if err := outer.end("credential"); err != nil {
		return nil, err
	}
	mac := r.sized(64, "integrity")
	if r.err != nil {
		return nil, r.err
	}
	if !hmac.Equal(mac, integrity(h, seed, r.b, name)) {
		return nil, fmt.Errorf("the credential is for other keys")
	}
	block, err := aes.NewCipher(kdfa(h, seed, labelStorage, name, nil, ek.SymmetricBits))
	if err != nil {
		return nil, err
	}
	inner := append([]byte(nil), r.b...)
	cfb(block, inner, false)
	r = &reader{b: inner}
	secret := r.sized(64, "secret")
	return secret, r.end("credential")
}

func openSeed(h crypto.Hash, key crypto.PrivateKey, sealed []byte) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return rsa.DecryptOAEP(h.New(), nil, k, sealed, append([]byte(labelIdentity), 0))
	case *ecdsa.PrivateKey:
		r := &reader{b: sealed}
		p, err := point(k.Curve, r.sized(66, "x"), r.sized(66, "y"))
		if end := r.end("TPMS_ECC_POINT"); end != nil {
			return nil, end
		}
		if err != nil {
			return nil, err
		}
		ours, err := k.ECDH()
		if err != nil {
			return nil, err
		}
		theirs, err := p.ECDH()
		if err != nil {
			return nil, err
		}
		z, err := ours.ECDH(theirs)
		if err != nil {
			return nil, err
		}
		x, _ := coordinates(theirs)
		own, _ := coordinates(ours.PublicKey())
		return kdfe(h, z, labelIdentity, x, own, 8*h.Size()), nil
	}
	return nil, fmt.Errorf("no RSA or ECC key")
}
