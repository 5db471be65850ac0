// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/internal/guestport"
)

// Accelerators: how the guest's code runs. AccelAuto takes KVM where it is
// likely to boot a kernel, and TCG otherwise.
const (
	AccelAuto = "auto"
	AccelKVM  = "kvm"
	AccelTCG  = "tcg" // emulation: slow, and works everywhere
)

// Machine is one virtual machine as QEMU's command line describes it.
type Machine struct {
	Name     string  // shown in the host's list of processes
	Platform string  // vm, vtpm, snp or tdx
	Accel    string  // AccelKVM or AccelTCG
	QEMU     Version // of the program that will read the arguments
	VCPUs    int
	Memory   uint64 // bytes, a multiple of 1 MiB
	// Micro takes QEMU's smallest machine. Under KVM only: under TCG the
	// guest's clock has nothing to be calibrated with, and the kernel may hang
	// before its first process. vm only.
	Micro bool

	// Kernel, Initrd and Cmdline boot directly; with Disk in place of them
	// the firmware finds a boot loader there. Kernel and Initrd are paths,
	// Disk is a file as QEMU's block layer opens it ("/dev/fdset/1").
	Kernel, Initrd, Cmdline string
	Disk                    string
	// Firmware is UEFI firmware: on vtpm the code part of a pair, with
	// Variables beside it, both for the block layer; on snp and tdx the whole
	// image, a path. Empty on vm.
	Firmware, Variables string
	// SMM gives the machine a system management mode, and write access to the
	// flash to code in it alone. vtpm only, see [Firmware].
	SMM bool

	// Sallyport, Words, Monitor and TPM are connected sockets that QEMU
	// inherits, as descriptor numbers. TPM is for vtpm only: swtpm's control
	// channel. Console is the serial port of debug images, 0 for none.
	Sallyport, Words, Monitor, TPM, Console int
	// FDs are descriptors that the block layer can name: FDs[i] becomes
	// /dev/fdset/i+1.
	FDs []int
	// Sandbox has QEMU give up system calls that it does not need.
	Sandbox bool

	// HostData is the digest that snp (HOST_DATA) and tdx (MRCONFIGID) put
	// into the evidence.
	HostData [32]byte
	// CBitPos and ReducedPhysBits are what CPUID 0x8000001F says of the host
	// (EBX bits 5:0 and 11:6). snp only.
	CBitPos, ReducedPhysBits int
	// CPU is the CPU model, or "" for the platform's. On snp the model and
	// the number of vCPUs enter the launch measurement.
	CPU string
}

const (
	// snpPolicy is the guest policy (SEV-SNP ABI, table "Guest policy"): SMT
	// allowed (bit 16), bit 17 always one; no debugging, no migration agent.
	snpPolicy = 0x30000
	// snpCPU is a fixed model, so that the measurement is predictable: the
	// CPUID signature of the model is in every vCPU's save area.
	snpCPU = "EPYC-v4"
	// quoteService is where the host's quote generation service (QGS) listens
	// unless somebody configures another place (qgs.conf: vsock, port 4050).
	// Without it a TD gets no quotes. It is the host's: what it gives is
	// signed, or worth nothing.
	quoteService = `{"type":"vsock","cid":"2","port":"4050"}`
	// sandboxRules forbid what a device model has no use for: obsolete system
	// calls, other users, other programs, its own scheduling.
	sandboxRules = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
)

