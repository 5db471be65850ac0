// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// Size of an ATTESTATION_REPORT (document 56860, "ATTESTATION_REPORT Structure"), and the part of it
// that the signature covers: everything before SIGNATURE.
const (
	Size       = 0x4a0
	SignedSize = 0x2a0
)

// Offsets of the fields (document 56860, "ATTESTATION_REPORT Structure").
const (
	offVersion         = 0x000
	offGuestSVN        = 0x004
	offPolicy          = 0x008
	offFamilyID        = 0x010
	offImageID         = 0x020
	offVMPL            = 0x030
	offSignatureAlgo   = 0x034
	offCurrentTCB      = 0x038
	offPlatformInfo    = 0x040
	offKeyInfo         = 0x048
	offReserved4C      = 0x04c
	offReportData      = 0x050
	offMeasurement     = 0x090
	offHostData        = 0x0c0
	offIDKeyDigest     = 0x0e0
	offAuthorKeyDigest = 0x110
	offReportID        = 0x140
	offReportIDMA      = 0x160
	offReportedTCB     = 0x180
	offCPUID           = 0x188 // family, model, stepping; since version 3
	offReserved18B     = 0x18b
	offChipID          = 0x1a0
	offCommittedTCB    = 0x1e0
	offCurrentVersion  = 0x1e8
	offReserved1EB     = 0x1eb
	offCommittedVer    = 0x1ec
	offReserved1EF     = 0x1ef
	offLaunchTCB       = 0x1f0
	offLaunchMit       = 0x1f8 // mitigation vectors; since version 5
	offCurrentMit      = 0x200
	offReserved208     = 0x208
	offSignature       = 0x2a0
)

// The report versions that are understood.
const (
	minVersion = 2
	maxVersion = 5
)

// sigAlgoP384 is ECDSA P-384 with SHA-384 (document 56860, "Digital Signing Algorithm Encodings").
const sigAlgoP384 = 1

// Policy is the guest policy (document 56860, "Guest Policy").
type Policy uint64

// Bits of the guest policy.
const (
	policySMT       Policy = 1 << 16
	policyReserved1 Policy = 1 << 17 // must be one
	policyMigrateMA Policy = 1 << 18
	policyDebug     Policy = 1 << 19
	policyKnown     Policy = 1<<26 - 1
)

// SMT says that the guest may share a core with another thread.
func (p Policy) SMT() bool { return p&policySMT != 0 }

// MigrationAgent says that another guest may move this one's memory.
func (p Policy) MigrationAgent() bool { return p&policyMigrateMA != 0 }

// Debug says that the host may read the guest's memory.
func (p Policy) Debug() bool { return p&policyDebug != 0 }

// ABI is the lowest firmware ABI, major and minor, that the guest runs under.
func (p Policy) ABI() [2]uint8 { return [2]uint8{uint8(p >> 8), uint8(p)} }

// The signing keys of KEY_INFO, bits 2 to 4.
const (
	KeyVCEK = 0
	KeyVLEK = 1
	KeyNone = 7
)

// maxVMPL is the least privileged level of a guest.
const maxVMPL = 3

// Report is a parsed ATTESTATION_REPORT. Nothing in it is proven.
type Report struct {
	Version      uint32
	GuestSVN     uint32
	Policy       Policy
	FamilyID     [16]byte
	ImageID      [16]byte
	VMPL         uint32
	CurrentTCB   TCBBytes
	PlatformInfo uint64
	// AuthorKey, MaskChipKey and SigningKey are the parts of KEY_INFO.
	AuthorKey   bool
	MaskChipKey bool
	SigningKey  uint8

	ReportData      [64]byte
	Measurement     [48]byte
	HostData        [32]byte
	IDKeyDigest     [48]byte
	AuthorKeyDigest [48]byte
	ReportID        [32]byte
	ReportIDMA      [32]byte
	ReportedTCB     TCBBytes
	// Family, Model and Stepping of the CPU; zero below version 3, which
	// does not say.
	Family, Model, Stepping uint8
	ChipID                  [64]byte
	CommittedTCB            TCBBytes
	LaunchTCB               TCBBytes
	// LaunchMit and CurrentMit are mitigation vectors; zero below version 5.
	LaunchMit, CurrentMit uint64

	signed    [SignedSize]byte
	signature [Size - SignedSize]byte
}

