// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package conformance runs the verifiers of all platforms over the corpus of
// evidence from real hardware, and its tests attack them there:
//
//   - every vector gives the verdict that is right, for the reason that is right;
//   - every byte of every part is damaged, one bit after the other;
//   - every part is put in the place of its siblings;
//   - every date is approached to the second, and every edge has its own row;
//   - other verifiers are asked the same, and each disagreement is explained in
//     attest/DISAGREEMENTS.md.
//
// "make tamper" and "make mutations" run the long versions.
package conformance

import (
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/nitro"
	"github.com/enarx/enarx-go/attest/sgx"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
)

// Caches are those of one or more verifiers; the zero value remembers nothing.
type Caches struct {
	SNP   *snp.Cache
	Intel *tdx.Cache
	Nitro *nitro.Cache
}

// NewCaches makes caches with room for the signatures of the whole corpus.
func NewCaches() Caches { return Caches{snp.NewCache(4096), tdx.NewCache(4096), nitro.NewCache(4096)} }

// waived is all that a relying party would expect of what runs in a TEE.
const waived = attest.WaiveMeasurement | attest.WaiveHostData | attest.WaiveReportData

// Verifier makes the verifier of the vector's platform with the vector's
// options. What a relying party would expect of the evidence is waived.
func Verifier(v corpus.Vector, c Caches) attest.Verifier {
	o := v.Options
	switch v.Platform {
	case attest.PlatformSNP:
		return snp.New(snp.Options{
			Cache: c.SNP, VMPL: o.VMPL, AcceptMissingCRL: o.AcceptMissingCRL,
			Waive: waived,
		})
	case attest.PlatformTDX:
		return tdx.New(tdx.Options{Cache: c.Intel, Waive: waived})
	case attest.PlatformSGX:
		return sgx.New(sgx.Options{Cache: c.Intel, Waive: waived})
	case attest.PlatformNitro:
		return nitro.New(nitro.Options{Cache: c.Nitro, Waive: waived})
	}
	return nil
}

// Expected is what is demanded of the vector: nothing but that its firmware
// level is good, or excused by the vector's options.
func Expected(v corpus.Vector) attest.Expected {
	var exp attest.Expected
	if o := v.Options; len(o.Statuses) > 0 {
		exp.TCB.Accept = []attest.TCBAcceptance{{Statuses: o.Statuses, Advisories: o.Advisories}}
	}
	return exp
}
