// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// TEE is the kind of TEE that a quote is of, as its header says.
type TEE uint32

// The kinds that Intel has defined.
const (
	SGX TEE = 0x00
	TDX TEE = 0x81
)

func (t TEE) String() string {
	switch t {
	case SGX:
		return "SGX"
	case TDX:
		return "TDX"
	}
	return fmt.Sprintf("unknown TEE %#x", uint32(t))
}

// Sizes of the parts of a quote, in bytes (Intel SGX ECDSA QuoteLibReference,
// appendix A; Intel TDX DCAP Quoting Library API, appendix A).
const (
	headerSize        = 48
	bodyHeaderSize    = 6 // version 5: body type (2), body size (4)
	enclaveReportSize = 384
	td10Size          = 584
	td15Size          = 648
	signatureSize     = 64 // ECDSA P-256: r and s, 32 bytes each, big-endian
	keySize           = 64 // P-256: x and y, 32 bytes each, big-endian
)

// Body types of a version 5 quote.
const (
	bodyEnclave = 1
	bodyTD10    = 2
	bodyTD15    = 3
)

// Types of certification data.
const (
	certPPIDClear   = 1 // PPID, CPUSVN, PCESVN, PCEID; 36 bytes
	certPPIDRSA2048 = 2 // the same with the PPID encrypted; 276 bytes
	certPPIDRSA3072 = 3 // the same with the PPID encrypted; 404 bytes
	certLeaf        = 4 // the PCK certificate in PEM
	certChain       = 5 // PCK certificate, intermediate and root in PEM
	certQEReport    = 6 // QE report with nested certification data
	certManifest    = 7 // platform manifest: for registration, no certificate
)

// attestationKeyP256 is the one attestation key type: ECDSA over P-256.
const attestationKeyP256 = 2

// intelQE is the vendor id of Intel's quoting enclaves.
var intelQE = [16]byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// Quote is a quote taken apart. Nothing in it is proven; its slices are parts
// of the bytes that it was parsed from.
type Quote struct {
	// Version is 3, 4 or 5.
	Version uint16
	// TEE says which of Enclave and TD is set.
	TEE TEE
	// Enclave is the report of the enclave, for SGX.
	Enclave *EnclaveReport
	// TD is the report of the trust domain, for TDX.
	TD *TDReport
	// Trailing are the bytes after the quote. They are signed by nobody.
	Trailing []byte

	signed    []byte // header and body: what the attestation key signed
	signature []byte
	key       []byte // the attestation key
	qeReport  []byte // the QE's own report
	qeSig     []byte // the PCK's signature of qeReport
	qeAuth    []byte // hashed with the attestation key into qeReport
	certType  uint16
	certData  []byte
}

// reader takes bytes off the front and remembers that they ran out.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.short, r.b = true, nil
		return make([]byte, max(0, min(n, td15Size)))
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

// sized takes a part whose length stands before it. A length beyond what is
// there takes nothing.
func (r *reader) sized(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)) {
		r.short, r.b = true, nil
		return nil
	}
	return r.take(int(n))
}

// ParseQuote takes b apart: version 3 to 5, ECDSA P-256, an Intel quoting
// enclave. What it returns proves nothing. Bytes after the quote are not an
// error here, see [Quote.Trailing].
func ParseQuote(b []byte) (*Quote, error) {
	if len(b) > maxQuote {
		return nil, fault.New(attest.ReasonTooLarge, "quote of %d bytes, expected at most %d", len(b), maxQuote)
	}
	r := &reader{b: b}
	q, body, err := parseHead(r)
	if err != nil {
		return nil, err
	}
	q.signed = b[:len(b)-len(r.b)]
	if q.TEE == TDX {
		q.TD = parseTD(body)
	} else {
		e := parseEnclave(body)
		q.Enclave = &e
	}
	data := &reader{b: r.sized(r.u32())}
	if r.short {
		return nil, fmt.Errorf("quote of %d bytes ends within its signature data", len(b))
	}
	q.Trailing = r.b
	if err := q.parseSignatureData(data); err != nil {
		return nil, err
	}
	return q, nil
}

