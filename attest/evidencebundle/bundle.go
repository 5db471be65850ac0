// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidencebundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/cmw"
)

const (
	// Type is the type of the collection. What follows the last slash is the
	// version of SPEC.md.
	Type = typeName + "1"
	// typeName is what the types of all versions begin with.
	typeName = "tag:github.com,2026:enarx/enarx-go/evidence-bundle/"
)

// Media types of the parts, beside those of evidence and collateral. The names
// under vnd.enarx are this project's own.
const (
	// MediaTypeFile is a file with evidence in some wrapping, which is found
	// by its content (package evidence).
	MediaTypeFile = "application/vnd.enarx.evidence-file"
	// MediaTypeReferences is a DSSE envelope of signed reference values.
	MediaTypeReferences = "application/vnd.dsse.envelope.v1+json"
	// MediaTypeLogProof is a proof of a transparency log (c2sp.org/tlog-proof).
	MediaTypeLogProof = "application/vnd.enarx.c2sp-tlog-proof"
	// MediaTypePolicy is a relying party's policy file.
	MediaTypePolicy = "application/vnd.enarx.appraisal-policy"
	// MediaTypeRequest is the [Request], CBOR.
	MediaTypeRequest = "application/vnd.enarx.appraisal-request+cbor"
	// MediaTypeVerdict is the result of an appraisal, JSON.
	MediaTypeVerdict = "application/vnd.enarx.appraisal-result+json"
	// MediaTypeDigest is a SHA-256 digest, 32 bytes.
	MediaTypeDigest = "application/vnd.enarx.sha-256"
)

// logProofHead is the first line of a proof (C2SP, tlog-proof).
const logProofHead = "c2sp.org/tlog-proof@v1\n"

// Labels of the collection (SPEC.md, rule B3).
const (
	labelEvidence   = "evidence"
	labelCollateral = "collateral"
	labelReferences = "references"
	labelLogProofs  = "log-proofs"
	labelPolicy     = "policy"
	labelRequest    = "request"
	labelVerdict    = "verdict"
	labelDigest     = "digest"
)

// Bundle is what an evidence bundle holds.
type Bundle struct {
	// Evidence is the file that was appraised, byte for byte. Its media type
	// tells other readers what it is: that of the evidence itself if the
	// file is nothing else, otherwise [MediaTypeFile]. Readers here find the
	// format by the content.
	Evidence attest.Evidence
	// Collateral is what the appraisal used beside what the file brings, in
	// its order.
	Collateral attest.Collateral
	// References are signed files of reference values, DSSE, byte for byte.
	References [][]byte
	// LogProofs are proofs that something in the bundle is in a transparency
	// log (c2sp.org/tlog-proof), byte for byte. No part of the appraisal
	// looks at them yet; they have their place so that no file has to be
	// made anew when one does.
	LogProofs [][]byte
	// Policy is the relying party's policy file; nil if there was none.
	Policy []byte
	// Request is what was asked.
	Request Request
	// Verdict is the result that was given, in JSON as package appraisal
	// writes it. It decides nothing.
	Verdict []byte
}

// Request is the question that the recorded verdict answers.
type Request struct {
	// At is the time of the appraisal: UTC, whole seconds.
	At time.Time
	// ReportData and HostData are what the relying party demanded; nil if
	// it demanded nothing.
	ReportData *[64]byte
	HostData   *[32]byte
	// ReferenceKeys are the SHA-256 digests of the public keys
	// (SubjectPublicKeyInfo, DER) that References may be signed with. Empty
	// if and only if there are no References.
	ReferenceKeys [][32]byte
	// Maker is the program that made the bundle, with its version: printable
	// ASCII. For people.
	Maker string
}

// ErrNotBundle says that a file is no evidence bundle of any version.
var ErrNotBundle = errors.New("evidence bundle: the file is none")

// Recognise says whether a wrapper calls itself an evidence bundle, of whatever
// version. Its file is then for [Open], which may still refuse it.
func Recognise(n *cmw.Node) bool {
	return n != nil && n.Collection != nil && strings.HasPrefix(n.Collection.Type, typeName)
}

// Open reads a bundle. The error is [ErrNotBundle] for a file that does not
// call itself one. It says nothing about the evidence.
func Open(file []byte) (*Bundle, error) {
	named := bytes.Contains(file, []byte(typeName))
	if cmw.Sniff(file) != cmw.CBOR || len(file) > MaxSize && !named {
		return nil, ErrNotBundle
	}
	if len(file) > MaxSize {
		return nil, fmt.Errorf("evidence bundle: %d bytes, expected at most %d", len(file), MaxSize)
	}
	n, err := cmw.ParseCBOR(file)
	switch {
	case err != nil && named:
		return nil, fmt.Errorf("evidence bundle: damaged: %w", err)
	case err != nil || !Recognise(n):
		return nil, ErrNotBundle
	case n.Collection.Type != Type:
		return nil, fmt.Errorf("evidence bundle: %q, expected version %s; use an enarx that knows it", n.Collection.Type, strings.TrimPrefix(Type, typeName))
	}
	b, err := read(n.Collection)
	if err != nil {
		return nil, err
	}
	again, err := b.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, file) {
		// The parts are what they are, so it is the digest or the form.
		return nil, fmt.Errorf("evidence bundle: damaged: its digest is not that of its parts, or it is not in deterministic encoding")
	}
	return b, nil
}

