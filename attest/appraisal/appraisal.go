// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package appraisal is the whole way from a file to a verdict: it finds the
// evidence, chooses the verifier, applies the relying party's policy and gives
// one result, the same bytes for the same input on every machine. The command
// enarx verify, the replay of a saved evidence bundle and the verifier in a
// browser are this package and nothing else.
//
//	res, err := appraisal.Appraise(appraisal.Request{File: file, Collateral: saved, At: now})
//	if err != nil { … }          // the request is wrong, not the evidence
//	fmt.Print(res.Text(80))      // or res.JSON()
//	if !res.Accepted { … res.Reason … }
//
// # What is checked
//
// Everything that the platform's verifier insists on is. Beyond it, what the
// relying party gives is demanded, and what it does not give is named: without
// References the row of the measurement reads skipped, and so do host data and
// report data, unless the file's wrapping says what they must be (the key of a
// certificate, the runtime data of a paravisor). A result that was accepted
// with skipped rows proves what its other rows say and no more: its claims say
// what was waived, and package policy refuses them for a deployment.
//
// A file can hold several pieces of evidence. Every one of them must pass; the
// checks of the second are then named "2.sgx.signature" and so on.
//
// # Collateral
//
// A request may bring the collateral of a whole fleet. For each piece of
// evidence the entries that belong to it are chosen by what they say about
// themselves, which proves nothing: the verifier checks those that were chosen.
// The request's own entries go before those that the file brings along, as long
// as they are valid at the time of the appraisal, so that a host cannot put
// older collateral in the place of newer. What was left out is counted in a
// row.
//
// The package is pure: no network, no file, and the time is an argument.
package appraisal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/nitro"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
)

// Request is one question.
type Request struct {
	// File holds the evidence, in any format that package evidence knows.
	File []byte
	// Collateral beside what the file brings; untrusted.
	Collateral attest.Collateral
	// References are the accepted measurements. nil means that none was
	// given: the measurement is then not checked and the verdict says so.
	References []attest.ReferenceValue
	// ReportData and HostData are what the evidence must be bound to; nil
	// falls back on what the file's wrapping is bound to, and then on not
	// checked, which the verdict says.
	ReportData *[64]byte
	HostData   *[32]byte
	// Policy of the relying party.
	Policy Policy
	// At is the time of the appraisal.
	At time.Time
	// Verifiers are the verifiers to use. nil means those of real hardware
	// under the vendors' roots; a caller that wants a sim root counted
	// brings its verifier here, and then no other counts. Policy's demands
	// of one platform apply to the verifiers made here and not to these.
	Verifiers []attest.Verifier
	// Caches remember good signatures between calls; the zero value
	// remembers none.
	Caches Caches

	opened []item // of Collateral, see Prepare
}

// Prepare looks into the collateral once, for many appraisals with copies of r.
// It has to be called again when Collateral has become another; results are the
// same without it.
func (r *Request) Prepare() {
	if len(r.Collateral) <= MaxCollateral {
		r.opened = unique(open(r.Collateral, true))
	}
}

// Caches are the verifiers' caches of good signatures. They change no verdict.
type Caches struct {
	SNP   *snp.Cache
	Intel *tdx.Cache
	Nitro *nitro.Cache
}

// Result is the answer.
type Result struct {
	// Format is the outermost wrapping of the file, as package evidence
	// names it.
	Format string `json:"format"`
	// Platform is the platform of the evidence; of several, joined with ",".
	Platform string    `json:"platform"`
	At       time.Time `json:"at"`
	Accepted bool      `json:"accepted"`
	// Reason is what is wrong, for programs; empty if Accepted.
	Reason attest.Reason `json:"reason,omitempty"`
	// Rows are all checks: those of the wrapping, then those of each piece
	// of evidence in order, then those of policy.
	Rows attest.Verdict `json:"rows"`
	// Trust is the trust statement.
	Trust []attest.Layer `json:"trust"`
	// Wrapper is how many of Rows, from the first, are about the wrapping.
	Wrapper int `json:"-"`
	// Digest is the SHA-256 digest of the file.
	Digest [32]byte `json:"-"`
	// Policy is the digest of the policy file that applied; nil for none.
	Policy *[32]byte `json:"-"`
	// Pieces are the pieces of evidence in the file.
	Pieces []Piece `json:"-"`
	// Claims are nil unless Accepted. Of several pieces they are the first's.
	Claims *attest.Claims `json:"-"`

	dates []time.Time // when the wrapping begins and ends to be valid
}

