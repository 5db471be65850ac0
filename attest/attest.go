// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"fmt"
	"time"

	"github.com/enarx/enarx-go/internal/claims"
)

// Claims is what a successful verification proved. It can be made by the
// verifiers of this module only; see package internal/claims.
type Claims = claims.Claims

// Unattested is what stands in the place of claims for a platform that has no
// evidence at all (process, vm). Policy cannot take it: whoever wants to use
// such a Keep must handle this type by name.
type Unattested struct {
	// Platform is "process" or "vm".
	Platform string
}

// Platform names, the only ones that exist (DESIGN, vocabulary).
const (
	PlatformSNP     = "snp"
	PlatformTDX     = "tdx"
	PlatformSGX     = "sgx"
	PlatformNitro   = "nitro"
	PlatformVTPM    = "vtpm"
	PlatformVM      = "vm"
	PlatformProcess = "process"
	PlatformSim     = "sim"
)

// Media types of evidence and of collateral. The names under vnd.enarx are this
// project's own: no registered type for a raw SNP report is known to exist.
const (
	// MediaTypeSNP is a raw SEV-SNP ATTESTATION_REPORT, 1,184 bytes. Platform
	// sim uses it too: what tells the two apart is the root, and the verifier
	// is chosen by the platform that the user asked for, never by this type.
	MediaTypeSNP = "application/vnd.enarx.sev-snp-report"
	// MediaTypeNone stands in a message of a Keep whose platform has no
	// evidence (process, vm). No verifier takes it.
	MediaTypeNone = "application/vnd.enarx.no-evidence"
	// MediaTypeCertificate is one X.509 certificate, DER (RFC 2585).
	MediaTypeCertificate = "application/pkix-cert"
	// MediaTypeCRL is one X.509 revocation list, DER (RFC 2585).
	MediaTypeCRL = "application/pkix-crl"
)

// Evidence is what the hardware signed, in a conceptual message wrapper
// (RFC 9999): a media type and the value.
type Evidence struct {
	// MediaType says what Value is and so which verifier takes it, for
	// example [MediaTypeSNP].
	MediaType string
	// Value is the evidence, byte for byte as the platform gave it.
	Value []byte
}

// Collateral is everything besides the evidence that a verification may use
// and that is not trusted before it has been checked: certificates and
// revocation lists, stapled by the host or taken from a cache. A verifier
// treats every byte of it as hostile.
type Collateral []Evidence

// Expected is what the relying party demands of the evidence. There is no
// "not checked": a missing expectation fails, unless the verifier was made with
// a waiver that names it; then its row reads skipped, [Claims] say so and
// package policy refuses them.
type Expected struct {
	// ReportData is the 64 bytes that must be in the evidence: computed by
	// the verifying side from its own connection (see [ReportData]).
	ReportData [64]byte
	// Measurements are the accepted launch measurements, with where each
	// came from. Empty means that nothing is accepted.
	Measurements []ReferenceValue
	// HostData is the digest of the start configuration that the platform's
	// host-data field must hold.
	HostData [32]byte
	// Claim is what must have been told to the platform's runtime register
	// about a claim; nil for evidence that is not of a Keep, where the
	// register is not looked at. Platforms without one ignore it.
	Claim *ClaimState
	// TCB is what is asked of the platform's firmware level and chip beyond
	// what every verifier insists on; the zero value asks for nothing and
	// excuses nothing.
	TCB TCBPolicy
}

// ClaimState says what a Keep's runtime register (PCR 15, RTMR3) must show.
type ClaimState struct {
	// Event is the one event that the register must have been extended with
	// (see [ClaimEvent]); nil means that it must be as it was at start.
	Event []byte
}

// Component is one part of what was started, with the register that it was
// measured into: with it a verdict can name what differs, where a measurement
// alone says only that something does.
type Component struct {
	// Name is "kernel", "initrd", "command line", "UKI", "firmware", …
	Name string
	// Register is where it is measured: "PCR4", "RTMR1", "MRTD", …
	Register string
	// Digest is the value that is extended into the register, or, with the
	// name "register", the register's final value.
	Digest []byte
}

