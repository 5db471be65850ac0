// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// Formats of evidence as the hardware or its firmware gives it.
const (
	formatSNP         = "snp-report"
	formatSNPResponse = "snp-report-response"
	formatSNPExtended = "snp-extended-report"
	formatSGX         = "sgx-quote"
	formatTDX         = "tdx-quote"
	formatNitro       = "nitro-document"

	formatOpenEnclave = "openenclave-report"
)

// looksLikeSNP says whether b begins as an ATTESTATION_REPORT does: a version
// that exists, the one signature algorithm, bit 17 of the policy. A damaged
// report that still looks like one is its verifier's to refuse.
func looksLikeSNP(b []byte) bool {
	if len(b) < 0x50 {
		return false
	}
	version, algorithm := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[0x34:])
	return version >= 1 && version <= 16 && algorithm == 1 && b[8+2]&2 != 0
}

// findSNP takes a report, alone or with what firmware or hypervisor put around
// it: in front the header of MSG_REPORT_RSP (document 56860, "MSG_REPORT_RSP"),
// behind it the certificate table of an extended guest request.
func findSNP(b []byte, _ int) (*Found, error) {
	if r, ok := responseReport(b); ok {
		return r.wrapped(formatSNPResponse, "the firmware's answer, from byte 32 on"), nil
	}
	if !looksLikeSNP(b) {
		return nil, nil
	}
	if len(b) <= snpreport.Size {
		return one(formatSNP, attest.PlatformSNP, attest.MediaTypeSNP, b), nil
	}
	entries, err := readTable(b[snpreport.Size:])
	if err != nil {
		// Not a table: then it is a report with something after it, which its
		// verifier refuses by its length.
		return one(formatSNP, attest.PlatformSNP, attest.MediaTypeSNP, b), nil
	}
	f := one(formatSNPExtended, attest.PlatformSNP, attest.MediaTypeSNP, b[:snpreport.Size:snpreport.Size])
	f.Pieces[0].Where = "the first 1,184 bytes"
	for _, e := range entries {
		col, err := e.collateral()
		if err != nil {
			return nil, &Error{Format: formatSNPExtended, Reason: attest.ReasonFormat, Err: err}
		}
		if col == nil {
			f.notRead("entry "+e.name()+" of the certificate table", "not needed to verify")
		}
		f.Pieces[0].Collateral = append(f.Pieces[0].Collateral, col...)
	}
	return f, nil
}

// Parts of MSG_REPORT_RSP: status (4), size (4), reserved (24), report. The
// device node gives a buffer of 4,000 bytes.
const (
	responseHeader = 32
	responseSize   = 4000
)

func responseReport(b []byte) (*Found, bool) {
	if len(b) < responseHeader+snpreport.Size || len(b) > responseSize {
		return nil, false
	}
	if binary.LittleEndian.Uint32(b) != 0 || binary.LittleEndian.Uint32(b[4:]) != snpreport.Size {
		return nil, false
	}
	end := responseHeader + snpreport.Size
	report := b[responseHeader:end:end]
	if !zero(b[8:responseHeader]) || !zero(b[end:]) || !looksLikeSNP(report) {
		return nil, false
	}
	return one(formatSNP, attest.PlatformSNP, attest.MediaTypeSNP, report), true
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// Entries of the certificate table (GHCB specification, document 56421, "SNP
// Extended Guest Request"), in the byte order in which GUIDs are written.
const (
	guidVCEK = "63da758de6644564adc5f4b93be8accd"
	guidVLEK = "a8074bc2a25a483eaae639c045a0b8a1"
	guidASK  = "4ab7b379bbac4fe4a02f05aef327c782"
	guidARK  = "c0b406a4a803495297433fb6014cd0ae"
	guidCRL  = "92f81bc358114d3d97ffd19f88dc67ea"

	tableEntry = 24 // GUID (16), offset (4), length (4), little-endian
)

type tableItem struct {
	guid string
	data []byte
}

func (e tableItem) name() string {
	return map[string]string{guidVCEK: "VCEK", guidVLEK: "VLEK", guidASK: "ASK", guidARK: "ARK", guidCRL: "CRL"}[e.guid]
}

// readTable takes a certificate table apart: a list of entries that ends with
// one of zeroes, then the data, which zeroes may pad to whole pages.
func readTable(b []byte) ([]tableItem, error) {
	type place struct{ from, to uint64 }
	var items []tableItem
	var places []place
	head := 0
	for ; ; head += tableEntry {
		if head+tableEntry > len(b) {
			return nil, fmt.Errorf("certificate table of %d bytes without an end", len(b))
		}
		e := b[head : head+tableEntry]
		if zero(e) {
			head += tableEntry
			break
		}
		if len(items) == maxTable {
			return nil, fmt.Errorf("certificate table with more than %d entries", maxTable)
		}
		from, n := uint64(binary.LittleEndian.Uint32(e[16:])), uint64(binary.LittleEndian.Uint32(e[20:]))
		if from+n > uint64(len(b)) {
			return nil, fmt.Errorf("entry %d of the certificate table ends at %d of %d bytes", len(items), from+n, len(b))
		}
		items = append(items, tableItem{hex.EncodeToString(e[:16]), b[from : from+n : from+n]})
		places = append(places, place{from, from + n})
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("certificate table without entries")
	}
	used := make([]bool, len(b))
	for i := range head {
		used[i] = true
	}
	for i, p := range places {
		for j := p.from; j < p.to; j++ {
			if used[j] {
				return nil, fmt.Errorf("entry %d of the certificate table lies over another", i)
			}
			used[j] = true
		}
	}
	for i, x := range b {
		if x != 0 && !used[i] {
			return nil, fmt.Errorf("byte %d of the certificate table belongs to no entry", i)
		}
	}
	return items, nil
}

// collateral gives the entry as certificate or list, or nil if it is of a kind
// that nothing needs.
func (e tableItem) collateral() (attest.Collateral, error) {
	name := e.name()
	switch e.guid {
	case guidVCEK, guidVLEK, guidASK, guidARK:
		col, err := certificates(e.data)
		if err != nil {
			return nil, fmt.Errorf("%s of the certificate table: %w", name, err)
		}
		return col, nil
	case guidCRL:
		if err := checkList(e.data); err != nil {
			return nil, fmt.Errorf("%s of the certificate table: %w", name, err)
		}
		return attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: e.data}}, nil
	}
	return nil, nil
}

