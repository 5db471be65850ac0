// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// TCG event types of RTMR0.
const (
	evHandoff        = "EV_EFI_HANDOFF_TABLES2"
	evFirmwareBlob   = "EV_EFI_PLATFORM_FIRMWARE_BLOB2"
	evVariable       = "EV_EFI_VARIABLE_DRIVER_CONFIG"
	evVariableBoot   = "EV_EFI_VARIABLE_BOOT"
	evPlatformConfig = "EV_PLATFORM_CONFIG_FLAGS"
)

// Namespaces of UEFI variables.
var (
	guidGlobal   = newGUID(0x8be4df61, 0x93ca, 0x11d2, 0xaa0d00e098032b8c)
	guidSecurity = newGUID(0xd719b2cb, 0x3d3a, 0x4596, 0xa3bcdad00e67656f)
)

// tdxRTMR0 lists what OVMF measures of its configuration, in its order.
func tdxRTMR0(fw *Firmware, sections []Section, p Params, o TDXOptions) (Register, error) {
	r := Register{Name: "RTMR0"}
	hob, err := tdHOB(sections, uint64(p.MemoryMiB)<<20)
	if err != nil {
		return r, err
	}
	cfv, err := configurationVolume(fw, sections)
	if err != nil {
		return r, err
	}
	vars, err := parseVariables(cfv)
	if err != nil {
		return r, fmt.Errorf("firmware: variables: %w", err)
	}
	r.Events = append(r.Events,
		event384("memory", evHandoff, hob, fmt.Sprintf("list of %d MiB of memory", p.MemoryMiB)),
		event384("firmware variables", evFirmwareBlob, cfv, fmt.Sprintf("configuration volume of %d bytes", len(cfv))))
	r.Events = append(r.Events, secureBoot(vars, o.SecureBoot)...)
	r.Events = append(r.Events, event384("platform", evSeparator, make([]byte, 4), "end of Secure Boot's variables"))
	switch {
	case o.ACPI == nil:
		r.Open = "it measures the ACPI tables that QEMU makes of its version, machine type, vCPUs, memory and devices; give them (etc/table-loader, etc/acpi/rsdp, etc/acpi/tables)"
	case len(o.ACPI) != 3:
		return r, fmt.Errorf("%d files of ACPI tables, expected etc/table-loader, etc/acpi/rsdp and etc/acpi/tables", len(o.ACPI))
	default:
		for i, name := range []string{"etc/table-loader", "etc/acpi/rsdp", "etc/acpi/tables"} {
			r.Events = append(r.Events, event384("ACPI tables", evPlatformConfig, o.ACPI[i], fmt.Sprintf("%s, %d bytes", name, len(o.ACPI[i]))))
		}
	}
	if p.Boot != BootDirect {
		if r.Open == "" {
			r.Open = "the boot options that the firmware makes for disks are not predicted"
		}
		return r, nil
	}
	r.Events = append(r.Events, bootOptions()...)
	return r, nil
}

// configurationVolume is the section with the firmware's variables.
func configurationVolume(fw *Firmware, sections []Section) ([]byte, error) {
	i := slices.IndexFunc(sections, func(s Section) bool { return s.Type == tdvfCFV && s.RawSize != 0 })
	if i < 0 {
		return nil, fmt.Errorf("firmware: no section of variables")
	}
	s := sections[i]
	return fw.image[s.Offset : uint64(s.Offset)+uint64(s.RawSize)], nil
}

// Resource types and attributes of a hand-off block (UEFI PI specification,
// volume 3, section 5.5) as QEMU writes them (hw/i386/tdvf-hob.c).
const (
	hobSystemMemory     = 0
	hobUnacceptedMemory = 7
	hobAttributes       = 7 // present, initialised, tested
)

