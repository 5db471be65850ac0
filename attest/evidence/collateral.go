// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
)

// FindCollateral recognises by its content a file that holds collateral, and
// gives one entry per certificate, list or document:
//
//   - certificates, alone or chains, in DER or PEM, also AMD's certificate table
//   - revocation lists in DER or PEM
//   - TCB info, QE identity and TCB evaluation data numbers as Intel's PCS
//     serves them, or as the Fortanix PCS client stores them
//   - the answers of Azure's THIM service and of dcap-qvl's collateral, and the
//     serialised sgx_ql_qve_collateral_t of ravl, all taken apart
//   - event logs: TCG (also of a TD's CCEL table) and dstack's
//
// each also in hexadecimal or base64. Nothing is ignored: content that is
// unknown is an error.
func FindCollateral(file []byte) (attest.Collateral, error) {
	if err := checkSize(file); err != nil {
		return nil, err
	}
	col, err := findCollateral(file, 0)
	if err == nil && len(col) > maxCollateral {
		err = tooLarge("the file", fmt.Sprintf("%d entries of collateral", len(col)), maxCollateral)
	}
	// A certificate may carry evidence, and a directory may hold some too.
	if f, findErr := find(file, 0); findErr == nil {
		return nil, fmt.Errorf("%w: the file holds evidence (%s)", errNoCollateral, f.Format)
	} else if known := (*Error)(nil); errors.As(findErr, &known) && err != nil {
		return nil, fmt.Errorf("%w: the file holds evidence: %w", errNoCollateral, findErr)
	}
	if err != nil {
		return nil, err
	}
	return col, nil
}

// errNoCollateral says that nothing was recognised.
var errNoCollateral = errors.New("no certificate, revocation list, TCB info, QE identity or event log of a known format")

func findCollateral(b []byte, depth int) (attest.Collateral, error) {
	if depth > 2 {
		return nil, errNoCollateral
	}
	if len(b) > 0 && b[0] == 0x30 && !isText(b) { // hexadecimal of DER begins with the same byte
		return derCollateral(b)
	}
	if bytes.HasPrefix(b, []byte("CCEL")) {
		return nil, fmt.Errorf("%w: this is the ACPI table CCEL, which only says where the event log lies; give the log", errNoCollateral)
	}
	if col := eventLog(b); col != nil {
		return col, nil
	}
	if bytes.HasPrefix(b, qveBegin) {
		return findQvE(b)
	}
	if items, err := readTable(b); err == nil {
		return tableCollateral(items)
	}
	if !isText(b) {
		return nil, errNoCollateral
	}
	t := bytes.TrimSpace(b)
	switch {
	case len(t) == 0:
		return nil, errNoCollateral
	case bytes.HasPrefix(t, pemBegin):
		return pemCollateral(t)
	case t[0] == '{':
		return jsonCollateral(t)
	}
	for _, decode := range []func([]byte) ([]byte, bool){unhex, unbase64} {
		if raw, ok := decode(t); ok {
			if col, err := findCollateral(raw, depth+1); !errors.Is(err, errNoCollateral) {
				return col, err
			}
		}
	}
	return nil, errNoCollateral
}

// derCollateral reads certificates or one revocation list.
func derCollateral(b []byte) (attest.Collateral, error) {
	if col, err := derCertificates(b, true); err == nil {
		return col, nil
	}
	if err := checkList(b); err == nil {
		return attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: b}}, nil
	}
	return nil, fmt.Errorf("%w: DER that is neither certificates nor a revocation list", errNoCollateral)
}

func pemCollateral(t []byte) (attest.Collateral, error) {
	blocks, err := splitPEM(t)
	if err != nil {
		return nil, err
	}
	var col attest.Collateral
	for i, bl := range blocks {
		more, err := derCollateral(bl.data)
		if err != nil {
			return nil, fmt.Errorf("block %d of PEM (%s): %w", i+1, shown(bl.label), err)
		}
		col = append(col, more...)
	}
	return col, nil
}

func tableCollateral(items []tableItem) (attest.Collateral, error) {
	var col attest.Collateral
	for _, e := range items {
		more, err := e.collateral()
		if err == nil && more == nil {
			err = fmt.Errorf("entry %s of the certificate table is of an unknown kind", e.guid)
		}
		if err != nil {
			return nil, err
		}
		col = append(col, more...)
	}
	return col, nil
}

// Documents that Intel signs, by the name of their body.
var signedDocuments = map[string]string{
	"tcbInfo":                  attest.MediaTypeIntelTCBInfo,
	"enclaveIdentity":          attest.MediaTypeIntelQEIdentity,
	"tcbEvaluationDataNumbers": attest.MediaTypeIntelTCBEvaluation,
}

