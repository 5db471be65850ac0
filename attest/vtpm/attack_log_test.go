// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/vtpm"
)

const noAction = 3

// rewritten is a log with other events.
func rewritten(t testing.TB, log []byte, change func([]eventlog.Event) []eventlog.Event) []byte {
	t.Helper()
	l, err := eventlog.Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	l.Events = change(slices.Clone(l.Events))
	return l.Encode()
}

// event is one of a log with SHA-256 alone.
func event(pcr, typ uint32, measured, data []byte) eventlog.Event {
	d := sum(measured)
	return eventlog.Event{Index: pcr, Type: typ, Digests: []eventlog.Digest{{Alg: eventlog.SHA256, Value: d[:]}}, Data: data}
}

func insert(at int, e eventlog.Event) func([]eventlog.Event) []eventlog.Event {
	return func(es []eventlog.Event) []eventlog.Event { return slices.Insert(es, at, e) }
}

// A log from which something is missing, in which something was added, or that
// is in another order is not what the registers hold.
func TestInvariant1NoSilentDowngrade_EventLog(t *testing.T) {
	m := newMaker(t)
	for _, file := range []string{"ovmf-uki", "ovmf-direct"} {
		log := vector(t, file+".eventlog.bin")
		p := m.booted(t, log)
		exp, good := expected(p), evidenceOf(t, p)
		e, err := attest.DecodeTPMEvidence(good.Value)
		if err != nil {
			t.Fatal(err)
		}
		judge := func(name string, log []byte) {
			t.Helper()
			e.EventLog = log
			c, v := vtpm.New(m.options()).Verify(encoded(t, e), m.collateral(), exp, madeAt)
			refused(t, file+": "+name, c, v, "event-log", attest.ReasonEventLog, "")
		}
		l, err := eventlog.Parse(log)
		if err != nil {
			t.Fatal(err)
		}
		n := len(l.Events)
		for i := range n {
			if l.Events[i].Type != noAction {
				judge(fmt.Sprintf("event %d taken out", i), rewritten(t, log, func(es []eventlog.Event) []eventlog.Event { return slices.Delete(es, i, i+1) }))
				judge(fmt.Sprintf("event %d said to be no action", i), rewritten(t, log, func(es []eventlog.Event) []eventlog.Event { es[i].Type = noAction; return es }))
				judge(fmt.Sprintf("event %d in another register", i), rewritten(t, log, func(es []eventlog.Event) []eventlog.Event { es[i].Index = (es[i].Index + 1) % 14; return es }))
			} else {
				judge(fmt.Sprintf("event %d said to be an action", i), rewritten(t, log, func(es []eventlog.Event) []eventlog.Event { es[i].Type = 5; return es }))
			}
			judge(fmt.Sprintf("cut after %d events", i), rewritten(t, log, func(es []eventlog.Event) []eventlog.Event { return es[:i] }))
			judge(fmt.Sprintf("event %d twice", i), rewritten(t, log, insert(i, event(4, 0xd, []byte("again"), nil))))
			for j := range i {
				a, b := l.Events[i], l.Events[j]
				if a.Index == b.Index && a.Type != noAction && b.Type != noAction && !bytes.Equal(a.Digests[0].Value, b.Digests[0].Value) {
					judge(fmt.Sprintf("events %d and %d change places", i, j), rewritten(t, log, func(es []eventlog.Event) []eventlog.Event { es[i], es[j] = es[j], es[i]; return es }))
				}
			}
		}
		for i := 0; i < len(log); i += 11 { // within events; between them was before
			judge(fmt.Sprintf("%d bytes", i), log[:i])
		}
		for pcr := range uint32(attest.TPMPCRs) {
			judge(fmt.Sprintf("one more for PCR %d", pcr), rewritten(t, log, insert(n, event(pcr, 0xd, []byte("more"), nil))))
		}
		judge("a byte more", append(bytes.Clone(log), 0))
		judge("another log after it", append(bytes.Clone(log), log...))
		judge("a register that no TPM has", rewritten(t, log, insert(n, event(24, 0xd, nil, nil))))
		e.EventLog = log
		if _, v := vtpm.New(m.options()).Verify(encoded(t, e), m.collateral(), exp, madeAt); v.Err() != nil {
			t.Errorf("%s as it was: %v", file, v.Err())
		}
	}
}

