// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"slices"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/nitro"
	"github.com/enarx/enarx-go/attest/sgx"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
	"github.com/enarx/enarx-go/attest/vtpm"
)

// verifier chooses who appraises p: of the caller's verifiers that of the
// platform, or else one that takes this type of evidence (a sim Keep's is that
// of the platform it stands in for); without any, that of the real hardware.
// nil means that nobody can.
func (r *Request) verifier(p evidence.Piece, waive attest.Waiver) attest.Verifier {
	takes := func(v attest.Verifier) bool { return slices.Contains(v.MediaTypes(), p.Evidence.MediaType) }
	if r.Verifiers != nil {
		for _, v := range r.Verifiers {
			if v.Platform() == p.Platform && takes(v) {
				return v
			}
		}
		for _, v := range r.Verifiers {
			if takes(v) {
				return v
			}
		}
		return nil
	}
	var v attest.Verifier
	switch p.Platform {
	case attest.PlatformSNP:
		v = snp.New(r.Policy.SNP.options(waive, r.Caches.SNP))
	case attest.PlatformTDX:
		v = tdx.New(r.Policy.TDX.options(waive, r.Caches.Intel))
	case attest.PlatformSGX:
		v = sgx.New(r.Policy.SGX.options(waive, r.Caches.Intel))
	case attest.PlatformNitro:
		v = nitro.New(r.Policy.Nitro.options(waive, r.Caches.Nitro))
	case attest.PlatformVTPM:
		v = vtpm.New(r.Policy.VTPM.options(waive, p.Vouch))
	default:
		return nil
	}
	if !takes(v) {
		return nil
	}
	return v
}