func jsonCollateral(t []byte) (attest.Collateral, error) {
	o, err := parseObject(t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCollateral, err)
	}
	for name, mediaType := range signedDocuments {
		if o.has(name, "signature") {
			return attest.Collateral{{MediaType: mediaType, Value: t}}, nil
		}
	}
	switch {
	case o.has("raw_tcb_info", "signature"):
		return fortanix(o, "raw_tcb_info", "tcbInfo")
	case o.has("raw_enclave_identity", "signature"):
		return fortanix(o, "raw_enclave_identity", "enclaveIdentity")
	case o.has("vcekCert", "certificateChain"):
		return thim(o)
	case o.has("tcb_info", "tcb_info_signature", "qe_identity"):
		return qvlJSON(o)
	}
	return nil, fmt.Errorf("%w: JSON object with the members %s", errNoCollateral, o.except())
}

// thim reads the answer of Azure's host for an SNP guest. "tcbm" repeats the
// firmware level that the certificate itself says.
func thim(o object) (attest.Collateral, error) {
	if rest := o.except("vcekCert", "tcbm", "certificateChain", "cacheControl"); rest != "" {
		return nil, fmt.Errorf("answer of THIM with unknown members %s", rest)
	}
	var col attest.Collateral
	for _, key := range []string{"vcekCert", "certificateChain"} {
		s, err := o.str(key)
		if err != nil {
			return nil, fmt.Errorf("answer of THIM: %w", err)
		}
		more, err := certificates([]byte(s))
		if err != nil {
			return nil, fmt.Errorf("answer of THIM: %q: %w", key, err)
		}
		col = append(col, more...)
	}
	return col, nil
}

// eventLog recognises an event log: the first event of a TCG log, crypto-agile
// or of TCG 1.2, or an array of dstack's events.
func eventLog(b []byte) attest.Collateral {
	// PCR or MR index (4), EV_NO_ACTION (4), SHA-1 of nothing (20), size (4),
	// then TCG_EfiSpecIDEvent (TCG PC Client Platform Firmware Profile,
	// section 10.4.5.1).
	const head = 32
	if len(b) >= head+16 && b[4] == 3 && zero(b[5:28]) && (bytes.HasPrefix(b[head:], []byte("Spec ID Event03\x00")) || bytes.HasPrefix(b[head:], []byte("Spec ID Event00\x00"))) {
		return attest.Collateral{{MediaType: attest.MediaTypeEventLog, Value: b}}
	}
	// A log of TCG 1.2 may begin with any event: it is one if it is one to
	// its end.
	if l, err := eventlog.Parse(b); err == nil && len(l.Events) > 0 {
		return attest.Collateral{{MediaType: attest.MediaTypeEventLog, Value: b}}
	}
	t := bytes.TrimSpace(b)
	if len(t) == 0 || t[0] != '[' {
		return nil
	}
	var events []struct {
		IMR    *uint32 `json:"imr"`
		Digest *string `json:"digest"`
	}
	if err := json.Unmarshal(t, &events); err != nil || len(events) == 0 {
		return nil
	}
	for _, e := range events {
		if e.IMR == nil || e.Digest == nil {
			return nil
		}
	}
	return attest.Collateral{{MediaType: attest.MediaTypeDstackLog, Value: t}}
}

// kinds names what col holds, for people.
func kinds(col attest.Collateral) string {
	var names []string
	for _, e := range col {
		name := Kind(e)
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Kind names an entry of collateral for people.
func Kind(e attest.Evidence) string {
	switch e.MediaType {
	case attest.MediaTypeCertificate:
		if c, err := x509.ParseCertificate(e.Value); err == nil && c.Subject.CommonName != "" {
			return "certificate of " + shown(c.Subject.CommonName)
		}
		return "certificate"
	case attest.MediaTypePEMChain:
		return "certificate chain"
	case attest.MediaTypeCRL:
		if l, err := x509.ParseRevocationList(e.Value); err == nil && l.Issuer.CommonName != "" {
			return "revocation list of " + shown(l.Issuer.CommonName)
		}
		return "revocation list"
	case attest.MediaTypeIntelTCBInfo:
		return "TCB info"
	case attest.MediaTypeIntelQEIdentity:
		return "QE identity"
	case attest.MediaTypeIntelTCBEvaluation:
		return "TCB evaluation data numbers"
	case attest.MediaTypeEventLog, attest.MediaTypeDstackLog:
		return "event log"
	}
	return shown(e.MediaType)
}
