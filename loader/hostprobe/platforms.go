// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostprobe

import (
	"github.com/enarx/enarx-go/loader"
)

const (
	remedyQEMU = "install QEMU: apt-get install qemu-system-x86"
	remedyOVMF = "install OVMF: apt-get install ovmf"
	remedyKVM  = "enable virtualisation in the firmware setup and load the kvm module of this CPU"
)

// qemu is the virtual machine monitor of every VM platform.
func (h Host) qemu() loader.Check {
	name := "qemu-system-x86_64"
	if h.Arch == "arm64" {
		name = "qemu-system-aarch64"
	}
	return h.programCheck(name, remedyQEMU)
}

// ovmf is UEFI firmware, in the places where distributions put it.
func (h Host) ovmf() loader.Check {
	return h.fileCheck("UEFI firmware", remedyOVMF,
		"usr/share/OVMF/OVMF_CODE_4M.fd", "usr/share/OVMF/OVMF_CODE.fd",
		"usr/share/edk2/ovmf/OVMF_CODE.fd", "usr/share/edk2/x64/OVMF_CODE.4m.fd")
}

// snp: names of flag, parameter and device as in Linux 6.11 and later, the
// first with SNP hosts (arch/x86/kvm/svm/sev.c, drivers/crypto/ccp).
func (h Host) snp(c cpuInfo) []loader.Check {
	return []loader.Check{
		notBuilt("snp"),
		h.vendorCheck(c, "AuthenticAMD", "AMD EPYC (7003 series or later)"),
		flagCheck(c, "sev_snp", "needs EPYC 7003 or later with SEV-SNP enabled in the firmware setup, as a host and not a guest"),
		h.paramCheck("sys/module/kvm_amd/parameters/sev_snp", "needs Linux 6.11 or later on the host, with kvm_amd loaded and SEV-SNP enabled in the firmware setup"),
		h.deviceCheck("/dev/sev", "needs the ccp driver with the platform's secure processor enabled"),
		h.deviceCheck("/dev/kvm", remedyKVM),
		h.qemu(),
	}
}

// tdx: names of flag and parameter as in Linux 6.16, the first with TDX hosts.
func (h Host) tdx(c cpuInfo) []loader.Check {
	return []loader.Check{
		notBuilt("tdx"),
		h.vendorCheck(c, "GenuineIntel", "Intel Xeon (5th generation or later)"),
		flagCheck(c, "tdx_host_platform", "needs a Xeon with TDX enabled in the firmware setup, as a host and not a guest"),
		h.paramCheck("sys/module/kvm_intel/parameters/tdx", "needs Linux 6.16 or later, booted with kvm_intel.tdx=1"),
		h.deviceCheck("/dev/kvm", remedyKVM),
		h.qemu(),
	}
}

func (h Host) sgx(c cpuInfo) []loader.Check {
	return []loader.Check{
		notBuilt("sgx"),
		h.vendorCheck(c, "GenuineIntel", "Intel Xeon (3rd generation or later)"),
		flagCheck(c, "sgx", "needs a CPU with SGX, enabled in the firmware setup"),
		flagCheck(c, "sgx_lc", "needs flexible launch control, enabled in the firmware setup"),
		h.deviceCheck("/dev/sgx_enclave", "needs Linux 5.11 or later with SGX enabled in the firmware setup"),
		h.deviceCheck("/dev/sgx_provision", "needs Linux 5.11 or later with SGX enabled in the firmware setup"),
		h.programCheck("gramine-sgx", "install the Gramine library OS (gramineproject.io)"),
	}
}

func (h Host) vtpm() []loader.Check {
	return []loader.Check{
		notBuilt("vtpm"),
		h.qemu(),
		h.programCheck("swtpm", "install the software TPM: apt-get install swtpm swtpm-tools"),
		h.ovmf(),
		h.kvmOptional(),
	}
}

func (h Host) vm() []loader.Check {
	return []loader.Check{
		notBuilt("vm"),
		h.qemu(),
		h.kvmOptional(),
	}
}

// kvmOptional: QEMU can do without KVM, only more slowly.
func (h Host) kvmOptional() loader.Check {
	k := h.deviceCheck("/dev/kvm", remedyKVM)
	if k.OK {
		// A nested or patched kernel may offer the node and still refuse to
		// make a machine; the probe does not try, and says what it knows.
		k.Seen = "can be opened; whether it makes a machine was not tried"
		return k
	}
	k.Name += " (optional)"
	k.Remedy += "; without KVM a Keep runs under emulation, many times slower"
	return k
}
