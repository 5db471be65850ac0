// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// vector reads a vector by its name, such as "snp/genoa-v5.report.bin".
// Wrappings are here, what verifiers read is in their own packages, in which the
// name is shorter.
func vector(t testing.TB, name string) []byte {
	t.Helper()
	tried := []string{filepath.Join("testdata", name), filepath.Join("../internal/dcap/testdata", name)}
	for _, p := range []string{"snpreport", "nitrodoc", "eventlog"} {
		tried = append(tried, filepath.Join("../internal", p, "testdata", filepath.Base(name)))
	}
	for _, p := range tried {
		if b, err := os.ReadFile(p); err == nil {
			return b
		}
	}
	t.Fatalf("no vector %s", name)
	return nil
}

// files gives all vectors that match one of the patterns below their
// directories, and fails if there are fewer than expected.
func files(t testing.TB, least int, patterns ...string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, p := range patterns {
		names, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			all[n] = b
		}
	}
	if len(all) < least {
		t.Fatalf("%d files match %v, expected %d or more", len(all), patterns, least)
	}
	return all
}

// rawEvidence are all vectors of evidence that is not wrapped.
func rawEvidence(t testing.TB) map[string][]byte {
	return files(t, 35, "../internal/snpreport/testdata/*.report*.bin", "../internal/dcap/testdata/*/*.quote*.bin", "../internal/nitrodoc/testdata/*.cbor")
}

// TestOrigin holds the files of testdata to their list.
func TestOrigin(t *testing.T) {
	b, err := os.ReadFile("testdata/ORIGIN.tsv")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) != 7 || f[5] == "" {
			t.Fatalf("ORIGIN.tsv: %q", line)
		}
		listed[f[0]] = f[1]
	}
	found := 0
	for name, b := range files(t, 20, "testdata/*/*.*") {
		if strings.HasPrefix(name, "testdata/fuzz/") {
			continue
		}
		found++
		d := sha256.Sum256(b)
		if rel := strings.TrimPrefix(name, "testdata/"); listed[rel] != hex.EncodeToString(d[:]) {
			t.Errorf("%s: not in ORIGIN.tsv, or changed", rel)
		}
	}
	if found != len(listed) {
		t.Errorf("%d files, %d in ORIGIN.tsv", found, len(listed))
	}
}

// wrapping is a file that holds evidence which is also there without it.
type wrapping struct {
	file   string
	format string
	raw    []string // the vector that each piece is, "" if there is none
	bound  bool     // the wrapping says what the report data must be
	col    string   // kinds of collateral, as in the text for people
	rows   string   // outcome and name of the rows, in order
}

