// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	labelOwner       = "EXPORTER-Enarx-Owner-v1"
	ownerProofDomain = "enarx owner proof v1\x00"
	recordDomain     = "enarx end record v1\x00"
	secretsDomain    = "enarx secrets v1\x00"
)

// OwnerKey is the private half of an owner key. It is made fresh for each
// deployment and never leaves the client.
type OwnerKey struct {
	sign ed25519.PrivateKey
	seal hpke.PrivateKey
}

// NewOwnerKey makes an owner key.
func NewOwnerKey() (*OwnerKey, error) {
	_, sign, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("owner key: %w", err)
	}
	seal, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("owner key: %w", err)
	}
	return &OwnerKey{sign, seal}, nil
}

// ParseOwnerKey is the reverse of Bytes.
func ParseOwnerKey(signSeed, seal []byte) (*OwnerKey, error) {
	if len(signSeed) != ed25519.SeedSize {
		return nil, fmt.Errorf("owner key: seen a signing seed of %d bytes, expected %d", len(signSeed), ed25519.SeedSize)
	}
	s, err := hpke.MLKEM768X25519().NewPrivateKey(seal)
	if err != nil {
		return nil, fmt.Errorf("owner key: sealing key: %w", err)
	}
	return &OwnerKey{ed25519.NewKeyFromSeed(signSeed), s}, nil
}

// Bytes gives the signing seed (32 bytes) and the sealing key for storage in a
// file that only its owner can read.
func (k *OwnerKey) Bytes() (signSeed, seal []byte, err error) {
	seal, err = k.seal.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("owner key: %w", err)
	}
	return k.sign.Seed(), seal, nil
}

// Public is the half that a claim carries.
func (k *OwnerKey) Public() Owner {
	return Owner{Sign: k.sign.Public().(ed25519.PublicKey), Seal: k.seal.PublicKey().Bytes()}
}

// Sign signs msg, which must begin with a domain of its own.
func (k *OwnerKey) Sign(msg []byte) []byte { return ed25519.Sign(k.sign, msg) }

// String keeps the key out of logs.
func (k *OwnerKey) String() string { return "owner key (redacted)" }

// GoString keeps the key out of %#v.
func (k *OwnerKey) GoString() string { return k.String() }

func ownerChallenge(cs tls.ConnectionState) ([]byte, error) {
	e, err := cs.ExportKeyingMaterial(labelOwner, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("owner proof: exporter: %w", err)
	}
	return append([]byte(ownerProofDomain), e...), nil
}

// Prove signs the exporter of this very connection: a proof that is worthless
// on every other one.
func (k *OwnerKey) Prove(cs tls.ConnectionState) (OwnerProof, error) {
	msg, err := ownerChallenge(cs)
	if err != nil {
		return OwnerProof{}, err
	}
	return OwnerProof{Signature: k.Sign(msg)}, nil
}

// CheckProof says whether p proves the owner on this connection.
func (o *Owner) CheckProof(cs tls.ConnectionState, p OwnerProof) error {
	if err := o.check(); err != nil {
		return err
	}
	msg, err := ownerChallenge(cs)
	if err != nil {
		return err
	}
	if !ed25519.Verify(o.Sign, msg, p.Signature) {
		return errors.New("owner proof: the signature is not by this deployment's owner key over this connection")
	}
	return nil
}

// Chunk is a piece of output in an end record, in the order it was written.
type Chunk struct {
	Stderr bool   `cbor:"1,keyasint,omitempty"`
	Data   []byte `cbor:"2,keyasint"`
}

// EndRecord is what stays readable after a Keep has ended: how, and the end of
// its log. Lost says how many bytes of output came before the first chunk and
// are gone.
type EndRecord struct {
	Digest    []byte  `cbor:"1,keyasint"` // the bundle that ran
	Exit      Exit    `cbor:"2,keyasint"`
	StartedNS uint64  `cbor:"3,keyasint"` // the Keep's trusted time
	EndedNS   uint64  `cbor:"4,keyasint"`
	Lost      uint64  `cbor:"5,keyasint,omitempty"`
	Log       []Chunk `cbor:"6,keyasint,omitempty"`
}

func (r *EndRecord) check() error {
	if len(r.Digest) != 32 {
		return fmt.Errorf("seen a digest of %d bytes, expected 32", len(r.Digest))
	}
	return r.Exit.check()
}

// signedRecord travels inside the HPKE ciphertext, padded by padRecord.
type signedRecord struct {
	Record    []byte `cbor:"1,keyasint"`
	Signature []byte `cbor:"2,keyasint"` // Ed25519 by the channel key over recordDomain ‖ Record
}

// recordClasses are the only sizes, in bytes, that an end record has before
// encryption. The last one leaves room for the encapsulated key in what a
// sallyport spools.
var recordClasses = [...]int{4 << 10, 64 << 10, 256 << 10, 1 << 20, 2<<20 - 8<<10}

// MaxSealedRecord is the largest sealed end record.
const MaxSealedRecord = 2 << 20

