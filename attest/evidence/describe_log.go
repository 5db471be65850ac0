// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"unicode/utf16"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
)

const specLog = "TCG PC Client Platform Firmware Profile, section 10.4"

// maxEvents bounds the events of a log that are shown; firmware and boot
// loader make about a hundred.
const maxEvents = 1024

// eventTypes are the types of events (same section, "Event Types").
var eventTypes = map[uint32]string{
	0x00: "EV_PREBOOT_CERT", 0x01: "EV_POST_CODE", 0x03: "EV_NO_ACTION", 0x04: "EV_SEPARATOR", 0x05: "EV_ACTION", 0x06: "EV_EVENT_TAG",
	0x07: "EV_S_CRTM_CONTENTS", 0x08: "EV_S_CRTM_VERSION", 0x09: "EV_CPU_MICROCODE", 0x0a: "EV_PLATFORM_CONFIG_FLAGS",
	0x0b: "EV_TABLE_OF_DEVICES", 0x0c: "EV_COMPACT_HASH", 0x0d: "EV_IPL", 0x0e: "EV_IPL_PARTITION_DATA", 0x0f: "EV_NONHOST_CODE",
	0x10: "EV_NONHOST_CONFIG", 0x11: "EV_NONHOST_INFO", 0x12: "EV_OMIT_BOOT_DEVICE_EVENTS", 0x13: "EV_POST_CODE2",
	0x80000001: evVariableConfig, 0x80000002: evVariableBoot, 0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
	0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER", 0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER", 0x80000006: "EV_EFI_GPT_EVENT",
	0x80000007: "EV_EFI_ACTION", 0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB", 0x80000009: "EV_EFI_HANDOFF_TABLES",
	0x8000000a: "EV_EFI_PLATFORM_FIRMWARE_BLOB2", 0x8000000b: "EV_EFI_HANDOFF_TABLES2", 0x8000000c: evVariableBoot2,
	0x80000010: "EV_EFI_HCRTM_EVENT", 0x800000e0: evVariableAuthority,
}

// The types whose data is a variable of the firmware.
const (
	evVariableConfig    = "EV_EFI_VARIABLE_DRIVER_CONFIG"
	evVariableBoot      = "EV_EFI_VARIABLE_BOOT"
	evVariableBoot2     = "EV_EFI_VARIABLE_BOOT2"
	evVariableAuthority = "EV_EFI_VARIABLE_AUTHORITY"
)

// describeLog describes an event log, event by event.
func describeLog(e attest.Evidence) (*Description, error) {
	read := eventlog.Parse
	if e.MediaType == attest.MediaTypeDstackLog {
		read = eventlog.ParseDstack
	}
	l, err := read(e.Value)
	if err != nil {
		return nil, malformed("an event log", "%w", err)
	}
	form := "TCG 1.2: a SHA-1 digest for each event"
	if l.Agile {
		form = "crypto-agile: each event has a digest for every bank"
	}
	d := &Description{Kind: "event log", Title: "event log"}
	d.Fields = []Field{
		text("form", form, "", specLog),
		{Name: "events", Value: fmt.Sprint(len(l.Events)), Spec: specLog,
			Meaning: "What was extended into registers, in order. A log proves nothing by itself: replayed, it has to give the registers that hardware signed. Of a TD, registers 1 to 4 are RTMR0 to RTMR3."},
	}
	counts := map[uint32]int{}
	f := &d.Fields[1]
	for i := range l.Events {
		if i == maxEvents {
			d.note("Only the first %d of %d events are shown.", maxEvents, len(l.Events))
			break
		}
		ev := &l.Events[i]
		counts[ev.Index]++
		f.Fields = append(f.Fields, eventField(ev, counts[ev.Index]))
	}
	return d, nil
}

// eventField describes the nth event of a register.
func eventField(ev *eventlog.Event, n int) Field {
	name := eventTypes[ev.Type]
	if name == "" {
		name = fmt.Sprintf("type %#x", ev.Type)
	}
	register := fmt.Sprintf("register %d", ev.Index)
	if ev.Index == 1<<32-1 {
		register = "no register"
	}
	f := Field{Name: fmt.Sprintf("%s, event %d", register, n), Value: name, Spec: specLog}
	if about := eventText(name, ev.Data); about != "" {
		f.Fields = append(f.Fields, text("about", about, "", specLog))
	}
	for _, dg := range ev.Digests {
		f.Fields = append(f.Fields, Field{Name: algName(dg.Alg), Value: hex.EncodeToString(dg.Value), Spec: specLog})
	}
	return f
}

func algName(a eventlog.Alg) string {
	switch a {
	case eventlog.SHA1:
		return "SHA-1"
	case eventlog.SHA256:
		return "SHA-256"
	case eventlog.SHA384:
		return "SHA-384"
	case eventlog.SHA512:
		return "SHA-512"
	}
	return fmt.Sprintf("algorithm %#x", uint16(a))
}

// eventText says what an event is about, as its data says: the name of a
// variable, or text. Nobody has signed it.
func eventText(name string, data []byte) string {
	switch name {
	case evVariableConfig, evVariableBoot, evVariableBoot2, evVariableAuthority:
		// UEFI_VARIABLE_DATA: GUID (16), length of the name in characters
		// (8), length of the data (8), name in UTF-16.
		const head = 32
		if len(data) < head {
			return ""
		}
		n := binary.LittleEndian.Uint64(data[16:])
		if n > 256 || head+2*n > uint64(len(data)) {
			return ""
		}
		chars := make([]uint16, n)
		for i := range chars {
			chars[i] = binary.LittleEndian.Uint16(data[head+2*i:])
		}
		return "variable " + string(utf16.Decode(chars))
	}
	return printable(data)
}