// Parse reads a report strictly. It keeps no reference to b.
func Parse(b []byte) (*Report, error) {
	switch n := len(b); {
	case n > maxReport:
		return nil, fault.New(attest.ReasonTooLarge, "report of %d bytes, expected %d", n, Size)
	case n > Size:
		if _, err := Parse(b[:Size]); err != nil {
			return nil, fmt.Errorf("report of %d bytes, expected %d; and its beginning is none: %w", n, Size, err)
		}
		return nil, fault.New(attest.ReasonTrailingBytes, "%d bytes after the report; nobody signed them", n-Size)
	case n < Size:
		return nil, fmt.Errorf("report of %d bytes, expected %d", n, Size)
	}
	r := &Report{
		Version:      u32(b, offVersion),
		GuestSVN:     u32(b, offGuestSVN),
		Policy:       Policy(u64(b, offPolicy)),
		VMPL:         u32(b, offVMPL),
		PlatformInfo: u64(b, offPlatformInfo),
	}
	if r.Version < minVersion || r.Version > maxVersion {
		return nil, fmt.Errorf("report version %d, expected %d to %d", r.Version, minVersion, maxVersion)
	}
	if err := r.checkReserved(b); err != nil {
		return nil, err
	}
	r.readKeyInfo(u32(b, offKeyInfo))
	r.readTCBs(b)
	r.readIdentity(b)
	copy(r.signed[:], b)
	copy(r.signature[:], b[offSignature:])
	return r, nil
}

func (r *Report) readKeyInfo(v uint32) {
	r.AuthorKey = v&1 != 0
	r.MaskChipKey = v&2 != 0
	r.SigningKey = uint8(v >> 2 & 7)
}

func (r *Report) readTCBs(b []byte) {
	copy(r.CurrentTCB[:], b[offCurrentTCB:])
	copy(r.ReportedTCB[:], b[offReportedTCB:])
	copy(r.CommittedTCB[:], b[offCommittedTCB:])
	copy(r.LaunchTCB[:], b[offLaunchTCB:])
	if r.Version >= 5 {
		r.LaunchMit, r.CurrentMit = u64(b, offLaunchMit), u64(b, offCurrentMit)
	}
}

func (r *Report) readIdentity(b []byte) {
	copy(r.FamilyID[:], b[offFamilyID:])
	copy(r.ImageID[:], b[offImageID:])
	copy(r.ReportData[:], b[offReportData:])
	copy(r.Measurement[:], b[offMeasurement:])
	copy(r.HostData[:], b[offHostData:])
	copy(r.IDKeyDigest[:], b[offIDKeyDigest:])
	copy(r.AuthorKeyDigest[:], b[offAuthorKeyDigest:])
	copy(r.ReportID[:], b[offReportID:])
	copy(r.ReportIDMA[:], b[offReportIDMA:])
	copy(r.ChipID[:], b[offChipID:])
	if r.Version >= 3 {
		r.Family, r.Model, r.Stepping = b[offCPUID], b[offCPUID+1], b[offCPUID+2]
	}
}

// checkReserved refuses what the specification says must be zero (or one). A
// set bit that we do not know could be a weakening that a later firmware
// defines. PLATFORM_INFO is not among them: AMD has added bits to it within a
// report version, they describe the machine, and none is relied upon here.
func (r *Report) checkReserved(b []byte) error {
	if r.Policy&policyReserved1 == 0 {
		return fmt.Errorf("guest policy %#x: bit 17 must be one", uint64(r.Policy))
	}
	if r.Policy&^policyKnown != 0 {
		return fmt.Errorf("guest policy %#x: unknown bits set", uint64(r.Policy))
	}
	if v := u32(b, offKeyInfo); v>>5 != 0 {
		return fmt.Errorf("key info %#x: unknown bits set", v)
	}
	if v := u32(b, offSignatureAlgo); v != sigAlgoP384 {
		return fmt.Errorf("signature algorithm %d, expected %d (ECDSA P-384 with SHA-384)", v, sigAlgoP384)
	}
	if r.VMPL > maxVMPL && r.VMPL != ^uint32(0) {
		// All ones is the host's own request (SNP_GUEST_REQUEST by the
		// hypervisor); it is a valid report and refused by Verify.
		return fmt.Errorf("VMPL %d, expected 0 to 3", r.VMPL)
	}
	cpuid := offReserved18B
	if r.Version < 3 {
		cpuid = offCPUID
	}
	mit := offReserved208
	if r.Version < 5 {
		mit = offLaunchMit
	}
	for _, z := range [][2]int{
		{offReserved4C, offReportData},
		{cpuid, offChipID},
		{offReserved1EB, offCommittedVer},
		{offReserved1EF, offLaunchTCB},
		{mit, offSignature},
		{offSignature + 2*sigWord, Size},
	} {
		for i := z[0]; i < z[1]; i++ {
			if b[i] != 0 {
				return fmt.Errorf("reserved byte %#x is %#x, expected 0 in version %d", i, b[i], r.Version)
			}
		}
	}
	return nil
}

// chip is CHIP_ID, or nil if the host masks it.
func (r *Report) chip() []byte {
	if r.ChipID == [64]byte{} {
		return nil
	}
	return slices.Clone(r.ChipID[:])
}

func u32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
func u64(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }
