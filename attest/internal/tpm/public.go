// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
)

// Attributes is TPMA_OBJECT (8.3).
type Attributes uint32

// The attributes that are looked at.
const (
	FixedTPM            Attributes = 1 << 1
	StClear             Attributes = 1 << 2
	FixedParent         Attributes = 1 << 4
	SensitiveDataOrigin Attributes = 1 << 5
	UserWithAuth        Attributes = 1 << 6
	AdminWithPolicy     Attributes = 1 << 7
	NoDA                Attributes = 1 << 10
	Restricted          Attributes = 1 << 16
	Decrypt             Attributes = 1 << 17
	Sign                Attributes = 1 << 18
)

var attributeNames = []struct {
	bit  Attributes
	name string
}{
	{FixedTPM, "fixedTPM"}, {StClear, "stClear"}, {FixedParent, "fixedParent"}, {SensitiveDataOrigin, "sensitiveDataOrigin"},
	{UserWithAuth, "userWithAuth"}, {AdminWithPolicy, "adminWithPolicy"}, {NoDA, "noDA"}, {1 << 11, "encryptedDuplication"},
	{Restricted, "restricted"}, {Decrypt, "decrypt"}, {Sign, "sign"}, {1 << 19, "x509sign"},
}

// known are all bits that are not reserved.
func (a Attributes) known() Attributes {
	var k Attributes
	for _, x := range attributeNames {
		k |= x.bit
	}
	return k
}

