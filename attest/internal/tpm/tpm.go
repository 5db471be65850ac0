// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package tpm reads the structures of a TPM 2.0 that evidence is made of, makes
// credentials for its keys, and reads endorsement certificates. Names and
// sections are those of TPM 2.0 Library, Part 2: Structures, revision 1.59,
// unless another part is named.
//
// Readers are strict: every length has to fit, nothing may follow, and what
// this package has no use for (other algorithms, other statements than a
// quote) is refused by name. All input is hostile.
package tpm

import (
	"crypto"
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha512" // SHA-384, SHA-512
	"encoding/binary"
	"fmt"
)

// Alg is a TPM_ALG_ID (6.3).
type Alg uint16

// The algorithms that are known.
const (
	AlgRSA    Alg = 0x0001
	AlgSHA1   Alg = 0x0004
	AlgAES    Alg = 0x0006
	AlgSHA256 Alg = 0x000b
	AlgSHA384 Alg = 0x000c
	AlgSHA512 Alg = 0x000d
	AlgNull   Alg = 0x0010
	AlgRSASSA Alg = 0x0014
	AlgRSAPSS Alg = 0x0016
	AlgECDSA  Alg = 0x0018
	AlgECC    Alg = 0x0023
	AlgCFB    Alg = 0x0043
)

func (a Alg) String() string {
	for _, x := range []struct {
		alg  Alg
		name string
	}{{AlgRSA, "RSA"}, {AlgSHA1, "SHA-1"}, {AlgAES, "AES"}, {AlgSHA256, "SHA-256"}, {AlgSHA384, "SHA-384"}, {AlgSHA512, "SHA-512"},
		{AlgNull, "none"}, {AlgRSASSA, "RSASSA"}, {AlgRSAPSS, "RSAPSS"}, {AlgECDSA, "ECDSA"}, {AlgECC, "ECC"}, {AlgCFB, "CFB"}} {
		if x.alg == a {
			return x.name
		}
	}
	return fmt.Sprintf("algorithm %#x", uint16(a))
}

// Hash is the hash function of a, or an error for everything that is not good
// enough to rest trust on: SHA-1 above all.
func (a Alg) Hash() (crypto.Hash, error) {
	switch a {
	case AlgSHA256:
		return crypto.SHA256, nil
	case AlgSHA384:
		return crypto.SHA384, nil
	case AlgSHA512:
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("%v, expected SHA-256, SHA-384 or SHA-512", a)
}

// Limits on what comes from outside. Sizes are in bytes.
const (
	// maxStructure bounds a whole structure: the largest, a public area of an
	// RSA key of 4,096 bits, has some 600.
	maxStructure = 2048
	// maxName bounds a TPM2B_NAME: an algorithm and a SHA-512 digest.
	maxName = 2 + 64
	// maxBanks bounds a TPML_PCR_SELECTION (HASH_COUNT); four are in use.
	maxBanks = 8
	// PCRs is the number of PCRs of a PC client TPM.
	PCRs = 24
)

// reader takes numbers and bytes off the front of a structure.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, a...)
	}
}

func (r *reader) bytes(n int, what string) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.b) {
		r.fail("%s of %d bytes, of which %d are there", what, n, len(r.b))
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8(what string) uint8 {
	if b := r.bytes(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16(what string) uint16 {
	if b := r.bytes(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32(what string) uint32 {
	if b := r.bytes(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64(what string) uint64 {
	if b := r.bytes(8, what); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// sized reads a TPM2B: a length of two bytes and as many bytes.
func (r *reader) sized(limit int, what string) []byte {
	n := int(r.u16("length of " + what))
	if r.err == nil && n > limit {
		r.fail("%s of %d bytes, expected at most %d", what, n, limit)
	}
	return r.bytes(n, what)
}

// end gives the first error, or one if something is left.
func (r *reader) end(what string) error {
	if r.err != nil {
		return fmt.Errorf("%s: %w", what, r.err)
	}
	if len(r.b) != 0 {
		return fmt.Errorf("%s: %d bytes after its end", what, len(r.b))
	}
	return nil
}

func open(b []byte, what string) (*reader, error) {
	if len(b) > maxStructure {
		return nil, fmt.Errorf("%s: %d bytes, expected at most %d", what, len(b), maxStructure)
	}
	return &reader{b: b}, nil
}

// append2B puts b behind its length.
func append2B(to, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(len(b))), b...)
}
