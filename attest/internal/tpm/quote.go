// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Magic begins everything that a TPM composes and signs (TPM_GENERATED_VALUE,
// 6.2). A restricted key signs no bytes from outside that begin with it.
const Magic = 0xff544347

// typeQuote is TPM_ST_ATTEST_QUOTE (6.9).
const typeQuote = 0x8018

// Selection is a TPMS_PCR_SELECTION (10.6.2): PCRs of one bank.
type Selection struct {
	Bank Alg
	PCRs [PCRs]bool
}

// All says whether all PCRs are selected.
func (s Selection) All() bool {
	for _, x := range s.PCRs {
		if !x {
			return false
		}
	}
	return true
}

// Quote is a TPMS_ATTEST (10.12.12) about a quote.
type Quote struct {
	// QualifiedSigner is the qualified name of the key that signed.
	QualifiedSigner []byte
	// ExtraData is what the caller of TPM2_Quote chose.
	ExtraData []byte
	// Clock in milliseconds, ResetCount and RestartCount are TPMS_CLOCK_INFO
	// (10.11.1). Counters are obfuscated for keys outside the endorsement and
	// platform hierarchies.
	Clock                    uint64
	ResetCount, RestartCount uint32
	// FirmwareVersion is the maker's.
	FirmwareVersion uint64
	// Selected are the PCRs that Digest is over, bank by bank.
	Selected []Selection
	Digest   []byte
}

// ParseQuote reads a TPMS_ATTEST and refuses other statements than quotes. The
// result refers to b.
func ParseQuote(b []byte) (*Quote, error) {
	const what = "TPMS_ATTEST"
	r, err := open(b, what)
	if err != nil {
		return nil, err
	}
	if magic := r.u32("magic"); r.err == nil && magic != Magic {
		r.fail("magic %#08x, expected %#08x: not a statement of a TPM", magic, uint32(Magic))
	}
	if typ := r.u16("type"); r.err == nil && typ != typeQuote {
		r.fail("statement of type %#04x, expected %#04x (a quote)", typ, typeQuote)
	}
	q := &Quote{QualifiedSigner: r.sized(maxName, "qualified signer"), ExtraData: r.sized(maxName, "qualifying data")}
	q.Clock, q.ResetCount, q.RestartCount = r.u64("clock"), r.u32("reset count"), r.u32("restart count")
	if safe := r.u8("safe"); r.err == nil && safe > 1 {
		r.fail("clock is safe: %d, expected 0 or 1", safe)
	}
	q.FirmwareVersion = r.u64("firmware version")
	q.readSelections(r)
	q.Digest = r.sized(64, "PCR digest")
	if err := r.end(what); err != nil {
		return nil, err
	}
	return q, nil
}

// readSelections reads a TPML_PCR_SELECTION (10.9.7).
func (q *Quote) readSelections(r *reader) {
	n := r.u32("number of PCR banks")
	if r.err == nil && (n == 0 || n > maxBanks) {
		r.fail("%d PCR banks, expected 1 to %d", n, maxBanks)
	}
	for i := uint32(0); r.err == nil && i < n; i++ {
		s := Selection{Bank: Alg(r.u16("bank"))}
		size := int(r.u8("size of the selection"))
		if r.err == nil && (size < 1 || size > PCRs/8) {
			r.fail("selection of %d bytes, expected 1 to %d", size, PCRs/8)
		}
		for j, x := range r.bytes(size, "selection") {
			for k := range 8 {
				s.PCRs[8*j+k] = x>>k&1 == 1
			}
		}
		for _, other := range q.Selected {
			if other.Bank == s.Bank {
				r.fail("bank %v is selected twice", s.Bank)
			}
		}
		q.Selected = append(q.Selected, s)
	}
}

// Signature is a TPMT_SIGNATURE (11.3.4).
type Signature struct {
	Alg, Hash Alg
	RSA       []byte   // of RSASSA and RSAPSS
	R, S      *big.Int // of ECDSA
}

// ParseSignature reads a TPMT_SIGNATURE.
func ParseSignature(b []byte) (*Signature, error) {
	const what = "TPMT_SIGNATURE"
	r, err := open(b, what)
	if err != nil {
		return nil, err
	}
	s := &Signature{Alg: Alg(r.u16("algorithm")), Hash: Alg(r.u16("hash"))}
	switch {
	case r.err != nil:
	case s.Alg == AlgRSASSA || s.Alg == AlgRSAPSS:
		s.RSA = r.sized(512, "RSA signature")
	case s.Alg == AlgECDSA:
		s.R = new(big.Int).SetBytes(r.sized(66, "r"))
		s.S = new(big.Int).SetBytes(r.sized(66, "s"))
	default:
		r.fail("%v, expected RSASSA, RSAPSS or ECDSA", s.Alg)
	}
	if err := r.end(what); err != nil {
		return nil, err
	}
	return s, nil
}

// errSignature is for signatures that do not verify.
var errSignature = errors.New("the signature does not verify under the attestation key")

// Verify checks s by key over message.
func (s *Signature) Verify(key crypto.PublicKey, message []byte) error {
	h, err := s.Hash.Hash()
	if err != nil {
		return fmt.Errorf("signature over %w", err)
	}
	w := h.New()
	w.Write(message)
	digest := w.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch s.Alg {
		case AlgRSASSA:
			err = rsa.VerifyPKCS1v15(k, h, digest, s.RSA)
		case AlgRSAPSS:
			err = rsa.VerifyPSS(k, h, digest, s.RSA, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
		default:
			return fmt.Errorf("%v signature for an RSA key", s.Alg)
		}
		if err != nil {
			return errSignature
		}
		return nil
	case *ecdsa.PublicKey:
		if s.Alg != AlgECDSA {
			return fmt.Errorf("%v signature for an ECC key", s.Alg)
		}
		if !ecdsa.Verify(k, digest, s.R, s.S) {
			return errSignature
		}
		return nil
	}
	return fmt.Errorf("no RSA or ECC key")
}

// Encode gives the TPMT_SIGNATURE of an RSA signature; used for evidence of
// others that leaves the structure out.
func (s *Signature) Encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(s.Alg))
	b = binary.BigEndian.AppendUint16(b, uint16(s.Hash))
	if s.Alg == AlgECDSA {
		return append2B(append2B(b, s.R.Bytes()), s.S.Bytes())
	}
	return append2B(b, s.RSA)
}
