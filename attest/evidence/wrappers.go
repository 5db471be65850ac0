// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

const (
	formatAzureSNP = "azure-snp-vtpm-json"
	formatAzureTDX = "azure-tdx-vtpm-json"
	formatQuote    = "quote-json"
	formatEvidence = "evidence-json"
	formatVaporTPM = "vaportpm-json"
	formatTrustee  = "trustee-snp-json"
)

// shape is a JSON object that holds evidence, known by its members.
type shape struct {
	keys []string
	find func(o object, depth int) (*Found, error)
}

// shapes are all that are known, in the order in which they are tried.
func shapes() []shape {
	return []shape{
		{[]string{"attestation_report"}, findTrusteeSNP},
		{[]string{"hcl_report", "vcek"}, findAzureSNP},
		{[]string{"hcl_report", "td_quote"}, findAzureTDX},
		{[]string{"report", "vcek"}, findAzureSNP1},
		{[]string{"evidence"}, findEvidenceJSON},
		{[]string{"attestation", "pcrs"}, findVaporTPM},
		{[]string{"AK", "Quote", "Log"}, findGoAttestation},
		{[]string{"quote"}, findQuoteJSON},
	}
}

// findJSON takes evidence out of a JSON object. An array is a CMW record.
func findJSON(t []byte, depth int) (*Found, error) {
	if f, err := findCMWJSON(t, depth); f != nil || err != nil {
		return f, err
	}
	o, err := parseObject(t)
	if err != nil {
		if json.Valid(t) && t[0] == '{' {
			return nil, malformed("json", "%w", err)
		}
		return nil, nil
	}
	for _, s := range shapes() {
		if o.has(s.keys...) {
			return s.find(o, depth)
		}
	}
	return nil, nil
}

// inner finds evidence within a member of a wrapping.
func inner(format, key string, b []byte, depth int) (*Found, error) {
	f, err := find(b, depth+1)
	if errors.Is(err, ErrUnknown) {
		return nil, malformed(format, "%q holds no evidence of a known format", key)
	} else if err != nil {
		return nil, err
	}
	return f.wrapped(format, fmt.Sprintf("%q", key)), nil
}

// findEvidenceJSON takes {evidence, endorsements}: what microsoft/ravl and CCF
// exchange. The endorsements are anything that [FindCollateral] knows.
func findEvidenceJSON(o object, depth int) (*Found, error) {
	b, err := o.bytes("evidence")
	if err != nil {
		return nil, malformed(formatEvidence, "%w", err)
	}
	f, err := inner(formatEvidence, "evidence", b, depth)
	if err != nil {
		return nil, err
	}
	if o.has("endorsements") {
		e, err := o.bytes("endorsements")
		if err != nil {
			return nil, malformed(formatEvidence, "%w", err)
		}
		col, err := findCollateral(e, 0)
		if err != nil {
			return nil, malformed(formatEvidence, "endorsements: %w", err)
		}
		f.Pieces[0].Collateral = append(f.Pieces[0].Collateral, col...)
	}
	f.leftOver(o, "source", "evidence", "endorsements")
	return f, nil
}

// leftOver adds the row for members that nobody reads.
func (f *Found) leftOver(o object, read ...string) {
	if rest := o.except(read...); rest != "" {
		f.notRead(rest, "nothing: these members are not part of the evidence")
	}
}

// findQuoteJSON takes {"quote": text, ...}: what Intel Trust Authority, dstack
// and Trustee exchange. An event log beside it is collateral.
func findQuoteJSON(o object, depth int) (*Found, error) {
	b, err := o.bytes("quote")
	if err != nil {
		return nil, malformed(formatQuote, "%w", err)
	}
	f, err := inner(formatQuote, "quote", b, depth)
	if err != nil {
		return nil, err
	}
	read := []string{"quote"}
	for _, key := range []string{"event_log", "cc_eventlog"} {
		if !o.has(key) {
			continue
		}
		col, err := logMember(o, key)
		if err != nil {
			return nil, malformed(formatQuote, "%q: %w", key, err)
		}
		f.Pieces[0].Collateral = append(f.Pieces[0].Collateral, col...)
		read = append(read, key)
	}
	f.leftOver(o, read...)
	return f, nil
}

