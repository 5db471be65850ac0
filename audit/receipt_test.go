// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/internal/dsse"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/policy"
	"github.com/enarx/enarx-go/workload"
)

// story is a deployment on a simulated Keep and what is needed to change it.
type story struct {
	t        testing.TB
	vendor   *attesttest.SimVendor
	key      ed25519.PrivateKey
	owner    Owner
	bundle   workload.Digest
	channel  []byte
	identity []byte
	start    [32]byte
	receipt  *Receipt
}

func newStory(t testing.TB) *story {
	t.Helper()
	s := &story{
		t: t, vendor: attesttest.Sim(t), key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)),
		bundle: workload.Digest{1, 2, 3}, channel: []byte("channel key"), identity: []byte("identity key"), start: [32]byte{9},
	}
	s.owner = Owner{Sign: s.key.Public().(ed25519.PublicKey), Seal: bytes.Repeat([]byte{7}, sealKeySize)}
	after := s.session(attest.StateRunning, s.hash(s.owner), (*[32]byte)(&s.bundle), s.start)
	s.receipt = &Receipt{
		Time: attesttest.Made, Platform: attest.PlatformSim, Keep: strings.Repeat("0a", 32), Bundle: s.bundle.String(), Owner: s.owner,
		Before: s.session(attest.StateEmpty, nil, nil, s.start), After: &after,
		Decision:  policy.Decision{Allow: true, Reasons: []string{"the test says so"}},
		Statement: attest.TrustStatement(attest.PlatformSim, nil, nil, nil),
	}
	return s
}

func (s *story) hash(o Owner) *[32]byte {
	s.t.Helper()
	h, err := o.Hash()
	if err != nil {
		s.t.Fatal(err)
	}
	return &h
}

// session is a well-signed appraisal with the given leaf, third of three.
func (s *story) session(state attest.State, owner, bundle *[32]byte, start [32]byte) Session {
	s.t.Helper()
	leaf := &attest.Leaf{
		Role: attest.KeepServer, Binding: [32]byte{5}, ChannelKey: s.channel, IdentityKey: s.identity, State: state,
		BundleDigest: bundle, OwnerKeyHash: owner, StartConfigDigest: start, RuntimeVersion: "0.1.0",
	}
	h, err := leaf.Hash()
	if err != nil {
		s.t.Fatal(err)
	}
	tree, err := attest.NewTree([][64]byte{{1}, {2}, h})
	if err != nil {
		s.t.Fatal(err)
	}
	path, err := tree.Path(2)
	if err != nil {
		s.t.Fatal(err)
	}
	report, err := s.vendor.HW.Report(tree.ReportData(), s.vendor.Spec.Measurement, start)
	if err != nil {
		s.t.Fatal(err)
	}
	m := attest.EvidenceMessage{
		Evidence:    attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report},
		IdentityKey: leaf.IdentityKey, State: state, StartConfigDigest: start,
		RuntimeVersion: leaf.RuntimeVersion, Index: 2, Count: 3, Path: path, Hints: s.vendor.HW.Chain(),
	}
	b, err := m.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	return Session{Role: leaf.Role, Binding: leaf.Binding[:], ChannelKey: s.channel, Message: b,
		Rows: attest.Verdict{{Check: "sim.chain", Seen: "bad UTF-8 \xff <&>", Outcome: attest.Simulated}}}
}

func (s *story) sign() []byte {
	s.t.Helper()
	b, err := Sign(s.receipt, func(m []byte) []byte { return ed25519.Sign(s.key, m) })
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *story) recheck(r *Receipt) Result {
	return r.Recheck(sim.New(s.vendor.Root), s.start, s.vendor.Expected().Measurements, attest.TCBPolicy{})
}

