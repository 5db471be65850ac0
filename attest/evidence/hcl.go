// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

const formatHCL = "azure-hcl-report"

// Parts of an HCL report, as Azure's paravisor leaves it in NV index
// 0x01400001 of the virtual TPM (Microsoft, "Guest attestation with the vTPM";
// OpenHCL, igvm_defs attestation types): header (32), hardware report (1,184),
// runtime data with a header of its own (20), and zeroes up to the size of the
// index. Integers are little-endian.
const (
	hclHeader      = 32
	hclReport      = 1184
	hclRuntime     = hclHeader + hclReport
	hclRuntimeData = hclRuntime + 20

	hclTypeSNP = 2
	hclTypeTDX = 4
)

var hclMagic = []byte("HCLA")

// hcl is an HCL report taken apart; its slices are parts of the file.
type hcl struct {
	version uint32
	kind    uint32 // hclTypeSNP or hclTypeTDX
	report  []byte // ATTESTATION_REPORT, or TDREPORT with zeroes behind it
	hash    uint32 // 1 SHA-256, 2 SHA-384, 3 SHA-512
	runtime []byte
}

func parseHCL(b []byte) (*hcl, error) {
	if len(b) < hclRuntimeData {
		return nil, fmt.Errorf("%d bytes, expected at least %d", len(b), hclRuntimeData)
	}
	if !bytes.HasPrefix(b, hclMagic) {
		return nil, fmt.Errorf("begins with %x, expected %q", b[:len(hclMagic)], hclMagic)
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	h := &hcl{version: u32(4), kind: u32(hclRuntime + 8), report: b[hclHeader:hclRuntime:hclRuntime], hash: u32(hclRuntime + 12)}
	total, data, size := uint64(u32(8)), uint64(u32(hclRuntime)), uint64(u32(hclRuntime+16))
	switch {
	case h.version < 1 || h.version > 2:
		return nil, fmt.Errorf("header version %d, expected 1 or 2", h.version)
	case h.kind != hclTypeSNP && h.kind != hclTypeTDX:
		return nil, fmt.Errorf("hardware report of type %d, expected 2 (SNP) or 4 (TDX)", h.kind)
	case h.hash < 1 || h.hash > 3:
		return nil, fmt.Errorf("hash type %d, expected 1 to 3 (SHA-256, SHA-384, SHA-512)", h.hash)
	case !zero(b[16:hclHeader]):
		return nil, fmt.Errorf("status or reserved bytes of the header are not zero")
	case u32(hclRuntime+4) != 1:
		return nil, fmt.Errorf("runtime data of version %d, expected 1", u32(hclRuntime+4))
	case hclRuntimeData+size > uint64(len(b)):
		return nil, fmt.Errorf("runtime data of %d bytes end after the %d bytes of the report", size, len(b))
	case total != hclRuntimeData+size || data != size+20:
		return nil, fmt.Errorf("sizes %d and %d in the headers do not fit runtime data of %d bytes", total, data, size)
	case !zero(b[hclRuntimeData+size:]):
		return nil, fmt.Errorf("bytes that are not zero after the runtime data")
	}
	h.runtime = b[hclRuntimeData : hclRuntimeData+size]
	return h, nil
}

// binding is the report data that goes with the runtime data.
func (h *hcl) binding() (*[64]byte, string) {
	var d [64]byte
	name := "SHA-256"
	switch h.hash {
	case 1:
		s := sha256.Sum256(h.runtime)
		copy(d[:], s[:])
	case 2:
		s := sha512.Sum384(h.runtime)
		copy(d[:], s[:])
		name = "SHA-384"
	case 3:
		d = sha512.Sum512(h.runtime)
		name = "SHA-512"
	}
	return &d, name + " of the runtime data of the HCL report"
}

func findHCL(b []byte, _ int) (*Found, error) {
	if !bytes.HasPrefix(b, hclMagic) {
		return nil, nil
	}
	h, err := parseHCL(b)
	if err != nil {
		return nil, &Error{Format: formatHCL, Reason: attest.ReasonFormat, Err: err}
	}
	if h.kind == hclTypeTDX {
		return nil, unsupported(formatHCL, "a TD report inside, which only the machine that made it can check",
			"ask in the guest for the TD quote (Azure's instance metadata service, /acc/tdquote) and give that")
	}
	f := one(formatHCL, attest.PlatformSNP, attest.MediaTypeSNP, h.report[:snpreport.Size:snpreport.Size])
	p := &f.Pieces[0]
	p.Where = "bytes 32 to 1,215"
	p.ReportData, p.ReportDataSource = h.binding()
	return f, nil
}
