// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpmquote

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/internal/detcbor"
)

// input is evidence taken apart, of whichever form.
type input struct {
	// keep says that this is evidence of a Keep (SPEC.md): its registers
	// mean what they mean in Keeps.
	keep bool
	// public is the attestation key's TPMT_PUBLIC, or spki the key alone.
	public, spki     []byte
	quote, signature []byte
	bank             tpm.Alg
	pcrs             [][]byte // of PCR 0 to 23
	log              []byte
	endorsements     []attest.TPMEndorsement
}

// Foreign is a quote that is not a Keep's ([attest.MediaTypeTPMQuote]; SPEC.md,
// "Quotes of others").
type Foreign struct {
	// Public is the attestation key's TPMT_PUBLIC; where only the key is
	// known, Key is its SubjectPublicKeyInfo and Public is empty.
	Public, Key []byte
	// Quote is TPMS_ATTEST and Signature TPMT_SIGNATURE.
	Quote, Signature []byte
	// Bank is the TPM_ALG_ID of the PCRs, and PCRs their 24 values, joined.
	Bank uint16
	PCRs []byte
	// EventLog may be empty.
	EventLog []byte
}

type wireForeign struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Public    []byte
	Key       []byte
	Quote     []byte
	Signature []byte
	Bank      uint64
	PCRs      []byte
	EventLog  []byte
}

const foreignVersion = 1

// Encode gives the quote's one encoding.
func (f *Foreign) Encode() ([]byte, error) {
	some := func(b []byte) []byte { return append([]byte{}, b...) }
	return detcbor.Marshal(&wireForeign{Version: foreignVersion, Public: some(f.Public), Key: some(f.Key), Quote: some(f.Quote),
		Signature: some(f.Signature), Bank: uint64(f.Bank), PCRs: some(f.PCRs), EventLog: some(f.EventLog)})
}

// DecodeForeign reads what [Foreign.Encode] makes.
func DecodeForeign(b []byte) (*Foreign, error) {
	if len(b) > attest.MaxEvidence {
		return nil, fmt.Errorf("TPM quote of %d bytes, expected at most %d", len(b), attest.MaxEvidence)
	}
	var w wireForeign
	if err := detcbor.Unmarshal(b, &w); err != nil {
		return nil, err
	}
	if w.Version != foreignVersion || w.Bank > 0xffff {
		return nil, fmt.Errorf("TPM quote of version %d with PCR bank %#x", w.Version, w.Bank)
	}
	return &Foreign{w.Public, w.Key, w.Quote, w.Signature, uint16(w.Bank), w.PCRs, w.EventLog}, nil
}

func decode(ev attest.Evidence) (*input, error) {
	switch ev.MediaType {
	case attest.MediaTypeTPM:
		e, err := attest.DecodeTPMEvidence(ev.Value)
		if err != nil {
			return nil, err
		}
		in := &input{keep: true, public: e.AK, quote: e.Quote, signature: e.Signature, bank: tpm.AlgSHA256, log: e.EventLog, endorsements: e.Endorsements}
		for i := range e.PCRs {
			in.pcrs = append(in.pcrs, e.PCRs[i][:])
		}
		return in, nil
	case attest.MediaTypeTPMQuote:
		f, err := DecodeForeign(ev.Value)
		if err != nil {
			return nil, err
		}
		in := &input{public: f.Public, spki: f.Key, quote: f.Quote, signature: f.Signature, bank: tpm.Alg(f.Bank), log: f.EventLog}
		size := map[tpm.Alg]int{tpm.AlgSHA1: 20, tpm.AlgSHA256: 32, tpm.AlgSHA384: 48, tpm.AlgSHA512: 64}[in.bank]
		if size == 0 || len(f.PCRs) != tpm.PCRs*size {
			return nil, fmt.Errorf("%d bytes of %v PCRs, expected %d times %d", len(f.PCRs), in.bank, tpm.PCRs, size)
		}
		for i := range tpm.PCRs {
			in.pcrs = append(in.pcrs, f.PCRs[i*size:(i+1)*size])
		}
		return in, nil
	}
	return nil, fmt.Errorf("evidence of type %s, expected %s", shown(ev.MediaType), attest.MediaTypeTPM)
}

// attestationKey is the key that the quote must be signed with.
func (in *input) attestationKey() (*tpm.Public, crypto.PublicKey, error) {
	if len(in.public) != 0 && len(in.spki) != 0 {
		return nil, nil, fmt.Errorf("given twice")
	}
	if len(in.spki) == 0 {
		p, err := tpm.ParsePublic(in.public)
		if err != nil {
			return nil, nil, err
		}
		return p, p.Key, nil
	}
	k, err := x509.ParsePKIXPublicKey(in.spki)
	if err != nil {
		return nil, nil, err
	}
	return nil, k, keyStrength(k)
}

// keyStrength refuses keys that [tpm.ParsePublic] would refuse: here they come
// without the structure of the TPM's.
func keyStrength(k crypto.PublicKey) error {
	switch k := k.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 4096 {
			return fmt.Errorf("RSA key of %d bits, expected 2048 to 4096", n)
		}
		if k.E != 65537 {
			return fmt.Errorf("RSA key with exponent %d, expected 65537", k.E)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return nil
		}
		return fmt.Errorf("ECC key on %s, expected P-256, P-384 or P-521", k.Curve.Params().Name)
	}
	return fmt.Errorf("no RSA or ECC key")
}
