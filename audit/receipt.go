// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package audit holds receipts: the signed record of one deployment, with all
// that is needed to check it again later, offline, by somebody else.
//
//	signed, err := audit.Sign(receipt, ownerKey.Sign)   // the deploying client
//	receipt, err := audit.Open(signed)                  // anybody
//	result := receipt.Recheck(verifier, start, refs, nil) // with a root and reference values of one's own
//
// [Open] proves that the owner key in the receipt signed it, and nothing more.
// [Receipt.Recheck] walks the recorded evidence again, from the hardware's
// signature to the fields of the Keep's leaf, under the reader's own roots and
// reference values; it takes nothing from the recorded rows and decision, which
// are what the client saw and decided at the time.
//
// # What a third party may conclude
//
// If Recheck passes with evidence of the running Keep: a Keep runtime that the
// reader accepts ran, on hardware that the reader accepts, with exactly this
// bundle, for the holder of exactly this owner key, and held these channel and
// identity keys.
//
// It may not conclude who the owner is; that the time is right (it is the
// owner's word, and certificates are checked for that time); that the owner's
// connection ended in that Keep (the binding is recorded as a value, and only
// the two ends of the connection could compare it); that revocations which
// became known later were known; or anything about what the workload did.
// Without evidence of the running Keep, that the bundle ran at all is the
// owner's word.
//
// A receipt holds no secret of the workload, but its digest, and certificates
// that name the machine. SPEC.md has the format.
package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/internal/detcbor"
	"github.com/enarx/enarx-go/internal/dsse"
	"github.com/enarx/enarx-go/policy"
	"github.com/enarx/enarx-go/workload"
)

// PayloadType is the DSSE payload type of a receipt. It is the domain of the
// owner key's signature.
const PayloadType = "application/vnd.enarx.receipt+json"

// version of the payload.
const version = 1

// Receipt is the record of one deployment.
type Receipt struct {
	// Version is 1; Sign sets it.
	Version int `json:"version"`
	// Time of the appraisal by the client's clock, UTC, whole seconds.
	Time time.Time `json:"time"`
	// Platform that was asked for and appraised.
	Platform string `json:"platform"`
	// Keep is the SHA-256 digest of the Keep runtime that the client
	// expected, in lower-case hexadecimal, or "" if it knew only
	// measurements.
	Keep string `json:"keep,omitempty"`
	// Bundle is the digest of what was deployed, as workload.Digest prints.
	Bundle string `json:"bundle"`
	// Owner is the public half of the deployment's owner key.
	Owner Owner `json:"owner"`
	// Before is the appraisal of the empty Keep, on which the decision was
	// made. After, if it was asked for, is that of the running Keep.
	Before Session  `json:"before"`
	After  *Session `json:"after,omitempty"`
	// Collateral is what the client had of its own; what the Keep stapled is
	// in the messages.
	Collateral []Item `json:"collateral,omitempty"`
	// Decision and Statement are what the client decided and showed.
	Decision  policy.Decision `json:"decision"`
	Statement []attest.Layer  `json:"statement"`
}

// Owner is the public half of an owner key.
type Owner struct {
	Sign []byte `json:"sign"` // Ed25519, 32 bytes; signs the receipt
	Seal []byte `json:"seal"` // MLKEM768-X25519, 1,216 bytes
}

// Session is one appraisal: the preimage of the report data and the rows.
type Session struct {
	// Role of the Keep in the connection.
	Role attest.Role `json:"role"`
	// Binding of the connection, 32 bytes, and the Keep's key in it.
	Binding    []byte `json:"binding"`
	ChannelKey []byte `json:"channel_key"`
	// Message is the Keep's evidence message, byte for byte: evidence,
	// hints, and the rest of the leaf with its place in the tree.
	Message []byte `json:"message"`
	// Rows are what the client's verifier said.
	Rows attest.Verdict `json:"rows"`
}

// Item is one piece of collateral.
type Item struct {
	Type  string `json:"type"`
	Value []byte `json:"value"`
}

// ownerDomain and wireOwner make the owner-key hash (attest/SPEC.md, rule L5).
const ownerDomain = "enarx owner key v1\x00"

type wireOwner struct {
	Sign []byte `cbor:"1,keyasint"`
	Seal []byte `cbor:"2,keyasint"`
}

// Hash is the owner-key hash that a claimed Keep has in its leaf.
func (o Owner) Hash() ([32]byte, error) {
	if len(o.Sign) != ed25519.PublicKeySize || len(o.Seal) != sealKeySize {
		return [32]byte{}, fmt.Errorf("receipt: owner keys of %d and %d bytes, expected %d and %d",
			len(o.Sign), len(o.Seal), ed25519.PublicKeySize, sealKeySize)
	}
	b, err := detcbor.Marshal(wireOwner(o))
	if err != nil {
		return [32]byte{}, fmt.Errorf("receipt: owner key: %w", err)
	}
	return sha256.Sum256(append([]byte(ownerDomain), b...)), nil
}

