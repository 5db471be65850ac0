// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/internal/tpmquote"
)

const tpmData = "../evidence/testdata/tpm/"

// tpmRoot is a certificate that the relying party names as a root.
func tpmRoot(t testing.TB, name string) []*x509.Certificate {
	t.Helper()
	b := read(t, tpmData+name)
	der := b
	if block, _ := pem.Decode(b); block != nil {
		der = block.Bytes
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c}
}

// tpmVectors are the quotes of TPMs of clouds with what is to be said of each.
var tpmVectors = []struct {
	file, root, at string
	nonce          string // in hexadecimal; empty demands none
	fails          string // failed rows, with the platform
	lead           attest.Reason
	passes         string // rows that must have passed
}{
	{"gcp-amd-ecc.json", "gcp_ek_ak_ca_root.crt", "2026-02-02", "", "vtpm.chain vtpm.dates vtpm.revocation vtpm.activation", attest.ReasonCertNotYetValid, "vtpm.signature vtpm.pcrs"},
	{"gcp-amd-ecc.json", "gcp_ek_ak_ca_root.crt", "2026-02-03", "", "", "", "vtpm.chain vtpm.dates vtpm.activation vtpm.signature vtpm.pcrs"},
	{"gcp-amd-ecc.json", "gcp_ek_ak_ca_root.crt", "2026-02-03", "8a543108a653b4a1162232744cc9b945017a449dea4fbb0ca62f42d3ef145562", "", "", "vtpm.report-data"},
	{"gcp-amd-ecc.json", "gcp_ek_ak_ca_root.crt", "2026-02-03", "8a543108a653b4a1162232744cc9b945017a449dea4fbb0ca62f42d3ef145563", "vtpm.report-data", attest.ReasonReportData, "vtpm.signature"},
	{"gcp-amd-ecc.json", "", "2026-02-03", "", "vtpm.chain vtpm.dates vtpm.revocation vtpm.activation", attest.ReasonRoot, "vtpm.signature vtpm.pcrs"},
	{"gcp-amd-ecc.json", "tpm_ek_intermediate_2.crt", "2026-02-03", "", "vtpm.chain vtpm.dates vtpm.revocation vtpm.activation", attest.ReasonRoot, "vtpm.signature"},
	{"gcp-cos85-nonce.pb", "tpm_ek_intermediate_2.crt", "2021-09-15", "9009", "", "", "vtpm.chain vtpm.attestation-key vtpm.signature vtpm.pcrs vtpm.event-log vtpm.report-data"},
	{"gcp-cos85-nonce.pb", "gcp_ek_ak_ca_root.crt", "2021-09-15", "", "vtpm.chain vtpm.dates vtpm.revocation vtpm.activation", attest.ReasonRoot, "vtpm.signature vtpm.event-log"},
	{"aws-nitrotpm-ecc.json", "", "2026-02-03T10:12:02Z", "", "", "", "wrapper.tpm-key wrapper.tpm-registers 1.nitro.signature 2.vtpm.chain 2.vtpm.signature 2.vtpm.pcrs"},
	{"aws-nitrotpm-ecc.json", "", "2026-02-03T10:12:02Z", "230af3f7c0ec43ccf99a4cab47ac61469a36ea74b1e79740fdf8ccfc8f56161a", "", "", "2.vtpm.report-data"},
	{"aws-nitrotpm-ecc.json", "", "2026-02-04T10:12:02Z", "", "1.nitro.dates 2.vtpm.chain", attest.ReasonCertExpired, "1.nitro.signature"},
	{"azure-snp-milan-vtpm.json", "", "2025-06-01", "", "", "", "1.snp.signature 1.snp.report-data 2.vtpm.chain 2.vtpm.signature 2.vtpm.pcrs"},
	{"azure-snp-milan-vtpm.json", "", "2025-06-01", "ff", "2.vtpm.report-data", attest.ReasonReportData, "1.snp.report-data 2.vtpm.signature"},
	{"azure-snp-milan-vtpm.json", "", "2032-06-01", "", "1.snp.dates 1.snp.revocation 2.vtpm.chain", attest.ReasonCertExpired, "1.snp.signature"},
	{"gcp-windows-sha1.json", "gcp_ek_ak_ca_root.crt", "2025-06-01", "", "vtpm.chain vtpm.dates vtpm.revocation vtpm.attestation-key vtpm.activation vtpm.signature vtpm.pcrs vtpm.event-log vtpm.measurement", attest.ReasonChain, ""},
}

