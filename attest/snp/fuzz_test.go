// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
)

// FuzzVerify throws bytes at every input at once: report, leaf, intermediate,
// list. Whatever is accepted has to be the evidence of a vector, up to the
// second of the two signatures that ECDSA allows for one message.
func FuzzVerify(f *testing.F) {
	known := map[string]bool{}
	for _, x := range vectors {
		ev, col := x.evidence(f), x.collateral(f)
		known[string(ev.Value[:0x2a0])] = true
		list := []byte{}
		if len(col) > 1 {
			list = col[1].Value
		}
		f.Add(ev.Value, col[0].Value, pemCerts(f, "genoa-vcek-chain.pem")[0].Raw, list)
		f.Add(ev.Value, col[0].Value, file(f, "genoa-ask-20001-revoked.der"), file(f, "genoa-2022-10-31.crl.der"))
	}
	if len(known) < 10 {
		f.Fatal("no seeds: nothing would be shown")
	}
	v := New(Options{Cache: NewCache(64), AcceptMissingCRL: true, VMPL: 0, Waive: attest.WaiveHostData | attest.WaiveMeasurement | attest.WaiveReportData})
	f.Fuzz(func(t *testing.T, report, leaf, ca, list []byte) {
		before := bytes.Clone(report)
		col := attest.Collateral{attesttest.Cert(leaf)}
		if len(ca) != 0 {
			col = append(col, attesttest.Cert(ca))
		}
		if len(list) != 0 {
			col = append(col, attesttest.CRL(list))
		}
		claims, verdict := v.Verify(attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report}, col, attest.Expected{}, late2025)
		if len(verdict) == 0 || (claims != nil) != verdict.OK() {
			t.Fatalf("claims %v, verdict %v", claims != nil, verdict.Err())
		}
		if claims != nil && !known[string(report[:0x2a0])] {
			t.Fatal("accepted what no hardware has signed")
		}
		if !bytes.Equal(before, report) {
			t.Fatal("the report was changed")
		}
	})
}