// Encode gives the bundle's one encoding.
func (b *Bundle) Encode() ([]byte, error) {
	c, err := b.collection()
	if err != nil {
		return nil, err
	}
	sum, err := digest(c)
	if err != nil {
		return nil, err
	}
	c.Entries = append(c.Entries, part(labelDigest, MediaTypeDigest, sum[:], 0))
	out, err := (&cmw.Node{Collection: c}).CBOR()
	if err != nil {
		return nil, fmt.Errorf("evidence bundle: %w", err)
	}
	if len(out) > MaxSize {
		return nil, fmt.Errorf("evidence bundle: %d bytes, expected at most %d", len(out), MaxSize)
	}
	return out, nil
}

// Digest is the SHA-256 digest in the bundle: that of the encoding of the
// collection without it (SPEC.md, rule D1). It names the bundle.
func (b *Bundle) Digest() ([32]byte, error) {
	c, err := b.collection()
	if err != nil {
		return [32]byte{}, err
	}
	return digest(c)
}

func digest(c *cmw.Collection) ([32]byte, error) {
	enc, err := (&cmw.Node{Collection: c}).CBOR()
	if err != nil {
		return [32]byte{}, fmt.Errorf("evidence bundle: %w", err)
	}
	return sha256.Sum256(enc), nil
}

// collection is the bundle without its digest. It holds everything to the
// limits.
func (b *Bundle) collection() (*cmw.Collection, error) {
	request, err := b.request()
	if err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	c := &cmw.Collection{Type: Type, Entries: []cmw.Entry{
		part(labelEvidence, b.Evidence.MediaType, b.Evidence.Value, cmw.Evidence),
		part(labelRequest, MediaTypeRequest, request, 0),
		part(labelVerdict, MediaTypeVerdict, b.Verdict, cmw.AttestationResults),
	}}
	if b.Policy != nil {
		c.Entries = append(c.Entries, part(labelPolicy, MediaTypePolicy, b.Policy, cmw.AppraisalPolicy))
	}
	var collateral, references, proofs []*cmw.Record
	for _, e := range b.Collateral {
		collateral = append(collateral, &cmw.Record{Type: cmw.MediaType(e.MediaType), Value: e.Value, Ind: indicator(e.MediaType)})
	}
	for _, v := range b.References {
		references = append(references, &cmw.Record{Type: cmw.MediaType(MediaTypeReferences), Value: v, Ind: cmw.ReferenceValues})
	}
	for _, v := range b.LogProofs {
		proofs = append(proofs, &cmw.Record{Type: cmw.MediaType(MediaTypeLogProof), Value: v})
	}
	c.Entries = append(c.Entries, list(labelCollateral, collateral)...)
	c.Entries = append(c.Entries, list(labelReferences, references)...)
	c.Entries = append(c.Entries, list(labelLogProofs, proofs)...)
	return c, nil
}

// indicator of an entry of collateral: logs are what the attester says, the
// rest is what a vendor says (RFC 9334).
func indicator(mediaType string) cmw.Ind {
	if mediaType == attest.MediaTypeEventLog || mediaType == attest.MediaTypeDstackLog {
		return cmw.Evidence
	}
	return cmw.Endorsements
}

func part(label, mediaType string, value []byte, ind cmw.Ind) cmw.Entry {
	return cmw.Entry{Label: cmw.Text(label), Node: cmw.Node{Record: &cmw.Record{Type: cmw.MediaType(mediaType), Value: value, Ind: ind}}}
}

// list numbers records from 0; an empty list has no entry at all.
func list(label string, records []*cmw.Record) []cmw.Entry {
	if len(records) == 0 {
		return nil
	}
	c := new(cmw.Collection)
	for i, r := range records {
		c.Entries = append(c.Entries, cmw.Entry{Label: cmw.Number(int64(i)), Node: cmw.Node{Record: r}})
	}
	return []cmw.Entry{{Label: cmw.Text(label), Node: cmw.Node{Collection: c}}}
}