// parseHead reads the header and cuts out the body.
func parseHead(r *reader) (*Quote, []byte, error) {
	size := len(r.b)
	h := &reader{b: r.take(headerSize)}
	if r.short {
		return nil, nil, fmt.Errorf("quote of %d bytes, expected a header of %d", size, headerSize)
	}
	q := &Quote{Version: h.u16()}
	keyType := h.u16()
	q.TEE = TEE(h.u32())
	h.take(4) // QE and PCE version in version 3, reserved later; the QE report says it in a signed way
	vendor := h.take(16)
	switch {
	case q.Version < 3 || q.Version > 5:
		return nil, nil, fmt.Errorf("quote version %d, expected 3, 4 or 5", q.Version)
	case keyType != attestationKeyP256:
		return nil, nil, fmt.Errorf("attestation key type %d, expected %d (ECDSA P-256)", keyType, attestationKeyP256)
	case !bytes.Equal(vendor, intelQE[:]):
		return nil, nil, fmt.Errorf("quoting enclave of vendor %s, expected Intel's", hex.EncodeToString(vendor))
	case q.TEE != SGX && q.TEE != TDX, q.Version == 3 && q.TEE != SGX:
		return nil, nil, fmt.Errorf("quote version %d of %v, expected SGX, or TDX from version 4 on", q.Version, q.TEE)
	}
	n, err := bodySize(q, r)
	if err != nil {
		return nil, nil, err
	}
	body := r.take(n)
	if r.short {
		return nil, nil, fmt.Errorf("quote of %d bytes ends within its body of %d", size, n)
	}
	return q, body, nil
}

// bodySize is the size of the body; version 5 says it and must be right.
func bodySize(q *Quote, r *reader) (int, error) {
	if q.Version < 5 {
		if q.TEE == TDX {
			return td10Size, nil
		}
		return enclaveReportSize, nil
	}
	if len(r.b) < bodyHeaderSize {
		return 0, fmt.Errorf("quote ends before its body type")
	}
	t, n := r.u16(), r.u32()
	want := map[uint16]struct {
		tee  TEE
		size int
	}{bodyEnclave: {SGX, enclaveReportSize}, bodyTD10: {TDX, td10Size}, bodyTD15: {TDX, td15Size}}[t]
	if want.size == 0 || want.tee != q.TEE || uint64(n) != uint64(want.size) {
		return 0, fmt.Errorf("body of type %d and %d bytes in a quote of %v, expected type 1 (SGX, 384), 2 (TDX, 584) or 3 (TDX, 648)", t, n, q.TEE)
	}
	return want.size, nil
}

// parseSignatureData reads what follows the body: signature, attestation key,
// QE report and certification data, which must fill it to the last byte.
func (q *Quote) parseSignatureData(r *reader) error {
	q.signature, q.key = r.take(signatureSize), r.take(keySize)
	if q.Version >= 4 {
		// From version 4 on the QE report is wrapped as certification data.
		t, n := r.u16(), r.u32()
		if !r.short && t != certQEReport {
			return fmt.Errorf("certification data of type %d around the QE report, expected %d", t, certQEReport)
		}
		inner := &reader{b: r.sized(n)}
		if len(r.b) != 0 {
			return fmt.Errorf("%d bytes of signature data after the QE report's, expected none", len(r.b))
		}
		inner.short = r.short
		r = inner
	}
	q.qeReport, q.qeSig = r.take(enclaveReportSize), r.take(signatureSize)
	q.qeAuth = r.sized(uint32(r.u16()))
	q.certType = r.u16()
	q.certData = r.sized(r.u32())
	switch {
	case r.short:
		return fmt.Errorf("signature data ends within a part of it")
	case len(r.b) != 0:
		return fmt.Errorf("%d bytes of signature data after the certification data, expected none", len(r.b))
	}
	return q.checkCertType()
}

// checkCertType refuses what no PCK certificate can follow from.
func (q *Quote) checkCertType() error {
	switch want := map[uint16]int{certPPIDClear: 36, certPPIDRSA2048: 276, certPPIDRSA3072: 404}[q.certType]; {
	case want != 0 && len(q.certData) != want:
		return fmt.Errorf("certification data of type %d with %d bytes, expected %d", q.certType, len(q.certData), want)
	case want != 0, q.certType == certLeaf, q.certType == certChain, q.certType == certManifest:
		return nil
	}
	return fmt.Errorf("certification data of type %d, expected 1 to 5 or 7 beside the QE report", q.certType)
}

// QE is the quoting enclave's own report.
func (q *Quote) QE() EnclaveReport { return parseEnclave(q.qeReport) }
