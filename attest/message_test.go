// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// decodes says whether b is taken, and checks that nothing comes with an error.
func decodes(t testing.TB, b []byte) (*EvidenceMessage, bool) {
	t.Helper()
	m, err := DecodeEvidenceMessage(b)
	if err != nil && m != nil {
		t.Fatal("a message and an error")
	}
	return m, err == nil
}

// Every bit of a message is either refused or leads to other report data or
// other evidence or hints: nothing can be changed unseen.
func TestInvariant4HostileInputIsBounded_MessageBits(t *testing.T) {
	b, leaf, want := messageVector(t)
	good, _ := decodes(t, b)
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			m, ok := decodes(t, c)
			if !ok {
				continue
			}
			rd, err := m.ReportDataFor(leaf.Binding, leaf.ChannelKey, leaf.Role, knownOf(leaf))
			if err != nil || rd != want {
				continue
			}
			if !sameEvidence(m.Evidence, good.Evidence) || len(m.Hints) != 1 || !sameEvidence(m.Hints[0], good.Hints[0]) {
				continue // the verifier sees other bytes
			}
			t.Fatalf("bit %d of byte %d changes nothing", bit, i)
		}
	}
}

func sameEvidence(a, b Evidence) bool {
	return a.MediaType == b.MediaType && bytes.Equal(a.Value, b.Value)
}