// tdHOB is the list of memory that QEMU hands to the firmware, up to but not
// with its end marker, as OVMF measures it. Memory of the firmware's sections is
// accepted, all other is not.
func tdHOB(sections []Section, memory uint64) ([]byte, error) {
	le := binary.LittleEndian
	var accepted []Section
	var base uint64
	for _, s := range sections {
		if s.Type == tdvfHOB {
			base = s.GPA
		}
		if s.Type == tdvfHOB || s.Type == tdvfTempMem {
			accepted = append(accepted, s)
		}
	}
	slices.SortFunc(accepted, func(a, b Section) int {
		if a.GPA < b.GPA {
			return -1
		}
		return 1
	})
	// EFI_HOB_HANDOFF_INFO_TABLE, version 9; its last field is filled in below.
	b := make([]byte, 56)
	le.PutUint16(b[0:], 1)
	le.PutUint16(b[2:], 56)
	le.PutUint32(b[8:], 9)
	add := func(kind uint32, start, end uint64) {
		if start == end {
			return
		}
		h := make([]byte, 48)
		le.PutUint16(h[0:], 3) // EFI_HOB_RESOURCE_DESCRIPTOR, owner zero
		le.PutUint16(h[2:], 48)
		le.PutUint32(h[24:], kind)
		le.PutUint32(h[28:], hobAttributes)
		le.PutUint64(h[32:], start)
		le.PutUint64(h[40:], end-start)
		b = append(b, h...)
	}
	low := memory
	if memory >= q35LowMemory {
		low = q35Below4G
	}
	at := uint64(0)
	for i, s := range accepted {
		if s.GPA < at || s.GPA+s.Size > low {
			return nil, fmt.Errorf("firmware: TDX section of memory %d at %#x overlaps another, or ends above %#x", i, s.GPA, low)
		}
		add(hobUnacceptedMemory, at, s.GPA)
		add(hobSystemMemory, s.GPA, s.GPA+s.Size)
		at = s.GPA + s.Size
	}
	add(hobUnacceptedMemory, at, low)
	if memory > low {
		add(hobUnacceptedMemory, fourGiB, fourGiB+memory-low)
	}
	le.PutUint64(b[48:], base+uint64(len(b))+8) // EfiEndOfHobList: after the end marker
	return b, nil
}

// variableData is UEFI_VARIABLE_DATA (PC Client Platform Firmware Profile,
// section 10.2.6).
func variableData(space guid, name string, value []byte) []byte {
	le := binary.LittleEndian
	b := append([]byte(nil), space[:]...)
	b = le.AppendUint64(b, uint64(len(name)))
	b = le.AppendUint64(b, uint64(len(value)))
	text := utf16Text(name)
	return append(append(b, text[:len(text)-2]...), value...)
}

// secureBoot is what firmware measures of Secure Boot, set up or not.
func secureBoot(vars map[string][]byte, state int) []Event {
	var value []byte
	switch {
	case len(vars["PK"]) != 0:
		value = []byte{1}
	case state >= 0:
		value = []byte{byte(min(state, 1))}
	}
	var out []Event
	add := func(space guid, name string, value []byte) {
		out = append(out, event384("Secure Boot", evVariable, variableData(space, name, value), fmt.Sprintf("variable %s, %d bytes", name, len(value))))
	}
	add(guidGlobal, "SecureBoot", value)
	add(guidGlobal, "PK", vars["PK"])
	add(guidGlobal, "KEK", vars["KEK"])
	add(guidSecurity, "db", vars["db"])
	add(guidSecurity, "dbx", vars["dbx"])
	return out
}

// bootOptions are those of a machine without a disk: the firmware's own setup.
func bootOptions() []Event {
	return []Event{
		event384("boot options", evVariableBoot, []byte{0, 0}, "variable BootOrder: Boot0000 alone"),
		event384("boot options", evVariableBoot, uiApp(), "variable Boot0000: the firmware's setup"),
	}
}

// uiApp is the load option of OVMF's setup (UEFI, section 3.1.3): a file in the
// firmware's volume.
func uiApp() []byte {
	le := binary.LittleEndian
	volume := newGUID(0x7cb8bdc9, 0xf8eb, 0x4f34, 0xaaea3ee4af6516a1)
	file := newGUID(0x462caa21, 0x7614, 0x4503, 0x836e8ab6f4662331)
	path := append([]byte{4, 7, 20, 0}, volume[:]...)
	path = append(append(path, 4, 6, 20, 0), file[:]...)
	path = append(path, 0x7f, 0xff, 4, 0)
	b := le.AppendUint32(nil, 0x109) // active, hidden, category application
	b = le.AppendUint16(b, uint16(len(path)))
	return append(append(b, utf16Text("UiApp")...), path...)
}
