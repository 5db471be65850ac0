// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package softtpm is the little of a TPM 2.0 that evidence is made of, in
// software: two keys, 24 registers, an event log, a quote, and the TPM's side of
// credential activation. It stands in for a TPM on platform sim and in tests of
// verifiers, where structures have to be wrong on purpose. Nothing protects its
// keys.
package softtpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tpm"
)

// Attributes of the two keys: those of the EK Credential Profile, template
// L-1, and of a restricted signing key as a Keep makes it.
const (
	AttributesEK = tpm.FixedTPM | tpm.FixedParent | tpm.SensitiveDataOrigin | tpm.AdminWithPolicy | tpm.Restricted | tpm.Decrypt
	AttributesAK = tpm.FixedTPM | tpm.FixedParent | tpm.SensitiveDataOrigin | tpm.UserWithAuth | tpm.NoDA | tpm.Restricted | tpm.Sign
)

// TPM is a TPM in software. Its fields may be changed to make evidence that is
// wrong.
type TPM struct {
	EK crypto.Signer // *rsa.PrivateKey or *ecdsa.PrivateKey
	AK *ecdsa.PrivateKey
	// EKPublic and AKPublic are the public areas (TPMT_PUBLIC).
	EKPublic, AKPublic []byte
	// Certificate of EK, DER.
	Certificate []byte
	// PCRs of the SHA-256 bank, and the log of what Event put into them.
	PCRs     [attest.TPMPCRs][32]byte
	Log      []byte
	Firmware uint64
	// Hierarchy that AK is a primary key of.
	Hierarchy uint32

	random io.Reader
}

// New makes a TPM around two keys, with registers as after a reset.
func New(random io.Reader, ek crypto.Signer, ak *ecdsa.PrivateKey) (*TPM, error) {
	t := &TPM{EK: ek, AK: ak, Firmware: 0x2024_0101_0000_0000, Hierarchy: tpm.HierarchyEndorsement, random: random}
	var err error
	if t.EKPublic, err = Public(ek.Public(), AttributesEK); err != nil {
		return nil, err
	}
	if t.AKPublic, err = Public(&ak.PublicKey, AttributesAK); err != nil {
		return nil, err
	}
	for i := 17; i <= 22; i++ {
		for j := range t.PCRs[i] {
			t.PCRs[i][j] = 0xff
		}
	}
	t.Log = logHead()
	return t, nil
}

var be = binary.BigEndian

// policyEK is the policy of template L-1: PolicySecret(endorsement).
const policyEK = "837197674484b3f81a90cc8da46a5d724fd52d76e06520b64f2a1da1b331469aa"

// Public is the TPMT_PUBLIC of key with the given attributes: with a symmetric
// algorithm if it decrypts, with ECDSA if it signs.
func Public(key crypto.PublicKey, a tpm.Attributes) ([]byte, error) {
	typ := tpm.AlgECC
	if _, ok := key.(*rsa.PublicKey); ok {
		typ = tpm.AlgRSA
	}
	b := be.AppendUint16(be.AppendUint16(nil, uint16(typ)), uint16(tpm.AlgSHA256))
	b = be.AppendUint32(b, uint32(a))
	var policy []byte
	if a&tpm.Decrypt != 0 {
		policy, _ = hex.DecodeString(policyEK)
	}
	b = sized(b, policy)
	if a&tpm.Decrypt != 0 {
		b = be.AppendUint16(be.AppendUint16(be.AppendUint16(b, uint16(tpm.AlgAES)), 128), uint16(tpm.AlgCFB))
	} else {
		b = be.AppendUint16(b, uint16(tpm.AlgNull))
	}
	if a&tpm.Sign != 0 && typ == tpm.AlgECC {
		b = be.AppendUint16(be.AppendUint16(b, uint16(tpm.AlgECDSA)), uint16(tpm.AlgSHA256))
	} else {
		b = be.AppendUint16(b, uint16(tpm.AlgNull))
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		b = be.AppendUint32(be.AppendUint16(b, uint16(k.N.BitLen())), 0)
		return sized(b, k.N.Bytes()), nil
	case *ecdsa.PublicKey:
		raw, err := k.Bytes()
		if err != nil {
			return nil, err
		}
		b = be.AppendUint16(be.AppendUint16(b, 3), uint16(tpm.AlgNull))
		return sized(sized(b, raw[1:33]), raw[33:65]), nil
	}
	return nil, fmt.Errorf("softtpm: no RSA or ECC key")
}

func sized(to, b []byte) []byte { return append(be.AppendUint16(to, uint16(len(b))), b...) }

// Certify has issuer sign the certificate of the endorsement key.
func (t *TPM) Certify(issuer *x509.Certificate, key crypto.Signer, d tpm.Device, from, to time.Time) error {
	san, err := directoryName(d)
	if err != nil {
		return err
	}
	usage := x509.KeyUsageKeyAgreement
	if _, ok := t.EK.(*rsa.PrivateKey); ok {
		usage = x509.KeyUsageKeyEncipherment
	}
	id := sha256.Sum256(t.EKPublic)
	t.Certificate, err = x509.CreateCertificate(t.random, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(id[:8]), NotBefore: from, NotAfter: to, KeyUsage: usage, BasicConstraintsValid: true,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
		ExtraExtensions:    []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san}},
	}, issuer, t.EK.Public(), key)
	return err
}

