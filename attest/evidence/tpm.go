// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/internal/tpmquote"
)

// Formats around a quote of a TPM.
const (
	formatKeepTPM       = "tpm-evidence"
	formatForeignTPM    = "tpm-quote-cbor"
	formatTPMTools      = "go-tpm-tools-attestation"
	formatGoAttestation = "go-attestation-json"
	formatTPMQuote      = "tpm-quote"
	formatTPMAttest     = "tpm-attestation"
)

// findTPM takes what a TPM has made, in the forms that are no text: evidence of
// Keeps, quotes of others in the form that this package puts them into, and the
// message of go-tpm-tools. A statement alone, without signature and key, is
// named.
func findTPM(b []byte, _ int) (*Found, error) {
	const todo = "give the file in which it lies beside its signature, key and registers (JSON or protobuf)"
	switch {
	case bytes.HasPrefix(b, []byte{0x87, 0x01, 0x58}), bytes.HasPrefix(b, []byte{0x87, 0x01, 0x59}): // array of seven, version, byte string
		return one(formatKeepTPM, attest.PlatformVTPM, attest.MediaTypeTPM, b), nil
	case bytes.HasPrefix(b, []byte{0x88, 0x01}) && len(b) > 2 && b[2]>>5 == 2: // array of eight
		return one(formatForeignTPM, attest.PlatformVTPM, attest.MediaTypeTPMQuote, b), nil
	case bytes.HasPrefix(b, []byte{0xff, 'T', 'C', 'G', 0x80, 0x18}):
		return nil, unsupported(formatTPMQuote, "a quote of a TPM (TPMS_ATTEST) without its signature", todo)
	case bytes.HasPrefix(b, tpmMagic):
		return nil, unsupported(formatTPMAttest, "another statement of a TPM (TPMS_ATTEST) than a quote", "a quote says what the TPM measured; give that")
	case isTPMToolsMessage(b):
		return findTPMTools(b)
	}
	return nil, nil
}

// tpmParts are the parts of a quote as a wrapping has them.
type tpmParts struct {
	tpmquote.Foreign
	certs attest.Collateral
}

// setKey takes a key of which nothing else is known.
func (p *tpmParts) setKey(key crypto.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(key)
	p.Key = der
	return err
}

// bankOf is the bank whose digests have n bytes.
func bankOf(n int) (tpm.Alg, error) {
	switch n {
	case 20:
		return tpm.AlgSHA1, nil
	case 32:
		return tpm.AlgSHA256, nil
	case 48:
		return tpm.AlgSHA384, nil
	case 64:
		return tpm.AlgSHA512, nil
	}
	return 0, fmt.Errorf("registers of %d bytes, expected 20, 32, 48 or 64", n)
}

// setPCRs takes the registers, of which all must be there: a quote over some
// says nothing of the others.
func (p *tpmParts) setPCRs(pcrs map[uint64][]byte) error {
	alg, err := bankOf(len(pcrs[0]))
	if err != nil {
		return err
	}
	p.Bank = uint16(alg)
	for i := range uint64(tpm.PCRs) {
		v, ok := pcrs[i]
		if !ok || len(v) != len(pcrs[0]) {
			return fmt.Errorf("register %d has %d bytes, expected %d: PCR 0 to 23 of one bank are needed", i, len(v), len(pcrs[0]))
		}
		p.PCRs = append(p.PCRs, v...)
	}
	if len(pcrs) != tpm.PCRs {
		return fmt.Errorf("%d registers, expected %d", len(pcrs), tpm.PCRs)
	}
	return nil
}

// setECDSA takes an ECDSA signature in ASN.1, made with SHA-256.
func (p *tpmParts) setECDSA(der []byte) error {
	var s struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &s); err != nil || len(rest) != 0 || s.R.Sign() <= 0 || s.S.Sign() <= 0 || len(der) > 160 {
		return fmt.Errorf("signature is no ECDSA signature in ASN.1")
	}
	p.Signature = (&tpm.Signature{Alg: tpm.AlgECDSA, Hash: tpm.AlgSHA256, R: s.R, S: s.S}).Encode()
	return nil
}

// setRSASSA takes the number of an RSASSA signature, made with SHA-256.
func (p *tpmParts) setRSASSA(raw []byte) error {
	if len(raw) < 256 || len(raw) > 512 {
		return fmt.Errorf("signature of %d bytes, expected 256 to 512", len(raw))
	}
	p.Signature = (&tpm.Signature{Alg: tpm.AlgRSASSA, Hash: tpm.AlgSHA256, RSA: raw}).Encode()
	return nil
}

// piece makes a piece of evidence of the parts.
func (p *tpmParts) piece(where string) (Piece, error) {
	b, err := p.Encode()
	if err != nil {
		return Piece{}, err
	}
	if len(b) > attest.MaxEvidence {
		return Piece{}, fmt.Errorf("quote and event log of %d bytes, expected at most %d", len(b), attest.MaxEvidence)
	}
	return Piece{
		Where: where, Platform: attest.PlatformVTPM,
		Evidence: attest.Evidence{MediaType: attest.MediaTypeTPMQuote, Value: b}, Collateral: p.certs,
	}, nil
}

// Vouch says that other evidence in the same file vouches for the attestation
// key of a TPM quote: it counts as long as that evidence does.
type Vouch struct {
	// Evidence is the SHA-256 digest of the value of the piece that vouches.
	Evidence [32]byte
	// Key is the attestation key that it names, and Source says for people
	// how.
	Key    crypto.PublicKey
	Source string
}

// vouched adds a piece whose key the piece at index by vouches for.
func (f *Found) vouched(by int, key crypto.PublicKey, source string, p Piece) {
	p.Vouch = &Vouch{Evidence: sha256.Sum256(f.Pieces[by].Evidence.Value), Key: key, Source: source}
	f.Pieces = append(f.Pieces, p)
}