// padRecord fills a record up to its class: its length (u32, big-endian), the
// record, zeros. Padding inside the CBOR would not do: the heads of its byte
// strings grow with their contents, and one byte more or less would tell how
// long the log is.
func padRecord(b []byte) ([]byte, error) {
	for _, c := range recordClasses {
		if 4+len(b) <= c {
			out := make([]byte, c)
			binary.BigEndian.PutUint32(out, uint32(len(b)))
			copy(out[4:], b)
			return out, nil
		}
	}
	return nil, fmt.Errorf("end record: %d bytes are more than the largest class", len(b))
}

// unpadRecord is the reverse of padRecord.
func unpadRecord(p []byte) ([]byte, error) {
	if !slices.Contains(recordClasses[:], len(p)) {
		return nil, fmt.Errorf("end record: seen %d bytes inside, expected one of %v", len(p), recordClasses)
	}
	n := binary.BigEndian.Uint32(p)
	if uint64(n) > uint64(len(p)-4) {
		return nil, fmt.Errorf("end record: it says it has %d bytes, there are %d", n, len(p)-4)
	}
	for _, b := range p[4+n:] {
		if b != 0 {
			return nil, errors.New("end record: its padding is not zero")
		}
	}
	return p[4 : 4+n], nil
}

func recordInfo(keyHash [32]byte) []byte { return append([]byte(recordDomain), keyHash[:]...) }

// SealRecord signs r with the Keep's channel key, pads it and seals it to the
// owner: the host that keeps it can neither read, change nor replace it.
func SealRecord(r *EndRecord, channel ed25519.PrivateKey, to *Owner) ([]byte, error) {
	body, err := Encode(r)
	if err != nil {
		return nil, err
	}
	s := signedRecord{Record: body, Signature: ed25519.Sign(channel, append([]byte(recordDomain), body...))}
	inner, err := Encode(&s)
	if err != nil {
		return nil, err
	}
	plain, err := padRecord(inner)
	if err != nil {
		return nil, err
	}
	h, err := to.Hash()
	if err != nil {
		return nil, err
	}
	pk, err := hpke.MLKEM768X25519().NewPublicKey(to.Seal)
	if err != nil {
		return nil, fmt.Errorf("end record: owner sealing key: %w", err)
	}
	out, err := hpke.Seal(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), recordInfo(h), plain)
	if err != nil {
		return nil, fmt.Errorf("end record: seal: %w", err)
	}
	return out, nil
}

// OpenRecord opens a sealed end record and checks that the Keep with the given
// channel key made it.
func (k *OwnerKey) OpenRecord(sealed []byte, channel ed25519.PublicKey) (*EndRecord, error) {
	if len(sealed) > MaxSealedRecord {
		return nil, fmt.Errorf("end record: seen %d bytes, at most %d", len(sealed), MaxSealedRecord)
	}
	pub := k.Public()
	h, err := pub.Hash()
	if err != nil {
		return nil, err
	}
	plain, err := hpke.Open(k.seal, hpke.HKDFSHA256(), hpke.AES256GCM(), recordInfo(h), sealed)
	if err != nil {
		return nil, errors.New("end record: it does not open with this owner key; the host changed it, or it belongs to another deployment")
	}
	inner, err := unpadRecord(plain)
	if err != nil {
		return nil, err
	}
	var s signedRecord
	if err := Decode(inner, &s); err != nil {
		return nil, err
	}
	if len(channel) != ed25519.PublicKeySize || !ed25519.Verify(channel, append([]byte(recordDomain), s.Record...), s.Signature) {
		return nil, errors.New("end record: it is not signed by the channel key that was attested at deployment")
	}
	var r EndRecord
	if err := Decode(s.Record, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// SealSecrets encrypts secret values under the claim's secrets key, bound to
// the one bundle that declares them.
func SealSecrets(key []byte, digest [32]byte, values map[string][]byte) ([]byte, error) {
	plain, err := Encode(values)
	if err != nil {
		return nil, err
	}
	aead, err := secretsAEAD(key)
	if err != nil {
		return nil, err
	}
	out := aead.Seal(nil, nil, plain, append([]byte(secretsDomain), digest[:]...))
	if len(out) > maxSecrets {
		return nil, fmt.Errorf("secrets: %d bytes are more than %d", len(out), maxSecrets)
	}
	return out, nil
}

// OpenSecrets is the reverse of SealSecrets.
func OpenSecrets(key []byte, digest [32]byte, sealed []byte) (map[string][]byte, error) {
	if len(sealed) > maxSecrets {
		return nil, fmt.Errorf("secrets: seen %d bytes, at most %d", len(sealed), maxSecrets)
	}
	aead, err := secretsAEAD(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, append([]byte(secretsDomain), digest[:]...))
	if err != nil {
		return nil, errors.New("secrets: they are not for this bundle or not under this claim's key")
	}
	var values map[string][]byte
	if err := Decode(plain, &values); err != nil {
		return nil, err
	}
	return values, nil
}

// secretsAEAD is AES-256-GCM with random nonces made by the AEAD itself.
func secretsAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("secrets: seen a key of %d bytes, expected 32", len(key))
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	a, err := cipher.NewGCMWithRandomNonce(b)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	return a, nil
}
