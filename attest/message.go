// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// MessageVersion is the version of [EvidenceMessage] that this package speaks.
const MessageVersion = 1

// Indicators of a CMW record (RFC 9999): what its value is.
const (
	indEndorsements = 1 << 1
	indEvidence     = 1 << 2
)

// EvidenceMessage is what a Keep sends to one session: the evidence of the
// batch, the fields of this session's leaf that the other side cannot know,
// and the leaf's place in the tree.
//
// It holds neither the binding nor the channel key nor the role: the verifying
// side takes those from its own connection (see [EvidenceMessage.ReportDataFor]).
// Nor does it hold the bundle digest and the owner-key hash, which it brings as
// [Known]: anybody may ask a Keep for evidence, its host first of all, and what
// is not for anybody is not in the answer.
type EvidenceMessage struct {
	// Evidence of the platform. Its Value is empty if and only if the media
	// type is [MediaTypeNone].
	Evidence Evidence
	// The fields of the leaf, as in [Leaf].
	IdentityKey       []byte
	State             State
	StartConfigDigest [32]byte
	RuntimeVersion    string
	// Index of the leaf, number of leaves, and the inclusion path.
	Index, Count uint32
	Path         [][64]byte
	// Hints are stapled certificates and revocation lists; untrusted.
	Hints Collateral
}

// Known is what the verifying side knows by itself of the deployment that it
// asks about. No message carries it and none can replace it: a Keep that
// belongs to somebody else or runs something else shows as other report data.
type Known struct {
	// BundleDigest is the identity of the bundle; nil unless the Keep is
	// running.
	BundleDigest *[32]byte
	// OwnerKeyHash is the SHA-256 digest of the owner's public keys, as in
	// [Leaf]; nil while the Keep is empty. It must stay out of everything
	// that the host sees (SPEC.md, rule M7).
	OwnerKeyHash *[32]byte
}

type wireRecord struct {
	_     struct{} `cbor:",toarray"`
	Type  string
	Value []byte
	Ind   uint64
}

type wireMessage struct {
	_                 struct{} `cbor:",toarray"`
	Version           uint64
	Evidence          wireRecord
	IdentityKey       []byte
	State             string
	StartConfigDigest []byte
	RuntimeVersion    string
	Index             uint64
	Count             uint64
	Path              [][]byte
	Hints             []wireRecord
}

// decMode refuses everything that a strict message does not need. Arrays are
// bounded before anything is allocated for them.
var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   4,
		MaxArrayElements:  MaxHints,
		MaxMapPairs:       16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic("attest: " + err.Error()) // fixed options; cannot happen at run time
	}
	return m
}()

// LeafFor is the leaf that m speaks of, completed with the values of the
// caller's own connection and with what it knows of the deployment.
func (m *EvidenceMessage) LeafFor(binding [BindingSize]byte, channelKey []byte, role Role, known Known) *Leaf {
	return &Leaf{
		Role:              role,
		Binding:           binding,
		ChannelKey:        channelKey,
		IdentityKey:       m.IdentityKey,
		State:             m.State,
		BundleDigest:      known.BundleDigest,
		OwnerKeyHash:      known.OwnerKeyHash,
		StartConfigDigest: m.StartConfigDigest,
		RuntimeVersion:    m.RuntimeVersion,
	}
}

// ReportDataFor computes the report data that the evidence of m must carry if
// m was made for this very connection, by a Keep of this owner with this
// bundle. binding comes from [Binding] and channelKey from [PeerKey], both of
// the caller's own connection; nothing that arrived in a message may stand in
// for either, or for known.
//
// It is an error if known does not fit the state in m (SPEC.md, rule L3): a
// running Keep needs both digests, an empty one takes none.
//
// On success the result goes into [Expected.ReportData], and StartConfigDigest
// of m into [Expected.HostData]. The message itself proves nothing.
func (m *EvidenceMessage) ReportDataFor(binding [BindingSize]byte, channelKey []byte, role Role, known Known) ([64]byte, error) {
	h, err := m.LeafFor(binding, channelKey, role, known).Hash()
	if err != nil {
		return [64]byte{}, err
	}
	root, err := RootFromPath(h, m.Index, m.Count, m.Path)
	if err != nil {
		return [64]byte{}, err
	}
	return ReportData(m.Count, root), nil
}

