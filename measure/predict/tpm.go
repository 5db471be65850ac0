// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf16"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
)

// TPMRegisters are the PCRs that an image decides, and no others: what the
// measurement of platform vtpm is made of.
var TPMRegisters = vtpm.MeasuredPCRs()

// TCG event types (PC Client Platform Firmware Profile, section 10.4.1).
const (
	evSeparator       = "EV_SEPARATOR"
	evEventTag        = "EV_EVENT_TAG"
	evIPL             = "EV_IPL"
	evBootApplication = "EV_EFI_BOOT_SERVICES_APPLICATION"
	evAction          = "EV_EFI_ACTION"
)

// actionBootOption is what firmware measures when it starts a boot option.
const actionBootOption = "Calling EFI Application from Boot Option"

// TPM predicts the PCRs of the SHA-256 bank that the image decides, after
// OVMF has started it in the way that p.Boot says. PCRs 0 to 3 and 5 to 7 are
// the firmware's and its settings'; they are not predicted.
func TPM(img Image, p Params) (*Prediction, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("vtpm: %w", err)
	}
	pcrs := map[int][]Event{}
	var err error
	switch p.Boot {
	case BootUKI, BootUKISecure:
		err = tpmUKI(img, p.Boot, pcrs)
	case BootDirect:
		err = tpmDirect(img, p, pcrs)
	default:
		err = fmt.Errorf("way of booting %.20q, expected %s, %s or %s", p.Boot, BootUKI, BootUKISecure, BootDirect)
	}
	if err != nil {
		return nil, fmt.Errorf("vtpm: %w", err)
	}
	out := &Prediction{Platform: attest.PlatformVTPM}
	var values [attest.TPMPCRs][32]byte
	for _, n := range TPMRegisters {
		r := Register{Name: fmt.Sprintf("PCR%d", n), Events: pcrs[n], Value: make([]byte, sha256.Size)}
		for _, e := range r.Events {
			sum := sha256.Sum256(slices.Concat(r.Value, e.Digest))
			r.Value = sum[:]
		}
		values[n] = [32]byte(r.Value)
		out.Registers = append(out.Registers, r)
	}
	m := vtpm.Measurement(&values)
	out.Measurement = m[:]
	return out, nil
}

// eventMaker makes an event whose digest is of data.
type eventMaker func(component, kind string, data []byte, detail string) Event

// event256 is an event of the SHA-256 bank.
func event256(component, kind string, data []byte, detail string) Event {
	sum := sha256.Sum256(data)
	return Event{Component: component, Type: kind, Digest: sum[:], Detail: detail}
}

// application is the event of a PE file that firmware starts.
func application(component string, pe []byte) (Event, error) {
	sum, err := authenticode(pe)
	if err != nil {
		return Event{}, fmt.Errorf("%s: %w", component, err)
	}
	return Event{Component: component, Type: evBootApplication, Digest: sum[:], Detail: fmt.Sprintf("Authenticode digest of %d bytes", len(pe))}, nil
}

// option is what BDS measures into PCR 4 when it starts a boot option.
func option() []Event {
	return []Event{
		event256("platform", evAction, []byte(actionBootOption), actionBootOption),
		event256("platform", evSeparator, make([]byte, 4), "end of the firmware's own events"),
	}
}

// tpmUKI is the boot of a UKI from a disk's EFI system partition.
func tpmUKI(img Image, boot Boot, pcrs map[int][]Event) error {
	u, err := parseUKI(img.UKI)
	if err != nil {
		return err
	}
	stub, err := application("UKI", img.UKI)
	if err != nil {
		return err
	}
	kernel, err := application("kernel", u.kernel)
	if err != nil {
		return err
	}
	pcrs[4] = append(option(), stub)
	if boot != BootUKISecure {
		pcrs[4] = append(pcrs[4], kernel)
	}
	if pcrs[11], err = u.sectionEvents(event256); err != nil {
		return err
	}
	pcrs[9], err = efiStub(event256, u.kernel, u.cmdline, u.loadedInitrd())
	return err
}

// tpmDirect is QEMU's -kernel under OVMF, which starts it before any boot
// option.
func tpmDirect(img Image, p Params, pcrs map[int][]Event) error {
	if err := checkCmdline(img.Cmdline); err != nil {
		return err
	}
	kernel, cmdline, err := directKernel(img, p)
	if err != nil {
		return err
	}
	app, err := application("kernel", kernel)
	if err != nil {
		return err
	}
	pcrs[4] = append([]Event{app}, option()...)
	pcrs[9], err = efiStub(event256, img.Kernel, cmdline, img.Initrd)
	return err
}

// directKernel gives the kernel and the command line of a direct boot as the
// firmware sees them.
func directKernel(img Image, p Params) (kernel []byte, cmdline string, err error) {
	kernel, cmdline = img.Kernel, img.Cmdline
	if err := checkKernel(kernel); err != nil {
		return nil, "", err
	}
	if p.PatchedKernel {
		if kernel, err = patchKernel(kernel, len(img.Initrd), p.MemoryMiB); err != nil {
			return nil, "", err
		}
	}
	if len(img.Initrd) != 0 {
		cmdline += " initrd=initrd" // OvmfPkg, QemuLoadKernelImage
	}
	return kernel, cmdline, nil
}

// efiStub is what the kernel's own UEFI entry measures into PCR 9
// (drivers/firmware/efi/libstub/efi-stub-helper.c), from 6.1 on; what older
// kernels do was not compared.
func efiStub(event eventMaker, kernel []byte, cmdline string, initrd []byte) ([]Event, error) {
	known, err := kernelAtLeast(kernel, 6, 1)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, fmt.Errorf("kernel: older than 6.1; what it measures is not known")
	}
	out := []Event{event("command line", evEventTag, utf16Text(cmdline), fmt.Sprintf("load options %q, UTF-16 with NUL", cmdline))}
	if len(initrd) != 0 {
		out = append(out, event("initrd", evEventTag, initrd, fmt.Sprintf("initrd as loaded, %d bytes", len(initrd))))
	}
	return out, nil
}

// utf16Text is a C string of UEFI.
func utf16Text(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return append(b, 0, 0)
}