func TestReceiptRoundTripAndRecheck(t *testing.T) {
	s := newStory(t)
	r, err := Open(s.sign())
	if err != nil {
		t.Fatal(err)
	}
	if r.Bundle != s.bundle.String() || !r.Time.Equal(s.receipt.Time) || !reflect.DeepEqual(r.Owner, s.owner) || r.After == nil {
		t.Errorf("came back as %+v", r)
	}
	res := s.recheck(r)
	if res.Rows.Err() != nil || !res.Before.Verified() || !res.After.Verified() || !res.After.Simulated {
		t.Fatalf("refused: %v", res.Rows.Err())
	}
	for _, row := range res.Rows {
		if row.Outcome == attest.Pass {
			t.Errorf("row %s of a sim receipt reads %q", row.Check, row.Outcome)
		}
	}
	s.receipt.After = nil
	if r, err = Open(s.sign()); err != nil {
		t.Fatal(err)
	}
	res = s.recheck(r)
	if res.Rows.Err() != nil || res.Before == nil || res.After != nil {
		t.Errorf("without evidence of the running Keep: %v", res.Rows.Err())
	}
}

// Every receipt here is signed by its owner and holds evidence that the
// hardware signed; each must fail at the row named.
func TestInvariant1NoSilentDowngrade_RecheckRefuses(t *testing.T) {
	other := Owner{Sign: bytes.Repeat([]byte{3}, 32), Seal: bytes.Repeat([]byte{7}, sealKeySize)}
	cases := map[string]struct {
		check string
		edit  func(*story)
	}{
		"bundle of another deployment": {"after/sim.report-data", func(s *story) { s.receipt.Bundle = workload.Digest{4}.String() }},
		"Keep of another owner": {"after/sim.report-data", func(s *story) {
			after := s.session(attest.StateRunning, s.hash(other), (*[32]byte)(&s.bundle), s.start)
			s.receipt.After = &after
		}},
		"empty in place of running": {"receipt.after-state", func(s *story) { s.receipt.After = &s.receipt.Before }},
		"claimed in place of running": {"receipt.after-state", func(s *story) {
			after := s.session(attest.StateClaimed, s.hash(s.owner), nil, s.start)
			s.receipt.After = &after
		}},
		"running in place of empty": {"receipt.before-state", func(s *story) { s.receipt.Before = *s.receipt.After }},
		"two Keeps, other channel key": {"receipt.channel-key", func(s *story) {
			s.channel = []byte("another channel key")
			s.receipt.Before = s.session(attest.StateEmpty, nil, nil, s.start)
		}},
		"two Keeps, other identity key": {"receipt.identity-key", func(s *story) {
			s.identity = []byte("another identity key")
			s.receipt.Before = s.session(attest.StateEmpty, nil, nil, s.start)
		}},
		"other start configuration, empty": {"receipt.before-start-configuration", func(s *story) {
			s.receipt.Before = s.session(attest.StateEmpty, nil, nil, [32]byte{8})
		}},
		"other start configuration, running": {"receipt.after-start-configuration", func(s *story) {
			after := s.session(attest.StateRunning, s.hash(s.owner), (*[32]byte)(&s.bundle), [32]byte{8})
			s.receipt.After = &after
		}},
		"other start configuration, empty, as its hardware says": {"before/sim.host-data", func(s *story) {
			s.receipt.Before = s.session(attest.StateEmpty, nil, nil, [32]byte{8})
		}},
		"other binding":          {"before/sim.report-data", func(s *story) { s.receipt.Before.Binding = bytes.Repeat([]byte{6}, 32) }},
		"other role":             {"before/sim.report-data", func(s *story) { s.receipt.Before.Role = attest.KeepClient }},
		"other binding, running": {"after/sim.report-data", func(s *story) { s.receipt.After.Binding = bytes.Repeat([]byte{6}, 32) }},
		"refused by its client":  {"receipt.decision", func(s *story) { s.receipt.Decision.Allow = false }},
		"before its certificates": {"before/sim.dates", func(s *story) {
			s.receipt.Time = attesttest.Made.Add(-time.Hour - time.Second)
		}},
		"another platform": {"receipt.platform", func(s *story) { s.receipt.Platform = attest.PlatformSNP }},
	}
	for name, c := range cases {
		s := newStory(t)
		c.edit(s)
		r, err := Open(s.sign())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantFailure(t, name, c.check, s.recheck(r))
	}
}