// Piece is one piece of evidence with what was decided about it.
type Piece struct {
	// Where it was in the file, for people.
	Where    string
	Platform string
	Evidence attest.Evidence
	// Vouched says that another piece of the file, which has passed, vouches
	// for the key that signed this one: nothing here says whose it is.
	Vouched bool
	// Collateral that the verifier was given, own and brought.
	Collateral attest.Collateral
	// Expected is what was demanded.
	Expected attest.Expected
	// Rows are the checks of this piece, without number.
	Rows attest.Verdict
	// Claims are nil unless this piece passed.
	Claims *attest.Claims

	dates []time.Time // when something that counts for it begins or ends
}

// Appraise answers r. It never panics. An error means that the request cannot
// be answered; whatever is wrong with the file is a failed row of the result.
func Appraise(r Request) (*Result, error) {
	if r.At.IsZero() {
		return nil, errors.New("appraisal: no time to verify at")
	}
	if len(r.Collateral) > MaxCollateral {
		return nil, fmt.Errorf("appraisal: %d entries of collateral, expected at most %d", len(r.Collateral), MaxCollateral)
	}
	if r.opened == nil {
		r.Prepare()
	}
	r.At = r.At.UTC().Truncate(time.Second)
	res := &Result{At: r.At, Digest: sha256.Sum256(r.File), Policy: r.Policy.Digest}
	found, row := find(r.File)
	if row != nil {
		res.Rows = attest.Verdict{*row}
		return res.finish(), nil
	}
	res.Format = found.Format
	res.Rows = append(res.Rows, found.Rows...)
	for _, w := range found.Valid {
		res.dates = append(res.dates, w.NotBefore, w.NotAfter)
		res.Rows = append(res.Rows, w.Row(r.At))
	}
	res.Wrapper = len(res.Rows)
	var platforms []string
	for i, p := range found.Pieces {
		var done Piece
		if p.Vouch == nil {
			done = r.withoutVouched(p, found.Pieces).piece(p)
		} else {
			done = r.vouched(p, res.Pieces)
		}
		res.Pieces = append(res.Pieces, done)
		if p.Vouch == nil && !slices.Contains(platforms, done.Platform) {
			platforms = append(platforms, done.Platform)
		}
		for _, row := range done.Rows {
			if len(found.Pieces) > 1 {
				row.Check = fmt.Sprintf("%d.%s", i+1, row.Check)
			}
			res.Rows = append(res.Rows, row)
		}
	}
	res.Platform = strings.Join(platforms, ",")
	res.Rows = append(res.Rows, r.Policy.rows(platforms, r.At)...)
	return res.finish(), nil
}

// finish draws the conclusion from the rows.
func (res *Result) finish() *Result {
	ok := res.Rows.OK() && len(res.Pieces) > 0
	for _, p := range res.Pieces {
		ok = ok && p.Claims.Verified()
	}
	if !ok && res.Rows.OK() {
		// Unreachable while verifiers keep their contract.
		res.Rows = append(res.Rows, attest.Row{
			Check: "appraisal", Seen: "neither claims nor a failed check", Expected: "one of them", Source: ours,
			Outcome: attest.Fail, Reason: attest.ReasonUnchecked, Todo: "report this as a defect of the verifier",
		})
	}
	res.Accepted = ok
	res.Reason = res.Rows.Reason()
	if !ok {
		res.Trust = attest.TrustStatement(res.Platform, nil, nil, res.Rows)
		return res
	}
	first := res.Pieces[0]
	res.Claims = first.Claims
	res.Trust = attest.TrustStatement(first.Platform, first.Claims, nil, first.Rows)
	return res
}

// Sources of expected values in rows of this package.
const (
	ours    = "rule of this verifier"
	theUser = "the relying party"
)

// find takes the file apart, or says in a row why it cannot.
func find(file []byte) (*evidence.Found, *attest.Row) {
	row := &attest.Row{Check: "format", Expected: "evidence in a format that is known", Source: ours, Outcome: attest.Fail, Reason: attest.ReasonFormat}
	if len(file) > MaxFile {
		row.Seen, row.Expected, row.Reason = fmt.Sprintf("more than %d bytes", MaxFile), fmt.Sprintf("at most %d bytes", MaxFile), attest.ReasonTooLarge
		row.Todo = "give the evidence itself and not an image or archive that holds it"
		return nil, row
	}
	found, err := evidence.Find(file)
	var known *evidence.Error
	switch {
	case errors.As(err, &known):
		row.Seen, row.Reason, row.Todo = known.Error(), known.Reason, known.Todo
		return nil, row
	case err != nil:
		row.Seen = err.Error()
		row.Todo = "check that the file is whole and is evidence, and not, for example, collateral or a certificate without any"
		return nil, row
	case len(found.Pieces) == 0 || len(found.Pieces) > maxPieces:
		row.Seen, row.Expected = fmt.Sprintf("%d pieces of evidence", len(found.Pieces)), fmt.Sprintf("1 to %d", maxPieces)
		row.Todo = "give each piece of evidence by itself"
		return nil, row
	}
	return found, nil
}

