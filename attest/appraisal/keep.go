// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"io"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sgx"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
	"github.com/enarx/enarx-go/attest/vtpm"
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

// TPMVerifier is the verifier of TPMs under o as a client uses it on what a Keep
// has shown and somebody has saved. It chooses what it needs from all the
// collateral that it is given, which a verifier by itself looks at in order and
// up to a limit.
func TPMVerifier(o vtpm.Options) attest.Verifier { return tpmVerifier{vtpm.New(o)} }

// TPMSession makes the verifying side of one session with a Keep on platform
// vtpm: what holds the conversation, and the verifier that counts its outcome.
// Both choose as [TPMVerifier] does; col is the client's own collateral and,
// after it, what the host has stapled. at and random are those of
// [vtpm.NewSession].
func TPMSession(o vtpm.Options, col attest.Collateral, at time.Time, random io.Reader) (attest.Challenger, attest.Verifier) {
	s := &tpmSession{o: o, col: col, at: at, random: random}
	return s, s
}

type tpmVerifier struct{ attest.Verifier }

func (v tpmVerifier) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	sel := choose(attest.PlatformVTPM, ev, open(col, true), nil, at)
	claims, rows := v.Verifier.Verify(ev, sel.col, exp, at)
	return claims, append(rows, sel.rows(attest.PlatformVTPM)...)
}

// tpmSession is a session that is made when the evidence is there: before, nobody
// knows which collateral belongs to it.
type tpmSession struct {
	o      vtpm.Options
	col    attest.Collateral
	at     time.Time
	random io.Reader
	s      *vtpm.Session
}

func (t *tpmSession) about(ev attest.Evidence) *vtpm.Session {
	if t.s == nil {
		t.s = vtpm.NewSession(t.o, Choose(attest.PlatformVTPM, ev, t.col, t.at), t.at, t.random)
	}
	return t.s
}

func (t *tpmSession) Next(answer attest.Evidence) (attest.Evidence, bool, error) {
	return t.about(answer).Next(answer)
}

func (t *tpmSession) Platform() string { return attest.PlatformVTPM }

func (t *tpmSession) MediaTypes() []string { return []string{attest.MediaTypeTPM} }

func (t *tpmSession) Verify(ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	return tpmVerifier{t.about(ev)}.Verify(ev, col, exp, at)
}

// Choose is what evidence of the platform needs out of all the collateral at
// hand: of several that fit, the newest that is valid at the given time. It goes
// by what each entry says about itself, which proves nothing.
func Choose(platform string, ev attest.Evidence, col attest.Collateral, at time.Time) attest.Collateral {
	if platform == attest.PlatformVTPM {
		return choose(platform, ev, open(col, true), nil, at).col
	}
	return choose(platform, ev, nil, col, at).col
}