// A Keep that its host started for another mode or another Steward makes
// evidence that is consistent in itself: leaf, message and hardware all name
// the other configuration, in both appraisals. Only the reader's own digest
// tells.
func TestInvariant1NoSilentDowngrade_ReceiptOfAnotherMode(t *testing.T) {
	s := newStory(t)
	pushed := s.start
	s.start = [32]byte{8}
	after := s.session(attest.StateRunning, s.hash(s.owner), (*[32]byte)(&s.bundle), s.start)
	s.receipt.Before, s.receipt.After = s.session(attest.StateEmpty, nil, nil, s.start), &after
	r, err := Open(s.sign())
	if err != nil {
		t.Fatal(err)
	}
	v, refs := sim.New(s.vendor.Root), s.vendor.Expected().Measurements
	if res := r.Recheck(v, s.start, refs, attest.TCBPolicy{}); res.Rows.Err() != nil {
		t.Fatalf("the story is not consistent in itself, so the refusal below would show nothing: %v", res.Rows.Err())
	}
	res := r.Recheck(v, pushed, refs, attest.TCBPolicy{})
	for _, check := range []string{"receipt.before-start-configuration", "before/sim.host-data", "receipt.after-start-configuration", "after/sim.host-data"} {
		wantFailure(t, "another mode", check, res)
	}
}

func wantFailure(t *testing.T, name, check string, res Result) {
	t.Helper()
	if res.Before != nil || res.After != nil || res.Rows.OK() {
		t.Errorf("%s: claims", name)
		return
	}
	verdicttest.Check(t, res.Rows)
	for _, row := range res.Rows {
		if row.Check == check && row.Outcome == attest.Fail {
			return
		}
	}
	t.Errorf("%s: no failed row %s: %v", name, check, res.Rows.Err())
}

