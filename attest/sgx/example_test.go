// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sgx_test

import (
	"fmt"
	"os"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/sgx"
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

// A quote of a platform that Intel wants mitigations for. The reason tells a
// program what is wrong, and the row a person what could be done about it.
func ExampleNew() {
	const dir = "../internal/dcap/testdata/sgx/"
	quote, err := os.ReadFile(dir + "v3-00a067-phala.quote.bin")
	if err != nil {
		fmt.Println(err)
		return
	}
	const saved = dir + "collateral/00a067110000-2025-06/"
	col, err := collateral(saved+"tcbinfo.json", saved+"qeidentity.json", saved+"tcb-signing-chain.pem", saved+"root.crl.der", saved+"pck-processor.crl.der")
	if err != nil {
		fmt.Println(err)
		return
	}
	v := sgx.New(sgx.Options{Waive: attest.WaiveMeasurement | attest.WaiveHostData | attest.WaiveReportData})
	claims, verdict := v.Verify(attest.Evidence{MediaType: attest.MediaTypeSGX, Value: quote}, col, attest.Expected{},
		time.Date(2025, 6, 25, 0, 0, 0, 0, time.UTC))
	fmt.Println("claims:", claims != nil, "reason:", verdict.Reason())
	// Output: claims: false reason: tcb-configuration-and-sw-hardening-needed
}
