// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"bytes"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

// Image is what is started: the files of an image directory, by content. Only
// those that a way of booting uses need to be there.
type Image struct {
	// Kernel is a bzImage, Initrd its initial RAM file system.
	Kernel, Initrd []byte
	// Cmdline is the kernel command line without a final newline or NUL.
	Cmdline string
	// UKI is the unified kernel image, a PE file.
	UKI []byte
}

// Boot is the way from the firmware to the kernel.
type Boot string

// The ways of booting.
const (
	// BootUKI is the UKI as UEFI application, from a disk.
	BootUKI Boot = "uki"
	// BootUKISecure is BootUKI with Secure Boot on. The stub then answers for
	// the kernel, which is in the signed UKI, and has the firmware skip its
	// check of it. That check is what measures into PCR 4. vtpm only.
	BootUKISecure Boot = "uki-secure-boot"
	// BootDirect is QEMU's -kernel, -initrd and -append, read by the firmware
	// over fw_cfg.
	BootDirect Boot = "direct"
)

// Params are the parameters of a launch that enter a measurement.
type Params struct {
	// VCPUs is the number of virtual processors, from 1.
	VCPUs int
	// MemoryMiB is the guest's memory.
	MemoryMiB int
	// CPU is the CPU model in QEMU's words, as "EPYC-v4".
	CPU string
	// Firmware is the whole firmware image.
	Firmware []byte
	// Boot is the way from the firmware to the kernel; for TPM and TDX.
	Boot Boot
	// PatchedKernel says that the kernel's setup header is filled in on a
	// direct boot; PCR 4 and RTMR1 depend on the memory's and the initrd's
	// size then. QEMU before 9.2 does so, and OVMF before 2025 asks any QEMU
	// for it. Measured: QEMU 7.2 with OVMF 2022.11 and 2025.02 and QEMU 10.0
	// with OVMF 2022.11 do, QEMU 10.0 with OVMF 2025.02 does not.
	PatchedKernel bool
}

// Event is one step of a measurement.
type Event struct {
	// Component is the part that is measured: "kernel", "initrd", "command
	// line", "UKI", "firmware", "vCPU 3", … or "platform" for constants of
	// firmware and standards.
	Component string
	// Type is the TCG event type or the page type.
	Type string
	// Digest is the value that is extended into the register; for a launch
	// digest, that of the pages' contents.
	Digest []byte
	// Detail says what is measured, for people.
	Detail string
}

// Register is one register's predicted value and how it comes about.
type Register struct {
	// Name is "PCR4", "RTMR1", "MRTD", "launch digest", …
	Name   string
	Value  []byte
	Events []Event
	// Open says why Value cannot be known from files alone; Value is nil
	// then and Events are those that can be known.
	Open string
}

// Prediction is what a platform will measure.
type Prediction struct {
	// Platform is "snp", "tdx" or "vtpm", or "sev" and "sev-es", which are
	// measured but not attested here.
	Platform string
	// Measurement is the launch measurement as in attest.Claims; nil if
	// it is not a single value or not all of it is known.
	Measurement []byte
	Registers   []Register
}

// Register gives a register by name, or nil.
func (p *Prediction) Register(name string) *Register {
	for i := range p.Registers {
		if p.Registers[i].Name == name {
			return &p.Registers[i]
		}
	}
	return nil
}

// Components are the prediction's parts in the form that reference values
// carry: every event, and for each register its final value with the name
// "register".
func (p *Prediction) Components() []attest.Component {
	var out []attest.Component
	for _, r := range p.Registers {
		for _, e := range r.Events {
			out = append(out, attest.Component{Name: e.Component, Register: r.Name, Digest: bytes.Clone(e.Digest)})
		}
		if r.Value != nil {
			out = append(out, attest.Component{Name: RegisterComponent, Register: r.Name, Digest: bytes.Clone(r.Value)})
		}
	}
	return out
}

// RegisterComponent is the name of a component that is a register's final
// value (see attest.Component).
const RegisterComponent = "register"

func (p Params) check() error {
	switch {
	case p.VCPUs < 1 || p.VCPUs > maxVCPUs:
		return fmt.Errorf("%d vCPUs, expected 1 to %d", p.VCPUs, maxVCPUs)
	case p.MemoryMiB < 0 || p.MemoryMiB > maxMemory:
		return fmt.Errorf("%d MiB of memory, expected at most %d", p.MemoryMiB, maxMemory)
	}
	return nil
}

func checkCmdline(s string) error {
	if len(s) > maxCmdline {
		return fmt.Errorf("command line of %d bytes, expected at most %d", len(s), maxCmdline)
	}
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return fmt.Errorf("command line holds byte %#x, expected printable ASCII", c)
		}
	}
	return nil
}
