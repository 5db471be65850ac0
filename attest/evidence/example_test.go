// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"fmt"
	"os"

	"github.com/enarx/enarx-go/attest/evidence"
)

// A request for a certificate as a Keep of the original Enarx makes it: the
// report comes out, with the certificates and lists that came along and the
// report data that a verifier has to find in it.
func ExampleFind() {
	file, err := os.ReadFile("testdata/snp/milan-v2-enarx.csr.der")
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := evidence.Find(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Format)
	for _, p := range found.Pieces {
		fmt.Printf("%s: %d bytes for platform %s\n", p.Where, len(p.Evidence.Value), p.Platform)
		fmt.Printf("report data must be %s: %x…\n", p.ReportDataSource, p.ReportData[:8])
		for _, c := range p.Collateral {
			fmt.Println(evidence.Kind(c))
		}
	}
	for _, r := range found.Rows {
		fmt.Println(r.Outcome, r.Check)
	}
	// Output:
	// enarx-request
	// extension 1.3.6.1.4.1.58270.1.3: 1184 bytes for platform snp
	// report data must be SHA-384 of the public key of the request: e74229bb545adffc…
	// certificate of SEV-VCEK
	// revocation list of ARK-Genoa
	// revocation list of ARK-Milan
	// verified wrapper.self-signature
}

// What a report says, without a word on whether it is true.
func ExampleDescribe() {
	file, err := os.ReadFile("../internal/snpreport/testdata/turin-v5.report.bin")
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := evidence.Find(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := evidence.Describe(found.Pieces[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Title)
	d.Parts(func(path string, f *evidence.Field) {
		switch path {
		case "POLICY / bit 19 DEBUG", "REPORTED_TCB / microcode":
			fmt.Printf("%s: %s. %s\n", path, f.Value, f.Meaning)
		}
	})
	// Output:
	// SEV-SNP attestation report, version 5
	// POLICY / bit 19 DEBUG: clear. The host cannot use the firmware to read the guest's memory.
	// REPORTED_TCB / microcode: 71. Lowest version of the microcode of all cores.
}
