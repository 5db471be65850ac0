// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/enarx/enarx-go/attest"
)

// realVector reads evidence of real hardware, where its verifiers keep it.
func realVector(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../attest/internal", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inspectBytes runs `enarx evidence inspect -` on b.
func inspectBytes(t *testing.T, b []byte, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"evidence", "inspect", "-"}, args...), bytes.NewReader(b), &stdout, &stderr); code != exitOK {
		t.Fatalf("code %d: %s", code, &stderr)
	}
	if !strings.Contains(stderr.String(), "nothing here is verified") {
		t.Errorf("it is not said that nothing is verified: %s", &stderr)
	}
	return stdout.String()
}

// Pieces that share collateral do not show it twice.
func TestInspectShowsCollateralOnce(t *testing.T) {
	url := base64.RawURLEncoding.EncodeToString
	report := url(realVector(t, "snpreport/testdata/genoa-v5.report.bin"))
	b, err := json.Marshal(map[string]any{
		"a": []any{attest.MediaTypeSNP, report, 4},
		"b": []any{attest.MediaTypeSNP, report, 4},
		"c": []any{attest.MediaTypeCertificate, url(realVector(t, "snpreport/testdata/genoa-v5.vcek.der")), 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	var in inspectedEvidence
	if err := json.Unmarshal([]byte(inspectBytes(t, b, "--json")), &in); err != nil {
		t.Fatal(err)
	}
	var roles []string
	for _, it := range in.Items {
		roles = append(roles, it.Role)
	}
	if got := strings.Join(roles, " "); got != "evidence collateral evidence" || in.Verified {
		t.Errorf("items %s, expected the certificate once", got)
	}
}

// What is decoded fits on a terminal of 80 columns, and nothing in it acts on
// the terminal.
func TestInspectFitsAndObeysNothing(t *testing.T) {
	for _, name := range []string{"snpreport/testdata/turin-v5.report.bin", "dcap/testdata/tdx/v5-90c06f-td15.quote.bin",
		"nitrodoc/testdata/enclave-2024-08-debug-all-fields.cbor", "dcap/testdata/tdx/collateral/00806f050000-2026-01/tcbinfo.json",
		"eventlog/testdata/v4-00806f-gcp-cos113.ccel-data.bin"} {
		lines := 0
		for line := range strings.Lines(inspectBytes(t, realVector(t, name))) {
			lines++
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("%s: %d characters in %q", name, n, line)
			}
		}
		if lines < 20 {
			t.Errorf("%s: only %d lines", name, lines)
		}
	}
	doc := realVector(t, "dcap/testdata/tdx/collateral/00806f050000-2026-01/tcbinfo.json")
	doc = bytes.Replace(doc, []byte(`"id":"TDX"`), []byte(`"id":"\u001b[2J\u202eTDX"`), 1)
	if out := inspectBytes(t, doc); strings.ContainsAny(out, "\x1b\u202e") {
		t.Error("a document acts on the terminal")
	}
}
