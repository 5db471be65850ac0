// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/vtpm"
)

// recorded is the evidence of a real TPM in testdata with all that belongs to
// it.
type recorded struct {
	e   *attest.TPMEvidence
	col attest.Collateral
	opt vtpm.Options
	exp attest.Expected
}

func recording(t testing.TB) recorded {
	t.Helper()
	e, err := attest.DecodeTPMEvidence(vector(t, "swtpm.evidence.cbor"))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := vtpm.ParseRoots(vector(t, "swtpm.root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	m := vtpm.Measurement(&e.PCRs)
	return recorded{e, attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: vector(t, "swtpm.issuer.der")}}, vtpm.Options{Roots: roots},
		attest.Expected{ReportData: reportData, HostData: hostData, Claim: &attest.ClaimState{}, Measurements: []attest.ReferenceValue{
			{Platform: attest.PlatformVTPM, Measurement: m[:], Release: "1.2.3", Source: "the test", Components: components(t, e.EventLog)}}}}
}

// secret is what a session with the randomness of judge sends, and what a TPM
// that opens its credential gives back.
var secret = bytes.Repeat([]byte{0x5a}, 32)

// judge is a session about e in which the TPM gives the answer.
func (r recorded) judge(e *attest.TPMEvidence, col attest.Collateral, answer attest.Evidence) (*attest.Claims, attest.Verdict, error) {
	b, err := e.Encode()
	if err != nil {
		return nil, nil, err
	}
	ev := attest.Evidence{MediaType: attest.MediaTypeTPM, Value: b}
	s := vtpm.NewSession(r.opt, col, recordedAt, repeating{0x5a})
	if _, done, err := s.Next(ev); err == nil && !done {
		if _, _, err := s.Next(answer); err != nil {
			return nil, nil, err
		}
	}
	c, v := s.Verify(ev, col, r.exp, recordedAt)
	return c, v, nil
}

// saved is e without a session, for parts that have nothing to do with one.
func (r recorded) saved(e *attest.TPMEvidence, col attest.Collateral) (*attest.Claims, attest.Verdict, error) {
	b, err := e.Encode()
	if err != nil {
		return nil, nil, err
	}
	c, v := vtpm.New(r.opt).Verify(attest.Evidence{MediaType: attest.MediaTypeTPM, Value: b}, col, r.exp, recordedAt)
	return c, v, nil
}

// repeating is randomness that is none.
type repeating [1]byte

func (r repeating) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = r[0]
	}
	return len(b), nil
}

var goodAnswer = attest.Evidence{MediaType: attest.MediaTypeTPMAnswer, Value: secret}

// part is one of the byte strings of the evidence.
type part struct {
	name string
	of   func(*attest.TPMEvidence) []byte
	// every says that each bit is flipped; else, one of each byte, which of
	// them changes from byte to byte.
	every bool
	// session says that a session is about this part, too.
	session bool
	// open names the bytes that nothing signs, and says of each why not; one
	// that is not named must be refused.
	open func(t testing.TB, b []byte) map[int]string
}

var parts = []part{
	{"quote", func(e *attest.TPMEvidence) []byte { return e.Quote }, true, true, nil},
	{"signature", func(e *attest.TPMEvidence) []byte { return e.Signature }, true, false, nil},
	{"attestation key", func(e *attest.TPMEvidence) []byte { return e.AK }, true, true, nil},
	{"endorsement certificate", func(e *attest.TPMEvidence) []byte { return e.Endorsements[0].Certificate }, false, true, nil},
	{"endorsement key", func(e *attest.TPMEvidence) []byte { return e.Endorsements[0].Public }, false, true, openInEndorsementKey},
	{"event log", func(e *attest.TPMEvidence) []byte { return e.EventLog }, false, false, openInLog},
}

// openInEndorsementKey: the certificate has the key, not the rest of its public
// area. Key, name algorithm and symmetric algorithm decide what a credential is
// encrypted with, so that the TPM does not open one that was made with others;
// the attributes that matter are demanded. The others and the policy say who
// may use the key in that TPM, from which nothing is concluded.
func openInEndorsementKey(_ testing.TB, b []byte) map[int]string {
	out := map[int]string{}
	for i := 4; i < 8; i++ {
		out[i] = "attributes that are not demanded"
	}
	for i := range int(binary.BigEndian.Uint16(b[8:])) {
		out[10+i] = "policy"
	}
	return out
}

