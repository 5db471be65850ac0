// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostprobe

import (
	"github.com/enarx/enarx-go/loader"
)

const remedyKVM = "enable virtualisation in the firmware setup and load the kvm module of this CPU"

// SNP is what a machine needs below QEMU for platform snp: names of flag,
// parameter and device as in Linux 6.11 and later, the first with SNP hosts
// (arch/x86/kvm/svm/sev.c, drivers/crypto/ccp).
func (h Host) SNP() []loader.Check {
	c := h.cpu()
	return []loader.Check{
		h.vendorCheck(c, "AuthenticAMD", "AMD EPYC (7003 series or later)"),
		flagCheck(c, "sev_snp", "needs EPYC 7003 or later with SEV-SNP enabled in the firmware setup, as a host and not a guest"),
		h.paramCheck("sys/module/kvm_amd/parameters/sev_snp", "needs Linux 6.11 or later on the host, with kvm_amd loaded and SEV-SNP enabled in the firmware setup"),
		h.deviceCheck("/dev/sev", "needs the ccp driver with the platform's secure processor enabled"),
		h.deviceCheck("/dev/kvm", remedyKVM),
	}
}

// TDX is what a machine needs below QEMU for platform tdx: names of flag and
// parameter as in Linux 6.16, the first with TDX hosts.
func (h Host) TDX() []loader.Check {
	c := h.cpu()
	return []loader.Check{
		h.vendorCheck(c, "GenuineIntel", "Intel Xeon (5th generation or later)"),
		flagCheck(c, "tdx_host_platform", "needs a Xeon with TDX enabled in the firmware setup, as a host and not a guest"),
		h.paramCheck("sys/module/kvm_intel/parameters/tdx", "needs Linux 6.16 or later, booted with kvm_intel.tdx=1"),
		h.deviceCheck("/dev/kvm", remedyKVM),
	}
}

// SoftwareTPM are the programs that make and run the TPM of platform vtpm.
func (h Host) SoftwareTPM() []loader.Check {
	const remedy = "install the software TPM: apt-get install swtpm swtpm-tools"
	return []loader.Check{h.programCheck("swtpm", remedy), h.programCheck("swtpm_setup", remedy)}
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
