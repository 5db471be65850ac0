// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	tpm2 "github.com/google/go-tpm/tpm2"
)

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// endorsementKey makes an endorsement key: of RSA for curve 0, else on the curve
// with this TPM_ECC_CURVE.
func endorsementKey(t testing.TB, curve int, nameAlg Alg, bits int) ([]byte, crypto.PrivateKey) {
	t.Helper()
	const attributes = FixedTPM | FixedParent | SensitiveDataOrigin | AdminWithPolicy | Restricted | Decrypt
	a := area{typ: uint16(AlgECC), nameAlg: uint16(nameAlg), attributes: uint32(attributes)}
	symmetric := words(int(AlgAES), bits, int(AlgCFB))
	if curve == 0 {
		key, err := rsaKey()
		if err != nil {
			t.Fatal(err)
		}
		a.typ = uint16(AlgRSA)
		a.params = append(symmetric, words(int(AlgNull), 2048, 0, 0)...)
		a.unique = append2B(nil, key.N.Bytes())
		return a.encode(), key
	}
	key, err := ecdsa.GenerateKey(curves[uint16(curve)], rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	n := (len(raw) - 1) / 2
	a.params = append(symmetric, words(int(AlgNull), curve, int(AlgNull))...)
	a.unique = append2B(append2B(nil, raw[1:1+n]), raw[1+n:])
	return a.encode(), key
}

var someName = append([]byte{0, 0x0b}, bytes.Repeat([]byte{7}, 32)...)

// Credentials are what go-tpm makes of them: those that it makes are opened here,
// and both make the same of the same secrets. That a TPM opens those made here,
// the tests of attest/vtpm and keep/quote show with a real one.
func TestCredentialsAgreeWithGoTPM(t *testing.T) {
	secret := bytes.Repeat([]byte{0x42}, 32)
	for _, curve := range []int{0, 3, 4, 5} {
		for _, nameAlg := range []Alg{AlgSHA256, AlgSHA384, AlgSHA512} {
			for _, bits := range []int{128, 256} {
				name := fmt.Sprintf("curve %d, %v, AES %d", curve, nameAlg, bits)
				b, key := endorsementKey(t, curve, nameAlg, bits)
				p, err := ParsePublic(b)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				agreesPublic(t, b, p)
				o, err := tpm2.Unmarshal[tpm2.TPMTPublic](b)
				if err != nil {
					t.Fatal(err)
				}
				kem, err := tpm2.ImportEncapsulationKey(o)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				id, sealed, err := tpm2.CreateCredential(rand.Reader, kem, someName, secret)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got, err := OpenCredential(p, key, someName, append2B(nil, id), append2B(nil, sealed))
				if err != nil || !bytes.Equal(got, secret) {
					t.Errorf("%s: go-tpm's credential opens as %x: %v", name, got, err)
				}
				id, sealed, err = MakeCredential(rand.Reader, p, someName, secret)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got, err = OpenCredential(p, key, someName, id, sealed)
				if err != nil || !bytes.Equal(got, secret) {
					t.Errorf("%s: our credential opens as %x: %v", name, got, err)
				}
			}
		}
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		for _, bits := range []int{128, 256, 384, 512} {
			key, u, v := make([]byte, 32), make([]byte, 34), make([]byte, 66)
			rand.Read(key)
			rand.Read(u)
			rand.Read(v)
			if ours, theirs := kdfa(h, key, "LABEL", u, v, bits), tpm2.KDFa(h, key, "LABEL", u, v, bits); !bytes.Equal(ours, theirs) {
				t.Errorf("KDFa %v, %d bits: %x, go-tpm's %x", h, bits, ours, theirs)
			}
			if ours, theirs := kdfe(h, key, "LABEL", u, v, bits), tpm2.KDFe(h, key, "LABEL", u, v, bits); !bytes.Equal(ours, theirs) {
				t.Errorf("KDFe %v, %d bits: %x, go-tpm's %x", h, bits, ours, theirs)
			}
		}
	}
}

// A credential opens for the key with this name in the TPM with this endorsement
// key, whole as it is, and otherwise not.
func TestInvariant1NoSilentDowngrade_CredentialsOfOtherKeys(t *testing.T) {
	secret := bytes.Repeat([]byte{0x42}, 32)
	for _, curve := range []int{0, 3} {
		b, key := endorsementKey(t, curve, AlgSHA256, 128)
		p, err := ParsePublic(b)
		if err != nil {
			t.Fatal(err)
		}
		id, sealed, err := MakeCredential(rand.Reader, p, someName, secret)
		if err != nil {
			t.Fatal(err)
		}
		open := func(what string, key crypto.PrivateKey, name, id, sealed []byte) {
			t.Helper()
			if got, err := OpenCredential(p, key, name, id, sealed); err == nil {
				t.Errorf("curve %d: %s: opens as %x", curve, what, got)
			}
		}
		for i := range 8 * len(someName) {
			other := bytes.Clone(someName)
			other[i/8] ^= 1 << (i % 8)
			open(fmt.Sprintf("bit %d of the name", i), key, other, id, sealed)
		}
		open("no name", key, nil, id, sealed)
		_, otherKey := endorsementKey(t, 3, AlgSHA256, 128)
		open("another TPM", otherKey, someName, id, sealed)
		open("no key", "none", someName, id, sealed)
		for i := range 8 * len(id) {
			bad := bytes.Clone(id)
			bad[i/8] ^= 1 << (i % 8)
			open(fmt.Sprintf("bit %d of the credential", i), key, someName, bad, sealed)
		}
		for i := range len(sealed) {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << (i % 8)
			open(fmt.Sprintf("byte %d of the encrypted secret", i), key, someName, id, bad)
		}
		for i := range len(id) {
			open(fmt.Sprintf("%d bytes of the credential", i), key, someName, id[:i], sealed)
		}
		open("a credential with a byte more", key, someName, append(bytes.Clone(id), 0), sealed)
		open("an encrypted secret with a byte more", key, someName, id, append(bytes.Clone(sealed), 0))
		open("an encrypted secret of another", key, someName, id, append2B(nil, nil))
		// Each credential is another, though the secret is the same.
		id2, sealed2, err := MakeCredential(rand.Reader, p, someName, secret)
		if err != nil || bytes.Equal(id, id2) || bytes.Equal(sealed, sealed2) {
			t.Errorf("curve %d: two credentials are alike: %v", curve, err)
		}
		open("halves of two credentials", key, someName, id, sealed2)
		if bytes.Contains(id, secret) || bytes.Contains(sealed, secret) {
			t.Errorf("curve %d: the secret shows", curve)
		}
	}
}

// No credential is made for a key that others could open it with, nor without
// randomness.
func TestMakeCredentialRefuses(t *testing.T) {
	b, _ := endorsementKey(t, 3, AlgSHA256, 128)
	good, err := ParsePublic(b)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Public){
		"not fixed":      func(p *Public) { p.Attributes &^= FixedTPM },
		"signs":          func(p *Public) { p.Attributes |= Sign },
		"not restricted": func(p *Public) { p.Attributes &^= Restricted },
		"no symmetric":   func(p *Public) { p.Symmetric = AlgNull },
		"SHA-1":          func(p *Public) { p.NameAlg = AlgSHA1 },
		"no key":         func(p *Public) { p.Key = nil },
	} {
		p := *good
		change(&p)
		if id, sealed, err := MakeCredential(rand.Reader, &p, someName, make([]byte, 32)); err == nil || id != nil || sealed != nil {
			t.Errorf("%s: made", name)
		}
	}
	if _, _, err := MakeCredential(rand.Reader, good, someName, make([]byte, 33)); err == nil || !strings.Contains(err.Error(), "33 bytes") {
		t.Errorf("a secret longer than the digest: %v", err)
	}
	broken := errors.New("broken")
	for _, curve := range []int{0, 3} {
		b, _ := endorsementKey(t, curve, AlgSHA256, 128)
		p, err := ParsePublic(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := MakeCredential(failing{broken}, p, someName, make([]byte, 32)); !errors.Is(err, broken) {
			t.Errorf("curve %d, without randomness: %v", curve, err)
		}
	}
	if _, _, err := MakeCredential(zeros{}, good, someName, make([]byte, 32)); err == nil || !strings.Contains(err.Error(), "no private key") {
		t.Errorf("from a source that is stuck: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// FuzzOpenCredential: whatever a credential is, opening it ends with a secret of
// the length that one can have, or with an error.
func FuzzOpenCredential(f *testing.F) {
	type ek struct {
		p   *Public
		key crypto.PrivateKey
	}
	var eks []ek
	for _, curve := range []int{0, 3} {
		b, key := endorsementKey(f, curve, AlgSHA256, 128)
		p, err := ParsePublic(b)
		if err != nil {
			f.Fatal(err)
		}
		id, sealed, err := MakeCredential(rand.Reader, p, someName, make([]byte, 32))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(id, sealed)
		f.Add(id, append2B(nil, append2B(append2B(nil, make([]byte, 32)), make([]byte, 32))))
		eks = append(eks, ek{p, key})
	}
	f.Fuzz(func(t *testing.T, id, sealed []byte) {
		for _, e := range eks {
			secret, err := OpenCredential(e.p, e.key, someName, id, sealed)
			if err == nil && len(secret) > 64 {
				t.Errorf("a secret of %d bytes", len(secret))
			}
		}
	})
}