// openInLog walks a crypto-agile log with SHA-256 alone. What a register proves
// of an event is its digest; where that is the digest of the data, they are
// proven as well.
func openInLog(t testing.TB, b []byte) map[int]string {
	t.Helper()
	out := map[int]string{}
	mark := func(from, n int, why string) {
		for i := from; i < from+n; i++ {
			out[i] = why
		}
	}
	le := binary.LittleEndian
	head := 32 + int(le.Uint32(b[28:]))
	mark(0, 1, "register of the head, which is extended nowhere: 0, or 1 as in the log of a TD")
	mark(32+16, 8, "platform class and versions of the head, by which nothing is read")
	for at := head; at < len(b); {
		typ, digest := le.Uint32(b[at+4:]), b[at+14:at+46]
		size := int(le.Uint32(b[at+46:]))
		data := b[at+50 : at+50+size]
		switch d := sum(data); {
		case typ == noAction:
			mark(at, 4, "register of an event of no action")
			mark(at+14, 32, "digest of an event of no action")
			mark(at+50, size, "data of an event of no action")
		case !bytes.Equal(d[:], digest):
			mark(at+4, 4, "type")
			mark(at+50, size, "data beside what was measured, such as the path of a file")
		default:
			mark(at+4, 4, "type")
			if typ != 4 && typ != 5 && typ != 0x80000001 && typ != 0x80000006 && typ != 0x80000007 {
				mark(at+50, size, "data of a type of which they are not demanded to be what was measured")
			}
		}
		at += 50 + size
	}
	return out
}

// TestInvariant4HostileInputIsBounded_DamagedEvidence flips bits of the evidence of a real
// TPM: each bit of the quote, its signature and the keys, and one bit of each byte
// of the PCRs, of the endorsement certificate and of the event log, or with
// -attest.everybit each bit of those as well. None is accepted, but for the bytes
// that are named above with the reason why nobody vouches for them; those change
// nothing in the claims and no outcome of any row.
func TestInvariant4HostileInputIsBounded_DamagedEvidence(t *testing.T) {
	r := recording(t)
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			judge := r.saved
			if p.session {
				judge = func(e *attest.TPMEvidence, col attest.Collateral) (*attest.Claims, attest.Verdict, error) {
					return r.judge(e, col, goodAnswer)
				}
			}
			good, rows, err := judge(r.e, r.col)
			if err != nil || rows.Err() != nil || (len(good.Waived) == 0) != p.session {
				t.Fatalf("undamaged: %+v, %v, %v", good, rows.Err(), err)
			}
			original := p.of(r.e)
			allowed := map[int]string{}
			if p.open != nil {
				allowed = p.open(t, original)
			}
			taken := map[string]bool{}
			flipped := eachBit(len(original), p.every, func(i, bit int) {
				e := copied(r.e)
				p.of(e)[i] ^= 1 << bit
				c, v, err := judge(e, r.col)
				why, open := allowed[i]
				if c == nil {
					if err == nil && v.Err() == nil {
						t.Errorf("byte %d, bit %d: neither claims nor an error", i, bit)
					}
					return
				}
				if !open {
					t.Errorf("byte %d of %d, bit %d: accepted", i, len(original), bit)
					return
				}
				if !reflect.DeepEqual(c, good) || !slices.Equal(outcomes(v), outcomes(rows)) {
					t.Errorf("byte %d, bit %d (%s): accepted with other claims or rows", i, bit, why)
				}
				locked(func() { taken[why] = true })
			})
			if least := len(original); flipped < least {
				t.Errorf("%d bits flipped of %d bytes", flipped, least)
			}
			// A reason that covers nothing is out of date.
			for why := range maps.Values(allowed) {
				if !taken[why] {
					t.Errorf("no byte is open for %q", why)
					taken[why] = true
				}
			}
			t.Logf("%d bits flipped, %d of %d bytes open: %q", flipped, len(allowed), len(original), slices.Sorted(maps.Keys(taken)))
		})
	}
	t.Run("PCRs", func(t *testing.T) {
		eachBit(32*attest.TPMPCRs, false, func(i, bit int) {
			e := copied(r.e)
			e.PCRs[i/32][i%32] ^= 1 << bit
			if c, v, err := r.saved(e, r.col); c != nil || err != nil || outcome(v, "pcrs") != attest.Fail {
				t.Errorf("PCR %d, byte %d, bit %d: %v, %v", i/32, i%32, bit, v.Err(), err)
			}
		})
	})
	t.Run("issuer", func(t *testing.T) {
		eachBit(len(r.col[0].Value), false, func(i, bit int) {
			col := attest.Collateral{{MediaType: r.col[0].MediaType, Value: flipBit(r.col[0].Value, i, bit)}}
			if c, v, err := r.saved(r.e, col); c != nil || err != nil || outcome(v, "chain") != attest.Fail {
				t.Errorf("byte %d, bit %d: %v, %v", i, bit, v.Err(), err)
			}
		})
	})
	t.Run("answer", func(t *testing.T) {
		bad := [][]byte{nil, secret[:31], append(bytes.Clone(secret), 0), append([]byte{0}, secret...), append([]byte{0, 32}, secret...), make([]byte, 32)}
		for i := range 8 * len(secret) {
			bad = append(bad, flipBit(secret, i/8, i%8))
		}
		for _, b := range bad {
			c, v, err := r.judge(r.e, r.col, attest.Evidence{MediaType: attest.MediaTypeTPMAnswer, Value: b})
			if err != nil {
				t.Fatal(err)
			}
			refused(t, fmt.Sprintf("%x", b), c, v, "activation", attest.ReasonKey, "another secret")
		}
		c, v, err := r.judge(r.e, r.col, attest.Evidence{MediaType: attest.MediaTypeTPMChallenge, Value: secret})
		if err != nil {
			t.Fatal(err)
		}
		refused(t, "of another type", c, v, "activation", attest.ReasonKey, "another secret")
	})
}

