// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package appraisal is the whole way from a file to a verdict: it finds the
// evidence, chooses the verifier, applies the relying party's policy and gives
// one result, the same bytes for the same input on every machine. The command
// enarx verify, the replay of a saved evidence bundle and the verifier in a
// browser are this package and nothing else.
//
// It is pure: no network, no file, and the time is an argument.
package appraisal

import (
	"time"

	"github.com/enarx/enarx-go/attest"
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
	// brings its verifier here.
	Verifiers []attest.Verifier
}

// Policy is a relying party's policy file, parsed.
type Policy struct {
	TCB attest.TCBPolicy
}

// Result is the answer.
type Result struct {
	Format   string         `json:"format"`
	Platform string         `json:"platform"`
	At       time.Time      `json:"at"`
	Accepted bool           `json:"accepted"`
	Reason   attest.Reason  `json:"reason,omitempty"`
	Rows     attest.Verdict `json:"rows"`
	Trust    []attest.Layer `json:"trust"`
	// Claims are nil unless Accepted.
	Claims *attest.Claims `json:"-"`
}

// Appraise answers r. It never panics, and an error means that there was
// nothing to appraise.
func Appraise(r Request) (*Result, error) {
	return nil, nil
}