// tpmRequest is the request about a file with a TPM's quote.
func tpmRequest(t testing.TB, file []byte, root, at, nonce string) Request {
	t.Helper()
	r := Request{File: file, At: timeOf(t, at), Collateral: attest.Collateral{entry(t, snpData+"milan-2025-05-06.crl.der")}}
	if root != "" {
		r.Policy.VTPM.Roots, r.Policy.VTPM.RootSource = tpmRoot(t, root), root
	}
	if nonce != "" {
		b, err := hex.DecodeString(nonce)
		if err != nil {
			t.Fatal(err)
		}
		r.ReportData = &[64]byte{}
		copy(r.ReportData[:], b)
	}
	return r
}

// TestTPMVectors: quotes of TPMs of clouds, through what clouds and tools wrap
// them in, verify under the root that is named or on the word of the evidence
// beside them, and under nothing else.
func TestTPMVectors(t *testing.T) {
	for _, x := range tpmVectors {
		res, err := Appraise(tpmRequest(t, read(t, tpmData+x.file), x.root, x.at, x.nonce))
		if err != nil {
			t.Fatal(err)
		}
		var failed []string
		for _, r := range res.Rows {
			if r.Outcome == attest.Fail {
				failed = append(failed, r.Check)
			}
			if r.Seen == "" || r.Expected == "" || r.Source == "" || r.Outcome == attest.Fail && (r.Todo == "" || r.Reason == "") {
				t.Errorf("%s at %s: a row that does not say everything: %+v", x.file, x.at, r)
			}
		}
		if got := strings.Join(failed, " "); got != x.fails || res.Accepted != (x.fails == "") || res.Reason != x.lead {
			t.Errorf("%s under %q at %s: failed %q for %q, expected %q for %q: %v", x.file, x.root, x.at, got, res.Reason, x.fails, x.lead, res.Rows.Err())
		}
		for _, check := range strings.Fields(x.passes) {
			if r := rowOf(res.Rows, check); r.Outcome != attest.Pass {
				t.Errorf("%s at %s: %s is %+v", x.file, x.at, check, r)
			}
		}
	}
}

// TestTPMVectorRefusedForSHA1: the quote with SHA-1 alone is refused for that.
func TestTPMVectorRefusedForSHA1(t *testing.T) {
	res, err := Appraise(tpmRequest(t, read(t, tpmData+"gcp-windows-sha1.json"), "gcp_ek_ak_ca_root.crt", "2025-06-01", ""))
	if err != nil {
		t.Fatal(err)
	}
	for check, reason := range map[string]attest.Reason{"vtpm.signature": attest.ReasonSignature, "vtpm.pcrs": attest.ReasonSignature, "vtpm.attestation-key": attest.ReasonKey} {
		if r := rowOf(res.Rows, check); r.Outcome != attest.Fail || r.Reason != reason || !strings.Contains(r.Seen, "SHA-1") {
			t.Errorf("%s: %+v", check, r)
		}
	}
}