// Args are QEMU's arguments, without the program's name.
func (m Machine) Args() []string {
	args := []string{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-S"}
	if m.Name != "" {
		args = append(args, "-name", m.Name)
	}
	if m.Sandbox {
		args = append(args, "-sandbox", sandboxRules)
	}
	args = append(args, "-machine", m.machine(), "-accel", m.accel(), "-cpu", m.cpu(),
		"-smp", strconv.Itoa(m.VCPUs), "-m", strconv.FormatUint(m.Memory>>20, 10)+"M")
	for i, fd := range m.FDs {
		args = append(args, "-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, i+1))
	}
	args = append(args, m.confidential()...)
	args = append(args, m.boot()...)
	monitor := []string{"-mon", "chardev=monitor,mode=control"}
	if !m.QEMU.less(11, 1) { // which warns of the option
		monitor = []string{"-object", "monitor-qmp,id=qmp,chardev=monitor"}
	}
	args = append(append(args, "-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", m.Monitor)), monitor...)
	args = append(args,
		// Three ports: number 0 is for a console, which there is not.
		"-device", "virtio-serial-pci,max_ports=3,disable-legacy=on",
		"-chardev", fmt.Sprintf("socket,id=sallyport,fd=%d", m.Sallyport),
		"-device", "virtserialport,chardev=sallyport,id=sallyport,name="+guestport.Sallyport,
		"-chardev", fmt.Sprintf("socket,id=words,fd=%d", m.Words),
		"-device", "virtserialport,chardev=words,id=words,name="+guestport.Words)
	if m.Platform == attest.PlatformVTPM {
		args = append(args, "-chardev", fmt.Sprintf("socket,id=tpm,fd=%d", m.TPM),
			"-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0")
	}
	if m.Console > 0 {
		args = append(args, "-chardev", fmt.Sprintf("socket,id=console,fd=%d", m.Console), "-serial", "chardev:console")
	}
	if m.Platform == attest.PlatformVM || m.Platform == attest.PlatformVTPM {
		// A confidential guest has no use for telling its host of a panic.
		args = append(args, "-device", "pvpanic-pci")
	}
	return args
}

func (m Machine) machine() string {
	if m.Micro {
		serial := "off"
		if m.Console > 0 {
			serial = "on"
		}
		return "microvm,pcie=on,rtc=on,auto-kernel-cmdline=off,isa-serial=" + serial
	}
	s := "q35,sata=off,usb=off,smbus=off,i8042=off,vmport=off"
	switch m.Platform {
	case attest.PlatformVTPM:
		s += ",smm=" + onOff(m.SMM) + ",pflash0=code,pflash1=variables"
	case attest.PlatformSNP:
		s += ",confidential-guest-support=tee,memory-backend=memory"
	case attest.PlatformTDX:
		s += ",kernel-irqchip=split,confidential-guest-support=tee,memory-backend=memory"
	}
	return s
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (m Machine) accel() string {
	if m.Accel == AccelKVM {
		return "kvm"
	}
	return "tcg,tb-size=" + strconv.Itoa(translated>>20)
}

func (m Machine) cpu() string {
	switch {
	case m.CPU != "":
		return m.CPU
	case m.Platform == attest.PlatformSNP:
		return snpCPU
	case m.Accel == AccelKVM:
		return "host"
	case m.QEMU.less(10, 0):
		// Emulated CMPXCHG16B of QEMU 7.2 leaves garbage in EFLAGS now and
		// then, and kernels that use it die in a double fault.
		return "max,cx16=off"
	}
	return "max"
}

// confidential are the objects of a confidential guest.
func (m Machine) confidential() []string {
	memory := []string{"-object", fmt.Sprintf("memory-backend-memfd,id=memory,size=%dM,share=true", m.Memory>>20)}
	switch m.Platform {
	case attest.PlatformSNP:
		return append(memory, "-object", fmt.Sprintf("sev-snp-guest,id=tee,cbitpos=%d,reduced-phys-bits=%d,policy=0x%x,kernel-hashes=on,host-data=%s",
			m.CBitPos, m.ReducedPhysBits, snpPolicy, base64.StdEncoding.EncodeToString(m.HostData[:])))
	case attest.PlatformTDX:
		// MRCONFIGID has 48 bytes: the digest, then zeros.
		var id [48]byte
		copy(id[:], m.HostData[:])
		return append(memory, "-object", fmt.Sprintf(`{"qom-type":"tdx-guest","id":"tee","mrconfigid":"%s","quote-generation-socket":%s}`,
			base64.StdEncoding.EncodeToString(id[:]), quoteService))
	}
	return nil
}

// boot says what the machine starts from.
func (m Machine) boot() []string {
	var args []string
	switch m.Platform {
	case attest.PlatformVTPM:
		args = append(args,
			"-blockdev", "driver=file,node-name=code,filename="+m.Firmware+",read-only=on,locking=off",
			"-blockdev", "driver=file,node-name=variables,filename="+m.Variables+",locking=off")
		if m.SMM {
			args = append(args, "-global", "driver=cfi.pflash01,property=secure,value=on")
		}
	case attest.PlatformSNP, attest.PlatformTDX:
		args = append(args, "-bios", m.Firmware)
	}
	if m.Disk != "" {
		return append(args, "-blockdev", "driver=file,node-name=disk,filename="+m.Disk+",read-only=on,locking=off",
			"-device", "virtio-blk-pci,drive=disk,bootindex=0,disable-legacy=on")
	}
	return append(args, "-kernel", m.Kernel, "-initrd", m.Initrd, "-append", m.Cmdline)
}
