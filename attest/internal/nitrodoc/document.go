// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Kind is what a document is about.
type Kind uint8

// The kinds.
const (
	Enclave Kind = iota + 1 // an enclave beside its parent instance; "pcrs"
	TPM                     // an EC2 instance with a NitroTPM; "nitrotpm_pcrs"
)

func (k Kind) String() string {
	switch k {
	case Enclave:
		return "a Nitro Enclave"
	case TPM:
		return "an instance with a NitroTPM"
	}
	return "an unknown kind of document"
}

// Measured are the registers that say what was started, in the order in which
// they are combined (attest/nitro, Measurement).
func (k Kind) Measured() []uint {
	if k == TPM {
		return []uint{4, 7, 12}
	}
	return []uint{0, 1, 2}
}

// Document is what one document says. Nothing in it is proven.
type Document struct {
	Kind     Kind
	ModuleID string
	// Timestamp is when the hypervisor says that it signed, to the
	// millisecond.
	Timestamp time.Time
	// PCRs are the registers by index, of 32, 48 or 64 bytes each.
	PCRs map[uint][]byte
	// Certificate signs the document; CABundle leads to it, from the root on.
	Certificate []byte
	CABundle    [][]byte
	// PublicKey, UserData and Nonce are what the enclave put in; nil if
	// absent.
	PublicKey, UserData, Nonce []byte

	payload   []byte
	signature [SignatureSize]byte
}

// SignatureSize is the size of an ES384 signature: r and s, big-endian.
const SignatureSize = 96

// The constant parts of a document: an array of four, the protected header
// {1: -35} as a byte string and an empty map; and a byte string of 96.
var (
	head          = []byte{0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0}
	signatureHead = []byte{0x58, SignatureSize}
)

// digest is the only digest of registers that AWS has.
const digest = "SHA384"

// wire is the payload. The registers' keys are signed integers so that a
// negative one is seen as such.
type wire struct {
	ModuleID    string                    `cbor:"module_id"`
	Digest      string                    `cbor:"digest"`
	Timestamp   uint64                    `cbor:"timestamp"`
	PCRs        map[int64]cbor.ByteString `cbor:"pcrs,omitempty"`
	TPMPCRs     map[int64]cbor.ByteString `cbor:"nitrotpm_pcrs,omitempty"`
	Certificate cbor.ByteString           `cbor:"certificate"`
	CABundle    []cbor.ByteString         `cbor:"cabundle"`
	PublicKey   *cbor.ByteString          `cbor:"public_key"`
	UserData    *cbor.ByteString          `cbor:"user_data"`
	Nonce       *cbor.ByteString          `cbor:"nonce"`
}

var decMode, decModeErr = cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthAllowed, // the payload's map; it is signed
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	MaxNestedLevels:   4,
	MaxArrayElements:  16,
	MaxMapPairs:       maxPCRs,
	UTF8:              cbor.UTF8RejectInvalid,
}.DecMode()

// Parse reads one document and nothing else.
func Parse(b []byte) (*Document, error) {
	if len(b) > maxDocument {
		return nil, fmt.Errorf("document of %d bytes, expected at most %d", len(b), maxDocument)
	}
	rest, ok := bytes.CutPrefix(b, head)
	if !ok {
		return nil, fmt.Errorf("does not begin as COSE_Sign1 without tag, algorithm ES384 and no other header")
	}
	payload, rest, err := cutPayload(rest)
	if err != nil {
		return nil, err
	}
	sig, ok := bytes.CutPrefix(rest, signatureHead)
	if !ok || len(sig) < SignatureSize {
		return nil, fmt.Errorf("no signature of %d bytes after the payload", SignatureSize)
	}
	if n := len(sig) - SignatureSize; n != 0 {
		return nil, &TrailingError{n}
	}
	d := &Document{payload: payload, signature: [SignatureSize]byte(sig)}
	if err := d.readPayload(); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return d, nil
}

