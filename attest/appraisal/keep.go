// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sgx"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
)

// KeepVerifiers are the verifiers of the platforms that keep the host out (snp,
// tdx and sgx) as a client uses them on a Keep: under the vendors' roots, with
// the policy, and without any waiver. Each chooses what it needs from all the
// collateral that it is given, as [Choose] does.
//
// They may be used by several goroutines at once. That a platform is accepted at
// all is for package policy to say, with Policy.Platforms.
func KeepVerifiers(p Policy) []attest.Verifier {
	var vs []attest.Verifier
	for _, v := range []attest.Verifier{
		snp.New(p.SNP.options(0, nil)),
		tdx.New(p.TDX.options(0, nil)),
		sgx.New(p.SGX.options(0, nil)),
	} {
		vs = append(vs, keepVerifier{v, p.tcb(v.Platform())})
	}
	return vs
}

// keepVerifier is a verifier with its choice of collateral and its policy.
type keepVerifier struct {
	attest.Verifier
	tcb attest.TCBPolicy
}

// Verify follows the contract of attest.Verifier. The policy that the verifier
// was made with takes the place of exp.TCB.
func (v keepVerifier) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	exp.TCB = v.tcb
	sel := choose(v.Platform(), ev, nil, col, at)
	claims, rows := v.Verifier.Verify(ev, sel.col, exp, at)
	rows = append(rows, sel.rows(v.Platform())...)
	advise(rows, v.Platform(), sel)
	return claims, rows
}

// Choose is what evidence of the platform needs out of all the collateral at
// hand: of several that fit, the newest that is valid at the given time. It goes
// by what each entry says about itself, which proves nothing.
func Choose(platform string, ev attest.Evidence, col attest.Collateral, at time.Time) attest.Collateral {
	return choose(platform, ev, nil, col, at).col
}
