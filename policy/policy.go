// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package policy decides from claims, with reasons.
//
//	d := policy.Decide(claims, policy.Demand{})
//	if !d.Allow { … d.Reasons … }
//
// It takes claims and never evidence: claims come out of a verifier only, so
// there is no way to a decision that goes past verification. A Keep without
// evidence (attest.Unattested) has no claims and cannot be decided about here
// at all; whoever wants one must handle that type by name.
//
// The answer is no unless every rule says yes, for every input; nothing here
// fails, waits or looks at anything but its arguments. The zero [Demand] is the
// strict one: snp, tdx or sgx, real hardware.
package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// Demand is what the relying party asks of a Keep beyond what its verifier
// already insists on.
type Demand struct {
	// Platforms that are good enough, by name. nil means those that keep
	// the host out: snp, tdx and sgx. An empty list that is not nil allows
	// nothing.
	Platforms []string
	// AllowSimulated lets claims of platform sim pass, if Platforms names
	// sim too. Set it only for a sim root that was named on this very
	// command: the host can see inside such a Keep.
	AllowSimulated bool
	// AcceptUnprovenActivation lets claims of platform vtpm pass although the
	// credential activation could not be seen, because their evidence was
	// saved: on the word of whoever saved it. Never set it for a Keep that can
	// be asked.
	AcceptUnprovenActivation bool
}

// confidential are the platforms that keep the host out.
var confidential = []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX}

// attested are those that have evidence and trust somebody beside the CPU: the
// cloud's hypervisor. They count if they are named.
var attested = []string{attest.PlatformNitro, attest.PlatformVTPM}

// Decision is an answer with its reasons: all those against, or, if there is
// none, what it rests on.
type Decision struct {
	Allow   bool     `json:"allow"`
	Reasons []string `json:"reasons"`
}

// Err is nil if d allows, and else an error with all reasons.
func (d Decision) Err() error {
	if d.Allow {
		return nil
	}
	if len(d.Reasons) == 0 {
		return fmt.Errorf("policy: refused: nothing was decided")
	}
	return fmt.Errorf("policy: refused: %s", strings.Join(d.Reasons, "; "))
}

// Decide says whether a Keep with claims c meets d.
func Decide(c *attest.Claims, d Demand) Decision {
	if !c.Verified() {
		return Decision{Reasons: []string{"there are no claims that a verifier has made"}}
	}
	var against []string
	no := func(format string, a ...any) { against = append(against, fmt.Sprintf(format, a...)) }

	allowed := d.Platforms
	if allowed == nil {
		allowed = confidential
	}
	if !slices.Contains(allowed, c.Platform) {
		no("platform %s is not among those allowed (%s); name it if the host may see inside", c.Platform, list(allowed))
	}
	isSim := c.Platform == attest.PlatformSim
	switch {
	case c.Simulated != isSim:
		no("claims of platform %s say simulated = %v", c.Platform, c.Simulated)
	case isSim && !d.AllowSimulated:
		no("the evidence is simulated and the host can see inside; name its root on this command to allow it")
	case !isSim && !slices.Contains(confidential, c.Platform) && !slices.Contains(attested, c.Platform):
		no("platform %s has no evidence, so there can be no claims of it", c.Platform)
	}
	if c.Debug {
		no("the host may debug the Keep and so read its memory")
	}
	if w := d.notExcused(c); len(w) != 0 {
		no("not checked, because the appraisal waived it: %s", list(w))
	}
	if c.VMPL != 0 {
		no("the report was made at privilege level %d, expected 0", c.VMPL)
	}
	if len(against) > 0 {
		return Decision{Reasons: against}
	}
	return Decision{Allow: true, Reasons: []string{fmt.Sprintf("verified claims of platform %s, which is among those allowed (%s)", c.Platform, list(allowed))}}
}

// notExcused is what was waived and may not be.
func (d Demand) notExcused(c *attest.Claims) []string {
	return slices.DeleteFunc(slices.Clone(c.Waived), func(w string) bool {
		return d.AcceptUnprovenActivation && c.Platform == attest.PlatformVTPM && w == "activation"
	})
}

func list(s []string) string {
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}

// Hook is the last word before anything is released to a Keep: it gets verified
// claims and the rows behind them, and an error stops the release.
//
// Contract for callers: a missing hook is an error, not a yes; the hook runs
// after verification and before the first byte that depends on the workload;
// its error is final for that Keep. Contract for hooks: total, and without
// effects that would tell the host about the workload.
type Hook func(*attest.Claims, attest.Verdict) error

// Hook is the hook that decides by d. It also refuses a verdict with a failed
// row, which no verifier returns along with claims.
func (d Demand) Hook() Hook {
	return func(c *attest.Claims, v attest.Verdict) error {
		if err := v.Err(); err != nil {
			return err
		}
		return Decide(c, d).Err()
	}
}