// TrailingError says that unsigned bytes follow a document.
type TrailingError struct{ N int }

func (e *TrailingError) Error() string { return fmt.Sprintf("%d bytes after the signature", e.N) }

// cutPayload takes a byte string with its length in the shortest form.
func cutPayload(b []byte) (payload, rest []byte, err error) {
	n, skip := 0, 0
	switch {
	case len(b) >= 2 && b[0] == 0x58 && b[1] >= 24:
		n, skip = int(b[1]), 2
	case len(b) >= 3 && b[0] == 0x59 && b[1] != 0:
		n, skip = int(b[1])<<8|int(b[2]), 3
	default:
		return nil, nil, fmt.Errorf("no payload of 24 to %d bytes, its length in the shortest form", maxPayload)
	}
	if n > maxPayload || n > len(b)-skip {
		return nil, nil, fmt.Errorf("payload of %d bytes, expected at most %d and not more than there are (%d)", n, maxPayload, len(b)-skip)
	}
	return b[skip : skip+n], b[skip+n:], nil
}

func (d *Document) readPayload() error {
	if decModeErr != nil {
		return decModeErr // constant options; no input can cause it
	}
	var w wire
	if err := decMode.Unmarshal(d.payload, &w); err != nil {
		return err
	}
	switch {
	case w.ModuleID == "" || len(w.ModuleID) > maxModuleID:
		return fmt.Errorf("module_id of %d bytes, expected 1 to %d", len(w.ModuleID), maxModuleID)
	case w.Digest != digest:
		return fmt.Errorf("digest %s, expected %q", shown(w.Digest), digest)
	case w.Timestamp == 0 || w.Timestamp > math.MaxInt64:
		return fmt.Errorf("timestamp %d, expected milliseconds since 1970", w.Timestamp)
	case (len(w.PCRs) == 0) == (len(w.TPMPCRs) == 0):
		return fmt.Errorf("%d registers of an enclave and %d of a TPM, expected one or the other", len(w.PCRs), len(w.TPMPCRs))
	}
	d.ModuleID, d.Timestamp = w.ModuleID, time.UnixMilli(int64(w.Timestamp)).UTC()
	d.Kind = Enclave
	pcrs := w.PCRs
	if len(w.TPMPCRs) != 0 {
		d.Kind, pcrs = TPM, w.TPMPCRs
	}
	if err := d.readPCRs(pcrs); err != nil {
		return err
	}
	if err := d.readCertificates(w.Certificate, w.CABundle); err != nil {
		return err
	}
	for _, f := range []struct {
		name     string
		from     *cbor.ByteString
		to       *[]byte
		min, max int
	}{
		{"public_key", w.PublicKey, &d.PublicKey, 1, maxPublicKey},
		{"user_data", w.UserData, &d.UserData, 0, maxField},
		{"nonce", w.Nonce, &d.Nonce, 0, maxField},
	} {
		if f.from == nil {
			continue
		}
		if n := len(*f.from); n < f.min || n > f.max {
			return fmt.Errorf("%s of %d bytes, expected %d to %d", f.name, n, f.min, f.max)
		}
		*f.to = []byte(*f.from)
	}
	return nil
}

// readPCRs also asks for the registers that say what was started: a document
// without them says nothing worth a signature.
func (d *Document) readPCRs(pcrs map[int64]cbor.ByteString) error {
	d.PCRs = make(map[uint][]byte, len(pcrs))
	for i, v := range pcrs {
		if i < 0 || i >= maxPCRs {
			return fmt.Errorf("register %d, expected 0 to %d", i, maxPCRs-1)
		}
		if n := len(v); n != 32 && n != 48 && n != 64 {
			return fmt.Errorf("register %d of %d bytes, expected 32, 48 or 64", i, n)
		}
		d.PCRs[uint(i)] = []byte(v)
	}
	for _, i := range d.Kind.Measured() {
		if n := len(d.PCRs[i]); n != sha512.Size384 {
			return fmt.Errorf("register %d of %d bytes, expected the %d of %s", i, n, sha512.Size384, digest)
		}
	}
	return nil
}

