// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/policy/policytoml"
)

// saved reads a report of a real machine with the collateral that was saved
// for it: the certificate of its chip and AMD's revocation list.
func saved() (report []byte, col attest.Collateral, err error) {
	const dir = "../internal/snpreport/testdata"
	if report, err = os.ReadFile(filepath.Join(dir, "milan-v2-enarx.report.bin")); err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"milan-v2-enarx.vcek.der", "milan-2025-05-06.crl.der"} {
		file, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, nil, err
		}
		entries, err := evidence.FindCollateral(file)
		if err != nil {
			return nil, nil, err
		}
		col = append(col, entries...)
	}
	return report, col, nil
}

// Verify a report from a file. What nobody demands is not checked, and named.
func Example() {
	report, col, err := saved()
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := appraisal.Appraise(appraisal.Request{
		File:       report,
		Collateral: col,
		At:         time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		fmt.Println(err) // the request is wrong, not the evidence
		return
	}
	fmt.Println("accepted:", res.Accepted, "platform:", res.Platform)
	for _, r := range res.Rows {
		switch r.Check {
		case "snp.signature", "snp.measurement", "snp.report-data":
			fmt.Println(r.Check, r.Outcome)
		}
	}
	// Output:
	// accepted: true platform: snp
	// snp.signature verified
	// snp.measurement skipped
	// snp.report-data skipped
}

// Demand what the evidence is bound to, which guest it is, and a firmware level.
// Only with all three does a yes speak of your session with your guest.
func ExampleAppraise_demands() {
	report, col, err := saved()
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := policytoml.Parse("policy.toml", []byte(`
version = 1
platforms = ["snp"]

[[tcb.floor]]
line = "Milan"
min = { bootloader = 2, snp = 6, microcode = 93 }
note = "no level before this one"
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	// In earnest, report data comes from your own connection and the
	// measurement from reference values that you trust. Here both are taken
	// from the report itself, which proves nothing.
	reportData := [64]byte(report[0x50:0x90])
	res, err := appraisal.Appraise(appraisal.Request{
		File: report, Collateral: col, At: time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC),
		Policy:     policy,
		ReportData: &reportData,
		References: []attest.ReferenceValue{{Platform: attest.PlatformSNP, Measurement: report[0x90:0xc0], Release: "v1", Source: "an example"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("accepted:", res.Accepted)
	for _, r := range res.Rows {
		switch r.Check {
		case "snp.measurement", "snp.report-data", "policy.platform":
			fmt.Println(r.Check, r.Outcome)
		}
	}
	// Output:
	// accepted: true
	// snp.measurement verified
	// snp.report-data verified
	// policy.platform verified
}

// A refusal says what is wrong: for programs as a reason, for people in rows
// with what to do next.
func ExampleAppraise_refusal() {
	report, col, err := saved()
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := appraisal.Appraise(appraisal.Request{
		File:       report,
		Collateral: col,
		At:         time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), // a year after the list was fetched
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("accepted:", res.Accepted, "reason:", res.Reason)
	switch res.Reason {
	case attest.ReasonListExpired, attest.ReasonCollateralExpired:
		fmt.Println("fetch it again, and try once more")
	}
	for _, r := range res.Rows {
		if r.Outcome == attest.Fail {
			fmt.Println(r.Check, "has something to do:", r.Todo != "")
		}
	}
	// Output:
	// accepted: false reason: revocation-list-expired
	// fetch it again, and try once more
	// snp.revocation has something to do: true
}