var wrappings = []wrapping{
	{"snp/genoa-v3-azure.hcl.bin", "azure-hcl-report", []string{"snp/genoa-v3-azure.report.bin"}, true, "", ""},
	{"tpm/azure-snp-milan-vtpm.hcl.bin", "azure-hcl-report", []string{"tpm/azure-snp-milan-vtpm.report.bin"}, true, "", ""},
	{"tpm/azure-snp-milan-vtpm.json", "azure-snp-vtpm-json", []string{"tpm/azure-snp-milan-vtpm.report.bin", ""}, true,
		"certificate of SEV-VCEK", ""},
	{"snp/siena-a0-v3.evidence.json", "trustee-snp-json", []string{"snp/siena-a0-v3.report.bin"}, false, "certificate of SEV-VCEK", ""},
	{"snp/milan-v2-enarx.csr.der", "enarx-request", []string{"snp/milan-v2-enarx.report.bin"}, true,
		"certificate of SEV-VCEK, revocation list of ARK-Genoa, revocation list of ARK-Milan", "verified self-signature"},
	{"snp/milan-v2-lit-novcek.msg-report-rsp.bin", "snp-report-response", []string{""}, false, "", ""},
	{"sgx/v3-00606a-enarx-xeon.csr.der", "enarx-request", []string{"sgx/v3-00606a-enarx-xeon.quote.bin"}, true,
		"revocation list of Intel SGX Root CA, revocation list of Intel SGX PCK Processor CA, revocation list of Intel SGX PCK Platform CA, " +
			"certificate of Intel SGX TCB Signing, certificate of Intel SGX Root CA, TCB info", "verified self-signature"},
	{"sgx/v3-00606a-ravl-debug.att.json", "evidence-json", []string{"sgx/v3-00606a-ravl-debug.quote.bin"}, false,
		"certificate of Intel SGX PCK Platform CA, certificate of Intel SGX Root CA, revocation list of Intel SGX Root CA, " +
			"revocation list of Intel SGX PCK Platform CA, certificate of Intel SGX TCB Signing, TCB info, QE identity", ""},
	{"sgx/ratls-gramine.cert.pem", "ra-tls-certificate+pem", []string{"", ""}, true, "", "verified key-hash, verified self-signature"},
	{"sgx/ratls-ratstls.cert.pem", "ra-tls-certificate+pem", []string{""}, true, "", "verified key-hash, verified self-signature"},
	{"tpm/aws-nitrotpm-ecc.json", "vaportpm-json", []string{"nitro/nitrotpm-2026-02.cbor", ""}, false, "", "verified tpm-key, verified tpm-registers"},
	{"tpm/gcp-cos85-nonce.pb", "go-tpm-tools-attestation", []string{""}, false, "certificate", "skipped not-read"},
	{"tpm/gcp-windows-sha1.json", "go-attestation-json", []string{""}, false, "", "skipped not-read"},
}

// reportDataOf cuts the report data out of raw evidence.
func reportDataOf(t testing.TB, ev attest.Evidence) []byte {
	t.Helper()
	switch ev.MediaType {
	case attest.MediaTypeSNP:
		return ev.Value[0x50:0x90]
	case attest.MediaTypeSGX:
		return ev.Value[48+320 : 48+384]
	}
	t.Fatalf("report data of %s", ev.MediaType)
	return nil
}

// TestWrappingsHoldTheRawEvidence: from every wrapping among the vectors comes
// exactly what lies beside it without one, bound to what the wrapping says.
func TestWrappingsHoldTheRawEvidence(t *testing.T) {
	for _, w := range wrappings {
		t.Run(w.file, func(t *testing.T) {
			f, err := Find(vector(t, w.file))
			if err != nil {
				t.Fatal(err)
			}
			if f.Format != w.format || len(f.Pieces) != len(w.raw) || rowNames(f.Rows) != w.rows {
				t.Errorf("%s with %d pieces and rows %q, expected %s with %d and %q", f.Format, len(f.Pieces), rowNames(f.Rows), w.format, len(w.raw), w.rows)
			}
			for i, p := range f.Pieces {
				if v := p.Vouch; v != nil {
					if i == 0 || v.Evidence != sha256.Sum256(f.Pieces[0].Evidence.Value) || v.Source == "" || v.Key == nil || p.Evidence.MediaType != attest.MediaTypeTPMQuote {
						t.Errorf("piece %d: %+v", i, v)
					}
					continue
				}
				if w.raw[i] != "" && !bytes.Equal(p.Evidence.Value, vector(t, w.raw[i])) {
					t.Errorf("piece %d is not %s", i, w.raw[i])
				}
				if got := kinds(p.Collateral); got != w.col {
					t.Errorf("collateral of piece %d: %s, expected %s", i, got, w.col)
				}
				if (p.ReportData != nil) != w.bound || (p.ReportDataSource != "") != w.bound {
					t.Fatalf("piece %d is bound: %v, expected %v", i, p.ReportData != nil, w.bound)
				}
				if w.bound && !bytes.Equal(reportDataOf(t, p.Evidence), p.ReportData[:]) {
					t.Errorf("piece %d is not bound to %s", i, p.ReportDataSource)
				}
			}
		})
	}
}

