// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitro_test

import (
	"fmt"
	"os"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/nitro"
)

// Verify the document of an enclave, a second after it was made: it brings its
// own chain. What was waived is named by the claims.
func ExampleNew() {
	document, err := os.ReadFile("../internal/nitrodoc/testdata/enclave-2025-12.cbor")
	if err != nil {
		fmt.Println(err)
		return
	}
	v := nitro.New(nitro.Options{Waive: attest.WaiveMeasurement | attest.WaiveHostData | attest.WaiveReportData})
	claims, verdict := v.Verify(attest.Evidence{MediaType: attest.MediaTypeNitro, Value: document}, nil, attest.Expected{},
		time.Date(2025, 12, 25, 13, 15, 38, 0, time.UTC))
	if !verdict.OK() {
		fmt.Println(verdict.Err())
		return
	}
	fmt.Println(claims.Platform, "waived:", claims.Waived)
	// Output: nitro waived: [measurement host-data report-data]
}