// check holds the bounds that both directions obey.
func (m *EvidenceMessage) check() error {
	if err := checkRecord("evidence", m.Evidence, MaxEvidence); err != nil {
		return err
	}
	if (m.Evidence.MediaType == MediaTypeNone) != (len(m.Evidence.Value) == 0) {
		return fmt.Errorf("attest: message: %d bytes of evidence of type %s", len(m.Evidence.Value), m.Evidence.MediaType)
	}
	if err := checkKey("identity key", m.IdentityKey); err != nil {
		return err
	}
	if _, _, err := m.State.digests(); err != nil {
		return err
	}
	if err := checkVersionText(m.RuntimeVersion); err != nil {
		return err
	}
	if len(m.Path) > maxPath {
		return fmt.Errorf("attest: message: path of %d nodes, expected at most %d", len(m.Path), maxPath)
	}
	// The value of the root is of no interest here, only that the path has
	// exactly the length that the tree calls for.
	if _, err := RootFromPath([64]byte{}, m.Index, m.Count, m.Path); err != nil {
		return err
	}
	if len(m.Hints) > MaxHints {
		return fmt.Errorf("attest: message: %d hints, expected at most %d", len(m.Hints), MaxHints)
	}
	for _, h := range m.Hints {
		if err := checkRecord("hint", h, MaxHint); err != nil {
			return err
		}
	}
	return nil
}

func checkRecord(what string, e Evidence, limit int) error {
	if len(e.Value) > limit {
		return fmt.Errorf("attest: message: %s of %d bytes, expected at most %d", what, len(e.Value), limit)
	}
	if n := len(e.MediaType); n < 3 || n > MaxMediaType {
		return fmt.Errorf("attest: message: media type of %d bytes for %s, expected 3 to %d", n, what, MaxMediaType)
	}
	slash := 0
	for _, c := range []byte(e.MediaType) {
		if c <= 0x20 || c > 0x7e {
			return fmt.Errorf("attest: message: media type of %s holds byte %#x, expected printable ASCII", what, c)
		}
		if c == '/' {
			slash++
		}
	}
	if slash != 1 {
		return fmt.Errorf("attest: message: %q is no media type", e.MediaType)
	}
	return nil
}

// Encode gives the message's one encoding (SPEC.md, rule M1).
func (m *EvidenceMessage) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	w := wireMessage{
		Version:           MessageVersion,
		Evidence:          wireRecord{Type: m.Evidence.MediaType, Value: nonNil(m.Evidence.Value), Ind: indEvidence},
		IdentityKey:       m.IdentityKey,
		State:             string(m.State),
		StartConfigDigest: m.StartConfigDigest[:],
		RuntimeVersion:    m.RuntimeVersion,
		Index:             uint64(m.Index),
		Count:             uint64(m.Count),
		Path:              make([][]byte, 0, len(m.Path)),
		Hints:             make([]wireRecord, 0, len(m.Hints)),
	}
	for i := range m.Path {
		w.Path = append(w.Path, m.Path[i][:])
	}
	for _, h := range m.Hints {
		w.Hints = append(w.Hints, wireRecord{Type: h.MediaType, Value: nonNil(h.Value), Ind: indEndorsements})
	}
	b, err := encMode.Marshal(&w)
	if err != nil {
		return nil, fmt.Errorf("attest: message: %w", err)
	}
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("attest: message of %d bytes, expected at most %d; staple fewer hints", len(b), MaxMessage)
	}
	return b, nil
}

// DecodeEvidenceMessage reads a message. It accepts exactly what
// [EvidenceMessage.Encode] makes: one encoding per message, no unknown fields,
// no trailing bytes, every part within its limit.
func DecodeEvidenceMessage(b []byte) (*EvidenceMessage, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("attest: message of %d bytes, expected at most %d", len(b), MaxMessage)
	}
	var w wireMessage
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("attest: message is not the CBOR of SPEC.md: %w", err)
	}
	if w.Version != MessageVersion {
		return nil, fmt.Errorf("attest: message version %d, expected %d; update the older side", w.Version, MessageVersion)
	}
	m, err := w.message()
	if err != nil {
		return nil, err
	}
	again, err := m.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("attest: message is not in deterministic encoding")
	}
	return m, nil
}

func (w *wireMessage) message() (*EvidenceMessage, error) {
	m := &EvidenceMessage{
		Evidence:       Evidence{MediaType: w.Evidence.Type, Value: w.Evidence.Value},
		IdentityKey:    w.IdentityKey,
		State:          State(w.State),
		RuntimeVersion: w.RuntimeVersion,
	}
	if w.Index >= MaxLeaves || w.Count > MaxLeaves {
		return nil, fmt.Errorf("attest: message: leaf %d of %d, expected at most %d", w.Index, w.Count, MaxLeaves)
	}
	m.Index, m.Count = uint32(w.Index), uint32(w.Count)
	if len(w.StartConfigDigest) != 32 {
		return nil, fmt.Errorf("attest: message: start-configuration digest of %d bytes, expected 32", len(w.StartConfigDigest))
	}
	m.StartConfigDigest = [32]byte(w.StartConfigDigest)
	for _, p := range w.Path {
		if len(p) != 64 {
			return nil, fmt.Errorf("attest: message: path node of %d bytes, expected 64", len(p))
		}
		m.Path = append(m.Path, [64]byte(p))
	}
	for _, h := range w.Hints {
		m.Hints = append(m.Hints, Evidence{MediaType: h.Type, Value: h.Value})
	}
	return m, nil
}

// nonNil keeps an empty value a byte string: nil would be written as null.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