// logMember reads an event log: as JSON, as JSON within a string, or as the
// firmware's bytes in text.
func logMember(o object, key string) (attest.Collateral, error) {
	raw := o[key]
	if s, err := o.str(key); err == nil {
		if s == "" {
			return nil, nil
		}
		raw = []byte(s)
		if t := bytes.TrimSpace(raw); len(t) == 0 || t[0] != '[' {
			if raw, err = o.bytes(key); err != nil {
				return nil, err
			}
		}
	}
	col := eventLog(raw)
	if col == nil {
		return nil, fmt.Errorf("no event log of a known format")
	}
	return col, nil
}

// findAzureSNP takes {version, hcl_report, vcek, tpm_quote}: what Trustee's
// attester of Azure guests gives.
func findAzureSNP(o object, depth int) (*Found, error) {
	b, err := o.bytes("hcl_report")
	if err != nil {
		return nil, malformed(formatAzureSNP, "%w", err)
	}
	return azureSNP(o, "hcl_report", b, "tpm_quote", depth)
}

// findAzureSNP1 takes what it gave before it counted versions: {report, vcek,
// quote}, the HCL report as an array of numbers and the quote the TPM's.
func findAzureSNP1(o object, depth int) (*Found, error) {
	b, err := o.numbers("report", -1)
	if err != nil {
		return nil, malformed(formatAzureSNP, "%w", err)
	}
	return azureSNP(o, "report", b, "quote", depth)
}

func azureSNP(o object, key string, report []byte, quote string, depth int) (*Found, error) {
	// The runtime data that name the TPM's key must be those of the very report
	// that vouches for it: nothing wrapped, and nothing else that binds data.
	if !bytes.HasPrefix(report, hclMagic) {
		return nil, malformed(formatAzureSNP, "%q holds no HCL report", key)
	}
	f, err := inner(formatAzureSNP, key, report, depth)
	if err != nil {
		return nil, err
	}
	vcek, err := o.str("vcek")
	if err != nil {
		return nil, malformed(formatAzureSNP, "%w", err)
	}
	col, err := textCertificates(vcek)
	if err != nil {
		return nil, malformed(formatAzureSNP, `"vcek": %w`, err)
	}
	f.Pieces[0].Collateral = append(f.Pieces[0].Collateral, col...)
	h, err := parseHCL(report)
	if err != nil {
		return nil, malformed(formatAzureSNP, "%q: %w", key, err)
	}
	if err := f.azureTPM(formatAzureSNP, o, quote, h); err != nil {
		return nil, err
	}
	f.leftOver(o, key, "vcek", "version", quote)
	return f, nil
}

// findAzureTDX takes {version, hcl_report, td_quote, tpm_quote}: the quote is
// bound to the runtime data of the HCL report.
func findAzureTDX(o object, depth int) (*Found, error) {
	b, err := o.bytes("td_quote")
	if err != nil {
		return nil, malformed(formatAzureTDX, "%w", err)
	}
	f, err := inner(formatAzureTDX, "td_quote", b, depth)
	if err != nil {
		return nil, err
	}
	if len(f.Pieces) != 1 || f.Pieces[0].Evidence.MediaType != attest.MediaTypeTDX {
		return nil, malformed(formatAzureTDX, `"td_quote" is no quote of a TD`)
	}
	raw, err := o.bytes("hcl_report")
	if err != nil {
		return nil, malformed(formatAzureTDX, "%w", err)
	}
	h, err := parseHCL(raw)
	if err == nil && h.kind != hclTypeTDX {
		err = fmt.Errorf("no HCL report of a TD")
	}
	if err != nil {
		return nil, malformed(formatAzureTDX, `"hcl_report": %w`, err)
	}
	f.Pieces[0].ReportData, f.Pieces[0].ReportDataSource = h.binding()
	if err := f.azureTPM(formatAzureTDX, o, "tpm_quote", h); err != nil {
		return nil, err
	}
	f.leftOver(o, "hcl_report", "td_quote", "version", "tpm_quote")
	return f, nil
}

// textCertificates reads certificates from a string: PEM, or DER in text.
func textCertificates(s string) (attest.Collateral, error) {
	t := bytes.TrimSpace([]byte(s))
	if bytes.HasPrefix(t, pemBegin) {
		return certificates(t)
	}
	if b, ok := unbase64(t); ok {
		return certificates(b)
	}
	return nil, fmt.Errorf("neither PEM nor base64")
}