// TestInvariant4HostileInputIsBounded_DamagedEncoding flips each bit of the
// evidence's encoding that is not within a part, and cuts it at each byte.
func TestInvariant4HostileInputIsBounded_DamagedEncoding(t *testing.T) {
	b := vector(t, "swtpm.evidence.cbor")
	e, err := attest.DecodeTPMEvidence(b)
	if err != nil {
		t.Fatal(err)
	}
	within := make([]bool, len(b))
	inside := [][]byte{e.AK, e.Quote, e.Signature, e.EventLog, e.Endorsements[0].Certificate, e.Endorsements[0].Public}
	var pcrs []byte
	for _, v := range e.PCRs {
		pcrs = append(pcrs, v[:]...)
	}
	for _, p := range append(inside, pcrs) {
		at := bytes.Index(b, p)
		if at < 0 || len(p) == 0 {
			t.Fatalf("part of %d bytes is not in the encoding", len(p))
		}
		for i := range p {
			within[at+i] = true
		}
	}
	frame := 0
	for i := range b {
		if !within[i] {
			frame++
			for bit := range 8 {
				if _, err := attest.DecodeTPMEvidence(flipBit(b, i, bit)); err == nil {
					t.Errorf("byte %d, bit %d: read", i, bit)
				}
			}
		}
		if _, err := attest.DecodeTPMEvidence(b[:i]); err == nil {
			t.Errorf("%d bytes of %d: read", i, len(b))
		}
	}
	if frame < 12 {
		t.Errorf("%d bytes of frame", frame)
	}
}

func copied(e *attest.TPMEvidence) *attest.TPMEvidence {
	c := *e
	c.AK, c.Quote, c.Signature, c.EventLog = bytes.Clone(e.AK), bytes.Clone(e.Quote), bytes.Clone(e.Signature), bytes.Clone(e.EventLog)
	c.Endorsements = slices.Clone(e.Endorsements)
	c.Endorsements[0].Certificate, c.Endorsements[0].Public = bytes.Clone(e.Endorsements[0].Certificate), bytes.Clone(e.Endorsements[0].Public)
	return &c
}

func flipBit(b []byte, i, bit int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1 << bit
	return b
}

func outcomes(v attest.Verdict) []string {
	var out []string
	for _, r := range v {
		out = append(out, r.Check+" "+string(r.Outcome))
	}
	return out
}

var mu sync.Mutex

func locked(f func()) {
	mu.Lock()
	defer mu.Unlock()
	f()
}

// eachBit calls f for bits of n bytes, on two goroutines, and says for how many.
func eachBit(n int, every bool, f func(i, bit int)) int {
	type place struct{ i, bit int }
	var places []place
	for i := range n {
		for bit := range 8 {
			if every || attesttest.EveryBit() || bit == i%8 {
				places = append(places, place{i, bit})
			}
		}
	}
	var group sync.WaitGroup
	for half := range 2 {
		group.Go(func() {
			for k := half; k < len(places); k += 2 {
				f(places[k].i, places[k].bit)
			}
		})
	}
	group.Wait()
	return len(places)
}
