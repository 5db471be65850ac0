// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
	"github.com/enarx/enarx-go/attest/internal/tcbpolicy"
	"github.com/enarx/enarx-go/internal/claims"
)

// Params say on whose word a report is checked. They come from the public
// verifier's own code, never from outside.
type Params struct {
	// Platform is the platform that claims are made for and reference
	// values are taken from.
	Platform string
	// Simulated marks a throw-away root: rows that pass read "simulated".
	Simulated bool
	// Lines are the product lines that count. None means that nothing
	// verifies.
	Lines []Line
	// RootSource says for people where the roots came from.
	RootSource string
	// Demands are what the relying party asks for beyond [attest.Expected].
	Demands Demands
	// Signatures remembers good signatures; nil remembers none.
	Signatures *Signatures
}

// verification is one run of Verify: its inputs and the rows so far.
type verification struct {
	p    Params
	col  attest.Collateral
	exp  attest.Expected
	at   time.Time
	rows attest.Verdict

	report *Report
	// From the collateral: intermediates and lists. A list that cannot be
	// used is an error of its own.
	cas     []presented
	lists   []*x509.RevocationList
	listErr error
	// Set by chain: the proven chain and what its leaf says.
	leaf, ca  *x509.Certificate
	line      *Line
	caBuiltIn bool
	end       *endorsement

	signatures signatures
	waivers    []string
	// until is the first end of what the verification rests on, ends its
	// name, and datesRow the row that says both.
	until    time.Time
	ends     string
	datesRow int
}

// Verify checks the report in ev with the certificates in col, all of it
// hostile, against exp at the given time. It follows the contract of
// [attest.Verifier]: claims and only passed rows, or no claims and at least
// one failed row.
func Verify(p Params, ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	if slices.ContainsFunc(p.Lines, func(l Line) bool { return l.Root == nil }) {
		p.Lines = nil // a root that is missing is a mistake of the caller's: nothing verifies
	}
	v := &verification{p: p, col: col, exp: exp, at: at, rows: make(attest.Verdict, 0, 64), signatures: signatures{memory: p.Signatures}}
	if !v.format(ev) {
		return nil, v.rows
	}
	v.add(tcbpolicy.Check(exp.TCB)...)
	v.chain()
	v.signature()
	v.product()
	v.chip()
	v.level()
	v.revocation()
	v.measurement()
	v.policy()
	v.identity()
	v.bound()
	v.named()
	v.firstEnd()
	if !v.rows.OK() || v.leaf == nil || v.end == nil {
		return nil, v.rows
	}
	return claims.Mint(attest.Claims{
		Platform:    p.Platform,
		Simulated:   p.Simulated,
		Measurement: bytes.Clone(v.report.Measurement[:]),
		HostData:    bytes.Clone(v.report.HostData[:]),
		ReportData:  v.report.ReportData,
		TCB:         v.end.tcb.Map(),
		ChipID:      v.report.chip(),
		Debug:       v.report.Policy.Debug(),
		VMPL:        v.report.VMPL,
		ValidUntil:  v.until,
		Waived:      v.waivers,
		VerifiedAt:  at,
	}), v.rows
}

// add takes rows that were made without the platform.
func (v *verification) add(rows ...attest.Row) {
	for _, r := range rows {
		r.Check = v.p.Platform + "." + r.Check
		if v.p.Simulated && r.Outcome == attest.Pass {
			r.Outcome = attest.Simulated
		}
		v.rows = append(v.rows, r)
	}
}

// row adds one row. why and todo are shown only if the check failed.
func (v *verification) row(ok bool, why attest.Reason, check, seen, expected, source, todo string) bool {
	r := attest.Row{
		Check:    v.p.Platform + "." + check,
		Seen:     seen,
		Expected: expected,
		Source:   source,
		Outcome:  attest.Pass,
	}
	switch {
	case !ok:
		r.Outcome, r.Reason, r.Todo = attest.Fail, why, todo
	case v.p.Simulated:
		r.Outcome = attest.Simulated
	}
	v.rows = append(v.rows, r)
	return ok
}

func (v *verification) note(o attest.Outcome, check, seen, expected, source string) {
	v.rows = append(v.rows, attest.Row{Check: v.p.Platform + "." + check, Seen: seen, Expected: expected, Source: source, Outcome: o})
}

const (
	specABI = "AMD SEV-SNP firmware ABI, document 56860"
	specKDS = "AMD VCEK interface, document 57230"
	ours    = "rule of this verifier"
	session = "computed from this connection"
)

func (v *verification) format(ev attest.Evidence) bool {
	const want = "a report of 1,184 bytes, version 2 to 5"
	if ev.MediaType != attest.MediaTypeSNP {
		return v.row(false, attest.ReasonPlatform, "format", "evidence of type "+shown(ev.MediaType), attest.MediaTypeSNP, ours,
			"ask for the platform that the Keep runs on")
	}
	r, err := Parse(ev.Value)
	if err != nil {
		return v.row(false, fault.Reason(err, attest.ReasonFormat), "format", err.Error(), want, specABI, "the evidence is damaged or forged; do not use this Keep")
	}
	v.report = r
	return v.row(true, "", "format", fmt.Sprintf("report version %d", r.Version), want, specABI, "")
}

func (v *verification) signature() {
	r := v.report
	name := keyName(r.SigningKey)
	want := "ECDSA P-384 by the " + name + " over all of the report"
	source := "the " + name + "'s certificate"
	switch {
	case r.SigningKey == KeyNone:
		v.row(false, attest.ReasonSignature, "signature", "signing key 7, which is none", "signing key 0 (VCEK) or 1 (VLEK)", specABI, "use a host that signs its reports")
		return
	case r.SigningKey != KeyVCEK && r.SigningKey != KeyVLEK:
		v.row(false, attest.ReasonKey, "signature", fmt.Sprintf("signing key %d", r.SigningKey), "signing key 0 (VCEK) or 1 (VLEK)", specABI, "use a host that signs its reports")
		return
	case r.SigningKey == KeyVCEK && r.MaskChipKey:
		v.row(false, attest.ReasonFormat, "signature", "signing key 0 (VCEK), and the VCEK masked", "one or the other", specABI, "the evidence is damaged or forged; do not use this Keep")
		return
	case v.leaf == nil:
		v.row(false, attest.ReasonUnchecked, "signature", "no proven "+name+" to check it with", want, specABI, "see the row of the chain")
		return
	}
	if err := v.signatures.checkReport(r, v.leaf); err != nil {
		v.row(false, fault.Reason(err, attest.ReasonSignature), "signature", err.Error(), want, source, "the evidence is forged or the certificate is of another machine; do not use this Keep")
		return
	}
	v.row(true, "", "signature", "good", want, source, "")
}
