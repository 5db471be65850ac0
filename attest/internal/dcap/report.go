// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import "encoding/binary"

// EnclaveReport is the body of an SGX report (Intel SDM volume 3D, table
// "REPORT"), 384 bytes. Reserved fields are left out: they are signed, and
// Intel's verifiers give them no meaning.
type EnclaveReport struct {
	CPUSVN       [16]byte
	MiscSelect   [4]byte
	ISVExtProdID [16]byte
	Attributes   [16]byte // flags (8, little-endian), XFRM (8)
	MREnclave    [32]byte
	MRSigner     [32]byte
	ConfigID     [64]byte
	ISVProdID    uint16
	ISVSVN       uint16
	ConfigSVN    uint16
	ISVFamilyID  [16]byte
	ReportData   [64]byte
}

// Flags are the attribute flags as a number.
func (e *EnclaveReport) Flags() uint64 { return binary.LittleEndian.Uint64(e.Attributes[:8]) }

// parseEnclave reads the 384 bytes of an enclave report.
func parseEnclave(b []byte) EnclaveReport {
	var e EnclaveReport
	copy(e.CPUSVN[:], b[0:])
	copy(e.MiscSelect[:], b[16:])
	copy(e.ISVExtProdID[:], b[32:])
	copy(e.Attributes[:], b[48:])
	copy(e.MREnclave[:], b[64:])
	copy(e.MRSigner[:], b[128:])
	copy(e.ConfigID[:], b[192:])
	e.ISVProdID = binary.LittleEndian.Uint16(b[256:])
	e.ISVSVN = binary.LittleEndian.Uint16(b[258:])
	e.ConfigSVN = binary.LittleEndian.Uint16(b[260:])
	copy(e.ISVFamilyID[:], b[304:])
	copy(e.ReportData[:], b[320:])
	return e
}

// TDReport is the body of a TD quote (Intel TDX Module ABI specification,
// TDREPORT_STRUCT and TDINFO_STRUCT; Intel TDX DCAP Quoting Library API,
// appendix A.3), 584 bytes for TDX 1.0 and 648 for TDX 1.5.
type TDReport struct {
	TEETCBSVN      [16]byte // of the TDX module that started the TD: 0 its SVN, 1 its version
	MRSEAM         [48]byte
	MRSignerSEAM   [48]byte
	SEAMAttributes [8]byte
	TDAttributes   [8]byte
	XFAM           [8]byte
	MRTD           [48]byte
	MRConfigID     [48]byte
	MROwner        [48]byte
	MROwnerConfig  [48]byte
	RTMR           [4][48]byte
	ReportData     [64]byte

	// V15 says that the next two are there.
	V15         bool
	TEETCBSVN2  [16]byte // of the TDX module that runs the TD now
	MRServiceTD [48]byte
}

// Attributes are the TD attributes as a number.
func (t *TDReport) Attributes() uint64 { return binary.LittleEndian.Uint64(t.TDAttributes[:]) }

// parseTD reads the 584 or 648 bytes of a TD report.
func parseTD(b []byte) *TDReport {
	t := &TDReport{V15: len(b) == td15Size}
	fields := [][]byte{
		t.TEETCBSVN[:], t.MRSEAM[:], t.MRSignerSEAM[:], t.SEAMAttributes[:], t.TDAttributes[:], t.XFAM[:],
		t.MRTD[:], t.MRConfigID[:], t.MROwner[:], t.MROwnerConfig[:],
		t.RTMR[0][:], t.RTMR[1][:], t.RTMR[2][:], t.RTMR[3][:], t.ReportData[:],
	}
	if t.V15 {
		fields = append(fields, t.TEETCBSVN2[:], t.MRServiceTD[:])
	}
	for _, f := range fields {
		b = b[copy(f, b):]
	}
	return t
}
