// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/policy"
)

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

// A good Keep is accepted, with rows for all of it and claims that policy takes
// if it is named.
func TestAcceptsAKeep(t *testing.T) {
	m := newMaker(t)
	for _, name := range []string{"ovmf-direct", "ovmf-uki"} {
		log := vector(t, name+".eventlog.bin")
		p := m.booted(t, log)
		exp := expected(p)
		if name == "ovmf-uki" {
			exp.Measurements[0].Components = components(t, log)
		}
		c, v := m.judge(t, m.options(), p, evidenceOf(t, p), exp)
		if err := v.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, check := range []string{"format", "chain", "dates", "attestation-key", "activation", "signature", "pcrs", "event-log", "registers", "drivers",
			"measurement", "debug", "host-data", "claim", "report-data"} {
			if outcome(v, check) != attest.Pass {
				t.Errorf("%s: row %s reads %q", name, check, outcome(v, check))
			}
		}
		if len(c.Waived) != 0 || c.Platform != attest.PlatformVTPM || c.ReportData != reportData || !bytes.Equal(c.HostData, hostData[:]) || len(c.ChipID) != 32 ||
			!c.ValidUntil.Equal(madeAt.AddDate(5, 0, 0)) {
			t.Errorf("%s: claims %+v", name, c)
		}
		if d := policy.Decide(c, policy.Demand{}); d.Allow {
			t.Errorf("%s: policy takes vtpm without being asked to", name)
		}
		if d := policy.Decide(c, policy.Demand{Platforms: []string{attest.PlatformVTPM}}); !d.Allow {
			t.Errorf("%s: policy: %v", name, d.Reasons)
		}
		if name != "ovmf-uki" {
			continue
		}
		for _, check := range []string{"kernel", "initrd", "command-line", "uki", "boot-events"} {
			if outcome(v, check) != attest.Pass {
				t.Errorf("row %s reads %q", check, outcome(v, check))
			}
		}
	}
}

// The registers of real boots are what their logs replay to, and so would be
// accepted: IMA's one entry in PCR 10 included.
func TestRegistersOfRealBoots(t *testing.T) {
	m := newMaker(t)
	for _, name := range []string{"ovmf-direct", "ovmf-uki"} {
		p := m.booted(t, vector(t, name+".eventlog.bin"))
		p.PCRs = pcrsOf(t, name+".pcrs.txt")
		p.Extend(attest.PCRStart, sum(attest.StartEvent(hostData)))
		if _, v := m.judge(t, m.options(), p, evidenceOf(t, p), expected(p)); v.Err() != nil {
			t.Errorf("%s: %v", name, v.Err())
		}
		p.Extend(10, sum([]byte("another measurement of IMA")))
		c, v := m.judge(t, m.options(), p, evidenceOf(t, p), expected(p))
		refused(t, name, c, v, "registers", attest.ReasonMeasurement, "PCR 10")
	}
}

// Registers that the relying party names must have the values that it names.
func TestDemandedRegisters(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	ev, exp := evidenceOf(t, p), expected(p)
	o := m.options()
	o.PCRs = map[uint][]byte{0: p.PCRs[0][:], 7: p.PCRs[7][:]}
	c, v := m.judge(t, o, p, ev, exp)
	if v.Err() != nil || c == nil || outcome(v, "pcr0") != attest.Pass || outcome(v, "pcr7") != attest.Pass {
		t.Fatalf("%+v, %v", c, v.Err())
	}
	for name, x := range map[string]struct {
		check string
		pcrs  map[uint][]byte
	}{
		"another firmware":      {"pcr0", map[uint][]byte{0: flip(p.PCRs[0][:], 0)}},
		"the wrong register":    {"pcr7", map[uint][]byte{0: p.PCRs[0][:], 7: p.PCRs[0][:]}},
		"a value cut short":     {"pcr0", map[uint][]byte{0: p.PCRs[0][:31]}},
		"no value":              {"pcr0", map[uint][]byte{0: nil}},
		"a register beyond all": {"pcr24", map[uint][]byte{24: p.PCRs[0][:]}},
		"a register far beyond": {"pcr18446744073709551615", map[uint][]byte{^uint(0): p.PCRs[0][:]}},
	} {
		o.PCRs = x.pcrs
		c, v := m.judge(t, o, p, ev, exp)
		refused(t, name, c, v, x.check, attest.ReasonMeasurement, "")
	}
}

