// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp_test

import (
	"fmt"
	"os"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/snp"
)

// Verify a report with this verifier alone, again and again: the cache remembers
// which signatures of certificates and lists were good, and nothing else.
func ExampleNew() {
	const dir = "../internal/snpreport/testdata/"
	var files [3][]byte
	for i, name := range []string{"milan-v2-enarx.report.bin", "milan-v2-enarx.vcek.der", "milan-2025-05-06.crl.der"} {
		b, err := os.ReadFile(dir + name)
		if err != nil {
			fmt.Println(err)
			return
		}
		files[i] = b
	}
	v := snp.New(snp.Options{
		Cache: snp.NewCache(1024),
		// A guest of somebody else's: claims say what was waived, and
		// package policy refuses them for a deployment.
		Waive: attest.WaiveHostData | attest.WaiveReportData,
	})
	claims, verdict := v.Verify(
		attest.Evidence{MediaType: attest.MediaTypeSNP, Value: files[0]},
		attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: files[1]}, {MediaType: attest.MediaTypeCRL, Value: files[2]}},
		attest.Expected{
			Measurements: []attest.ReferenceValue{{Platform: attest.PlatformSNP, Measurement: files[0][0x90:0xc0], Release: "v1", Source: "an example"}},
			TCB:          attest.TCBPolicy{Floors: []attest.TCBFloor{{Min: map[string]uint64{"snp": 6}}}},
		},
		time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC),
	)
	if !verdict.OK() {
		fmt.Println(verdict.Err())
		return
	}
	fmt.Println(claims.Platform, "snp firmware", claims.TCB["snp"])
	// Output: snp snp firmware 6
}