// Events of no action are never extended, whatever digest they carry; a register
// that somebody has extended for one does not fit the log.
func TestInvariant1NoSilentDowngrade_NoActionIsNotExtended(t *testing.T) {
	m := newMaker(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	for pcr := range uint32(14) {
		p := m.booted(t, log)
		exp := expected(p)
		p.Log = rewritten(t, log, insert(0, event(pcr, noAction, []byte("x"), []byte("no action"))))
		if _, v := m.judge(t, m.options(), p, evidenceOf(t, p), exp); v.Err() != nil {
			t.Errorf("PCR %d, an event of no action that is not extended: %v", pcr, v.Err())
		}
		p.Extend(int(pcr), sum([]byte("x")))
		p.Log = rewritten(t, log, func(es []eventlog.Event) []eventlog.Event {
			return append(es, event(pcr, noAction, []byte("x"), []byte("no action")))
		})
		c, v := m.judge(t, m.options(), p, evidenceOf(t, p), exp)
		name, check, reason := fmt.Sprintf("PCR %d, extended for an event of no action", pcr), "event-log", attest.ReasonEventLog
		if pcr == 10 { // no firmware's
			check, reason = "registers", attest.ReasonMeasurement
		}
		refused(t, name, c, v, check, reason, fmt.Sprintf("PCR %d is", pcr))
	}
}

// A log has one head. After a second one, others would read on in another form,
// and see other events than were judged here.
func TestInvariant1NoSilentDowngrade_SecondSpecID(t *testing.T) {
	m := newMaker(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	for _, signature := range []string{"Spec ID Event03\x00", "Spec ID Event02\x00", "Spec ID Event00\x00", "Spec ID Event99\x00"} {
		p := m.booted(t, log)
		p.Log = rewritten(t, log, insert(3, eventlog.Event{Type: noAction, Digests: []eventlog.Digest{{Alg: eventlog.SHA256, Value: make([]byte, 32)}}, Data: []byte(signature)}))
		c, v := m.judge(t, m.options(), p, evidenceOf(t, p), expected(p))
		refused(t, signature, c, v, "event-log", attest.ReasonEventLog, "second event Spec ID")
	}
}

// The locality that the TPM was started from decides where PCR 0 begins; the log
// says it once, before PCR 0 is extended, and the register proves it.
func TestInvariant1NoSilentDowngrade_StartupLocality(t *testing.T) {
	m := newMaker(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	said := func(locality ...byte) eventlog.Event {
		return eventlog.Event{Type: noAction, Digests: []eventlog.Digest{{Alg: eventlog.SHA256, Value: make([]byte, 32)}}, Data: append([]byte("StartupLocality\x00"), locality...)}
	}
	// started is a TPM that was started from a locality, with another log.
	started := func(locality byte, log []byte) *softtpm.TPM {
		p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
		l, err := eventlog.Parse(log)
		if err != nil {
			t.Fatal(err)
		}
		p.PCRs[0] = [32]byte{31: locality}
		for _, e := range l.Events {
			if e.Index == 0 && e.Type != noAction {
				p.Extend(0, [32]byte(e.Digests[0].Value))
			}
		}
		p.Log = log
		return p
	}
	for _, locality := range []byte{0, 3, 4} {
		for _, claimed := range []byte{0, 3, 4} {
			p := started(locality, rewritten(t, log, insert(0, said(claimed))))
			c, v := m.judge(t, m.options(), p, evidenceOf(t, p), expected(p))
			if locality == claimed {
				if c == nil {
					t.Errorf("locality %d: %v", locality, v.Err())
				}
				continue
			}
			refused(t, fmt.Sprintf("locality %d for %d", claimed, locality), c, v, "event-log", attest.ReasonEventLog, "PCR 0 is")
		}
	}
	for name, x := range map[string]struct {
		log   []byte
		words string
	}{
		"twice":            {rewritten(t, rewritten(t, log, insert(0, said(3))), insert(0, said(3))), "or again"},
		"first 3, then 0":  {rewritten(t, rewritten(t, log, insert(0, said(0))), insert(0, said(3))), "or again"},
		"first 0, then 3":  {rewritten(t, rewritten(t, log, insert(0, said(3))), insert(0, said(0))), "or again"},
		"after PCR 0":      {rewritten(t, log, func(es []eventlog.Event) []eventlog.Event { return append(es, said(3)) }), "after PCR0 was extended"},
		"without a number": {rewritten(t, log, insert(0, said())), "StartupLocality of register 0"},
		"two numbers":      {rewritten(t, log, insert(0, said(3, 3))), "StartupLocality of register 0"},
		"locality 1":       {rewritten(t, log, insert(0, said(1))), "StartupLocality 1"},
		"locality 255":     {rewritten(t, log, insert(0, said(255))), "StartupLocality 255"},
	} {
		p := started(3, x.log)
		c, v := m.judge(t, m.options(), p, evidenceOf(t, p), expected(p))
		refused(t, name, c, v, "event-log", attest.ReasonEventLog, x.words)
	}
	other := said(3)
	other.Index = 1
	p := started(3, rewritten(t, log, insert(0, other)))
	c, v := m.judge(t, m.options(), p, evidenceOf(t, p), expected(p))
	refused(t, "of another register", c, v, "event-log", attest.ReasonEventLog, "StartupLocality of register 1")
}

// The types of events are in no digest, so a log may say any. A variable that an
// operating system has measured after the firmware does not pass for the
// firmware's, whatever types the events before it are given.
func TestInvariant1NoSilentDowngrade_TypesOfSecureBootEvents(t *testing.T) {
	m := newMaker(t)
	global := []byte{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}
	variable := func(name string, value ...byte) []byte {
		b := binary.LittleEndian.AppendUint64(bytes.Clone(global), uint64(len(name)))
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
		for _, c := range name {
			b = binary.LittleEndian.AppendUint16(b, uint16(c))
		}
		return append(b, value...)
	}
	off, on, separator := variable("SecureBoot", 0), variable("SecureBoot", 1), make([]byte, 4)
	failed := []byte{1, 0, 0, 0}
	const config, sep, ipl, variableBoot = 0x80000001, 4, 0xd, 0x80000002
	type told struct {
		typ            uint32
		measured, data []byte
	}
	for name, x := range map[string]struct {
		events []told
		seen   string
	}{
		"honest":                              {[]told{{config, off, off}, {sep, separator, separator}, {config, on, on}}, "off"},
		"all types lie":                       {[]told{{ipl, off, []byte("text")}, {ipl, separator, []byte("text")}, {config, on, on}}, "are not what was measured"},
		"the firmware's is of another type":   {[]told{{variableBoot, off, off}, {sep, separator, separator}, {config, on, on}}, "off"},
		"the separator is of another type":    {[]told{{config, off, off}, {ipl, separator, nil}, {config, on, on}}, "off"},
		"both":                                {[]told{{ipl, off, off}, {ipl, separator, nil}, {config, on, on}}, "off"},
		"the firmware's data are taken out":   {[]told{{ipl, off, nil}, {ipl, separator, nil}, {config, on, on}}, "are not what was measured"},
		"a separator that tells of an error":  {[]told{{config, off, off}, {ipl, failed, nil}, {config, on, on}}, "off"},
		"no separator, the firmware's is off": {[]told{{config, off, off}, {config, on, on}}, "measured twice"},
		"no separator":                        {[]told{{config, on, on}}, "no separator"},
		"nothing before the separator":        {[]told{{sep, separator, separator}, {config, on, on}}, "no variable SecureBoot"},
	} {
		p := m.booted(t, softtpm.Log(0, 1, []byte("firmware")))
		for _, e := range x.events {
			p.Event(7, e.typ, e.measured, e.data)
		}
		o := m.options()
		o.SecureBoot = true
		c, v := m.judge(t, o, p, evidenceOf(t, p), expected(p))
		refused(t, name, c, v, "secure-boot", attest.ReasonGuestPolicy, x.seen)
	}
	// Accepted is only what the firmware itself has said before it was done.
	p := m.booted(t, softtpm.Log(0, 1, []byte("firmware")))
	p.Event(7, config, on, on)
	p.Event(7, sep, separator, separator)
	p.Event(7, config, off, off)
	o := m.options()
	o.SecureBoot = true
	if _, v := m.judge(t, o, p, evidenceOf(t, p), expected(p)); v.Err() != nil {
		t.Error(v.Err())
	}
}

// Where the digest of an event is that of its data, other data are refused.
func TestInvariant1NoSilentDowngrade_DataOfEvents(t *testing.T) {
	m := newMaker(t)
	for _, typ := range []uint32{4, 5, 0x80000001, 0x80000006, 0x80000007} {
		p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
		p.Event(1, typ, []byte("what was measured"), []byte("what the log says"))
		c, v := m.judge(t, m.options(), p, evidenceOf(t, p), expected(p))
		refused(t, fmt.Sprintf("type %#x", typ), c, v, "event-log", attest.ReasonEventLog, "are not what its digest is of")
	}
}
