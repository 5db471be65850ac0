// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"os"
	"reflect"
	"testing"
)

func someTPMEvidence() *TPMEvidence {
	e := &TPMEvidence{AK: []byte("ak"), Quote: []byte("quote"), Signature: []byte("sig"), EventLog: []byte("log"),
		Endorsements: []TPMEndorsement{{[]byte("rsa certificate"), []byte("rsa")}, {[]byte("ecc certificate"), []byte("ecc")}}}
	for i := range e.PCRs {
		e.PCRs[i][31] = byte(i)
	}
	return e
}

func TestTPMEvidenceHasOneEncoding(t *testing.T) {
	for name, change := range map[string]func(*TPMEvidence){
		"whole":   func(*TPMEvidence) {},
		"no log":  func(e *TPMEvidence) { e.EventLog = []byte{} },
		"largest": func(e *TPMEvidence) { e.EventLog = make([]byte, MaxTPMEventLog) },
		"one key": func(e *TPMEvidence) { e.Endorsements = e.Endorsements[:1] },
		"big keys": func(e *TPMEvidence) {
			e.AK, e.Quote, e.Signature = make([]byte, 2048), make([]byte, 2048), make([]byte, 2048)
		},
	} {
		e := someTPMEvidence()
		change(e)
		b, err := e.Encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := DecodeTPMEvidence(b)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%s: comes back as %+v, %v", name, got, err)
		}
		for _, bad := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 0), append([]byte{0x9f}, b[1:]...), append([]byte{0xd8, 0x18}, b...)} {
			if _, err := DecodeTPMEvidence(bad); err == nil {
				t.Errorf("%s: another encoding is taken", name)
			}
		}
		b[1] = 2
		if _, err := DecodeTPMEvidence(b); err == nil {
			t.Errorf("%s: version 2 is taken", name)
		}
	}
}

func TestInvariant4HostileInputIsBounded_TPMEvidence(t *testing.T) {
	for name, change := range map[string]func(*TPMEvidence){
		"no keys":         func(e *TPMEvidence) { e.Endorsements = nil },
		"five keys":       func(e *TPMEvidence) { e.Endorsements = make([]TPMEndorsement, 5) },
		"no AK":           func(e *TPMEvidence) { e.AK = nil },
		"no quote":        func(e *TPMEvidence) { e.Quote = nil },
		"no signature":    func(e *TPMEvidence) { e.Signature = nil },
		"long AK":         func(e *TPMEvidence) { e.AK = make([]byte, MaxTPMStructure+1) },
		"long log":        func(e *TPMEvidence) { e.EventLog = make([]byte, MaxTPMEventLog+1) },
		"long cert":       func(e *TPMEvidence) { e.Endorsements[1].Certificate = make([]byte, MaxTPMCertificate+1) },
		"no cert":         func(e *TPMEvidence) { e.Endorsements[1].Certificate = nil },
		"no public area":  func(e *TPMEvidence) { e.Endorsements[0].Public = nil },
		"long public key": func(e *TPMEvidence) { e.Endorsements[0].Public = make([]byte, MaxTPMStructure+1) },
	} {
		e := someTPMEvidence()
		change(e)
		if _, err := e.Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	if _, err := DecodeTPMEvidence(make([]byte, MaxEvidence+1)); err == nil {
		t.Error("too much is taken")
	}
	short := wireTPM{Version: 1, AK: []byte{1}, Quote: []byte{1}, Signature: []byte{1}, PCRs: make([]byte, 767), EventLog: []byte{},
		Endorsements: []wireTPMEndorsement{{Certificate: []byte{1}, Public: []byte{1}}}}
	b, err := encMode.Marshal(&short)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeTPMEvidence(b); err == nil {
		t.Error("767 bytes of PCRs are taken")
	}
}

func TestTPMChallengeHasOneEncoding(t *testing.T) {
	c := &TPMChallenge{Endorsement: 1, IDObject: []byte("id object"), Secret: []byte("secret")}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeTPMChallenge(b); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("comes back as %+v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, b[:len(b)-1], append(bytes.Clone(b), 0), append([]byte{0x84, 2}, b[2:]...),
		append([]byte{0x84, 1, 4}, b[3:]...), make([]byte, 3*MaxTPMStructure+1)} {
		if got, err := DecodeTPMChallenge(bad); err == nil {
			t.Errorf("%.20x: taken as %+v", bad, got)
		}
	}
	for _, bad := range []*TPMChallenge{{Endorsement: 4, IDObject: []byte{1, 2}, Secret: []byte{1, 2}}, {IDObject: []byte{1}, Secret: []byte{1, 2}},
		{IDObject: []byte{1, 2}, Secret: make([]byte, MaxTPMStructure+1)}} {
		if _, err := bad.Encode(); err == nil {
			t.Errorf("%+v: encoded", bad)
		}
	}
}

func FuzzDecodeTPM(f *testing.F) {
	real, err := os.ReadFile("vtpm/testdata/swtpm.evidence.cbor")
	if err != nil {
		f.Fatal(err)
	}
	if _, err := DecodeTPMEvidence(real); err != nil {
		f.Fatal(err)
	}
	f.Add(real)
	e, err := someTPMEvidence().Encode()
	if err != nil {
		f.Fatal(err)
	}
	c, err := (&TPMChallenge{IDObject: []byte("id"), Secret: []byte("secret")}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e)
	f.Add(c)
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := DecodeTPMEvidence(b); err == nil {
			if again, err := e.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("evidence comes back as other bytes: %v", err)
			}
		}
		if c, err := DecodeTPMChallenge(b); err == nil {
			if again, err := c.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("a challenge comes back as other bytes: %v", err)
			}
		}
	})
}
