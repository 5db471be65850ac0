// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// Result is what a receipt is worth to a reader.
type Result struct {
	// Before and After are the claims of the two appraisals, verified anew.
	// Both are nil unless every row has passed; After is nil too if the
	// receipt has no evidence of the running Keep.
	Before, After *attest.Claims
	// Rows are the checks, those of the verifier under "before/" and
	// "after/".
	Rows attest.Verdict
}

// recheck is one run of Recheck.
type recheck struct {
	r     *Receipt
	v     attest.Verifier
	start [32]byte
	refs  []attest.ReferenceValue
	tcb   attest.TCBPolicy
	rows  attest.Verdict
}

// Recheck verifies the evidence of r again, at the time that r names, with the
// reader's own verifier (and so root), reference values and firmware floor.
// What a receipt says about itself decides nothing. r must come from [Open].
//
// start is the digest of the start configuration that the Keep must have been
// started with: of a push deployment on the receipt's platform, as the
// sallyport computes it (SPEC.md there, section 5). This package cannot
// compute it, since it knows nothing of the sallyport, and must not take it
// from the receipt: evidence of a Keep that a host started for another mode or
// another Steward would vouch for itself.
func (r *Receipt) Recheck(v attest.Verifier, start [32]byte, refs []attest.ReferenceValue, tcb attest.TCBPolicy) Result {
	c := &recheck{r: r, v: v, start: start, refs: refs, tcb: tcb}
	if v == nil {
		c.row(false, attest.ReasonUnchecked, "verifier", "none", "a verifier for "+r.Platform, "the reader", "give one; for sim that means naming its root")
		return Result{Rows: c.rows}
	}
	if !c.row(v.Platform() == r.Platform, attest.ReasonPlatform, "platform", r.Platform, v.Platform(), "the reader's verifier", "use the verifier of the receipt's platform") {
		return Result{Rows: c.rows}
	}
	c.note("time", r.Time.Format("2006-01-02T15:04:05Z"), "the owner's word", "certificates are checked for this time")
	c.row(r.Decision.Allow, attest.ReasonPolicy, "decision", fmt.Sprintf("allow = %v", r.Decision.Allow), "allow = true", "the receipt",
		"the client itself refused this Keep")

	var res Result
	first := c.session("before", &r.Before, attest.StateEmpty, &res.Before)
	if r.After == nil {
		c.note("after", "no evidence of the running Keep", "evidence that names the bundle", "that the bundle ran is the owner's word")
	} else if after := c.session("after", r.After, attest.StateRunning, &res.After); first != nil && after != nil {
		c.sameKeep(first, after)
	}
	if !c.rows.OK() || res.Before == nil || r.After != nil && res.After == nil {
		return Result{Rows: c.rows}
	}
	res.Rows = c.rows
	return res
}

func (c *recheck) row(ok bool, why attest.Reason, check, seen, expected, source, todo string) bool {
	row := attest.Row{Check: "receipt." + check, Seen: seen, Expected: expected, Source: source, Outcome: attest.Pass}
	switch {
	case !ok:
		row.Outcome, row.Reason, row.Todo = attest.Fail, why, todo
	case c.v != nil && c.v.Platform() == attest.PlatformSim:
		row.Outcome = attest.Simulated
	}
	c.rows = append(c.rows, row)
	return ok
}

func (c *recheck) note(check, seen, expected, source string) {
	c.rows = append(c.rows, attest.Row{Check: "receipt." + check, Seen: seen, Expected: expected, Source: source, Outcome: attest.Warn})
}

// session verifies one appraisal. It returns the message whatever the outcome,
// unless the message cannot be read.
func (c *recheck) session(name string, s *Session, want attest.State, to **attest.Claims) *attest.EvidenceMessage {
	m, reportData, err := c.r.open(s)
	if err != nil {
		c.row(false, attest.ReasonFormat, name, err.Error(), "an evidence message", "attest/SPEC.md", "the receipt is damaged")
		return nil
	}
	c.row(m.State == want, attest.ReasonPolicy, name+"-state", string(m.State), string(want), "order of a deployment", "the evidence is of another moment")
	c.row(m.StartConfigDigest == c.start, attest.ReasonHostData, name+"-start-configuration", hex.EncodeToString(m.StartConfigDigest[:]), hex.EncodeToString(c.start[:]),
		"push deployment on "+c.r.Platform, "the host started this Keep for another purpose")
	claims, verdict := c.v.Verify(m.Evidence, append(c.collateral(), m.Hints...), attest.Expected{
		ReportData: reportData, HostData: c.start, Measurements: c.refs, TCB: c.tcb, Claim: c.claim(s, m.State),
	}, c.r.Time)
	if claims == nil && verdict.OK() {
		c.row(false, attest.ReasonUnchecked, name, "no claims", "claims", "the reader's verifier", "report this: the verifier broke its contract")
	}
	for _, row := range verdict {
		if row.Outcome == attest.Fail && m.State != attest.StateEmpty && strings.HasSuffix(row.Check, ".report-data") {
			// One comparison of hashes covers them all.
			row.Todo = "the Keep ran something else than the receipt says, belonged to somebody else than who signed it, or the evidence is of another connection"
		}
		row.Check = name + "/" + row.Check
		c.rows = append(c.rows, row)
	}
	*to = claims
	return m
}

// claim is what the platform's register must show at the time of s.
func (c *recheck) claim(s *Session, state attest.State) *attest.ClaimState {
	if state == attest.StateEmpty {
		return &attest.ClaimState{}
	}
	owner, err := c.r.Owner.Hash()
	if err != nil {
		return &attest.ClaimState{} // cannot be: the report data could not have been computed
	}
	return &attest.ClaimState{Event: attest.ClaimEvent(owner, s.ChannelKey)}
}

func (c *recheck) collateral() attest.Collateral {
	var col attest.Collateral
	for _, i := range c.r.Collateral {
		col = append(col, attest.Evidence{MediaType: i.Type, Value: i.Value})
	}
	return col
}

// sameKeep ties the evidence of the running Keep to that of the empty one. Its
// bundle and owner are part of its report data and need no row of their own.
func (c *recheck) sameKeep(first, after *attest.EvidenceMessage) {
	r := c.r
	const other = "the receipt joins evidence of two Keeps"
	c.row(bytes.Equal(r.Before.ChannelKey, r.After.ChannelKey), attest.ReasonBinding, "channel-key", short(r.After.ChannelKey), short(r.Before.ChannelKey), "the empty Keep", other)
	c.row(bytes.Equal(first.IdentityKey, after.IdentityKey), attest.ReasonBinding, "identity-key", short(after.IdentityKey), short(first.IdentityKey), "the empty Keep", other)
}

// short names a key by its digest.
func short(key []byte) string {
	sum := sha256.Sum256(key)
	return "key with SHA-256 " + hex.EncodeToString(sum[:8]) + "…"
}
