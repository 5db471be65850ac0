// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/cmw"
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

// TestOtherWrappings puts raw evidence into forms of which no file is among the
// vectors, as their authors describe them.
func TestOtherWrappings(t *testing.T) {
	std := base64.StdEncoding.EncodeToString
	hcl, vcek := vector(t, "tpm/azure-snp-milan-vtpm.hcl.bin"), vector(t, "tpm/azure-snp-milan-vtpm.vcek.der")
	report, quote := vector(t, "snp/milan-v2-aci.report.bin"), vector(t, "sgx/v3-00a067-phala.quote.bin")
	numbers := make([]int, len(hcl))
	for i, x := range hcl {
		numbers[i] = int(x)
	}
	oe := binary.LittleEndian.AppendUint64([]byte{1, 0, 0, 0, 2, 0, 0, 0}, uint64(len(quote)))
	oe = append(oe, quote...)
	key, spki := newKey(t)
	request := func(id asn1.ObjectIdentifier, value []byte) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: id, Value: value}}}, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	old, err := asn1.Marshal(struct {
		VCEK   asn1.RawValue
		Report []byte
	}{asn1.RawValue{FullBytes: vcek}, report})
	if err != nil {
		t.Fatal(err)
	}
	short, long := sha256.Sum256(spki), sha512.Sum384(spki)
	for name, x := range map[string]struct {
		file   []byte
		format string
		raw    []byte
		bound  []byte // begins the report data; nil if the wrapping says nothing
		col    string
	}{
		"Azure SNP, first version": {encode(t, members{"report": numbers, "vcek": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: vcek})), "quote": members{}}),
			"azure-snp-vtpm-json", vector(t, "tpm/azure-snp-milan-vtpm.report.bin"), vector(t, "tpm/azure-snp-milan-vtpm.report.bin")[0x50:0x70], "certificate of SEV-VCEK"},
		"CCF": {encode(t, members{"evidence": std(report), "endorsements": std(vector(t, "snp/milan-vcek-chain.pem")), "uvm_endorsements": "AAAA"}),
			"evidence-json", report, nil, "certificate of SEV-Milan, certificate of ARK-Milan"},
		"ACI": {encode(t, members{"evidence": std(report), "endorsements": std(vector(t, "snp/milan-v2-aci.thim.json"))}),
			"evidence-json", report, nil, "certificate of SEV-VCEK, certificate of SEV-Milan, certificate of ARK-Milan"},
		"Open Enclave":                 {oe, "openenclave-report", quote, nil, ""},
		"Enarx SNP, without lists":     {request(oidEnarxSNP, old), "enarx-request", report, long[:], "certificate of SEV-VCEK"},
		"Enarx SGX, the quote alone":   {request(oidEnarxSGX, quote), "enarx-request", quote, short[:], ""},
		"a request with legacy RA-TLS": {request(oidGramineMeant, quote), "certificate-request", quote, short[:], ""},
	} {
		f, err := Find(x.file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := f.Pieces[0]
		if f.Format != x.format || len(f.Pieces) != 1 || !bytes.Equal(p.Evidence.Value, x.raw) || kinds(p.Collateral) != x.col || f.Rows.Reason() == attest.ReasonBinding {
			t.Errorf("%s: %s with %s", name, f.Format, kinds(p.Collateral))
		}
		if (p.ReportData != nil) != (x.bound != nil) || x.bound != nil && (!bytes.HasPrefix(p.ReportData[:], x.bound) || !zero(p.ReportData[len(x.bound):])) {
			t.Errorf("%s: bound to %s", name, p.ReportDataSource)
		}
	}
	for name, b := range map[string][]byte{
		"Open Enclave, one byte more": append(bytes.Clone(oe), 0),
		"Open Enclave, local report":  append([]byte{1, 0, 0, 0, 1, 0, 0, 0}, oe[8:]...),
		"endorsements of nothing":     encode(t, members{"evidence": std(report), "endorsements": "AAAA"}),
		"evidence of nothing":         encode(t, members{"evidence": "AAAA"}),
	} {
		if f, err := Find(b); err == nil {
			t.Errorf("%s: taken as %s", name, f.Format)
		}
	}
}

// TestCMWInACertificate: a wrapper of RFC 9999 in either extension, in either
// form; what binds it to the key is said to be unknown.
func TestCMWInACertificate(t *testing.T) {
	key, _ := newKey(t)
	report, vcek := vector(t, "snp/genoa-v5.report.bin"), vector(t, "snp/genoa-v5.vcek.der")
	n := &cmw.Node{Collection: &cmw.Collection{Entries: []cmw.Entry{
		{Label: cmw.Text("report"), Node: cmw.Node{Record: &cmw.Record{Type: cmw.MediaType(attest.MediaTypeSNP), Value: report, Ind: cmw.Evidence}}},
		{Label: cmw.Text("vcek"), Node: cmw.Node{Record: &cmw.Record{Type: cmw.MediaType(attest.MediaTypeCertificate), Value: vcek, Ind: cmw.Endorsements}}},
		{Label: cmw.Text("values"), Node: cmw.Node{Record: &cmw.Record{Type: cmw.MediaType("application/rim+cbor"), Value: []byte{0xa0}, Ind: cmw.ReferenceValues}}},
	}}}
	inCBOR, err := n.CBOR()
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := n.JSON()
	if err != nil {
		t.Fatal(err)
	}
	octets, err := asn1.Marshal(inCBOR)
	if err != nil {
		t.Fatal(err)
	}
	utf8, err := asn1.MarshalWithParams(string(inJSON), "utf8")
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"CBOR alone":        inCBOR,
		"JSON alone":        inJSON,
		"CBOR in id-pe-cmw": ratls(t, key, pkix.Extension{Id: oidCMW, Value: octets}),
		"JSON in id-pe-cmw": ratls(t, key, pkix.Extension{Id: oidCMW, Value: utf8}),
	} {
		f, err := Find(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := f.Pieces[0]
		want := "skipped not-read"
		if strings.HasPrefix(f.Format, "ra-tls") {
			want = "skipped not-read, skipped not-read, verified self-signature"
		}
		if !bytes.Equal(p.Evidence.Value, report) || kinds(p.Collateral) != "certificate of SEV-VCEK" || p.ReportData != nil || rowNames(f.Rows) != want {
			t.Errorf("%s: %s, %s, rows %q", name, f.Format, kinds(p.Collateral), rowNames(f.Rows))
		}
	}
	for name, v := range map[string][]byte{"nothing": {}, "a null": {5, 0}, "a record that is none": {4, 1, 0x80}} {
		if f, err := Find(ratls(t, key, pkix.Extension{Id: oidCMW, Value: v})); err == nil {
			t.Errorf("%s in id-pe-cmw: taken as %s", name, f.Format)
		}
	}
}