// check holds the bundle to the limits and to what belongs together.
func (b *Bundle) check() error {
	for _, c := range []struct {
		what       string
		size, most int
	}{
		{"evidence", len(b.Evidence.Value), MaxEvidence},
		{"verdict", len(b.Verdict), maxVerdict},
	} {
		if c.size == 0 || c.size > c.most {
			return fmt.Errorf("evidence bundle: %s of %d bytes, expected 1 to %d", c.what, c.size, c.most)
		}
	}
	if b.Policy != nil && (len(b.Policy) == 0 || len(b.Policy) > maxPolicy) {
		return fmt.Errorf("evidence bundle: policy of %d bytes, expected 1 to %d", len(b.Policy), maxPolicy)
	}
	values := make([][]byte, len(b.Collateral))
	for i, e := range b.Collateral {
		values[i] = e.Value
	}
	for _, c := range []struct {
		what       string
		values     [][]byte
		most, size int
	}{
		{"entries of collateral", values, MaxCollateral, maxEntry},
		{"files of reference values", b.References, MaxReferences, maxReference},
		{"log proofs", b.LogProofs, MaxLogProofs, maxLogProof},
	} {
		if len(c.values) > c.most {
			return fmt.Errorf("evidence bundle: %d %s, expected at most %d", len(c.values), c.what, c.most)
		}
		for _, v := range c.values {
			if len(v) == 0 || len(v) > c.size {
				return fmt.Errorf("evidence bundle: one of the %s has %d bytes, expected 1 to %d", c.what, len(v), c.size)
			}
		}
	}
	for _, p := range b.LogProofs {
		if !bytes.HasPrefix(p, []byte(logProofHead)) {
			return fmt.Errorf("evidence bundle: a log proof does not begin with %q", logProofHead)
		}
	}
	return nil
}

// read takes a collection apart. That it has the one encoding, and so no entry
// or indicator that does not belong, is for the caller to check.
func read(c *cmw.Collection) (*Bundle, error) {
	b := new(Bundle)
	var request []byte
	for i := range c.Entries {
		e := &c.Entries[i]
		var err error
		switch label := e.Label; label {
		case cmw.Text(labelEvidence):
			b.Evidence, err = record(e)
		case cmw.Text(labelRequest):
			request, err = typed(e, MediaTypeRequest)
		case cmw.Text(labelVerdict):
			b.Verdict, err = typed(e, MediaTypeVerdict)
		case cmw.Text(labelPolicy):
			b.Policy, err = typed(e, MediaTypePolicy)
		case cmw.Text(labelDigest):
			_, err = typed(e, MediaTypeDigest)
		case cmw.Text(labelCollateral):
			err = each(e, MaxCollateral, func(e *cmw.Entry) error {
				v, err := record(e)
				b.Collateral = append(b.Collateral, v)
				return err
			})
		case cmw.Text(labelReferences):
			err = each(e, MaxReferences, func(e *cmw.Entry) error {
				v, err := typed(e, MediaTypeReferences)
				b.References = append(b.References, v)
				return err
			})
		case cmw.Text(labelLogProofs):
			err = each(e, MaxLogProofs, func(e *cmw.Entry) error {
				v, err := typed(e, MediaTypeLogProof)
				b.LogProofs = append(b.LogProofs, v)
				return err
			})
		default:
			err = fmt.Errorf("evidence bundle: unknown part %.40q; use an enarx that knows it", label.String())
		}
		if err != nil {
			return nil, err
		}
	}
	return b, b.readRequest(request)
}

// each walks a list. Its labels must be the numbers from 0 up, which is their
// order in what package cmw returns.
func each(e *cmw.Entry, most int, f func(*cmw.Entry) error) error {
	c := e.Node.Collection
	if c == nil || c.Type != "" || len(c.Entries) > most {
		return fmt.Errorf("evidence bundle: %s is not a list of at most %d", e.Label, most)
	}
	for i := range c.Entries {
		if c.Entries[i].Label != cmw.Number(int64(i)) {
			return fmt.Errorf("evidence bundle: %s has an entry %.40q, expected %d", e.Label, c.Entries[i].Label.String(), i)
		}
		if err := f(&c.Entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func record(e *cmw.Entry) (attest.Evidence, error) {
	r := e.Node.Record
	if r == nil {
		return attest.Evidence{}, fmt.Errorf("evidence bundle: %s is not a record", e.Label)
	}
	if _, numeric := r.Type.Format(); numeric {
		return attest.Evidence{}, fmt.Errorf("evidence bundle: %s has a %s, expected a media type", e.Label, r.Type)
	}
	return attest.Evidence{MediaType: r.Type.Name(), Value: r.Value}, nil
}

func typed(e *cmw.Entry, mediaType string) ([]byte, error) {
	v, err := record(e)
	if err == nil && v.MediaType != mediaType {
		err = fmt.Errorf("evidence bundle: %s is of type %.80q, expected %s", e.Label, v.MediaType, mediaType)
	}
	return v.Value, err
}