func rowNames(v attest.Verdict) string {
	var names []string
	for _, r := range v {
		names = append(names, string(r.Outcome)+" "+strings.TrimPrefix(r.Check, "wrapper."))
	}
	return strings.Join(names, ", ")
}

// TestRawEvidenceIsPassedOn: bytes of hardware reach their verifier as they
// are, also damaged ones.
func TestRawEvidenceIsPassedOn(t *testing.T) {
	for name, b := range rawEvidence(t) {
		f, err := Find(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := attest.MediaTypeNitro
		switch {
		case strings.Contains(name, ".report"):
			want = attest.MediaTypeSNP
		case strings.Contains(name, "/tdx/"):
			want = attest.MediaTypeTDX
		case strings.Contains(name, "/sgx/"):
			want = attest.MediaTypeSGX
		}
		p := f.Pieces[0]
		if len(f.Pieces) != 1 || p.Evidence.MediaType != want || !bytes.Equal(p.Evidence.Value, b) || p.ReportData != nil || len(f.Rows) != 0 {
			t.Errorf("%s: %s, %s of %d bytes", name, f.Format, p.Evidence.MediaType, len(p.Evidence.Value))
		}
	}
}

// TestWindow looks at the edges of a RA-TLS certificate's dates.
func TestWindow(t *testing.T) {
	f, err := Find(vector(t, "sgx/ratls-ratstls.cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Valid) != 1 {
		t.Fatalf("%d windows, expected 1", len(f.Valid))
	}
	w := f.Valid[0]
	from := time.Date(2023, 2, 22, 16, 10, 22, 0, time.UTC)
	to := time.Date(2024, 2, 22, 17, 10, 22, 0, time.UTC)
	for _, x := range []struct {
		at     time.Time
		reason attest.Reason
	}{
		{from.Add(-time.Second), attest.ReasonCertNotYetValid}, {from, ""}, {to, ""}, {to.Add(time.Second), attest.ReasonCertExpired},
	} {
		r := w.Row(x.at)
		if r.Reason != x.reason || (r.Outcome == attest.Pass) != (x.reason == "") || (r.Todo == "") != (x.reason == "") {
			t.Errorf("at %v: %+v, expected reason %q", x.at, r, x.reason)
		}
	}
}

// TestKnownButUnsupported: what has no verifier is named, never unknown.
func TestKnownButUnsupported(t *testing.T) {
	for file, format := range map[string]string{
		"tpm/gcp-amd-ecc.quote.bin":                   "tpm-quote",
		"tpm/gcp-windows-sha1.ak-creation.attest.bin": "tpm-attestation",
		"tdx/v4-90c06f-azure-vtpm.hcl.bin":            "azure-hcl-report",
	} {
		_, err := Find(vector(t, file))
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrUnknown) || e.Format != format || e.Todo == "" || e.Reason != attest.ReasonPlatform {
			t.Errorf("%s: %v, expected an error that names %s", file, err, format)
		}
	}
}

// TestFindBinding reads what evidence speaks of without holding it.
func TestFindBinding(t *testing.T) {
	b, err := FindBinding(vector(t, "snp/milan-v2-aci.security-policy.base64"))
	if err != nil || b.HostData == nil || !bytes.Equal(b.HostData[:], vector(t, "snp/milan-v2-aci.report.bin")[0xc0:0xe0]) {
		t.Errorf("security policy: %v, %v", b, err)
	}
	quote := vector(t, "tdx/v4-90c06f-azure-vtpm.quote.bin")
	b, err = FindBinding(vector(t, "tdx/v4-90c06f-azure-vtpm.hcl.bin"))
	if err != nil || b.ReportData == nil || !bytes.Equal(b.ReportData[:], quote[48+520:48+584]) {
		t.Errorf("HCL report of a TD: %v, %v", b, err)
	}
	if _, err := FindBinding(quote); !errors.Is(err, ErrUnknown) {
		t.Errorf("a quote: %v, expected ErrUnknown", err)
	}
}
