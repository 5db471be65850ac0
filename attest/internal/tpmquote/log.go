// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpmquote

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/enarx/enarx-go/attest/internal/eventlog"
)

// Event types (TCG PC Client Platform Firmware Profile, 10.4.1).
const (
	evNoAction       = 0x3
	evSeparator      = 0x4
	evAction         = 0x5
	evEventTag       = 0x6
	evCRTMVersion    = 0x8
	evIPL            = 0xd
	evVariableConfig = 0x80000001
	evVariableBoot   = 0x80000002
	evBootServices   = 0x80000003
	evGPT            = 0x80000006
	evEFIAction      = 0x80000007
	evFirmwareBlob   = 0x80000008
	evVariableAuth   = 0x800000e0
)

var eventNames = map[uint32]string{
	0x1: "EV_POST_CODE", evNoAction: "EV_NO_ACTION", evSeparator: "EV_SEPARATOR", evAction: "EV_ACTION", evEventTag: "EV_EVENT_TAG",
	0x7: "EV_S_CRTM_CONTENTS", evCRTMVersion: "EV_S_CRTM_VERSION", evIPL: "EV_IPL", 0xe: "EV_IPL_PARTITION_DATA",
	evVariableConfig: "EV_EFI_VARIABLE_DRIVER_CONFIG", evVariableBoot: "EV_EFI_VARIABLE_BOOT",
	evBootServices: "EV_EFI_BOOT_SERVICES_APPLICATION", 0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER", 0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
	evGPT: "EV_EFI_GPT_EVENT", evEFIAction: "EV_EFI_ACTION", evFirmwareBlob: "EV_EFI_PLATFORM_FIRMWARE_BLOB", 0x80000009: "EV_EFI_HANDOFF_TABLES",
	0x8000000a: "EV_EFI_PLATFORM_FIRMWARE_BLOB2", 0x8000000b: "EV_EFI_HANDOFF_TABLES2", 0x8000000c: "EV_EFI_VARIABLE_BOOT2", evVariableAuth: "EV_EFI_VARIABLE_AUTHORITY",
}

// measured are the events of one register, in order, with their place in the
// log.
type measured struct {
	number int // counted from the head of the log, which is event 0
	eventlog.Event
}

// log is an event log with what a verification asks it.
type log struct {
	alg  eventlog.Alg
	regs map[uint32]eventlog.Register
	// of are the events of each register that were extended.
	of map[uint32][]measured
}

func readLog(b []byte, alg eventlog.Alg) (*log, error) {
	raw, err := eventlog.Parse(b)
	if err != nil {
		return nil, err
	}
	regs, err := raw.Replay(alg)
	if err != nil {
		return nil, err
	}
	l := &log{alg: alg, regs: regs, of: map[uint32][]measured{}}
	for i, e := range raw.Events {
		if e.Type != evNoAction {
			l.of[e.Index] = append(l.of[e.Index], measured{i + 1, e})
		}
	}
	return l, nil
}

// digest is the digest that e was extended with.
func (l *log) digest(e eventlog.Event) []byte {
	for _, d := range e.Digests {
		if d.Alg == l.alg {
			return d.Value
		}
	}
	return nil
}

// name says for people which event it is.
func (e measured) name() string {
	n, ok := eventNames[e.Type]
	if !ok {
		n = fmt.Sprintf("type %#x", e.Type)
	}
	if s := e.text(); s != "" {
		return fmt.Sprintf("event %d, %s %q", e.number, n, s)
	}
	return fmt.Sprintf("event %d, %s", e.number, n)
}

// text is what the event's data say, as far as they are text.
func (e measured) text() string {
	switch e.Type {
	case evEFIAction, evAction:
		return clean(e.Data)
	case evVariableConfig, evVariableAuth, evVariableBoot:
		if _, name, _, ok := variable(e.Data); ok {
			return clean([]byte(name))
		}
	case evIPL:
		return clean(narrow(e.Data))
	}
	return ""
}

// narrow makes UTF-16 that holds nothing but ASCII into ASCII.
func narrow(b []byte) []byte {
	b = bytes.TrimRight(b, "\x00")
	if len(b) < 2 || b[1] != 0 {
		return b
	}
	var out []byte
	for i := 0; i < len(b); i += 2 {
		out = append(out, b[i])
	}
	return out
}

func clean(b []byte) string {
	b = bytes.TrimRight(b[:min(len(b), maxShown)], "\x00")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(b))
}

// hashesData says whether events of this type have the digest of their data
// (PC Client Platform Firmware Profile, 10.4.1), so that the data are proven
// as well. By the profile those of EV_S_CRTM_VERSION and of
// EV_EFI_VARIABLE_AUTHORITY have it, too; firmware and boot loaders of real
// machines measure something else for these two.
func hashesData(typ uint32) bool {
	switch typ {
	case evSeparator, evAction, evEFIAction, evVariableConfig, evGPT:
		return true
	}
	return false
}

// proven says whether the data of e are what its digest is of. Its type says
// nothing about that: types are in no digest, so whoever hands over the log can
// write any.
func (l *log) proven(e measured) bool {
	return bytes.Equal(l.hash(e.Data), l.digest(e.Event))
}

func (l *log) hash(b []byte) []byte {
	w := hashes[l.alg].New()
	w.Write(b)
	return w.Sum(nil)
}