func (d *Document) readCertificates(leaf cbor.ByteString, bundle []cbor.ByteString) error {
	if n := len(bundle); n == 0 || n > maxBundle {
		return fmt.Errorf("%d certificates in cabundle, expected 1 to %d", n, maxBundle)
	}
	for i, c := range append([]cbor.ByteString{leaf}, bundle...) {
		if n := len(c); n == 0 || n > maxCertificate {
			return fmt.Errorf("certificate %d of %d bytes, expected 1 to %d", i, n, maxCertificate)
		}
	}
	d.Certificate = []byte(leaf)
	for _, c := range bundle {
		d.CABundle = append(d.CABundle, []byte(c))
	}
	return nil
}

// Measurement combines the registers that say what was started: SHA-384 over
// the domain of the kind, 32 bytes, and the registers of [Kind.Measured].
func (d *Document) Measurement() [48]byte {
	b := make([]byte, 32, 32+3*sha512.Size384)
	copy(b, map[Kind]string{Enclave: enclaveDomain, TPM: tpmDomain}[d.Kind])
	for _, i := range d.Kind.Measured() {
		b = append(b, d.PCRs[i]...)
	}
	return sha512.Sum384(b)
}

// Domains of the combined measurements, padded with zeroes to 32 bytes.
const (
	enclaveDomain = "enarx-nitro-enclave-launch-v1"
	tpmDomain     = "enarx-nitro-tpm-launch-v1"
)

// Debug says whether an enclave was started in debug mode, in which its
// hypervisor measures nothing and its parent reads its console: PCR0, PCR1 and
// PCR2 are then zero. A NitroTPM has no such mode.
func (d *Document) Debug() bool {
	if d.Kind != Enclave {
		return false
	}
	for _, i := range d.Kind.Measured() {
		for _, x := range d.PCRs[i] {
			if x != 0 {
				return false
			}
		}
	}
	return true
}

// Payload is what is signed, byte for byte.
func (d *Document) Payload() []byte { return d.payload }

// Encode gives the document back, byte for byte as it was parsed.
func (d *Document) Encode() []byte { return Seal(d.payload, d.signature) }

// Seal puts a payload and its signature together. Payloads of less than 24
// bytes, which no document has, are not encoded in the form that [Parse] takes.
func Seal(payload []byte, signature [SignatureSize]byte) []byte {
	b := append(make([]byte, 0, len(head)+3+len(payload)+2+SignatureSize), head...)
	b = append(appendLength(b, len(payload)), payload...)
	return append(append(b, signatureHead...), signature[:]...)
}

func appendLength(b []byte, n int) []byte {
	if n < 256 {
		return append(b, 0x58, byte(n))
	}
	return append(b, 0x59, byte(n>>8), byte(n))
}

// SignedDigest is what ES384 signs for a payload: SHA-384 of the Sig_structure
// ["Signature1", protected, no external data, payload] (RFC 9052, section 4.4).
func SignedDigest(payload []byte) [sha512.Size384]byte {
	h := sha512.New384()
	h.Write([]byte("\x84\x6aSignature1\x44\xa1\x01\x38\x22\x40"))
	h.Write(appendLength(nil, len(payload)))
	h.Write(payload)
	return [sha512.Size384]byte(h.Sum(nil))
}

// CheckSignature checks the document's signature with key.
func (d *Document) CheckSignature(key *ecdsa.PublicKey) error {
	if key == nil || key.Curve != elliptic.P384() {
		return fmt.Errorf("the key is not on P-384")
	}
	sum := SignedDigest(d.payload)
	r, s := new(big.Int).SetBytes(d.signature[:48]), new(big.Int).SetBytes(d.signature[48:])
	if !ecdsa.Verify(key, sum[:], r, s) {
		return fmt.Errorf("the signature does not verify")
	}
	return nil
}