// Saved evidence proves all but the activation, and policy refuses that for a
// deployment.
func TestInvariant1NoSilentDowngrade_SavedEvidence(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	c, v := vtpm.New(m.options()).Verify(evidenceOf(t, p), m.collateral(), expected(p), madeAt)
	for _, r := range v {
		if r.Check == "vtpm.activation" && (r.Seen != "activation not transferable" || r.Todo == "") {
			t.Errorf("%+v", r)
		}
	}
	if v.Err() != nil || outcome(v, "activation") != attest.Skipped || !slices.Equal(c.Waived, []string{"activation"}) {
		t.Fatalf("%+v, %v", c, v.Err())
	}
	if d := policy.Decide(c, policy.Demand{Platforms: []string{attest.PlatformVTPM}}); d.Allow {
		t.Error("policy takes evidence whose activation was not proven")
	}
}

// Each lie is refused, by the row that is about it.
func TestRefusesLies(t *testing.T) {
	m, other := newMaker(t), newMaker(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	type lie struct {
		name   string
		tpm    func(*softtpm.TPM)        // before the quote
		ev     func(*attest.TPMEvidence) // after it
		exp    func(*attest.Expected)    // what is expected
		opt    func(*vtpm.Options)       // what is demanded
		check  string                    // the row that leads
		reason attest.Reason
		words  string
	}
	for _, x := range []lie{
		{name: "an EK of an unknown maker", tpm: func(p *softtpm.TPM) {
			if err := p.Certify(other.issuer, other.issuerKey, device, madeAt.AddDate(0, -1, 0), madeAt.AddDate(1, 0, 0)); err != nil {
				t.Fatal(err)
			}
		}, check: "chain", reason: attest.ReasonRoot, words: "TPM maker's issuer"},
		{name: "no roots", opt: func(o *vtpm.Options) { o.Roots = nil }, check: "chain", reason: attest.ReasonRoot, words: "no root was named"},
		{name: "an expired certificate", tpm: func(p *softtpm.TPM) {
			p.Certify(m.issuer, m.issuerKey, device, madeAt.AddDate(-1, 0, 0), madeAt.AddDate(0, 0, -1))
		}, check: "chain", reason: attest.ReasonCertExpired, words: "ended on 2026-10-31"},
		{name: "a certificate of tomorrow", tpm: func(p *softtpm.TPM) {
			p.Certify(m.issuer, m.issuerKey, device, madeAt.AddDate(0, 0, 1), madeAt.AddDate(1, 0, 0))
		}, check: "chain", reason: attest.ReasonCertNotYetValid, words: "begins on"},
		{name: "another key than the certificate's", tpm: func(p *softtpm.TPM) {
			p.EKPublic, _ = softtpm.Public(&ecKey(t).PublicKey, softtpm.AttributesEK)
		}, check: "chain", reason: attest.ReasonKey, words: "not the one of its certificate"},
		{name: "an EK that signs", tpm: func(p *softtpm.TPM) {
			p.EKPublic, _ = softtpm.Public(p.EK.Public(), softtpm.AttributesEK|tpm.Sign)
		}, check: "chain", reason: attest.ReasonKey, words: "signs"},
		{name: "the issuer as EK certificate", tpm: func(p *softtpm.TPM) { p.Certificate = m.issuer.Raw }, check: "chain", reason: attest.ReasonKey, words: "not the one"},
		{name: "an AK that is not restricted", tpm: func(p *softtpm.TPM) {
			p.AKPublic, _ = softtpm.Public(&p.AK.PublicKey, softtpm.AttributesAK&^tpm.Restricted)
		}, check: "attestation-key", reason: attest.ReasonKey, words: "without restricted"},
		{name: "an AK made outside", tpm: func(p *softtpm.TPM) {
			p.AKPublic, _ = softtpm.Public(&p.AK.PublicKey, softtpm.AttributesAK&^tpm.SensitiveDataOrigin)
		}, check: "attestation-key", reason: attest.ReasonKey, words: "without sensitiveDataOrigin"},
		{name: "an AK that may leave", tpm: func(p *softtpm.TPM) {
			p.AKPublic, _ = softtpm.Public(&p.AK.PublicKey, softtpm.AttributesAK&^tpm.FixedTPM)
		}, check: "attestation-key", reason: attest.ReasonKey, words: "without fixedTPM"},
		{name: "an AK of another hierarchy", tpm: func(p *softtpm.TPM) { p.Hierarchy = tpm.HierarchyOwner }, check: "attestation-key", reason: attest.ReasonKey, words: "qualified name"},
		{name: "another quote's signature", ev: func(e *attest.TPMEvidence) {
			q, s, err := m.booted(t, log).Quote([]byte("other"))
			if err != nil || len(q) == 0 {
				t.Fatal(err)
			}
			e.Signature = s
		}, check: "signature", reason: attest.ReasonSignature, words: "does not verify"},
		{name: "other PCRs than quoted", ev: func(e *attest.TPMEvidence) { e.PCRs[3][0] ^= 1 }, check: "pcrs", reason: attest.ReasonSignature, words: "not those that were quoted"},
		{name: "no event log", ev: func(e *attest.TPMEvidence) { e.EventLog = nil }, check: "event-log", reason: attest.ReasonEventLog, words: "no log"},
		{name: "a stale event log", ev: func(e *attest.TPMEvidence) { e.EventLog = vector(t, "ovmf-direct.eventlog.bin") },
			check: "event-log", reason: attest.ReasonEventLog, words: "PCR 1 is"},
		{name: "a log of one event less", ev: func(e *attest.TPMEvidence) { e.EventLog = shorten(t, log) }, check: "event-log", reason: attest.ReasonEventLog, words: "PCR 5 is"},
		{name: "a log of one event more", tpm: func(p *softtpm.TPM) {
			before := p.PCRs
			p.Event(9, 0xd, []byte("x"), []byte("more"))
			p.PCRs = before
		}, check: "event-log", reason: attest.ReasonEventLog, words: `"more", which the TPM has not seen`},
		{name: "a PCR extended after boot", tpm: func(p *softtpm.TPM) { p.Extend(4, [32]byte{1}) }, check: "event-log", reason: attest.ReasonEventLog, words: "PCR 4 is"},
		{name: "a PCR extended that nothing uses", tpm: func(p *softtpm.TPM) { p.Extend(8, [32]byte{1}) }, check: "event-log", reason: attest.ReasonEventLog, words: "no event for it"},
		{name: "the debug PCR extended", tpm: func(p *softtpm.TPM) { p.Extend(16, [32]byte{1}) }, check: "registers", reason: attest.ReasonMeasurement, words: "PCR 16"},
		{name: "the application PCR extended", tpm: func(p *softtpm.TPM) { p.Extend(23, [32]byte{1}) }, check: "registers", reason: attest.ReasonMeasurement, words: "PCR 23"},
		{name: "a driver that a boot variable names", tpm: func(p *softtpm.TPM) { p.Event(2, 0x80000004, []byte("driver"), nil) },
			check: "drivers", reason: attest.ReasonMeasurement, words: "EV_EFI_BOOT_SERVICES_DRIVER"},
		{name: "a driver in a device's memory", tpm: func(p *softtpm.TPM) { p.Event(2, 0x80000005, []byte("option ROM"), nil) },
			check: "drivers", reason: attest.ReasonMeasurement, words: "EV_EFI_RUNTIME_SERVICES_DRIVER"},
		{name: "a driver that says it is a separator", tpm: func(p *softtpm.TPM) { p.Event(2, 4, make([]byte, 4), make([]byte, 4)) },
			check: "drivers", reason: attest.ReasonMeasurement, words: "PCR 2"},
		{name: "a driver in place of the separator", tpm: func(p *softtpm.TPM) {
			p.PCRs[2] = [32]byte{}
			p.Log = without(t, p.Log, 2)
			p.Event(2, 4, []byte("driver"), []byte("driver"))
		},
			check: "drivers", reason: attest.ReasonMeasurement, words: "PCR 2"},
		{name: "a late launch that leaves bytes of no text", tpm: func(p *softtpm.TPM) { p.PCRs[17][3] = 0xef }, check: "registers", reason: attest.ReasonMeasurement, words: "PCR 17"},
		{name: "a late launch", tpm: func(p *softtpm.TPM) { p.PCRs[17] = [32]byte{}; p.Extend(17, [32]byte{1}) }, check: "registers", reason: attest.ReasonMeasurement, words: "PCR 17"},
		{name: "the log claims PCR 14", tpm: func(p *softtpm.TPM) { p.PCRs[14] = [32]byte{}; p.Event(14, 0xd, attest.StartEvent(hostData), nil) },
			check: "event-log", reason: attest.ReasonEventLog, words: "no firmware extends it"},
		{name: "Secure Boot is off", opt: func(o *vtpm.Options) { o.SecureBoot = true }, check: "secure-boot", reason: attest.ReasonGuestPolicy, words: "off"},
		{name: "no reference value", exp: func(e *attest.Expected) { e.Measurements = nil }, check: "measurement", reason: attest.ReasonMeasurement},
		{name: "a reference value of tdx", exp: func(e *attest.Expected) { e.Measurements[0].Platform = attest.PlatformTDX }, check: "measurement", reason: attest.ReasonMeasurement},
		{name: "a debug image", exp: func(e *attest.Expected) { e.Measurements[0].Debug = true }, check: "debug", reason: attest.ReasonDebug, words: "DEBUG"},
		{name: "another start configuration", exp: func(e *attest.Expected) { e.HostData[0] ^= 1 }, check: "host-data", reason: attest.ReasonHostData, words: "PCR 14"},
		{name: "no start configuration", tpm: func(p *softtpm.TPM) { p.PCRs[14] = [32]byte{} }, check: "host-data", reason: attest.ReasonHostData, words: "PCR 14 0000"},
		{name: "start configuration twice", tpm: func(p *softtpm.TPM) { p.Extend(14, sum(attest.StartEvent(hostData))) }, check: "host-data", reason: attest.ReasonHostData},
		{name: "nothing expected of host data", exp: func(e *attest.Expected) { e.HostData = [32]byte{} }, check: "host-data", reason: attest.ReasonHostData},
		{name: "a Keep that was claimed and emptied out", tpm: func(p *softtpm.TPM) { p.Extend(15, sum(attest.ClaimEvent([32]byte{1}, []byte("key")))) },
			check: "claim", reason: attest.ReasonMeasurement, words: "PCR 15"},
		{name: "a Keep that was not claimed", exp: func(e *attest.Expected) { e.Claim.Event = attest.ClaimEvent([32]byte{1}, []byte("key")) },
			check: "claim", reason: attest.ReasonMeasurement, words: "PCR 15 0000"},
		{name: "a replayed quote", exp: func(e *attest.Expected) { e.ReportData[0] ^= 1 }, check: "report-data", reason: attest.ReasonReportData},
		{name: "nothing expected of report data", exp: func(e *attest.Expected) { e.ReportData = [64]byte{} }, check: "report-data", reason: attest.ReasonReportData},
		{name: "a firmware floor", exp: func(e *attest.Expected) { e.TCB.Floors = []attest.TCBFloor{{Min: map[string]uint64{"x": 1}}} }, check: "tcb-floor", reason: attest.ReasonTCBFloor},
		{name: "another machine than allowed", exp: func(e *attest.Expected) { e.TCB.Chips = [][]byte{make([]byte, 32)} }, check: "chip-list", reason: attest.ReasonChip},
	} {
		p := m.booted(t, log)
		exp, o := expected(p), m.options()
		if x.tpm != nil {
			x.tpm(p)
		}
		e, err := p.Evidence(reportData)
		if err != nil {
			t.Fatal(err)
		}
		if x.ev != nil {
			x.ev(e)
		}
		if x.exp != nil {
			x.exp(&exp)
		}
		if x.opt != nil {
			x.opt(&o)
		}
		c, v := m.judge(t, o, p, encoded(t, e), exp)
		refused(t, x.name, c, v, x.check, x.reason, x.words)
	}
}

// Who runs Keeps on machines of his own, whose devices bring drivers, can name
// what PCR 2 is then: that value and no other is taken.
func TestDriversThatWereNamed(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	p.Event(2, 0x80000004, []byte("option ROM of a known device"), nil)
	o := m.options()
	o.PCRs = map[uint][]byte{2: bytes.Clone(p.PCRs[2][:])}
	if c, v := m.judge(t, o, p, evidenceOf(t, p), expected(p)); c == nil || outcome(v, "pcr2") != attest.Pass {
		t.Errorf("%v", v.Err())
	}
	p.Event(2, 0x80000004, []byte("another"), nil)
	c, v := m.judge(t, o, p, evidenceOf(t, p), expected(p))
	refused(t, "another driver", c, v, "pcr2", attest.ReasonMeasurement, "")
	o.PCRs = map[uint][]byte{0: bytes.Clone(p.PCRs[0][:])}
	c, v = m.judge(t, o, p, evidenceOf(t, p), expected(p))
	refused(t, "a demand of another register", c, v, "drivers", attest.ReasonMeasurement, "")
}

// without takes the events of a register out of a log.
func without(t testing.TB, log []byte, pcr uint32) []byte {
	t.Helper()
	l, err := eventlog.Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	l.Events = slices.DeleteFunc(l.Events, func(e eventlog.Event) bool { return e.Index == pcr && e.Type != 3 })
	return l.Encode()
}

// Evidence with the longest log that is read costs its reader little, however
// its registers differ from it: nothing but the digest of the PCRs has been
// checked by then, so anybody can make such a one.
func TestInvariant4HostileInputIsBounded_LongLogOfAnotherBoot(t *testing.T) {
	m := newMaker(t)
	for _, pcr := range []int{0, 9} {
		p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
		one := len(p.Log)
		for len(p.Log) <= attest.MaxTPMEventLog {
			one = len(p.Log)
			p.Event(pcr, 1, []byte{1}, nil)
		}
		p.Log = p.Log[:one]
		p.PCRs[pcr][0] ^= 1
		ev := evidenceOf(t, p)
		begin := time.Now()
		_, v := vtpm.New(m.options()).Verify(ev, m.collateral(), expected(p), madeAt)
		took := time.Since(begin)
		if outcome(v, "event-log") != attest.Fail {
			t.Fatalf("PCR %d: row event-log reads %q", pcr, outcome(v, "event-log"))
		}
		if took > time.Second {
			t.Errorf("PCR %d: appraised in %v: the time grows with the square of the log's length", pcr, took)
		}
	}
}

// shorten takes the last event off a log.
func shorten(t testing.TB, log []byte) []byte {
	t.Helper()
	l, err := eventlog.Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	l.Events = l.Events[:len(l.Events)-1]
	return l.Encode()
}

// What differs from a release is named, part by part.
func TestNamesTheComponentThatDiffers(t *testing.T) {
	m := newMaker(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	good := m.booted(t, log)
	exp := expected(good)
	exp.Measurements[0].Components = components(t, log)
	// A release that has nothing to do with it must not be the one compared.
	exp.Measurements = append([]attest.ReferenceValue{{Platform: attest.PlatformVTPM, Measurement: make([]byte, 32), Release: "0.0.1", Source: "the test",
		Components: []attest.Component{{Name: "kernel", Register: "PCR4", Digest: make([]byte, 32)}}}}, exp.Measurements...)
	for part, place := range map[string]struct {
		pcr   uint32
		event int
	}{"kernel": {4, 3}, "initrd": {9, 1}, "command-line": {9, 0}, "uki": {4, 2}} {
		l, err := eventlog.Parse(log)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i, e := range l.Events {
			if e.Index == place.pcr && e.Type != 3 {
				if n == place.event {
					l.Events[i].Digests[0].Value = flip(e.Digests[0].Value, 7)
				}
				n++
			}
		}
		p := m.booted(t, l.Encode())
		c, v := m.judge(t, m.options(), p, evidenceOf(t, p), exp)
		refused(t, part, c, v, part, attest.ReasonMeasurement, "")
		for _, other := range []string{"kernel", "initrd", "command-line", "uki"} {
			if o := outcome(v, other); (o == attest.Fail) != (other == part) {
				t.Errorf("another %s: row %s reads %q", part, other, o)
			}
		}
		if outcome(v, "measurement") != attest.Fail {
			t.Errorf("another %s: the measurement is accepted", part)
		}
	}
}

// The attestation key of one TPM does not pass for that of another, whoever's
// the endorsement certificate is.
func TestAttestationKeyOfAnotherTPM(t *testing.T) {
	m := newMaker(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	mine, theirs := m.booted(t, log), m.booted(t, log)
	theirs.EK = ecKey(t)
	theirs.EKPublic, _ = softtpm.Public(theirs.EK.Public(), softtpm.AttributesEK)
	if err := theirs.Certify(m.issuer, m.issuerKey, device, madeAt.AddDate(0, -1, 0), madeAt.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	// mine has the key and quotes; the certificate is of theirs, a genuine TPM.
	e, err := mine.Evidence(reportData)
	if err != nil {
		t.Fatal(err)
	}
	e.Endorsements = []attest.TPMEndorsement{{Certificate: theirs.Certificate, Public: theirs.EKPublic}}
	ev := encoded(t, e)
	for name, answer := range map[string]func(attest.Evidence) (attest.Evidence, error){
		"an invented secret": func(attest.Evidence) (attest.Evidence, error) {
			return attest.Evidence{MediaType: attest.MediaTypeTPMAnswer, Value: make([]byte, 32)}, nil
		},
		"an empty secret": func(attest.Evidence) (attest.Evidence, error) {
			return attest.Evidence{MediaType: attest.MediaTypeTPMAnswer}, nil
		},
		"the challenge": func(c attest.Evidence) (attest.Evidence, error) { return c, nil },
		"theirs is willing": func(c attest.Evidence) (attest.Evidence, error) {
			// The TPM that holds the endorsement key refuses: the credential
			// is for a key that it does not have.
			a, err := theirs.Respond(c)
			if err == nil {
				t.Errorf("a TPM opens a credential for a key that it does not have: %x", a.Value)
			}
			return attest.Evidence{MediaType: attest.MediaTypeTPMAnswer, Value: []byte("no")}, nil
		},
	} {
		s := vtpm.NewSession(m.options(), m.collateral(), madeAt, rand.Reader)
		if err := attest.Converse(s, ev, answer); err != nil {
			t.Fatal(err)
		}
		c, v := s.Verify(ev, m.collateral(), expected(mine), madeAt)
		refused(t, name, c, v, "activation", attest.ReasonKey, "another secret")
	}
	// Nor does a session count that was never held, was broken off, or was
	// about other evidence.
	good := evidenceOf(t, mine)
	s := vtpm.NewSession(m.options(), m.collateral(), madeAt, rand.Reader)
	if c, _ := s.Verify(good, m.collateral(), expected(mine), madeAt); c != nil {
		t.Error("accepted without a conversation")
	}
	if _, done, err := s.Next(good); done || err != nil {
		t.Fatal(done, err)
	}
	c, v := s.Verify(good, m.collateral(), expected(mine), madeAt)
	refused(t, "broken off", c, v, "activation", attest.ReasonKey, "no answer")
	s = vtpm.NewSession(m.options(), m.collateral(), madeAt, rand.Reader)
	converse(t, s, good, mine)
	c, v = s.Verify(evidenceOf(t, theirs), m.collateral(), expected(theirs), madeAt)
	refused(t, "other keys", c, v, "activation", attest.ReasonKey, "other keys")
	if _, _, err := s.Next(good); err == nil {
		t.Error("a session is used twice")
	}
}

// Endorsement keys of both kinds, and of several the one that leads to a root.
func TestEndorsementKeys(t *testing.T) {
	m, other := newMaker(t), newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	p.EK = ecKey(t)
	p.EKPublic, _ = softtpm.Public(p.EK.Public(), softtpm.AttributesEK)
	if err := p.Certify(m.issuer, m.issuerKey, device, madeAt.AddDate(0, -1, 0), madeAt.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, v := m.judge(t, m.options(), p, evidenceOf(t, p), expected(p)); v.Err() != nil {
		t.Errorf("ECC: %v", v.Err())
	}
	foreign := other.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	e, err := p.Evidence(reportData)
	if err != nil {
		t.Fatal(err)
	}
	e.Endorsements = append([]attest.TPMEndorsement{{Certificate: foreign.Certificate, Public: foreign.EKPublic}}, e.Endorsements...)
	ev := encoded(t, e)
	s := vtpm.NewSession(m.options(), m.collateral(), madeAt, rand.Reader)
	challenge, done, err := s.Next(ev)
	if err != nil || done {
		t.Fatal(done, err)
	}
	ch, err := attest.DecodeTPMChallenge(challenge.Value)
	if err != nil || ch.Endorsement != 1 {
		t.Fatalf("%+v, %v", ch, err)
	}
	ch.Endorsement = 0 // p has one key only
	b, err := ch.Encode()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.Respond(attest.Evidence{MediaType: challenge.MediaType, Value: b})
	if err != nil {
		t.Fatal(err)
	}
	if _, done, err := s.Next(answer); !done || err != nil {
		t.Fatal(done, err)
	}
	if _, v := s.Verify(ev, m.collateral(), expected(p), madeAt); v.Err() != nil {
		t.Error(v.Err())
	}
	// Padding as NV memory has it.
	for _, fill := range []byte{0, 0xff} {
		q := *p
		q.Certificate = append(bytes.Clone(p.Certificate), bytes.Repeat([]byte{fill}, 431)...)
		if _, v := m.judge(t, m.options(), &q, evidenceOf(t, &q), expected(&q)); v.Err() != nil {
			t.Errorf("padded with %#x: %v", fill, v.Err())
		}
		q.Certificate[len(q.Certificate)-3] ^= 0x10
		c, v := m.judge(t, m.options(), &q, evidenceOf(t, &q), expected(&q))
		refused(t, "padding that is none", c, v, "chain", attest.ReasonChain, "not padding")
	}
}

func TestRevocation(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	ek, _, err := vtpm.ParseCertificate(p.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	list := func(issuer *x509.Certificate, key any, from time.Time, serials ...*big.Int) attest.Evidence {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: from.AddDate(0, 1, 0)}
		for _, s := range serials {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: from})
		}
		signer := m.issuerKey
		if issuer == m.root {
			signer = m.rootKey
		}
		der, err := x509.CreateRevocationList(rand.Reader, l, issuer, signer)
		if err != nil {
			t.Fatal(err)
		}
		return attest.Evidence{MediaType: attest.MediaTypeCRL, Value: der}
	}
	now := madeAt.AddDate(0, 0, -1)
	roots := list(m.root, m.rootKey, now)
	for name, x := range map[string]struct {
		lists  attest.Collateral
		demand bool
		reason attest.Reason
	}{
		"none demanded, none there": {},
		"demanded, none there":      {demand: true, reason: attest.ReasonListMissing},
		"demanded, one there":       {attest.Collateral{roots}, true, attest.ReasonListMissing},
		"all there":                 {attest.Collateral{roots, list(m.issuer, m.issuerKey, now)}, true, ""},
		"the EK is revoked":         {attest.Collateral{list(m.issuer, m.issuerKey, now, ek.SerialNumber)}, false, attest.ReasonRevoked},
		"revoked in an old list":    {attest.Collateral{list(m.issuer, m.issuerKey, now.AddDate(-1, 0, 0), ek.SerialNumber)}, false, attest.ReasonRevoked},
		"the issuer is revoked":     {attest.Collateral{list(m.root, m.rootKey, now, m.issuer.SerialNumber)}, false, attest.ReasonRevoked},
		"a list of last year":       {attest.Collateral{roots, list(m.issuer, m.issuerKey, now.AddDate(-1, 0, 0))}, true, attest.ReasonListMissing},
	} {
		o := m.options()
		o.RequireCRL = x.demand
		_, v := vtpm.New(o).Verify(evidenceOf(t, p), append(m.collateral(), x.lists...), expected(p), madeAt)
		if v.Reason() != x.reason {
			t.Errorf("%s: reason %q, expected %q", name, v.Reason(), x.reason)
		}
	}
}

// Secure Boot is what the firmware says before its separator, and nothing that
// comes after it.
func TestSecureBootState(t *testing.T) {
	m := newMaker(t)
	global := []byte{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}
	variable := func(guid []byte, name string, value ...byte) []byte {
		b := binary.LittleEndian.AppendUint64(bytes.Clone(guid), uint64(len(name)))
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
		for _, c := range name {
			b = binary.LittleEndian.AppendUint16(b, uint16(c))
		}
		return append(b, value...)
	}
	const config, separator = 0x80000001, 4
	on := variable(global, "SecureBoot", 1)
	type event struct {
		typ            uint32
		measured, data []byte
	}
	for name, x := range map[string]struct {
		events []event
		on     bool
	}{
		"on":                         {[]event{{config, on, on}, {separator, make([]byte, 4), make([]byte, 4)}}, true},
		"off":                        {[]event{{config, variable(global, "SecureBoot", 0), variable(global, "SecureBoot", 0)}}, false},
		"no variable":                {[]event{{separator, make([]byte, 4), make([]byte, 4)}}, false},
		"said after the separator":   {[]event{{separator, make([]byte, 4), make([]byte, 4)}, {config, on, on}}, false},
		"data that was not measured": {[]event{{config, variable(global, "SecureBoot", 0), on}}, false},
		"said twice":                 {[]event{{config, on, on}, {config, on, on}}, false},
		"of another vendor":          {[]event{{config, variable(make([]byte, 16), "SecureBoot", 1), variable(make([]byte, 16), "SecureBoot", 1)}}, false},
		"another variable":           {[]event{{config, variable(global, "SetupMode", 1), variable(global, "SetupMode", 1)}}, false},
		"a value of two":             {[]event{{config, variable(global, "SecureBoot", 2), variable(global, "SecureBoot", 2)}}, false},
		"an authority's":             {[]event{{0x800000e0, on, on}}, false},
	} {
		p, err := softtpm.New(rand.Reader, m.ek, ecKey(t))
		if err != nil {
			t.Fatal(err)
		}
		p.Certify(m.issuer, m.issuerKey, device, madeAt.AddDate(0, -1, 0), madeAt.AddDate(5, 0, 0))
		p.Extend(attest.PCRStart, sum(attest.StartEvent(hostData)))
		for _, e := range x.events {
			p.Event(7, e.typ, e.measured, e.data)
		}
		o := m.options()
		o.SecureBoot = true
		c, v := m.judge(t, o, p, evidenceOf(t, p), expected(p))
		if (c != nil) != x.on || (outcome(v, "secure-boot") == attest.Pass) != x.on {
			t.Errorf("%s: %v", name, v.Err())
		}
	}
}

// A debug image is told apart wherever it is accepted.
func TestDebugImageSaysSo(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	exp, o := expected(p), m.options()
	exp.Measurements[0].Debug, o.AcceptDebug = true, true
	c, v := m.judge(t, o, p, evidenceOf(t, p), exp)
	if v.Err() != nil || !c.Debug || outcome(v, "debug") != attest.Warn {
		t.Fatalf("%+v, %v", c, v.Err())
	}
	if d := policy.Decide(c, policy.Demand{Platforms: []string{attest.PlatformVTPM}}); d.Allow {
		t.Error("policy takes a debug image")
	}
}