// intelQE is the vendor id of Intel's quoting enclaves, at byte 12 of a quote.
var intelQE = []byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// quoteHeader is the size of the header of every quote version.
const quoteHeader = 48

// looksLikeQuote says whether b begins as an ECDSA quote does, and of which TEE.
func looksLikeQuote(b []byte) (platform string, ok bool) {
	if len(b) < quoteHeader {
		return "", false
	}
	version, key, tee := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])
	if !bytes.Equal(b[12:28], intelQE) && (version < 3 || version > 5 || key != 2) {
		return "", false
	}
	switch {
	case tee == 0x81:
		return attest.PlatformTDX, true
	case tee == 0, version == 3:
		return attest.PlatformSGX, true
	case bytes.Equal(b[12:28], intelQE):
		return attest.PlatformTDX, true // what its verifier refuses as neither
	}
	return "", false
}

func findQuote(b []byte, _ int) (*Found, error) {
	switch platform, ok := looksLikeQuote(b); {
	case !ok:
		return nil, nil
	case platform == attest.PlatformTDX:
		return one(formatTDX, platform, attest.MediaTypeTDX, b), nil
	default:
		return one(formatSGX, platform, attest.MediaTypeSGX, b), nil
	}
}

// findOpenEnclave takes a report of Open Enclave (openenclave/bits/report.h):
// version 1 (4), type 2, which is a remote report (4), size (8), then the quote.
func findOpenEnclave(b []byte, _ int) (*Found, error) {
	const head = 16
	if len(b) < head+quoteHeader || le(b[:4]) != 1 || le(b[4:8]) != 2 || le(b[8:head]) != uint64(len(b)-head) {
		return nil, nil
	}
	f, err := findQuote(b[head:], 0)
	if f == nil || err != nil {
		return nil, err
	}
	return f.wrapped(formatOpenEnclave, "the report, from byte 16 on"), nil
}

// moduleID is the first key of the payload of every Nitro document, as CBOR.
var moduleID = []byte("\x69module_id")

// findNitro takes an attestation document: a COSE_Sign1 array whose payload
// names a module. Other things are signed with COSE too.
func findNitro(b []byte, _ int) (*Found, error) {
	rest, _ := bytes.CutPrefix(b, []byte{0xd2}) // tag 18, which AWS does not write; the verifier's to refuse
	if len(rest) < 2 || rest[0] != 0x84 || rest[1]>>5 != 2 || !bytes.Contains(rest, moduleID) {
		return nil, nil
	}
	return one(formatNitro, attest.PlatformNitro, attest.MediaTypeNitro, b), nil
}

// findDamaged is for what has nothing left of a report but its length.
func findDamaged(b []byte, _ int) (*Found, error) {
	if len(b) != snpreport.Size || isText(b) {
		return nil, nil
	}
	return one(formatSNP, attest.PlatformSNP, attest.MediaTypeSNP, b), nil
}
