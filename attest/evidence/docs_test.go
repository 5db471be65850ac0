// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"os"
	"strings"
	"testing"
)

// TestFormatsAreDocumented: every format that Find can give is in the package
// comment and in docs/evidence.md.
func TestFormatsAreDocumented(t *testing.T) {
	comment, err := os.ReadFile("evidence.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/evidence.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{
		formatSNP, formatSNPResponse, formatSNPExtended, formatSGX, formatTDX, formatNitro, formatHCL, formatAzureSNP, formatAzureTDX,
		formatRATLS, formatRequest, formatEnarx, formatTrustee, formatQuote, formatEvidence, formatOpenEnclave, formatVaporTPM, formatCMW,
		formatTPMTools, formatGoAttestation, formatKeepTPM, formatForeignTPM,
	} {
		if !strings.Contains(string(comment), f) {
			t.Errorf("the package comment does not mention %s", f)
		}
		if !strings.Contains(string(page), "`"+f+"`") {
			t.Errorf("docs/evidence.md does not mention %s", f)
		}
	}
}
