// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"reflect"
	"testing"
)

// hexBytes is a byte string in the vectors: hexadecimal, or null for nil.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return err
	}
	v, err := hex.DecodeString(*s)
	*h = append([]byte{}, v...)
	return err
}

func vectors(t testing.TB, name string, to any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type leafVector struct {
	Role              string   `json:"role"`
	Binding           hexBytes `json:"binding"`
	ChannelKey        hexBytes `json:"channel_key"`
	IdentityKey       hexBytes `json:"identity_key"`
	State             string   `json:"state"`
	BundleDigest      hexBytes `json:"bundle_digest"`
	OwnerKeyHash      hexBytes `json:"owner_key_hash"`
	StartConfigDigest hexBytes `json:"start_config_digest"`
	RuntimeVersion    string   `json:"runtime_version"`
}

func (v leafVector) leaf() *Leaf {
	opt := func(b hexBytes) *[32]byte {
		if b == nil {
			return nil
		}
		d := [32]byte(b)
		return &d
	}
	return &Leaf{
		Role: Role(v.Role), Binding: [32]byte(v.Binding), ChannelKey: v.ChannelKey, IdentityKey: v.IdentityKey,
		State: State(v.State), BundleDigest: opt(v.BundleDigest), OwnerKeyHash: opt(v.OwnerKeyHash),
		StartConfigDigest: [32]byte(v.StartConfigDigest), RuntimeVersion: v.RuntimeVersion,
	}
}

// exporter is RFC 8446, section 7.5, from the exporter secret; crypto/tls does
// not offer that step alone.
func exporter(t testing.TB, h func() hash.Hash, secret []byte, label string) []byte {
	t.Helper()
	expand := func(secret []byte, label string, context []byte, n int) []byte {
		label = "tls13 " + label
		info := []byte{byte(n >> 8), byte(n), byte(len(label))}
		info = append(append(info, label...), byte(len(context)))
		out, err := hkdf.Expand(h, secret, string(append(info, context...)), n)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	empty := h().Sum(nil)
	return expand(expand(secret, label, empty, len(empty)), "exporter", empty, BindingSize)
}

func TestVectorsBinding(t *testing.T) {
	var vs []struct {
		Hash, Role, Label string
		Secret            hexBytes `json:"exporter_secret"`
		Binding           hexBytes
	}
	vectors(t, "binding.json", &vs)
	if len(vs) < 4 {
		t.Fatalf("%d vectors", len(vs))
	}
	hashes := map[string]func() hash.Hash{"sha256": sha256.New, "sha384": sha512.New384}
	for _, v := range vs {
		if got := Role(v.Role).Label(); got != v.Label {
			t.Errorf("label %q, expected %q", got, v.Label)
		}
		if got := exporter(t, hashes[v.Hash], v.Secret, v.Label); !bytes.Equal(got, v.Binding) {
			t.Errorf("%s %s: binding %x, expected %x", v.Hash, v.Role, got, v.Binding)
		}
	}
}

func TestVectorsLeaf(t *testing.T) {
	var vs struct {
		Good []struct {
			Leaf leafVector
			CBOR hexBytes
			Hash hexBytes
		}
		Bad []struct {
			Why  string
			Leaf leafVector
		}
	}
	vectors(t, "leaf.json", &vs)
	if len(vs.Good) < 6 || len(vs.Bad) < 10 {
		t.Fatalf("%d good, %d bad vectors", len(vs.Good), len(vs.Bad))
	}
	for i, v := range vs.Good {
		b, err := v.Leaf.leaf().Encode()
		if err != nil || !bytes.Equal(b, v.CBOR) {
			t.Errorf("leaf %d: %x, %v, expected %x", i, b, err, v.CBOR)
		}
		if h, err := v.Leaf.leaf().Hash(); err != nil || !bytes.Equal(h[:], v.Hash) {
			t.Errorf("leaf %d: hash %x, %v, expected %x", i, h, err, v.Hash)
		}
	}
	for _, v := range vs.Bad {
		if b, err := v.Leaf.leaf().Encode(); err == nil || b != nil {
			t.Errorf("%s: encoded", v.Why)
		}
		if _, err := v.Leaf.leaf().Hash(); err == nil {
			t.Errorf("%s: hashed", v.Why)
		}
	}
}

func testLeaves(n int) [][64]byte {
	var l [][64]byte
	for i := range n {
		l = append(l, sha512.Sum512(fmt.Appendf(nil, "leaf %d", i)))
	}
	return l
}

func TestVectorsTree(t *testing.T) {
	var vs struct {
		Trees []struct {
			Count          int
			Root           hexBytes
			ReportData     hexBytes `json:"report_data"`
			QualifyingData hexBytes `json:"qualifying_data"`
			Paths          []struct {
				Index int
				Path  []hexBytes
			}
		}
	}
	vectors(t, "tree.json", &vs)
	if len(vs.Trees) < 10 {
		t.Fatalf("%d vectors", len(vs.Trees))
	}
	for _, v := range vs.Trees {
		leaves := testLeaves(v.Count)
		tree, err := NewTree(leaves)
		if err != nil {
			t.Fatal(err)
		}
		rd := tree.ReportData()
		q := QualifyingData(rd)
		if root := tree.Root(); !bytes.Equal(root[:], v.Root) || !bytes.Equal(rd[:], v.ReportData) || !bytes.Equal(q[:], v.QualifyingData) {
			t.Errorf("tree of %d does not fit its vector", v.Count)
		}
		for _, p := range v.Paths {
			got, err := tree.Path(p.Index)
			if err != nil || len(got) != len(p.Path) {
				t.Fatalf("path %d of %d: %d nodes, %v, expected %d", p.Index, v.Count, len(got), err, len(p.Path))
			}
			for i := range got {
				if !bytes.Equal(got[i][:], p.Path[i]) {
					t.Errorf("path %d of %d: node %d differs", p.Index, v.Count, i)
				}
			}
		}
	}
}

func TestVectorsWorkloadReportData(t *testing.T) {
	var vs []struct {
		BundleDigest hexBytes `json:"bundle_digest"`
		OwnerKeyHash hexBytes `json:"owner_key_hash"`
		Data         hexBytes
		ReportData   hexBytes `json:"report_data"`
	}
	vectors(t, "reportdata.json", &vs)
	if len(vs) < 5 {
		t.Fatalf("%d vectors", len(vs))
	}
	for _, v := range vs {
		if got := WorkloadReportData([32]byte(v.BundleDigest), [32]byte(v.OwnerKeyHash), [64]byte(v.Data)); !bytes.Equal(got[:], v.ReportData) {
			t.Errorf("data %x: %x, expected %x", v.Data, got, v.ReportData)
		}
	}
}

// messageCase is a message with the leaf of its session and the report data
// that both must lead to.
type messageCase struct {
	Leaf       leafVector
	Message    hexBytes
	ReportData hexBytes `json:"report_data"`
}

func messageVectors(t testing.TB) []messageCase {
	t.Helper()
	var vs []messageCase
	vectors(t, "message.json", &vs)
	if len(vs) != 3 {
		t.Fatalf("%d messages, expected one for each state", len(vs))
	}
	for _, v := range vs {
		if len(v.Message) == 0 {
			t.Fatal("no message in the vector")
		}
	}
	return vs
}

// messageVector is the message of a running Keep.
func messageVector(t testing.TB) (b []byte, leaf *Leaf, reportData [64]byte) {
	t.Helper()
	for _, v := range messageVectors(t) {
		if State(v.Leaf.State) == StateRunning {
			return v.Message, v.Leaf.leaf(), [64]byte(v.ReportData)
		}
	}
	t.Fatal("no message of a running Keep among the vectors")
	return nil, nil, [64]byte{}
}

// knownOf is what the verifying side of a session knows by itself.
func knownOf(l *Leaf) Known { return Known{BundleDigest: l.BundleDigest, OwnerKeyHash: l.OwnerKeyHash} }

func TestVectorsMessage(t *testing.T) {
	for _, v := range messageVectors(t) {
		leaf := v.Leaf.leaf()
		m, err := DecodeEvidenceMessage(v.Message)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.ReportDataFor(leaf.Binding, leaf.ChannelKey, leaf.Role, knownOf(leaf))
		if err != nil || !bytes.Equal(got[:], v.ReportData) {
			t.Fatalf("%s: report data %x, %v, expected %x", leaf.State, got, err, v.ReportData)
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, v.Message) {
			t.Fatalf("%s: encoded again to other bytes, %v", leaf.State, err)
		}
		if len(m.Hints) != 1 || m.Hints[0].MediaType != MediaTypeCertificate || m.Evidence.MediaType != MediaTypeSNP {
			t.Errorf("%s: evidence %s, hints %d", leaf.State, m.Evidence.MediaType, len(m.Hints))
		}
	}
}

// A message says nothing of the owner and the bundle, and is worth nothing to
// who does not know them: every other value, and none, leads elsewhere.
func TestInvariant3HostSeesCiphertext_MessageHoldsNoDigest(t *testing.T) {
	for _, v := range messageVectors(t) {
		leaf := v.Leaf.leaf()
		m, err := DecodeEvidenceMessage(v.Message)
		if err != nil {
			t.Fatal(err)
		}
		for what, d := range map[string]*[32]byte{"owner-key hash": leaf.OwnerKeyHash, "bundle digest": leaf.BundleDigest} {
			if d != nil && bytes.Contains(v.Message, d[:]) {
				t.Errorf("%s: the message holds the %s", leaf.State, what)
			}
		}
		for name, known := range map[string]Known{
			"nothing":             {},
			"the owner only":      {OwnerKeyHash: leaf.OwnerKeyHash},
			"the digest only":     {BundleDigest: leaf.BundleDigest},
			"another owner":       {OwnerKeyHash: &[32]byte{1}, BundleDigest: leaf.BundleDigest},
			"another bundle":      {OwnerKeyHash: leaf.OwnerKeyHash, BundleDigest: &[32]byte{1}},
			"zeroes for an owner": {OwnerKeyHash: &[32]byte{}, BundleDigest: leaf.BundleDigest},
		} {
			if reflect.DeepEqual(known, knownOf(leaf)) {
				continue // it is what this state calls for
			}
			got, err := m.ReportDataFor(leaf.Binding, leaf.ChannelKey, leaf.Role, known)
			if err == nil && bytes.Equal(got[:], v.ReportData) {
				t.Errorf("%s: who knows %s finds the report data", leaf.State, name)
			}
		}
	}
}