// What the reader brings decides: no root, a foreign one, no reference values.
func TestInvariant1NoSilentDowngrade_ReaderDecides(t *testing.T) {
	s := newStory(t)
	r, err := Open(s.sign())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := sim.ParseRoot(s.vendor.Other.RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	refs := s.vendor.Expected().Measurements
	wantFailure(t, "no verifier", "receipt.verifier", r.Recheck(nil, s.start, refs, attest.TCBPolicy{}))
	wantFailure(t, "no root", "before/sim.chain", r.Recheck(sim.New(sim.Root{}), s.start, refs, attest.TCBPolicy{}))
	wantFailure(t, "foreign root", "before/sim.chain", r.Recheck(sim.New(foreign), s.start, refs, attest.TCBPolicy{}))
	wantFailure(t, "no reference values", "before/sim.measurement", r.Recheck(sim.New(s.vendor.Root), s.start, nil, attest.TCBPolicy{}))
	wantFailure(t, "higher floor", "after/sim.tcb-floor", r.Recheck(sim.New(s.vendor.Root), s.start, refs, attest.TCBPolicy{Floors: []attest.TCBFloor{{Min: map[string]uint64{"snp": 200}}}}))
}

func TestInvariant4HostileInputIsBounded_Receipts(t *testing.T) {
	s := newStory(t)
	good := s.sign()
	// Every byte of the envelope: refused, or the same receipt.
	want, err := Open(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 7 {
		c := bytes.Clone(good)
		c[i] ^= 1
		if r, err := Open(c); err == nil && !reflect.DeepEqual(r, want) {
			t.Fatalf("byte %d changed the receipt", i)
		}
	}
	for name, b := range map[string][]byte{"empty": nil, "huge": make([]byte, MaxReceipt+1), "twice": append(bytes.Clone(good), good...), "cut": good[:len(good)/2]} {
		if r, err := Open(b); err == nil || r != nil {
			t.Errorf("%s: opened", name)
		}
	}
	// Signed by a stranger in the owner's name.
	payload, err := dsse.Unverified(good, PayloadType, MaxReceipt)
	if err != nil {
		t.Fatal(err)
	}
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	forge := func(payload []byte, key ed25519.PrivateKey) []byte {
		b, err := dsse.Seal(PayloadType, payload, key.Public().(ed25519.PublicKey), func(m []byte) []byte { return ed25519.Sign(key, m) })
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := Open(forge(payload, stranger)); err == nil {
		t.Error("a stranger's signature was taken")
	}
	// Other texts, signed by the owner.
	for name, p := range map[string]string{
		"white space":   " " + string(payload),
		"trailing":      string(payload) + "{}",
		"unknown field": `{"extra":1,` + string(payload[1:]),
		"upper case":    strings.Replace(string(payload), `"bundle"`, `"Bundle"`, 1),
		"version 2":     strings.Replace(string(payload), `"version":1`, `"version":2`, 1),
		"twice a field": strings.Replace(string(payload), `"version":1`, `"version":2,"version":1`, 1),
		"fraction":      strings.Replace(string(payload), `05Z"`, `05.5Z"`, 1),
		"other zone":    strings.Replace(string(payload), `05Z"`, `05+01:00"`, 1),
		"zero bundle":   strings.Replace(string(payload), s.bundle.String(), workload.Digest{}.String(), 1),
		"null":          "null",
		"empty":         "{}",
	} {
		if p == string(payload) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if r, err := Open(forge([]byte(p), s.key)); err == nil || r != nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestSignRefusesWhatCannotBeOpened(t *testing.T) {
	for name, edit := range map[string]func(*Receipt){
		"no owner":        func(r *Receipt) { r.Owner = Owner{} },
		"no bundle":       func(r *Receipt) { r.Bundle = "" },
		"no message":      func(r *Receipt) { r.Before.Message = nil },
		"short binding":   func(r *Receipt) { r.Before.Binding = r.Before.Binding[1:] },
		"no channel key":  func(r *Receipt) { r.After.ChannelKey = nil },
		"no role":         func(r *Receipt) { r.Before.Role = "" },
		"zero time":       func(r *Receipt) { r.Time = time.Time{} },
		"keep digest":     func(r *Receipt) { r.Keep = "0A" },
		"too many rows":   func(r *Receipt) { r.Before.Rows = make(attest.Verdict, maxRows+1) },
		"too much of all": func(r *Receipt) { r.Collateral = make([]Item, maxCollateral+1) },
	} {
		s := newStory(t)
		edit(s.receipt)
		if b, err := Sign(s.receipt, func(m []byte) []byte { return ed25519.Sign(s.key, m) }); err == nil || b != nil {
			t.Errorf("%s: signed", name)
		}
	}
	s := newStory(t)
	if b, err := Sign(s.receipt, func([]byte) []byte { return make([]byte, 64) }); err == nil || b != nil {
		t.Error("signed with a key that is not the owner's")
	}
}

// The hash is computed here by the rule of attest/SPEC.md, since the import
// rules keep this package away from the Keep's; the two must agree.
func TestOwnerHashAgreesWithTheKeep(t *testing.T) {
	key, err := session.NewOwnerKey()
	if err != nil {
		t.Fatal(err)
	}
	pub := key.Public()
	theirs, err := pub.Hash()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := Owner{Sign: pub.Sign, Seal: pub.Seal}.Hash()
	if err != nil || ours != theirs {
		t.Errorf("%x, %v, the Keep says %x", ours, err, theirs)
	}
}

func FuzzParse(f *testing.F) {
	s := newStory(f)
	payload, err := dsse.Unverified(s.sign(), PayloadType, MaxReceipt)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			if r != nil {
				t.Fatal("a receipt and an error")
			}
			return
		}
		again, err := json.Marshal(r)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("not the same text again: %v", err)
		}
		res := s.recheck(r)
		if (res.Before != nil) && !res.Rows.OK() {
			t.Fatal("claims with a failed row")
		}
	})
}