// unproven is the first event whose data ought to be what its digest is of, by
// its type, and are not.
func (l *log) unproven() (e measured, found bool) {
	for _, events := range l.of {
		for _, x := range events {
			if hashesData(x.Type) && !l.proven(x) && (!found || x.number < e.number) {
				e, found = x, true
			}
		}
	}
	return e, found
}

// values are what register i holds before its first event, after it, after the
// second, and so on. The start of PCR 0 depends on the locality that the TPM was
// started from, of which the log says in its own way.
func (l *log) values(i uint32) [][]byte {
	for start := range 5 { // localities 0, 3 and 4 of PCR 0
		v := make([]byte, hashes[l.alg].Size())
		v[len(v)-1] = byte(start)
		all := [][]byte{v}
		for _, e := range l.of[i] {
			w := hashes[l.alg].New()
			w.Write(v)
			w.Write(l.digest(e.Event))
			v = w.Sum(nil)
			all = append(all, v)
		}
		if i != 0 || bytes.Equal(v, l.regs[i].Value) {
			return all
		}
	}
	return nil
}

// suspect says which event may be why register i is not what the log says.
func (l *log) suspect(i uint32, got []byte) string {
	events := l.of[i]
	for n, v := range l.values(i) {
		if n < len(events) && bytes.Equal(v, got) {
			return fmt.Sprintf("the log goes on with %s, which the TPM has not seen", events[n].name())
		}
	}
	for _, e := range events {
		if hashesData(e.Type) && !l.proven(e) {
			return fmt.Sprintf("the data of %s are not what its digest is of", e.name())
		}
	}
	if len(events) == 0 {
		return "the log has no event for it: it was extended after the firmware's log ended, or events were taken out"
	}
	return fmt.Sprintf("an event was changed or taken out, or it was extended after %s", events[len(events)-1].name())
}

// variable reads a UEFI_VARIABLE_DATA (PC Client Platform Firmware Profile,
// 10.2.6).
func variable(b []byte) (guid [16]byte, name string, value []byte, ok bool) {
	if len(b) < 32 {
		return
	}
	copy(guid[:], b)
	n, size := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	b = b[32:]
	if n > uint64(len(b))/2 || size != uint64(len(b))-2*n {
		return
	}
	units := make([]uint16, n)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return guid, string(utf16.Decode(units)), b[2*n:], true
}

// guidGlobal is EFI_GLOBAL_VARIABLE, 8be4df61-93ca-11d2-aa0d-00e098032b8c.
var guidGlobal = [16]byte{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}

// pcrSecureBoot is where firmware measures its Secure Boot settings.
const pcrSecureBoot = 7

// separators are what firmware measures into a register when it is done with it:
// four bytes, 0 or -1, or 1 after an error (PC Client Platform Firmware Profile,
// 3.3.2.2 and 10.4.1).
var separators = [][]byte{{0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {1, 0, 0, 0}}

// separates says whether e is a separator, by what was measured and not by the
// type that the log gives it.
func (l *log) separates(e measured) bool {
	return slices.ContainsFunc(separators, func(b []byte) bool { return bytes.Equal(l.hash(b), l.digest(e.Event)) })
}

// secureBoot is the state of Secure Boot: the firmware measures it before the
// separator of PCR 7, and everything after that may be somebody else's word.
// Events are told by what was measured: with another type on the firmware's own
// variable and on the separator, a variable that an operating system has measured
// later would pass for the firmware's.
func (l *log) secureBoot() (on bool, err error) {
	found := false
	for _, e := range l.of[pcrSecureBoot] {
		if l.separates(e) {
			if !found {
				break
			}
			return on, nil
		}
		if !l.proven(e) {
			return false, fmt.Errorf("the data of %s are not what was measured", e.name())
		}
		guid, name, value, ok := variable(e.Data)
		if !ok || guid != guidGlobal || name != "SecureBoot" {
			continue
		}
		switch {
		case found:
			return false, fmt.Errorf("the variable SecureBoot is measured twice")
		case len(value) > 1 || len(value) == 1 && value[0] > 1:
			return false, fmt.Errorf("the variable SecureBoot is %x, expected 00 or 01", value[:min(len(value), 8)])
		}
		found, on = true, len(value) == 1 && value[0] == 1
	}
	if found {
		return false, fmt.Errorf("the log does not say when the firmware was done: no separator in PCR %d", pcrSecureBoot)
	}
	return false, fmt.Errorf("the log does not say: no variable SecureBoot before the separator of PCR %d", pcrSecureBoot)
}

// bootAggregate are the values that PCR 10 has when the kernel's integrity
// measurement (IMA) has put in what it always does at its start, and no more:
// the digest of PCR 0 to 9, once, in template ima-ng or ima-sig
// (security/integrity/ima/ima_init.c and ima_template_lib.c).
func bootAggregate(pcrs [][]byte) [][]byte {
	w := sha256.New()
	for _, v := range pcrs[:10] {
		w.Write(v)
	}
	field := func(b []byte) []byte { return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...) }
	entry := append(field(w.Sum([]byte("sha256:\x00"))), field([]byte("boot_aggregate\x00"))...)
	var out [][]byte
	for _, e := range [][]byte{entry, append(bytes.Clone(entry), field(nil)...)} {
		d := sha256.Sum256(e)
		v := sha256.Sum256(append(make([]byte, 32), d[:]...))
		out = append(out, v[:])
	}
	return out
}
