// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import "testing"

// BenchmarkFind shows that finding evidence costs next to nothing beside
// verifying it: a P-384 signature check takes about a millisecond.
func BenchmarkFind(b *testing.B) {
	for _, name := range []string{
		"snp/turin-v5.report.bin", "tdx/v5-90c06f-td15.quote.bin", "snp/genoa-v3-azure.hcl.bin", "snp/siena-a0-v3.evidence.json",
		"sgx/ratls-gramine.cert.pem", "snp/milan-v2-enarx.csr.der",
	} {
		file := vector(b, name)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Find(file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