// piece appraises one piece of evidence.
func (r *Request) piece(p evidence.Piece) Piece {
	done := Piece{Where: p.Where, Platform: p.Platform, Evidence: p.Evidence, Vouched: p.Vouch != nil}
	var bound attest.Verdict
	waive := attest.Waiver(0)
	exp := attest.Expected{Measurements: r.Policy.References(r.References)}
	if r.References == nil {
		waive |= attest.WaiveMeasurement
	}
	var reportSource, hostSource string
	switch {
	case r.ReportData != nil:
		exp.ReportData, reportSource = *r.ReportData, "given by the relying party"
		if p.ReportData != nil && *p.ReportData != *r.ReportData {
			bound = append(bound, unbound("report data", p.ReportData[:], r.ReportData[:], p.ReportDataSource))
		}
	case p.ReportData != nil:
		exp.ReportData, reportSource = *p.ReportData, p.ReportDataSource
	default:
		waive |= attest.WaiveReportData
	}
	switch {
	case r.HostData != nil:
		exp.HostData, hostSource = *r.HostData, "given by the relying party"
		if p.HostData != nil && *p.HostData != *r.HostData {
			bound = append(bound, unbound("host data", p.HostData[:], r.HostData[:], p.HostDataSource))
		}
	case p.HostData != nil:
		exp.HostData, hostSource = *p.HostData, p.HostDataSource
	default:
		waive |= attest.WaiveHostData
	}
	v := r.verifier(p, waive)
	if v == nil {
		done.Rows = attest.Verdict{noVerifier(p)}
		return done
	}
	done.Platform = v.Platform()
	exp.TCB = r.Policy.tcb(done.Platform)
	done.Expected = exp
	sel := choose(v.Platform(), p.Evidence, r.opened, p.Collateral, r.At)
	done.Collateral, done.dates = sel.col, sel.dates
	claims, rows := v.Verify(p.Evidence, sel.col, exp, r.At)
	done.Rows = append(bound, sources(rows, v.Platform(), reportSource, hostSource)...)
	done.Rows = append(done.Rows, sel.rows(v.Platform())...)
	done.Rows = append(done.Rows, r.Policy.demanded(v.Platform(), waive)...)
	done.Rows = append(done.Rows, r.Policy.unproven(rows)...)
	advise(done.Rows, v.Platform(), sel)
	if done.Rows.OK() {
		done.Claims = claims
	}
	return done
}

// Waivers are what r demands nothing of, before its file has been looked into:
// the waivers with which a caller makes the verifiers that it brings.
func (r *Request) Waivers() attest.Waiver {
	w := attest.Waiver(0)
	if r.References == nil {
		w |= attest.WaiveMeasurement
	}
	if r.ReportData == nil {
		w |= attest.WaiveReportData
	}
	if r.HostData == nil {
		w |= attest.WaiveHostData
	}
	return w
}

// unbound is the row of a wrapping that is bound to something else than the
// relying party demands.
func unbound(what string, wrapped, demanded []byte, source string) attest.Row {
	return attest.Row{
		Check: "wrapper." + strings.ReplaceAll(what, " ", "-"), Seen: fmt.Sprintf("bound to %s %x", what, wrapped),
		Expected: fmt.Sprintf("%x", demanded), Source: source, Outcome: attest.Fail, Reason: attest.ReasonBinding,
		Todo: "the file around the evidence is of another session; leave out the " + what + " to check the evidence against the file itself",
	}
}

// sources puts the true source of an expectation into its row: a verifier
// cannot know where its caller has it from.
func sources(rows attest.Verdict, platform, reportData, hostData string) attest.Verdict {
	rows = slices.Clone(rows)
	for i := range rows {
		switch r := &rows[i]; {
		case r.Outcome == attest.Skipped:
		case r.Check == platform+".report-data" && reportData != "":
			r.Source = reportData
		case r.Check == platform+".host-data" && hostData != "":
			r.Source = hostData
		}
	}
	return rows
}

func noVerifier(p evidence.Piece) attest.Row {
	row := attest.Row{
		Check: "platform", Seen: fmt.Sprintf("evidence of platform %q, type %q", p.Platform, p.Evidence.MediaType),
		Expected: "a platform with a verifier", Source: ours, Outcome: attest.Fail, Reason: attest.ReasonPlatform,
		Todo: "no verifier at hand takes this evidence; verify it with another program, or take it out of the file",
	}
	return row
}
