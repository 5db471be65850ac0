// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/tdx"
)

// Types and attributes of TDVF sections (Intel TDX Virtual Firmware Design
// Guide, table 11-2).
const (
	tdvfCFV     = 1
	tdvfHOB     = 2
	tdvfTempMem = 3

	tdvfExtend = 1 << 0 // contents are measured into MRTD
	tdvfAug    = 1 << 1 // memory is added later, by the guest
)

// chunkSize is what one TDH.MR.EXTEND measures.
const chunkSize = 256

// TDXOptions are what of a TD's measurement is not in an image's files.
type TDXOptions struct {
	// ACPI are QEMU's etc/table-loader, etc/acpi/rsdp and etc/acpi/tables,
	// which RTMR0 measures. QEMU makes them from its version, the machine
	// type, the number of processors, the memory and the devices; a guest
	// reads them at /sys/firmware/qemu_fw_cfg/by_name/. Take them from a
	// machine that you trust. Nil leaves RTMR0 open.
	ACPI [][]byte
	// SecureBoot is the firmware's variable of that name: 0 or 1; negative
	// for a firmware without it. Of a firmware with a platform key enrolled
	// it is 1 whatever this says.
	SecureBoot int
}

// TDX predicts MRTD and RTMR0 to RTMR3 of a TD that QEMU starts with OVMF, by
// p.Boot; RTMR3 is zero until the Keep extends it.
//
//   - MRTD: the sections of the firmware, as the host's KVM adds them, page by
//     page (Intel TDX Module ABI, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND).
//   - RTMR0: the list of memory that QEMU hands over, the firmware's variables
//     and the boot options follow from memory size and firmware; the three
//     events of ACPI tables need TDXOptions.ACPI.
//   - RTMR1: kernel or UKI as applications, and, booted from a disk, its
//     partition table, which is not predicted here.
//   - RTMR2: command line and initrd, and a UKI's sections.
//
// A register that needs what is not there has no value and says so in Open; it
// still lists the events that are known.
func TDX(img Image, p Params, o TDXOptions) (*Prediction, error) {
	out, err := predictTDX(img, p, o)
	if err != nil {
		return nil, fmt.Errorf("tdx: %w", err)
	}
	return out, nil
}

func predictTDX(img Image, p Params, o TDXOptions) (*Prediction, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if p.MemoryMiB < 64 {
		return nil, fmt.Errorf("%d MiB of memory, expected at least 64: RTMR0 measures the size", p.MemoryMiB)
	}
	fw, err := ParseFirmware(p.Firmware)
	if err != nil {
		return nil, err
	}
	sections, err := fw.TDX()
	if err != nil {
		return nil, err
	}
	if len(sections) == 0 {
		return nil, fmt.Errorf("firmware has no TDX metadata; take one that does, such as Debian's OVMF.inteltdx.fd")
	}
	mrtd, err := buildMRTD(fw, sections)
	if err != nil {
		return nil, err
	}
	rtmr0, err := tdxRTMR0(fw, sections, p, o)
	if err != nil {
		return nil, err
	}
	rtmr1, rtmr2, err := tdxBoot(img, p)
	if err != nil {
		return nil, err
	}
	out := &Prediction{Platform: attest.PlatformTDX, Registers: []Register{mrtd, rtmr0, rtmr1, rtmr2, {Name: "RTMR3"}}}
	for i := range out.Registers[1:] {
		out.Registers[1+i].replay384()
	}
	var values [4][sha512.Size384]byte
	for i := range values {
		if out.Registers[i].Value == nil {
			return out, nil
		}
		values[i] = [sha512.Size384]byte(out.Registers[i].Value)
	}
	m := tdx.Measurement(values[0], values[1], values[2], values[3])
	out.Measurement = m[:]
	return out, nil
}

// replay384 computes the value of a register from its events, unless it is
// open.
func (r *Register) replay384() {
	if r.Open != "" {
		return
	}
	r.Value = make([]byte, sha512.Size384)
	for _, e := range r.Events {
		sum := sha512.Sum384(append(append([]byte(nil), r.Value...), e.Digest...))
		r.Value = sum[:]
	}
}

