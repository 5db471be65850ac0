// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tdx_test

import (
	"fmt"
	"os"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/tdx"
)

// collateral reads saved files: what each is, its content says.
func collateral(files ...string) (col attest.Collateral, err error) {
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		entries, err := evidence.FindCollateral(file)
		if err != nil {
			return nil, err
		}
		col = append(col, entries...)
	}
	return col, nil
}

// Verify a TD quote with what Intel publishes about its platform, saved before.
// Nothing is expected of the guest here, and the verdict names what was waived.
func ExampleNew() {
	const dir = "../internal/dcap/testdata/tdx/"
	quote, err := os.ReadFile(dir + "v4-90c06f-dstack.quote.bin")
	if err != nil {
		fmt.Println(err)
		return
	}
	const saved = dir + "collateral/90c06f000000-2026-02/"
	col, err := collateral(saved+"tcbinfo.json", saved+"qeidentity.json", saved+"tcb-signing-chain.pem", saved+"root.crl.der", saved+"pck-platform.crl.der")
	if err != nil {
		fmt.Println(err)
		return
	}
	v := tdx.New(tdx.Options{Waive: attest.WaiveMeasurement | attest.WaiveHostData | attest.WaiveReportData})
	claims, verdict := v.Verify(attest.Evidence{MediaType: attest.MediaTypeTDX, Value: quote}, col, attest.Expected{},
		time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	if !verdict.OK() {
		fmt.Println(verdict.Err())
		return
	}
	fmt.Println(claims.Platform)
	for _, r := range verdict {
		if r.Check == "tdx.tcb" || r.Outcome == attest.Skipped && r.Check == "tdx.measurement" {
			fmt.Println(r.Check, r.Outcome)
		}
	}
	// Output:
	// tdx
	// tdx.tcb verified
	// tdx.measurement skipped
}
