// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package claims holds the one type that says "this was verified".
//
// A [Claims] can be made by a verifier of this module only: it is minted by
// [Mint], which is out of reach of other modules because the package is
// internal, and the zero value says about itself that nothing verified it.
// Policy takes *Claims and never raw evidence, so a path that skips
// verification has nothing to hand to policy and does not compile.
package claims

import "time"

// Claims is what a successful verification of evidence proved, as typed
// values. Public code sees it as attest.Claims.
type Claims struct {
	// Platform is the platform that the evidence was verified as: "snp",
	// "tdx", "sgx", "nitro", "vtpm" or "sim".
	Platform string
	// Simulated says that the root of the evidence is a throw-away root of
	// the user's own. It is true exactly when Platform is "sim".
	Simulated bool
	// Measurement is the launch measurement as the hardware signed it: 48
	// bytes of SHA-384 on snp, tdx, nitro and sim.
	Measurement []byte
	// HostData is the platform's host-data field (SNP HOST_DATA, 32 bytes; on
	// nitro the nonce): the SHA-256 digest of the Keep's start configuration.
	HostData []byte
	// ReportData is the 64 bytes of report data that the hardware signed.
	ReportData [64]byte
	// TCB is the firmware level of the signing certificate's extensions, as
	// the vendor names its components ("bootloader", "tee", "snp",
	// "microcode", "fmc"), lowest accepted value compared per component.
	TCB map[string]uint64
	// ChipID identifies the one CPU, where the platform says it (SNP
	// CHIP_ID, 64 bytes); nil where it does not.
	ChipID []byte
	// Debug says that the host may read the guest's memory for debugging.
	// No verifier of this module returns claims with Debug set unless it
	// was asked to by name.
	Debug bool
	// VMPL is the SNP virtual machine privilege level that asked for the
	// report; 0 for platforms without one.
	VMPL uint32
	// PlatformInstanceID identifies the one machine of several CPUs, where
	// the platform says it (Intel's platform instance id, 16 bytes); nil
	// where it does not. ChipID is the PPID there, 16 bytes.
	PlatformInstanceID []byte
	// TCBStatus is the vendor's word on the firmware level, such as
	// "UpToDate" or "OutOfDate" of tdx and sgx; empty where the vendor gives
	// none.
	TCBStatus string
	// Advisories are the vendor's security advisories that apply to the
	// level, such as "INTEL-SA-01036", sorted.
	Advisories []string
	// ValidUntil is the earliest end of what the verification rests on:
	// certificates, revocation lists, signed documents. After it the same
	// inputs verify no more.
	ValidUntil time.Time
	// Waived names the expectations that the relying party had none for and
	// waived by name ("report-data", "host-data", "measurement"): evidence
	// looked at for its own sake, not a Keep that was appraised. Policy
	// refuses claims that waived anything.
	Waived []string
	// VerifiedAt is the time that certificates and revocation were checked
	// for. It was an argument of the verification, never a clock reading.
	VerifiedAt time.Time

	minted bool
}

// Mint marks c as the result of a completed verification. Only verifiers call
// it, as their last step, after every check has passed.
func Mint(c Claims) *Claims {
	c.minted = true
	return &c
}

// Verified says whether c came out of a verifier of this module. A nil or
// hand-made Claims is not verified.
func (c *Claims) Verified() bool { return c != nil && c.minted }
