// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"fmt"
)

// TPMEvidence is the evidence of a Keep on platform vtpm, taken apart but not
// checked: its encoding is [MediaTypeTPM] (attest/vtpm/SPEC.md). The TPM's own
// structures are those of TPM 2.0 Library, Part 2, without the length in front
// that the TPM2B forms have.
type TPMEvidence struct {
	// AK is the public area of the attestation key: TPMT_PUBLIC.
	AK []byte
	// Quote is what the TPM signed: TPMS_ATTEST of TPM2_Quote over all PCRs
	// of the SHA-256 bank, with SHA-256(report data) as qualifying data.
	Quote []byte
	// Signature by AK over SHA-256(Quote): TPMT_SIGNATURE.
	Signature []byte
	// PCRs are the values of PCR 0 to 23 of the SHA-256 bank.
	PCRs [TPMPCRs][32]byte
	// EventLog is the firmware's event log, byte for byte; it may be empty,
	// which no verifier of a Keep accepts.
	EventLog []byte
	// Endorsements are the endorsement keys of the TPM that have a
	// certificate, 1 to [MaxTPMEndorsements]. A verifier chooses one that it
	// knows the root of.
	Endorsements []TPMEndorsement
}

// TPMEndorsement is one endorsement key of a TPM.
type TPMEndorsement struct {
	// Certificate is the EK certificate as read from NV memory: DER, with or
	// without what pads it.
	Certificate []byte
	// Public is the public area of the same key: TPMT_PUBLIC.
	Public []byte
}

// Limits on TPM evidence. Sizes are in bytes.
const (
	// TPMPCRs is the number of PCRs that a PC client TPM has.
	TPMPCRs = 24
	// MaxTPMEventLog bounds the event log so that everything else still fits
	// into [MaxEvidence]. Logs of real machines have 10 to 75 KiB.
	MaxTPMEventLog = 128 << 10
	// MaxTPMStructure bounds each structure of the TPM's: a quote has about
	// 150 bytes, a signature or public area with RSA 4096 less than 600.
	MaxTPMStructure = 2048
	// MaxTPMCertificate bounds an EK certificate with its padding: real ones
	// have 1 to 2 KiB.
	MaxTPMCertificate = 4096
	// MaxTPMEndorsements bounds the endorsement keys: RSA 2048 and ECC P-256,
	// and their larger forms.
	MaxTPMEndorsements = 4
	// MaxTPMSecret bounds the secret of a credential: it is as long as the
	// largest digest at most.
	MaxTPMSecret = 64
)

// TPMChallenge is a credential for one endorsement key and one attestation key
// of the evidence ([MediaTypeTPMChallenge]). The answer to it
// ([MediaTypeTPMAnswer]) is the secret itself and nothing around it.
type TPMChallenge struct {
	// Endorsement is the index into Endorsements of the evidence.
	Endorsement uint32
	// IDObject is TPM2B_ID_OBJECT and Secret TPM2B_ENCRYPTED_SECRET, both
	// with their length in front, as TPM2_ActivateCredential takes them.
	IDObject, Secret []byte
}

// tpmVersion is the version of both encodings.
const tpmVersion = 1

type wireTPM struct {
	_            struct{} `cbor:",toarray"`
	Version      uint64
	AK           []byte
	Quote        []byte
	Signature    []byte
	PCRs         []byte
	EventLog     []byte
	Endorsements []wireTPMEndorsement
}

type wireTPMEndorsement struct {
	_           struct{} `cbor:",toarray"`
	Certificate []byte
	Public      []byte
}

type wireTPMChallenge struct {
	_           struct{} `cbor:",toarray"`
	Version     uint64
	Endorsement uint64
	IDObject    []byte
	Secret      []byte
}

func tpmSize(what string, b []byte, least, most int) error {
	if len(b) < least || len(b) > most {
		return fmt.Errorf("attest: TPM evidence: %s of %d bytes, expected %d to %d", what, len(b), least, most)
	}
	return nil
}

func (e *TPMEvidence) check() error {
	n := len(e.Endorsements)
	if n < 1 || n > MaxTPMEndorsements {
		return fmt.Errorf("attest: TPM evidence: %d endorsement keys, expected 1 to %d", n, MaxTPMEndorsements)
	}
	for _, err := range []error{
		tpmSize("attestation key", e.AK, 1, MaxTPMStructure),
		tpmSize("quote", e.Quote, 1, MaxTPMStructure),
		tpmSize("signature", e.Signature, 1, MaxTPMStructure),
		tpmSize("event log", e.EventLog, 0, MaxTPMEventLog),
	} {
		if err != nil {
			return err
		}
	}
	for _, k := range e.Endorsements {
		if err := tpmSize("endorsement certificate", k.Certificate, 1, MaxTPMCertificate); err != nil {
			return err
		}
		if err := tpmSize("endorsement key", k.Public, 1, MaxTPMStructure); err != nil {
			return err
		}
	}
	return nil
}