// directoryName is a subject alternative name with the TPM's maker (EK
// Credential Profile, 3.2.9).
func directoryName(d tpm.Device) ([]byte, error) {
	var set pkix.RelativeDistinguishedNameSET
	for i, s := range []string{d.Manufacturer, d.Model, d.Version} {
		set = append(set, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 23, 133, 2, i + 1}, Value: s})
	}
	rdns, err := asn1.Marshal(pkix.RDNSequence{set})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: rdns}})
}

// Extend extends a register.
func (t *TPM) Extend(pcr int, digest [32]byte) {
	t.PCRs[pcr] = sha256.Sum256(append(t.PCRs[pcr][:], digest[:]...))
}

// Event extends a register with the digest of what is measured, and logs it
// with data as its description.
func (t *TPM) Event(pcr int, typ uint32, measured, data []byte) {
	d := sha256.Sum256(measured)
	t.Extend(pcr, d)
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32(le.AppendUint32(t.Log, uint32(pcr)), typ), 1)
	b = append(le.AppendUint16(b, uint16(tpm.AlgSHA256)), d[:]...)
	t.Log = append(le.AppendUint32(b, uint32(len(data))), data...)
}

// Log is the log of one event whose digest is that of its data.
func Log(pcr int, typ uint32, data []byte) []byte {
	t := &TPM{Log: logHead()}
	t.Event(pcr, typ, data, data)
	return t.Log
}

// logHead is the head of a crypto-agile log with SHA-256 alone (TCG PC Client
// Platform Firmware Profile, 10.4.5.1).
func logHead() []byte {
	le := binary.LittleEndian
	spec := append([]byte("Spec ID Event03\x00"), 0, 0, 0, 0, 0, 2, 0, 2)
	spec = le.AppendUint16(le.AppendUint16(le.AppendUint32(spec, 1), uint16(tpm.AlgSHA256)), 32)
	spec = append(spec, 0)
	b := le.AppendUint32(le.AppendUint32(nil, 0), 3)
	b = append(b, make([]byte, 20)...)
	return append(le.AppendUint32(b, uint32(len(spec))), spec...)
}

// Quote signs all registers: TPMS_ATTEST and TPMT_SIGNATURE.
func (t *TPM) Quote(qualifying []byte) (quote, signature []byte, err error) {
	p, err := tpm.ParsePublic(t.AKPublic)
	if err != nil {
		return nil, nil, err
	}
	qn, err := p.QualifiedName(t.Hierarchy)
	if err != nil {
		return nil, nil, err
	}
	b := be.AppendUint16(be.AppendUint32(nil, tpm.Magic), 0x8018)
	b = sized(sized(b, qn), qualifying)
	b = be.AppendUint64(b, 1000)
	b = append(be.AppendUint32(be.AppendUint32(b, 1), 0), 1)
	b = be.AppendUint64(b, t.Firmware)
	b = append(be.AppendUint16(be.AppendUint32(b, 1), uint16(tpm.AlgSHA256)), 3, 0xff, 0xff, 0xff)
	h := sha256.New()
	for _, v := range t.PCRs {
		h.Write(v[:])
	}
	b = sized(b, h.Sum(nil))
	signature, err = t.Sign(b)
	return b, signature, err
}

// Sign signs what a TPM has composed: TPMT_SIGNATURE.
func (t *TPM) Sign(quote []byte) ([]byte, error) {
	digest := sha256.Sum256(quote)
	der, err := t.AK.Sign(t.random, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var s struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &s); err != nil {
		return nil, err
	}
	return (&tpm.Signature{Alg: tpm.AlgECDSA, Hash: tpm.AlgSHA256, R: s.R, S: s.S}).Encode(), nil
}

// Evidence is what a Keep with this TPM would send.
func (t *TPM) Evidence(reportData [64]byte) (*attest.TPMEvidence, error) {
	q := sha256.Sum256(reportData[:])
	quote, sig, err := t.Quote(q[:])
	if err != nil {
		return nil, err
	}
	return &attest.TPMEvidence{AK: t.AKPublic, Quote: quote, Signature: sig, PCRs: t.PCRs, EventLog: t.Log,
		Endorsements: []attest.TPMEndorsement{{Certificate: t.Certificate, Public: t.EKPublic}}}, nil
}

// Respond activates a credential ([attest.Responder]).
func (t *TPM) Respond(challenge attest.Evidence) (attest.Evidence, error) {
	if challenge.MediaType != attest.MediaTypeTPMChallenge {
		return attest.Evidence{}, fmt.Errorf("softtpm: challenge of type %.60q", challenge.MediaType)
	}
	c, err := attest.DecodeTPMChallenge(challenge.Value)
	if err != nil {
		return attest.Evidence{}, err
	}
	if c.Endorsement != 0 {
		return attest.Evidence{}, fmt.Errorf("softtpm: no endorsement key %d", c.Endorsement)
	}
	ek, err := tpm.ParsePublic(t.EKPublic)
	if err != nil {
		return attest.Evidence{}, err
	}
	ak, err := tpm.ParsePublic(t.AKPublic)
	if err != nil {
		return attest.Evidence{}, err
	}
	name, err := ak.Name()
	if err != nil {
		return attest.Evidence{}, err
	}
	secret, err := tpm.OpenCredential(ek, t.EK, name, c.IDObject, c.Secret)
	if err != nil {
		return attest.Evidence{}, fmt.Errorf("softtpm: %w", err)
	}
	return attest.Evidence{MediaType: attest.MediaTypeTPMAnswer, Value: secret}, nil
}
