// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcaptest

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// qeVendor is the id that Intel's quoting enclaves carry in each quote.
var qeVendor = []byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// Offsets of fields that tests change, within the body of their kind.
const (
	TDSVN, TDSignerSEAM, TDSEAMAttributes, TDAttributes, TDXFAM = 0, 64, 112, 120, 128
	TDMRTD, TDConfigID, TDOwner, TDRTMR0, TDReportData          = 136, 184, 232, 328, 520
	TDSVN2, TDServiceTD                                         = 584, 600

	EnclaveAttributes, EnclaveMeasurement, EnclaveSigner, EnclaveConfigID = 48, 64, 128, 192
	EnclaveProdID, EnclaveSVN, EnclaveReportData                          = 256, 258, 320
)

// SGX is a good enclave quote of version 3.
func SGX() Spec { return Spec{SGX: true} }

// TD15 is a good TD quote of version 5 with a TD report 1.5.
func TD15() Spec { return Spec{Version: 5, BodyType: 3} }

func (s *Spec) version() uint16 {
	switch {
	case s.Version != 0:
		return s.Version
	case s.SGX:
		return 3
	}
	return 4
}

func (s *Spec) bodyType() uint16 {
	switch {
	case s.BodyType != 0:
		return s.BodyType
	case s.SGX:
		return 1
	}
	return 2
}

// Contents of a good body: what a relying party expects.
var (
	MRTD       = [48]byte{0x11, 47: 0x12}
	RTMR       = [4][48]byte{{0x20, 47: 1}, {0x21, 47: 1}, {0x22, 47: 1}, {0x23, 47: 1}}
	MREnclave  = [32]byte{0x31, 31: 0x32}
	MRSigner   = [32]byte{0x41, 31: 0x42}
	HostData   = [32]byte{0x51, 31: 0x52}
	ReportData = [64]byte{0x61, 63: 0x62}
)

// ProductID and SVN of a good enclave.
const (
	ProductID = 7
	SVN       = 3
)

func (s *Spec) body() []byte {
	if s.SGX {
		b := make([]byte, 384)
		b[EnclaveAttributes] = 0x85 // initialised, 64-bit, KSS
		b[EnclaveAttributes+8] = 3
		copy(b[EnclaveMeasurement:], MREnclave[:])
		copy(b[EnclaveSigner:], MRSigner[:])
		copy(b[EnclaveConfigID:], HostData[:])
		b[EnclaveProdID], b[EnclaveSVN] = ProductID, SVN
		copy(b[EnclaveReportData:], ReportData[:])
		return b
	}
	size := 584
	if s.version() == 5 && s.bodyType() == 3 {
		size = 648
	}
	b := make([]byte, size)
	copy(b[TDSVN:], []byte{6, 1, 6})
	b[TDAttributes+3] = 0x10 // SEPT_VE_DISABLE
	b[TDXFAM] = 3
	copy(b[TDMRTD:], MRTD[:])
	copy(b[TDConfigID:], HostData[:])
	for i, r := range RTMR {
		copy(b[TDRTMR0+48*i:], r[:])
	}
	copy(b[TDReportData:], ReportData[:])
	if size == 648 {
		copy(b[TDSVN2:], []byte{6, 1, 6})
	}
	return b
}

func (s *Spec) qe() []byte {
	b := make([]byte, 384)
	b[EnclaveAttributes], b[EnclaveAttributes+8] = 0x15, 0xe7
	copy(b[EnclaveSigner:], qeSigner(s.SGX))
	binary.LittleEndian.PutUint16(b[EnclaveProdID:], uint16(qeProduct(s.SGX)))
	binary.LittleEndian.PutUint16(b[EnclaveSVN:], 8)
	return b
}

func qeSigner(sgx bool) []byte {
	if sgx {
		return []byte(strings.Repeat("S", 32))
	}
	return []byte(strings.Repeat("T", 32))
}

func qeProduct(sgx bool) int {
	if sgx {
		return 1
	}
	return 2
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func components(n ...int) []any {
	list := make([]any, 16)
	for i := range list {
		svn := 0
		if i < len(n) {
			svn = n[i]
		}
		list[i] = map[string]any{"svn": svn}
	}
	return list
}

// Levels of the TCB info: the newest, one with an old SGX part, and one with an
// old TDX part too.
func (s *Spec) levels() []any {
	level := func(status string, pce int, sgx, tdx []any, notes ...string) map[string]any {
		tcb := map[string]any{"sgxtcbcomponents": sgx, "pcesvn": pce}
		if !s.SGX {
			tcb["tdxtcbcomponents"] = tdx
		}
		return map[string]any{"tcb": tcb, "tcbDate": "2025-11-11T00:00:00Z", "tcbStatus": status, "advisoryIDs": notes}
	}
	return []any{
		level("UpToDate", 11, components(3, 3, 2, 2, 4, 1, 0, 5), components(6, 0, 6)),
		level("OutOfDate", 11, components(2, 2, 2, 2, 3, 1, 0, 3), components(6, 0, 6), "INTEL-SA-00001"),
		level("Revoked", 5, components(1, 1), components(2, 0, 2), "INTEL-SA-00002"),
	}
}

func part(isvsvn int, status string, notes ...string) map[string]any {
	return map[string]any{"tcb": map[string]any{"isvsvn": isvsvn}, "tcbDate": "2025-11-11T00:00:00Z", "tcbStatus": status, "advisoryIDs": notes}
}

func module(id string, levels ...any) map[string]any {
	m := map[string]any{
		"mrsigner": strings.Repeat("00", 48), "attributes": strings.Repeat("00", 8), "attributesMask": strings.Repeat("FF", 8),
	}
	if id != "" {
		m["id"], m["tcbLevels"] = id, levels
	}
	return m
}

func (s *Spec) info() map[string]any {
	from, to := s.valid("info")
	m := map[string]any{
		"id": "TDX", "version": 3, "issueDate": stamp(from), "nextUpdate": stamp(to),
		"fmspc": "b0C06f000000", "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 18, "tcbLevels": s.levels(),
	}
	if s.SGX {
		m["id"] = "SGX"
	} else {
		m["tdxModule"] = module("")
		m["tdxModuleIdentities"] = []any{
			module("TDX_03", part(3, "UpToDate")),
			module("TDX_01", part(6, "UpToDate"), part(4, "OutOfDate", "INTEL-SA-00003"), part(2, "Revoked", "INTEL-SA-00004")),
		}
	}
	if s.Info != nil {
		s.Info(m)
	}
	return m
}

func (s *Spec) identity() map[string]any {
	from, to := s.valid("identity")
	id := "TD_QE"
	if s.SGX {
		id = "QE"
	}
	m := map[string]any{
		"id": id, "version": 2, "issueDate": stamp(from), "nextUpdate": stamp(to), "tcbEvaluationDataNumber": 19,
		"miscselect": "00000000", "miscselectMask": "FFFFFFFF",
		"attributes": "11" + strings.Repeat("00", 15), "attributesMask": "FB" + strings.Repeat("FF", 7) + strings.Repeat("00", 8),
		"mrsigner": hex.EncodeToString(qeSigner(s.SGX)), "isvprodid": qeProduct(s.SGX),
		"tcbLevels": []any{part(8, "UpToDate"), part(6, "OutOfDate", "INTEL-SA-00005"), part(5, "Revoked", "INTEL-SA-00006")},
	}
	if s.Identity != nil {
		s.Identity(m)
	}
	return m
}