// Encode gives the evidence's one encoding.
func (e *TPMEvidence) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	w := wireTPM{Version: tpmVersion, AK: e.AK, Quote: e.Quote, Signature: e.Signature, EventLog: nonNil(e.EventLog)}
	w.PCRs = make([]byte, 0, 32*TPMPCRs)
	for _, v := range e.PCRs {
		w.PCRs = append(w.PCRs, v[:]...)
	}
	for _, k := range e.Endorsements {
		w.Endorsements = append(w.Endorsements, wireTPMEndorsement{Certificate: k.Certificate, Public: k.Public})
	}
	b, err := encMode.Marshal(&w)
	if err != nil {
		return nil, fmt.Errorf("attest: TPM evidence: %w", err)
	}
	if len(b) > MaxEvidence { // unreachable: the parts' limits fit
		return nil, fmt.Errorf("attest: TPM evidence of %d bytes, expected at most %d", len(b), MaxEvidence)
	}
	return b, nil
}

// DecodeTPMEvidence reads what [TPMEvidence.Encode] makes and nothing else. The
// structures inside are not looked into.
func DecodeTPMEvidence(b []byte) (*TPMEvidence, error) {
	if len(b) > MaxEvidence {
		return nil, fmt.Errorf("attest: TPM evidence of %d bytes, expected at most %d", len(b), MaxEvidence)
	}
	var w wireTPM
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("attest: TPM evidence is not the CBOR of attest/vtpm/SPEC.md: %w", err)
	}
	if w.Version != tpmVersion {
		return nil, fmt.Errorf("attest: TPM evidence of version %d, expected %d; update the older side", w.Version, tpmVersion)
	}
	if len(w.PCRs) != 32*TPMPCRs {
		return nil, fmt.Errorf("attest: TPM evidence: %d bytes of PCRs, expected %d", len(w.PCRs), 32*TPMPCRs)
	}
	e := &TPMEvidence{AK: w.AK, Quote: w.Quote, Signature: w.Signature, EventLog: w.EventLog}
	for i := range e.PCRs {
		e.PCRs[i] = [32]byte(w.PCRs[32*i:])
	}
	for _, k := range w.Endorsements {
		e.Endorsements = append(e.Endorsements, TPMEndorsement{Certificate: k.Certificate, Public: k.Public})
	}
	again, err := e.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("attest: TPM evidence is not in deterministic encoding")
	}
	return e, nil
}

func (c *TPMChallenge) check() error {
	if c.Endorsement >= MaxTPMEndorsements {
		return fmt.Errorf("attest: TPM challenge for endorsement key %d, expected one below %d", c.Endorsement, MaxTPMEndorsements)
	}
	if err := tpmSize("credential", c.IDObject, 2, MaxTPMStructure); err != nil {
		return err
	}
	return tpmSize("encrypted secret", c.Secret, 2, MaxTPMStructure)
}

// Encode gives the challenge's one encoding.
func (c *TPMChallenge) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b, err := encMode.Marshal(&wireTPMChallenge{Version: tpmVersion, Endorsement: uint64(c.Endorsement), IDObject: c.IDObject, Secret: c.Secret})
	if err != nil {
		return nil, fmt.Errorf("attest: TPM challenge: %w", err)
	}
	return b, nil
}

// DecodeTPMChallenge reads what [TPMChallenge.Encode] makes and nothing else.
func DecodeTPMChallenge(b []byte) (*TPMChallenge, error) {
	if len(b) > 3*MaxTPMStructure {
		return nil, fmt.Errorf("attest: TPM challenge of %d bytes, expected at most %d", len(b), 3*MaxTPMStructure)
	}
	var w wireTPMChallenge
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("attest: TPM challenge is not the CBOR of attest/vtpm/SPEC.md: %w", err)
	}
	if w.Version != tpmVersion || w.Endorsement >= MaxTPMEndorsements {
		return nil, fmt.Errorf("attest: TPM challenge of version %d for endorsement key %d, expected version %d and a key below %d",
			w.Version, w.Endorsement, tpmVersion, MaxTPMEndorsements)
	}
	c := &TPMChallenge{Endorsement: uint32(w.Endorsement), IDObject: w.IDObject, Secret: w.Secret}
	again, err := c.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("attest: TPM challenge is not in deterministic encoding")
	}
	return c, nil
}