// buildMRTD replays how a TD is built: each page of a section is added, and
// where the section says so its contents are extended in chunks.
func buildMRTD(fw *Firmware, sections []Section) (Register, error) {
	r := Register{Name: "MRTD"}
	h := sha512.New384()
	record := func(name string, gpa uint64) {
		var b [128]byte
		copy(b[:16], name)
		binary.LittleEndian.PutUint64(b[16:], gpa)
		h.Write(b[:])
	}
	for i, s := range sections {
		if s.Attributes&tdvfAug != 0 {
			continue
		}
		if s.Attributes&tdvfExtend != 0 && uint64(s.RawSize) != s.Size {
			return r, fmt.Errorf("firmware: TDX section %d measures %d bytes, of which the image has %d", i, s.Size, s.RawSize)
		}
		contents := fw.image[s.Offset : uint64(s.Offset)+uint64(s.RawSize)]
		for page := uint64(0); page < s.Size; page += pageSize {
			record("MEM.PAGE.ADD", s.GPA+page)
			if s.Attributes&tdvfExtend == 0 {
				continue
			}
			for c := page; c < page+pageSize; c += chunkSize {
				record("MR.EXTEND", s.GPA+c)
				h.Write(contents[c : c+chunkSize])
			}
		}
		e := Event{Component: "firmware", Type: "pages added", Digest: make([]byte, sha512.Size384),
			Detail: fmt.Sprintf("%d pages at %#x, contents not measured", s.Size/pageSize, s.GPA)}
		if s.Attributes&tdvfExtend != 0 {
			sum := sha512.Sum384(contents)
			e.Type, e.Digest, e.Detail = "pages added and extended", sum[:], fmt.Sprintf("%d pages at %#x", s.Size/pageSize, s.GPA)
		}
		r.Events = append(r.Events, e)
	}
	r.Value = h.Sum(nil)
	return r, nil
}

// event384 is an event whose digest is of data.
func event384(component, kind string, data []byte, detail string) Event {
	sum := sha512.Sum384(data)
	return Event{Component: component, Type: kind, Digest: sum[:], Detail: detail}
}

// tdxBoot gives RTMR1 and RTMR2, without their values.
func tdxBoot(img Image, p Params) (Register, Register, error) {
	r1, r2 := Register{Name: "RTMR1"}, Register{Name: "RTMR2"}
	var err error
	switch p.Boot {
	case BootDirect:
		r1.Events, r2.Events, err = tdxDirect(img, p)
	case BootUKI:
		r1.Open = "a boot from a disk also measures the disk's partition table; the firmware's TPM-like order of it is not compared with any TD"
		r1.Events, r2.Events, err = tdxUKI(img)
	default:
		err = fmt.Errorf("way of booting %.20q, expected %s or %s", p.Boot, BootUKI, BootDirect)
	}
	return r1, r2, err
}

// option384 is what BDS measures when it starts a boot option, and exit384
// what the firmware does when the kernel leaves it.
func option384() []Event {
	return []Event{
		event384("platform", evAction, []byte(actionBootOption), actionBootOption),
		event384("platform", evSeparator, make([]byte, 4), "end of the firmware's own events"),
	}
}

func exit384() []Event {
	const invoked, returned = "Exit Boot Services Invocation", "Exit Boot Services Returned with Success"
	return []Event{event384("platform", evAction, []byte(invoked), invoked), event384("platform", evAction, []byte(returned), returned)}
}

func application384(component string, pe []byte) (Event, error) {
	f, err := parsePE(pe)
	if err != nil {
		return Event{}, fmt.Errorf("%s: %w", component, err)
	}
	h := sha512.New384()
	if err := f.hashImage(h); err != nil {
		return Event{}, fmt.Errorf("%s: %w", component, err)
	}
	return Event{Component: component, Type: evBootApplication, Digest: h.Sum(nil), Detail: fmt.Sprintf("Authenticode digest of %d bytes", len(pe))}, nil
}

func tdxDirect(img Image, p Params) (rtmr1, rtmr2 []Event, err error) {
	if err := checkCmdline(img.Cmdline); err != nil {
		return nil, nil, err
	}
	kernel, cmdline, err := directKernel(img, p)
	if err != nil {
		return nil, nil, err
	}
	app, err := application384("kernel", kernel)
	if err != nil {
		return nil, nil, err
	}
	rtmr1 = append(append([]Event{app}, option384()...), exit384()...)
	rtmr2, err = efiStub(event384, img.Kernel, cmdline, img.Initrd)
	return rtmr1, rtmr2, err
}

func tdxUKI(img Image) (rtmr1, rtmr2 []Event, err error) {
	u, err := parseUKI(img.UKI)
	if err != nil {
		return nil, nil, err
	}
	stub, err := application384("UKI", img.UKI)
	if err != nil {
		return nil, nil, err
	}
	kernel, err := application384("kernel", u.kernel)
	if err != nil {
		return nil, nil, err
	}
	rtmr1 = append(append(option384(), stub, kernel), exit384()...)
	if rtmr2, err = u.sectionEvents(event384); err != nil {
		return nil, nil, err
	}
	last, err := efiStub(event384, u.kernel, u.cmdline, u.loadedInitrd())
	return rtmr1, append(rtmr2, last...), err
}
