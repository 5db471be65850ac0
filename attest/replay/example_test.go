// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"fmt"
	"os"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidencebundle"
	"github.com/enarx/enarx-go/attest/replay"
)

// Keep evidence with everything that its appraisal took, and appraise it again
// years later.
func Example() {
	const dir = "../internal/snpreport/testdata/"
	report, err := os.ReadFile(dir + "milan-v2-enarx.report.bin")
	if err != nil {
		fmt.Println(err)
		return
	}
	vcek, err := os.ReadFile(dir + "milan-v2-enarx.vcek.der")
	if err != nil {
		fmt.Println(err)
		return
	}
	crl, err := os.ReadFile(dir + "milan-2025-05-06.crl.der")
	if err != nil {
		fmt.Println(err)
		return
	}
	b, res, err := replay.Make(replay.Source{
		File:       report,
		Collateral: attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: vcek}, {MediaType: attest.MediaTypeCRL, Value: crl}},
		At:         time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC),
		Maker:      "an example",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := b.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("kept, accepted:", res.Accepted)

	again, err := evidencebundle.Open(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := replay.Run(again, replay.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("replayed, the same:", out.Same, "yes:", out.Yes())

	later, err := replay.Run(again, replay.Options{At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a year later:", later.Yes(), later.Result.Reason)
	// Output:
	// kept, accepted: true
	// replayed, the same: true yes: true
	// a year later: false revocation-list-expired
}
