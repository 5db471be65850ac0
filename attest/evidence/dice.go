// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// CBOR tags of evidence in the extension tcg-dice-conceptual-message-wrapper
// (CCC "Interoperable RA-TLS"): a quote of an Intel TEE, and a report that only
// the same machine can check.
const (
	tagIntelQuote  = 60000
	tagIntelReport = 60001
)

// taggedOptions read tagged evidence and claims strictly: definite lengths, no
// key twice. The extension is bounded by its certificate.
var taggedOptions = cbor.DecOptions{
	DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	IndefLength:      cbor.IndefLengthForbidden,
	MaxNestedLevels:  8,
	MaxArrayElements: 16,
	MaxMapPairs:      maxClaims,
	UTF8:             cbor.UTF8RejectInvalid,
	TagsMd:           cbor.TagsAllowed,
}

// decodeCBOR reads exactly one value.
func decodeCBOR(b []byte, v any) error {
	mode, err := taggedOptions.DecMode()
	if err != nil {
		return err
	}
	return mode.Unmarshal(b, v)
}

// tagged adds evidence of the form 60000([evidence, claims]). The evidence is
// bound to the claims, and these to the key of the certificate.
func (f *Found) tagged(b, spki []byte, depth int) error {
	var tag cbor.RawTag
	if err := decodeCBOR(b, &tag); err != nil {
		return malformed(formatRATLS, "tagged evidence: %w", err)
	}
	if tag.Number != tagIntelQuote && tag.Number != tagIntelReport {
		// What is no tag of RA-TLS may be a tag of RFC 9999.
		return f.cmwBytes(b, depth)
	}
	var parts [][]byte
	if err := decodeCBOR(tag.Content, &parts); err != nil || len(parts) != 2 {
		return malformed(formatRATLS, "tagged evidence is no array of evidence and claims")
	}
	g, err := findQuote(parts[0], depth)
	if err != nil {
		return err
	}
	if g == nil {
		return unsupported(formatRATLS, fmt.Sprintf("evidence of CBOR tag %d that is no quote, which only the machine that made it can check", tag.Number),
			"ask for a certificate with a quote")
	}
	if err := f.claims(parts[1], spki); err != nil {
		return err
	}
	p := g.Pieces[0]
	p.Where = fmt.Sprintf("extension %v (CBOR tag %d)", oidTaggedEvidence, tag.Number)
	var bound [64]byte
	d := sha256.Sum256(parts[1])
	copy(bound[:], d[:])
	p.ReportData, p.ReportDataSource = &bound, "SHA-256 of the claims beside the evidence"
	f.Pieces = append(f.Pieces, p)
	return nil
}

// claims checks that the claims speak of this certificate's key.
func (f *Found) claims(b, spki []byte) error {
	var claims map[string]cbor.RawMessage
	if err := decodeCBOR(b, &claims); err != nil {
		return malformed(formatRATLS, "claims beside the evidence: %w", err)
	}
	raw, ok := claims["pubkey-hash"]
	if !ok {
		return malformed(formatRATLS, "claims beside the evidence without pubkey-hash")
	}
	entry := []byte(raw) // [algorithm, digest], within a byte string as Gramine and RATS-TLS write it, or not
	if len(raw) > 0 && raw[0]>>5 == 2 {
		if err := decodeCBOR(raw, &entry); err != nil {
			return malformed(formatRATLS, "pubkey-hash: %w", err)
		}
	}
	var pair struct {
		_         struct{} `cbor:",toarray"`
		Algorithm uint64
		Digest    []byte
	}
	if err := decodeCBOR(entry, &pair); err != nil {
		return malformed(formatRATLS, "pubkey-hash: %w", err)
	}
	want, name := keyDigest(pair.Algorithm, spki)
	if want == nil {
		return malformed(formatRATLS, "pubkey-hash of algorithm %d, expected 1, 7 or 8 (SHA-256, SHA-384, SHA-512)", pair.Algorithm)
	}
	f.check(bytes.Equal(pair.Digest, want), "key-hash", shown(hex.EncodeToString(pair.Digest)), hex.EncodeToString(want),
		name+" of the certificate's key", "the evidence was made for another key; do not use this certificate")
	return nil
}

// keyDigest hashes a key with an algorithm of IANA's "Named Information" list.
func keyDigest(algorithm uint64, spki []byte) ([]byte, string) {
	switch algorithm {
	case 1:
		d := sha256.Sum256(spki)
		return d[:], "SHA-256"
	case 7:
		d := sha512.Sum384(spki)
		return d[:], "SHA-384"
	case 8:
		d := sha512.Sum512(spki)
		return d[:], "SHA-512"
	}
	return nil, ""
}