func TestInvariant4HostileInputIsBounded_MessageShapes(t *testing.T) {
	b, _, _ := messageVector(t)
	for i := range b {
		if _, ok := decodes(t, b[:i]); ok {
			t.Fatalf("cut to %d bytes: taken", i)
		}
	}
	var parts []cbor.RawMessage
	if err := cbor.Unmarshal(b, &parts); err != nil {
		t.Fatal(err)
	}
	with := func(i int, raw ...byte) []byte {
		p := append([]cbor.RawMessage(nil), parts...)
		p[i] = raw
		out, err := cbor.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// A byte string that says it has 2^62 bytes, and an array that says it
	// has 2^62 elements, must not be allocated.
	hugeBytes := []byte{0x5b, 0x40, 0, 0, 0, 0, 0, 0, 0}
	hugeArray := []byte{0x9b, 0x40, 0, 0, 0, 0, 0, 0, 0}
	raw := func(prefix int, tail []byte) []byte {
		out := []byte{0x8a}
		for _, p := range parts[:prefix] {
			out = append(out, p...)
		}
		return append(out, tail...)
	}
	short, err := cbor.Marshal(parts[:9])
	if err != nil {
		t.Fatal(err)
	}
	long, err := cbor.Marshal(append(append([]cbor.RawMessage(nil), parts...), cbor.RawMessage{0}))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][]byte{
		"empty":               {},
		"trailing byte":       append(bytes.Clone(b), 0),
		"beyond the limit":    append(bytes.Clone(b), make([]byte, MaxMessage)...),
		"nine elements":       short,
		"eleven elements":     long,
		"version 0":           with(0, 0),
		"version 2":           with(0, 2),
		"long form of 1":      with(0, 0x18, 1),
		"version as text":     with(0, 0x61, '1'),
		"huge key":            raw(2, hugeBytes),
		"huge path":           raw(8, hugeArray),
		"huge hints":          raw(9, hugeArray),
		"indefinite path":     with(8, 0x9f, 0xff),
		"path too short":      with(8, 0x80),
		"state null":          with(3, 0xf6),
		"state other":         with(3, 0x61, 'x'),
		"no start digest":     with(4, 0xf6),
		"short start digest":  with(4, append([]byte{0x58, 31}, make([]byte, 31)...)...),
		"version bad UTF-8":   with(5, 0x62, 0xff, 0xfe),
		"negative index":      with(6, 0x20),
		"index at count":      with(6, 3),
		"index of 2^32+1":     with(6, 0x1b, 0, 0, 0, 1, 0, 0, 0, 1),
		"count 0":             with(7, 0),
		"count 1025":          with(7, 0x19, 0x04, 0x01),
		"hints null":          with(9, 0xf6),
		"tagged":              append([]byte{0xd8, 0x18}, b...),
		"map":                 {0xa0},
		"a deep nest":         bytes.Repeat([]byte{0x81}, 10000),
		"evidence of endorse": with(1, 0x83, 0x63, 'a', '/', 'b', 0x41, 1, 2),
	} {
		if _, ok := decodes(t, c); ok {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestMessageLimits(t *testing.T) {
	b, _, _ := messageVector(t)
	for name, edit := range map[string]func(*EvidenceMessage){
		"evidence too big":        func(m *EvidenceMessage) { m.Evidence.Value = make([]byte, MaxEvidence+1) },
		"evidence empty":          func(m *EvidenceMessage) { m.Evidence.Value = nil },
		"none with a value":       func(m *EvidenceMessage) { m.Evidence.MediaType = MediaTypeNone },
		"media type empty":        func(m *EvidenceMessage) { m.Evidence.MediaType = "" },
		"media type no slash":     func(m *EvidenceMessage) { m.Evidence.MediaType = "text" },
		"media type with newline": func(m *EvidenceMessage) { m.Evidence.MediaType = "a/b\n" },
		"media type too long":     func(m *EvidenceMessage) { m.Evidence.MediaType = "a/" + strings.Repeat("b", MaxMediaType) },
		"too many hints":          func(m *EvidenceMessage) { m.Hints = make(Collateral, MaxHints+1) },
		"hint too big":            func(m *EvidenceMessage) { m.Hints[0].Value = make([]byte, MaxHint+1) },
		"all hints at the limit": func(m *EvidenceMessage) {
			m.Hints = nil
			for range MaxHints {
				m.Hints = append(m.Hints, Evidence{MediaType: MediaTypeCRL, Value: make([]byte, MaxHint)})
			}
		},
		"path too long": func(m *EvidenceMessage) { m.Path = make([][64]byte, maxPath+1) },
	} {
		m, ok := decodes(t, b)
		if !ok {
			t.Fatal("the vector does not decode")
		}
		edit(m)
		if out, err := m.Encode(); err == nil || out != nil {
			t.Errorf("%s: encoded", name)
		}
	}
	m, _ := decodes(t, b)
	m.Evidence = Evidence{MediaType: MediaTypeNone}
	out, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := decodes(t, out); !ok || got.Evidence.MediaType != MediaTypeNone {
		t.Error("a message without evidence does not come back")
	}
}

type stubChallenger struct {
	rounds int
	err    error
}

func (s *stubChallenger) Next(Evidence) (Evidence, bool, error) {
	if s.rounds == 0 {
		return Evidence{}, true, s.err
	}
	s.rounds--
	return Evidence{MediaType: "a/challenge", Value: []byte{1}}, false, nil
}

func TestInvariant4HostileInputIsBounded_ChallengeRounds(t *testing.T) {
	calls := 0
	echo := func(e Evidence) (Evidence, error) { calls++; return e, nil }
	if err := Converse(&stubChallenger{rounds: MaxChallengeRounds}, Evidence{}, echo); err != nil || calls != MaxChallengeRounds {
		t.Errorf("%d rounds: %v", calls, err)
	}
	calls = 0
	if err := Converse(&stubChallenger{rounds: 1000}, Evidence{}, echo); err == nil || calls != MaxChallengeRounds {
		t.Errorf("endless conversation: %d rounds, %v", calls, err)
	}
	refuse := errors.New("refused")
	if err := Converse(&stubChallenger{err: refuse}, Evidence{}, echo); !errors.Is(err, refuse) {
		t.Errorf("the challenger's refusal was lost: %v", err)
	}
	big := func(Evidence) (Evidence, error) {
		return Evidence{MediaType: "a/b", Value: make([]byte, MaxEvidence+1)}, nil
	}
	if err := Converse(&stubChallenger{rounds: 1}, Evidence{}, big); err == nil {
		t.Error("a huge answer was passed on")
	}
}

func FuzzDecodeEvidenceMessage(f *testing.F) {
	for _, v := range messageVectors(f) {
		f.Add([]byte(v.Message))
	}
	f.Add([]byte{0x8a, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := decodes(t, b)
		if !ok {
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("encodes to other bytes: %v", err)
		}
		var known Known
		owner, bundle, err := m.State.digests()
		if err != nil {
			t.Fatal(err)
		}
		if owner {
			known.OwnerKeyHash = &[32]byte{1}
		}
		if bundle {
			known.BundleDigest = &[32]byte{2}
		}
		if _, err := m.ReportDataFor([32]byte{1}, []byte{1, 2, 3}, KeepServer, known); err != nil && string(m.IdentityKey) != "\x01\x02\x03" {
			t.Fatalf("a good message gives no report data: %v", err)
		}
	})
}
