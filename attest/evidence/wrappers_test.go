// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// object of JSON, for a test.
type members map[string]any

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestQuoteWithItsLog: what dstack, Intel Trust Authority and Trustee exchange,
// put together from its parts.
func TestQuoteWithItsLog(t *testing.T) {
	quote, list := vector(t, "tdx/v4-90c06f-dstack.quote.bin"), vector(t, "tdx/v4-90c06f-dstack.eventlog.json")
	ccel := vector(t, "tdx/v4-00806f-gcp-cos113.ccel-data.bin")
	std := base64.StdEncoding.EncodeToString
	for name, x := range map[string]struct {
		file members
		log  []byte // nil without one
		kind string
		rows string
	}{
		"dstack":          {members{"quote": hex.EncodeToString(quote), "event_log": string(list), "report_data": "1234", "vm_config": "{}"}, list, attest.MediaTypeDstackLog, "skipped not-read"},
		"dstack, as JSON": {members{"quote": hex.EncodeToString(quote), "event_log": json.RawMessage(list)}, list, attest.MediaTypeDstackLog, ""},
		"Trustee":         {members{"quote": std(quote), "cc_eventlog": std(ccel)}, ccel, attest.MediaTypeEventLog, ""},
		"Trustee, no log": {members{"quote": std(quote), "cc_eventlog": nil}, nil, "", ""},
		"an empty log":    {members{"quote": std(quote), "event_log": ""}, nil, "", ""},
		"Trust Authority": {members{"quote": std(quote), "user_data": "AAAA"}, nil, "", "skipped not-read"},
	} {
		f, err := Find(encode(t, x.file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := f.Pieces[0]
		if f.Format != "quote-json" || !bytes.Equal(p.Evidence.Value, quote) || p.Platform != attest.PlatformTDX || rowNames(f.Rows) != x.rows {
			t.Errorf("%s: %s of platform %s with rows %q", name, f.Format, p.Platform, rowNames(f.Rows))
		}
		if (len(p.Collateral) == 1) != (x.log != nil) || x.log != nil && (p.Collateral[0].MediaType != x.kind || !bytes.Equal(p.Collateral[0].Value, x.log)) {
			t.Errorf("%s: collateral %s", name, kinds(p.Collateral))
		}
	}
	for name, file := range map[string]members{
		"a log that is none": {"quote": std(quote), "event_log": "[1]"},
		"a log of text":      {"quote": std(quote), "cc_eventlog": std([]byte("events"))},
		"no quote":           {"quote": std(ccel)},
		"a report as quote":  {"quote": "!"},
	} {
		if f, err := Find(encode(t, file)); err == nil {
			t.Errorf("%s: taken as %s", name, f.Format)
		}
	}
}

// TestAzureTDX: a TD quote is bound to the runtime data of the HCL report that
// comes with it, and to no other.
func TestAzureTDX(t *testing.T) {
	quote, hcl := vector(t, "tdx/v4-90c06f-azure-vtpm.quote.bin"), vector(t, "tdx/v4-90c06f-azure-vtpm.hcl.bin")
	url := base64.RawURLEncoding.EncodeToString
	f, err := Find(encode(t, members{"version": 1, "hcl_report": url(hcl), "td_quote": url(quote), "tpm_quote": members{}}))
	if err != nil {
		t.Fatal(err)
	}
	p := f.Pieces[0]
	if f.Format != "azure-tdx-vtpm-json" || !bytes.Equal(p.Evidence.Value, quote) || rowNames(f.Rows) != "skipped not-read" {
		t.Errorf("%s with rows %q", f.Format, rowNames(f.Rows))
	}
	if p.ReportData == nil || !bytes.Equal(p.ReportData[:], quote[48+520:48+584]) {
		t.Error("the quote is not bound to the runtime data")
	}
	other := bytes.Clone(hcl)
	other[hclRuntimeData+20] ^= 1
	f, err = Find(encode(t, members{"hcl_report": url(other), "td_quote": url(quote)}))
	if err != nil || bytes.Equal(f.Pieces[0].ReportData[:], quote[48+520:48+584]) {
		t.Errorf("other runtime data: %v", err)
	}
	for name, file := range map[string]members{
		"the report of an SNP guest": {"hcl_report": url(vector(t, "snp/genoa-v3-azure.hcl.bin")), "td_quote": url(quote)},
		"no HCL report":              {"hcl_report": url(quote), "td_quote": url(quote)},
		"a cut HCL report":           {"hcl_report": url(hcl[:1300]), "td_quote": url(quote)},
		"an SNP report, no vcek":     {"hcl_report": url(vector(t, "snp/genoa-v3-azure.hcl.bin")), "vcek": "x"},
		"an SNP report, no HCL":      {"hcl_report": url(vector(t, "snp/genoa-v3-azure.report.bin")), "vcek": url(vector(t, "snp/genoa-v3-azure.vcek.der"))},
	} {
		if f, err := Find(encode(t, file)); err == nil {
			t.Errorf("%s: taken as %s", name, f.Format)
		}
	}
}