// Sign makes the signed receipt. sign must be the owner key's: its result is
// checked with r.Owner before the receipt is let go.
func Sign(r *Receipt, sign func(msg []byte) []byte) ([]byte, error) {
	c := *r
	c.Version = version
	c.Time = c.Time.UTC().Truncate(time.Second)
	if err := c.check(); err != nil {
		return nil, err
	}
	body, err := normal(&c)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	b, err := dsse.Seal(PayloadType, body, ed25519.PublicKey(c.Owner.Sign), sign)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if _, err := Open(b); err != nil {
		return nil, fmt.Errorf("receipt just made does not open: %w", err)
	}
	return b, nil
}

// normal is the JSON of r as a reader would write it again. Rows may hold text
// from certificates that is no UTF-8, which JSON replaces on the way.
func normal(r *Receipt) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var again Receipt
	if err := json.Unmarshal(body, &again); err != nil {
		return nil, err
	}
	return json.Marshal(&again)
}

// Open reads a signed receipt and checks that the owner key in it signed it. It
// says nothing about the evidence; see [Receipt.Recheck].
func Open(signed []byte) (*Receipt, error) {
	claimed, err := dsse.Unverified(signed, PayloadType, MaxReceipt)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	r, err := parse(claimed)
	if err != nil {
		return nil, err
	}
	body, _, err := dsse.Open(signed, PayloadType, MaxReceipt, []ed25519.PublicKey{r.Owner.Sign})
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if !bytes.Equal(body, claimed) {
		return nil, fmt.Errorf("receipt: two readings of the envelope differ")
	}
	return r, nil
}

// parse reads a payload strictly.
func parse(body []byte) (*Receipt, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var r Receipt
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("receipt: not the JSON of SPEC.md: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("receipt: something follows the JSON")
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	// One text per receipt: field order, case and escapes included.
	again, err := json.Marshal(&r)
	if err != nil || !bytes.Equal(again, body) {
		return nil, fmt.Errorf("receipt: not in the form of SPEC.md")
	}
	return &r, nil
}

func (r *Receipt) check() error {
	if r.Version != version {
		return fmt.Errorf("receipt: version %d, expected %d", r.Version, version)
	}
	if r.Time.Nanosecond() != 0 || r.Time.Location() != time.UTC || r.Time.Year() < 2000 || r.Time.Year() > 9999 {
		return fmt.Errorf("receipt: time is not a whole second of UTC from the year 2000 on")
	}
	if r.Keep != "" && !lowerHex(r.Keep, 32) {
		return fmt.Errorf("receipt: Keep digest is not 64 lower-case hexadecimal digits")
	}
	if d, err := workload.ParseDigest(r.Bundle); err != nil || d.IsZero() || d.String() != r.Bundle {
		return fmt.Errorf("receipt: %.80q is no bundle digest", r.Bundle)
	}
	if _, err := r.Owner.Hash(); err != nil {
		return err
	}
	if err := r.checkSession(&r.Before); err != nil {
		return err
	}
	if r.After != nil {
		if err := r.checkSession(r.After); err != nil {
			return err
		}
	}
	if len(r.Collateral) > maxCollateral || len(r.Statement) > maxLayers || len(r.Decision.Reasons) > maxReasons {
		return fmt.Errorf("receipt: %d entries of collateral, %d layers, %d reasons, expected at most %d, %d and %d",
			len(r.Collateral), len(r.Statement), len(r.Decision.Reasons), maxCollateral, maxLayers, maxReasons)
	}
	return nil
}

func (r *Receipt) checkSession(s *Session) error {
	if len(s.Binding) != attest.BindingSize {
		return fmt.Errorf("receipt: binding of %d bytes, expected %d", len(s.Binding), attest.BindingSize)
	}
	if len(s.Rows) > maxRows {
		return fmt.Errorf("receipt: %d rows, expected at most %d", len(s.Rows), maxRows)
	}
	_, _, err := r.open(s)
	return err
}

// open decodes the message and computes the report data that it leads to for
// the owner and the bundle of r: the message names neither. In which state the
// Keep should have been is for [Receipt.Recheck] to say.
func (r *Receipt) open(s *Session) (*attest.EvidenceMessage, [64]byte, error) {
	m, err := attest.DecodeEvidenceMessage(s.Message)
	if err != nil {
		return nil, [64]byte{}, fmt.Errorf("receipt: %w", err)
	}
	var known attest.Known
	if m.State != attest.StateEmpty {
		owner, err := r.Owner.Hash()
		if err != nil {
			return nil, [64]byte{}, err
		}
		known.OwnerKeyHash = &owner
	}
	if m.State == attest.StateRunning {
		bundle, err := workload.ParseDigest(r.Bundle)
		if err != nil {
			return nil, [64]byte{}, fmt.Errorf("receipt: %w", err)
		}
		known.BundleDigest = (*[32]byte)(&bundle)
	}
	rd, err := m.ReportDataFor([attest.BindingSize]byte(s.Binding), s.ChannelKey, s.Role, known)
	if err != nil {
		return nil, [64]byte{}, fmt.Errorf("receipt: %w", err)
	}
	return m, rd, nil
}

func lowerHex(s string, size int) bool {
	if len(s) != 2*size {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