// TestTPMQuoteRestsOnItsVoucher: a quote beside evidence counts only by that
// evidence's word on its key. A quote by another key, other registers or another
// document than the one beside it are refused.
func TestTPMQuoteRestsOnItsVoucher(t *testing.T) {
	edit := func(file string, change func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(read(t, tpmData+file), &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var google map[string]any
	if err := json.Unmarshal(read(t, tpmData+"gcp-amd-ecc.json"), &google); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		file   []byte
		at     string
		reason attest.Reason
	}{
		"Google's quote beside AWS's document": {edit("aws-nitrotpm-ecc.json", func(m map[string]any) {
			m["ak_pubkeys"] = google["ak_pubkeys"]
			m["attestation"].(map[string]any)["tpm"] = google["attestation"].(map[string]any)["tpm"]
			m["pcrs"] = google["pcrs"]
		}), "2026-02-03T10:12:02Z", attest.ReasonBinding},
		"another key": {edit("aws-nitrotpm-ecc.json", func(m map[string]any) { m["ak_pubkeys"] = google["ak_pubkeys"] }), "2026-02-03T10:12:02Z", attest.ReasonBinding},
		"another register": {edit("aws-nitrotpm-ecc.json", func(m map[string]any) {
			p := m["pcrs"].(map[string]any)["sha384"].(map[string]any)
			p["11"] = strings.Repeat("11", 48)
		}), "2026-02-03T10:12:02Z", attest.ReasonBinding},
		"another register of Azure's": {edit("azure-snp-milan-vtpm.json", func(m map[string]any) {
			m["tpm_quote"].(map[string]any)["pcrs"].([]any)[8] = strings.Repeat("11", 32)
		}), "2025-06-01", attest.ReasonSignature},
	} {
		res, err := Appraise(tpmRequest(t, x.file, "", x.at, ""))
		if err != nil {
			t.Fatal(err)
		}
		if res.Accepted || res.Reason != x.reason || res.Claims != nil {
			t.Errorf("%s: accepted %v for %q: %v", name, res.Accepted, res.Reason, res.Rows.Err())
		}
	}
}

// TestInvariant4HostileInputIsBounded_DamagedTPMQuotes flips one bit in every
// seventh byte of quote, key, signature, registers and certificates (with
// -attest.everybit each bit of each byte), of quotes that are accepted: none
// may be accepted then.
func TestInvariant4HostileInputIsBounded_DamagedTPMQuotes(t *testing.T) {
	for _, x := range []struct{ file, root, at string }{
		{"gcp-amd-ecc.json", "gcp_ek_ak_ca_root.crt", "2026-02-03"},
		{"gcp-cos85-nonce.pb", "tpm_ek_intermediate_2.crt", "2021-09-15"},
		{"azure-snp-milan-vtpm.json", "", "2025-06-01"},
		{"aws-nitrotpm-ecc.json", "", "2026-02-03T10:12:02Z"},
	} {
		found, err := evidence.Find(read(t, tpmData+x.file))
		if err != nil {
			t.Fatal(err)
		}
		p := found.Pieces[len(found.Pieces)-1]
		r := tpmRequest(t, nil, x.root, x.at, "")
		v := r.verifier(p, r.Waivers())
		check := func() (bool, attest.Verdict) {
			c, rows := v.Verify(p.Evidence, p.Collateral, attest.Expected{}, r.At)
			return c != nil || rows.OK(), rows
		}
		if ok, rows := check(); !ok {
			t.Fatalf("%s: refused before it was damaged: %v", x.file, rows.Err())
		}
		flips, step := 0, 7
		if attesttest.EveryBit() {
			step = 1
		}
		// The log, which comes last, is not signed: what of it leads to the
		// registers, the tests of package vtpm damage.
		parts, err := tpmquote.DecodeForeign(p.Evidence.Value)
		if err != nil {
			t.Fatal(err)
		}
		end := len(p.Evidence.Value) - len(parts.EventLog)
		for i := 0; i < end; i += step {
			first, last := i%8, i%8
			if attesttest.EveryBit() {
				first, last = 0, 7
			}
			for bit := first; bit <= last; bit++ {
				p.Evidence.Value[i] ^= 1 << bit
				if ok, _ := check(); ok {
					t.Errorf("%s: bit %d of byte %d flipped and accepted", x.file, bit, i)
				}
				p.Evidence.Value[i] ^= 1 << bit
				flips++
			}
		}
		// The root stands last and is the relying party's own: it is not used.
		for n := range max(len(p.Collateral)-1, 0) {
			b := p.Collateral[n].Value
			for i := 0; i < len(b); i += step {
				b[i] ^= 1 << (i % 8)
				if ok, _ := check(); ok {
					t.Errorf("%s: byte %d of certificate %d flipped and accepted", x.file, i, n)
				}
				b[i] ^= 1 << (i % 8)
				flips++
			}
		}
		if flips < 100 {
			t.Errorf("%s: %d flips", x.file, flips)
		}
	}
}

// timeOf reads a day or a time.
func timeOf(t testing.TB, s string) time.Time {
	t.Helper()
	if len(s) == len(time.DateOnly) {
		return day0(t, s)
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
