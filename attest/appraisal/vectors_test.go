// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
)

const (
	dcapData = "../internal/dcap/testdata/"
	snpData  = "../internal/snpreport/testdata/"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func day0(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// entry makes collateral of one file, by its name.
func entry(t testing.TB, name string) attest.Evidence {
	t.Helper()
	b := read(t, name)
	base := filepath.Base(name)
	switch {
	case strings.HasSuffix(base, ".pem"):
		return attest.Evidence{MediaType: attest.MediaTypePEMChain, Value: b}
	case strings.HasSuffix(base, ".crl.der"):
		return attest.Evidence{MediaType: attest.MediaTypeCRL, Value: b}
	case strings.HasSuffix(base, ".der"):
		return attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: b}
	case bytes.HasPrefix(b, []byte(`{"tcbInfo"`)):
		return attest.Evidence{MediaType: attest.MediaTypeIntelTCBInfo, Value: b}
	case bytes.HasPrefix(b, []byte(`{"enclaveIdentity"`)):
		return attest.Evidence{MediaType: attest.MediaTypeIntelQEIdentity, Value: b}
	}
	t.Fatalf("%s: no collateral", name)
	return attest.Evidence{}
}

// folder is the collateral of one directory of dcap's vectors.
func folder(t testing.TB, name string) attest.Collateral {
	t.Helper()
	names, err := filepath.Glob(dcapData + name + "/*")
	if err != nil || len(names) < 5 {
		t.Fatalf("%s: %d files, %v", name, len(names), err)
	}
	var col attest.Collateral
	for _, n := range names {
		col = append(col, entry(t, n))
	}
	return col
}

// everything is all good collateral of all vectors at once, as in a directory
// of a fleet's.
func everything(t testing.TB) attest.Collateral {
	t.Helper()
	var col attest.Collateral
	add := func(path string, d fs.DirEntry, err error) error {
		base := filepath.Base(path)
		if err != nil || d.IsDir() || strings.Contains(base, "corrupt") || strings.Contains(base, "fortanix") || strings.Contains(base, "bad") {
			return err
		}
		col = append(col, entry(t, path))
		return nil
	}
	for _, dir := range []string{"tdx/collateral", "sgx/collateral"} {
		if err := filepath.WalkDir(dcapData+dir, add); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(snpData + "*.der")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.Contains(n, "bad") {
			col = append(col, entry(t, n))
		}
	}
	if len(col) < 60 {
		t.Fatalf("%d entries of collateral: nothing would be shown", len(col))
	}
	return col
}

// vector is one file of real hardware with its verdict.
type vector struct {
	file     string
	platform string
	at       string
	fails    string // the failed rows, without platform
}

var vectors = []vector{
	{dcapData + "tdx/v4-00806f-gcp-cos113.quote.bin", "tdx", "2025-02-05", ""},
	{dcapData + "tdx/v4-00806f-gcp-cos113.quote.bin", "tdx", "2026-02-10", "tcb"},
	{dcapData + "tdx/v4-00806f-flashbots.quote.bin", "tdx", "2026-02-10", ""},
	{dcapData + "tdx/v4-00806f-oldplatform.quote.bin", "tdx", "2025-02-05", "tcb"},
	{dcapData + "tdx/v4-b0c06f-phala.quote.bin", "tdx", "2025-06-25", ""},
	{dcapData + "tdx/v4-20a06f-near.quote.bin", "tdx", "2025-09-15", ""},
	{dcapData + "tdx/v4-90c06f-dstack.quote.bin", "tdx", "2026-06-20", ""},
	{dcapData + "tdx/v5-90c06f-td15.quote.bin", "tdx", "2026-03-01", ""},
	{dcapData + "tdx/v5-90c06f-relaunch.quote.bin", "tdx", "2026-03-01", "tcb"},
	{dcapData + "tdx/v4-50806f-debug.quote.bin", "tdx", "2023-06-25", "debug"},
	{dcapData + "sgx/v3-00a067-phala.quote.bin", "sgx", "2025-06-25", "tcb"},
	{dcapData + "sgx/v3-00606a-enarx-xeon.quote.bin", "sgx", "2025-09-01", "tcb"},
	{snpData + "milan-v2-azure.report.bin", "snp", "2025-06-01", ""},
	{snpData + "milan-v2-virtee.report.bin", "snp", "2025-06-01", ""},
	{snpData + "milan-v3-oak.report.bin", "snp", "2025-06-01", ""},
	{snpData + "milan-v3-aws-vlek.report.bin", "snp", "2025-06-01", "vmpl"},
	{snpData + "milan-v2-debugpolicy.report.bin", "snp", "2025-06-01", "debug"},
	{snpData + "genoa-v3-azure.report.bin", "snp", "2025-06-01", "dates"},
	{snpData + "genoa-v5.report.bin", "snp", "2025-09-01", ""},
	{snpData + "milan-v4-gcp-novcek.report.bin", "snp", "2025-06-01", "chain signature"},
}

func failed(v attest.Verdict, platform string) string {
	var names []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			names = append(names, strings.TrimPrefix(r.Check, platform+"."))
		}
	}
	return strings.Join(names, " ")
}

// TestVectors verifies raw evidence with the collateral of all machines at
// once: what belongs to the machine is found.
func TestVectors(t *testing.T) {
	col := everything(t)
	for _, x := range vectors {
		res, err := Appraise(Request{File: read(t, x.file), Collateral: col, At: day0(t, x.at)})
		if err != nil {
			t.Fatal(err)
		}
		if got := failed(res.Rows, x.platform); got != x.fails || res.Accepted != (x.fails == "") || res.Platform != x.platform {
			t.Errorf("%s at %s: %s failed %q, expected %q: %v", x.file, x.at, res.Platform, got, x.fails, res.Rows.Err())
		}
		if res.Accepted != (res.Reason == "") || res.Accepted != res.Claims.Verified() {
			t.Errorf("%s: accepted %v, reason %q, claims %v", x.file, res.Accepted, res.Reason, res.Claims)
		}
		for _, check := range []string{"measurement", "host-data", "report-data", "collateral"} {
			if r := rowOf(res.Rows, x.platform+"."+check); r.Outcome != attest.Skipped {
				t.Errorf("%s: %s is not named as skipped: %+v", x.file, check, r)
			}
		}
	}
}

func rowOf(v attest.Verdict, check string) attest.Row {
	for _, r := range v {
		if r.Check == check {
			return r
		}
	}
	return attest.Row{}
}