// ReferenceValue is one expected measurement: what a known-good Keep release
// measures to on one platform.
type ReferenceValue struct {
	Platform    string
	Measurement []byte // as in Claims.Measurement
	Release     string // for people: the Keep release it belongs to
	Engine      string // the Wasm engine of that release, with its version; "" if unknown
	Source      string // for people: where the value came from
	// Debug marks a debug image, which its host can look into: no verifier
	// accepts it unless it was asked to by name, and every verdict says so.
	Debug bool
	// Components are the parts that make up Measurement; optional. They
	// decide nothing: they explain a measurement that is not accepted.
	Components []Component
}

// Name is the release for people, with its engine if that is known: "0.1.0 with
// wasmtime v39.0.1".
func (r ReferenceValue) Name() string {
	if r.Engine == "" {
		return r.Release
	}
	return r.Release + " with " + r.Engine
}

// Verifier appraises the evidence of one platform. Implementations are pure:
// no network, no file, no clock; the time is an argument.
//
// On success Verify returns claims and the rows of every check made, none of
// which has failed. On failure it returns nil claims and the rows, at least
// one of which has failed; error-valued details live in the rows. A verifier
// never returns both claims and a failed row, and never panics on any input.
type Verifier interface {
	// Platform is the platform whose evidence it verifies.
	Platform() string
	// MediaTypes are the media types of evidence that it takes.
	MediaTypes() []string
	// Verify checks ev at the given time.
	Verify(ev Evidence, col Collateral, exp Expected, at time.Time) (*Claims, Verdict)
}

// Outcome is the verdict of one row.
type Outcome string

// The outcomes of a check. Simulated is what a passed check of a sim Keep
// reads: never "verified", so that nobody takes one for the other.
const (
	Pass      Outcome = "verified"
	Simulated Outcome = "simulated"
	Warn      Outcome = "warning"
	Fail      Outcome = "failed"
	Skipped   Outcome = "skipped"
)

// Row is one check of a verdict, worded for a person.
type Row struct {
	Check    string  `json:"check"`            // what was checked, stable identifier such as "snp.signature"
	Seen     string  `json:"seen"`             // what the evidence says
	Expected string  `json:"expected"`         // what was expected
	Source   string  `json:"source"`           // where the expected value came from
	Outcome  Outcome `json:"outcome"`          // the verdict of this row
	Reason   Reason  `json:"reason,omitempty"` // of a failed row: what is wrong, for programs
	Todo     string  `json:"todo,omitempty"`   // what to do when it did not pass
}

// Verdict is the list of all checks that were made, in order.
type Verdict []Row

// OK says that at least one check was made and none failed.
func (v Verdict) OK() bool {
	if len(v) == 0 {
		return false
	}
	for _, r := range v {
		if r.Outcome == Fail {
			return false
		}
	}
	return true
}

// Reason is what is wrong with a verdict, for programs: the reason of the row
// that leads (see [Verdict.Lead]). It is empty for a verdict that is OK, and
// [ReasonUnspecified] where nothing was checked or the row does not say.
func (v Verdict) Reason() Reason {
	if v.OK() {
		return ""
	}
	if r := v.Lead(); r != nil && r.Reason != "" {
		return r.Reason
	}
	return ReasonUnspecified
}

// Lead is the failed row that says best what is wrong, or nil if none failed.
// Rows stand in the order in which one check rests on another, so the first
// that failed is the cause and those after it may be consequences. Rows that
// say no more than that something could not be checked come last, wherever they
// stand.
func (v Verdict) Lead() *Row {
	var consequence *Row
	for i := range v {
		r := &v[i]
		switch {
		case r.Outcome != Fail:
		case r.Reason != ReasonUnchecked:
			return r
		case consequence == nil:
			consequence = r
		}
	}
	return consequence
}

// Err returns nil for a verdict that is OK and otherwise an error that names
// the failed check that leads, with what was seen, what was expected and what
// to do.
func (v Verdict) Err() error {
	if len(v) == 0 {
		return fmt.Errorf("attest: nothing was checked")
	}
	r := v.Lead()
	if r == nil {
		return nil
	}
	s := fmt.Sprintf("attest: %s: seen %s, expected %s (%s)", r.Check, r.Seen, r.Expected, r.Source)
	if r.Todo != "" {
		s += "; " + r.Todo
	}
	return fmt.Errorf("%s", s)
}