func (a Attributes) String() string {
	var list []string
	for _, x := range attributeNames {
		if a&x.bit != 0 {
			list = append(list, x.name)
		}
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// Public is a TPMT_PUBLIC (12.2.4) of an RSA or ECC key.
type Public struct {
	Type       Alg
	NameAlg    Alg
	Attributes Attributes
	AuthPolicy []byte
	// Symmetric is AES for a key that protects others, with KeyBits, in mode
	// CFB; AlgNull for all others.
	Symmetric     Alg
	SymmetricBits int
	// Scheme is what the key is bound to use, with its hash; AlgNull for
	// none.
	Scheme     Alg
	SchemeHash Alg
	// Key is *rsa.PublicKey or *ecdsa.PublicKey.
	Key crypto.PublicKey

	raw []byte
}

// ParsePublic reads a TPMT_PUBLIC. The result refers to b.
func ParsePublic(b []byte) (*Public, error) {
	const what = "TPMT_PUBLIC"
	r, err := open(b, what)
	if err != nil {
		return nil, err
	}
	p := &Public{raw: b}
	p.Type, p.NameAlg, p.Attributes = Alg(r.u16("type")), Alg(r.u16("name algorithm")), Attributes(r.u32("attributes"))
	if rest := p.Attributes &^ p.Attributes.known(); rest != 0 {
		r.fail("reserved attributes %#x are set", uint32(rest))
	}
	p.AuthPolicy = r.sized(64, "policy")
	switch {
	case r.err != nil:
	case p.Type == AlgRSA:
		p.readRSA(r)
	case p.Type == AlgECC:
		p.readECC(r)
	default:
		r.fail("key of type %v, expected RSA or ECC", p.Type)
	}
	if err := r.end(what); err != nil {
		return nil, err
	}
	return p, nil
}

// readSymmetric reads a TPMT_SYM_DEF_OBJECT (11.1.7).
func (p *Public) readSymmetric(r *reader) {
	p.Symmetric = Alg(r.u16("symmetric algorithm"))
	if r.err != nil || p.Symmetric == AlgNull {
		return
	}
	p.SymmetricBits = int(r.u16("symmetric key bits"))
	mode := Alg(r.u16("symmetric mode"))
	if r.err == nil && (p.Symmetric != AlgAES || mode != AlgCFB || p.SymmetricBits != 128 && p.SymmetricBits != 256) {
		r.fail("symmetric %v of %d bits in mode %v, expected AES of 128 or 256 bits in mode CFB", p.Symmetric, p.SymmetricBits, mode)
	}
}

// readScheme reads a TPMT_RSA_SCHEME (11.2.4.2) or TPMT_ECC_SCHEME (11.2.5.6)
// of a scheme that signs.
func (p *Public) readScheme(r *reader) {
	p.Scheme, p.SchemeHash = Alg(r.u16("scheme")), AlgNull
	switch p.Scheme {
	case AlgNull:
	case AlgRSASSA, AlgRSAPSS, AlgECDSA:
		p.SchemeHash = Alg(r.u16("hash of the scheme"))
	default:
		r.fail("scheme %v, expected RSASSA, RSAPSS, ECDSA or none", p.Scheme)
	}
}

// readRSA reads TPMS_RSA_PARMS (12.2.3.5) and TPM2B_PUBLIC_KEY_RSA (11.2.4.5).
func (p *Public) readRSA(r *reader) {
	p.readSymmetric(r)
	p.readScheme(r)
	bits, e := int(r.u16("key bits")), r.u32("exponent")
	n := r.sized(512, "modulus")
	if r.err != nil {
		return
	}
	if e == 0 {
		e = 65537 // the default
	}
	N := new(big.Int).SetBytes(n)
	switch {
	case bits != 2048 && bits != 3072 && bits != 4096:
		r.fail("RSA key of %d bits, expected 2048, 3072 or 4096", bits)
	case len(n) != bits/8 || N.BitLen() != bits || N.Bit(0) == 0:
		r.fail("modulus of %d bytes is not one of %d bits", len(n), bits)
	case e != 65537:
		r.fail("exponent %d, expected 65537", e)
	case p.Scheme == AlgECDSA:
		r.fail("scheme ECDSA for an RSA key")
	default:
		p.Key = &rsa.PublicKey{N: N, E: int(e)}
	}
}

// curves are the TPM_ECC_CURVE (6.4) that are taken.
var curves = map[uint16]elliptic.Curve{3: elliptic.P256(), 4: elliptic.P384(), 5: elliptic.P521()}

// readECC reads TPMS_ECC_PARMS (12.2.3.6) and TPMS_ECC_POINT (11.2.5.2).
func (p *Public) readECC(r *reader) {
	p.readSymmetric(r)
	p.readScheme(r)
	id := r.u16("curve")
	if kdf := Alg(r.u16("KDF")); r.err == nil && kdf != AlgNull {
		r.fail("KDF %v, expected none", kdf)
	}
	x, y := r.sized(66, "x"), r.sized(66, "y")
	if r.err != nil {
		return
	}
	curve := curves[id]
	if curve == nil {
		r.fail("curve %#x, expected NIST P-256, P-384 or P-521", id)
		return
	}
	if p.Scheme == AlgRSASSA || p.Scheme == AlgRSAPSS {
		r.fail("scheme %v for an ECC key", p.Scheme)
		return
	}
	key, err := point(curve, x, y)
	if err != nil {
		r.fail("%v", err)
		return
	}
	p.Key = key
}

// point makes a key of coordinates, from which a TPM may leave out leading
// zeros; they must be of a point on the curve.
func point(curve elliptic.Curve, x, y []byte) (*ecdsa.PublicKey, error) {
	size := (curve.Params().BitSize + 7) / 8
	if len(x) > size || len(y) > size {
		return nil, fmt.Errorf("coordinates of %d and %d bytes, expected %d", len(x), len(y), size)
	}
	b := make([]byte, 1+2*size)
	b[0] = 4
	copy(b[1+size-len(x):], x)
	copy(b[1+2*size-len(y):], y)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, b)
	if err != nil {
		return nil, fmt.Errorf("not a point on %s", curve.Params().Name)
	}
	return key, nil
}

// Name is the Name of the key (Part 1, section 16): the algorithm and the
// digest of the public area.
func (p *Public) Name() ([]byte, error) {
	h, err := p.NameAlg.Hash()
	if err != nil {
		return nil, fmt.Errorf("name algorithm: %w", err)
	}
	return digestName(p.NameAlg, h, p.raw), nil
}

func digestName(alg Alg, h crypto.Hash, parts ...[]byte) []byte {
	w := h.New()
	for _, p := range parts {
		w.Write(p)
	}
	return w.Sum(binary.BigEndian.AppendUint16(nil, uint16(alg)))
}

// Hierarchies (TPM_RH, 7.4) that a primary key can be in.
const (
	HierarchyOwner       uint32 = 0x40000001
	HierarchyNull        uint32 = 0x40000007
	HierarchyEndorsement uint32 = 0x4000000b
	HierarchyPlatform    uint32 = 0x4000000c
)

// QualifiedName is the qualified name of the key as a primary key of a
// hierarchy (Part 1, section 16.3): that is what a quote says of its signer.
func (p *Public) QualifiedName(hierarchy uint32) ([]byte, error) {
	name, err := p.Name()
	if err != nil {
		return nil, err
	}
	h, err := p.NameAlg.Hash()
	if err != nil {
		return nil, err
	}
	return digestName(p.NameAlg, h, binary.BigEndian.AppendUint32(nil, hierarchy), name), nil
}

// CheckAttestationKey says whether p is a key with which a TPM signs nothing
// but its own statements.
func (p *Public) CheckAttestationKey() error {
	const need = FixedTPM | FixedParent | SensitiveDataOrigin | Restricted | Sign
	switch {
	case p.Attributes&need != need:
		return fmt.Errorf("attributes %v without %v", p.Attributes, need&^p.Attributes)
	case p.Attributes&Decrypt != 0:
		return fmt.Errorf("a signing key that decrypts, too")
	case p.Symmetric != AlgNull:
		return fmt.Errorf("a signing key with symmetric algorithm %v", p.Symmetric)
	}
	if _, err := p.NameAlg.Hash(); err != nil {
		return fmt.Errorf("name algorithm: %w", err)
	}
	if p.Scheme == AlgNull {
		return fmt.Errorf("no scheme, which a restricted signing key must have")
	}
	if _, err := p.SchemeHash.Hash(); err != nil {
		return fmt.Errorf("hash of the scheme: %w", err)
	}
	return nil
}

// CheckEndorsementKey says whether p is a key to which secrets can be sent that
// only its TPM reads.
func (p *Public) CheckEndorsementKey() error {
	const need = FixedTPM | FixedParent | SensitiveDataOrigin | Restricted | Decrypt
	switch {
	case p.Attributes&need != need:
		return fmt.Errorf("attributes %v without %v", p.Attributes, need&^p.Attributes)
	case p.Attributes&Sign != 0:
		return fmt.Errorf("a decryption key that signs, too")
	case p.Symmetric != AlgAES:
		return fmt.Errorf("no symmetric algorithm, which a key that protects others must have")
	}
	if _, err := p.NameAlg.Hash(); err != nil {
		return fmt.Errorf("name algorithm: %w", err)
	}
	return nil
}

// Is says whether p is the public area of key.
func (p *Public) Is(key crypto.PublicKey) bool {
	switch k := p.Key.(type) {
	case *rsa.PublicKey:
		return k.Equal(key)
	case *ecdsa.PublicKey:
		return k.Equal(key)
	}
	return false
}

// KeyText names the kind of the key for people.
func (p *Public) KeyText() string { return KeyText(p.Key) }

// KeyText names the kind of a public key for people.
func KeyText(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECC " + k.Curve.Params().Name
	}
	return "key of another kind"
}

// Equal says whether two public areas are the same, byte for byte.
func (p *Public) Equal(q *Public) bool { return q != nil && bytes.Equal(p.raw, q.raw) }
