// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package tpmquote checks the evidence of TPMs: quotes of Keeps on platform vtpm
// (attest/vtpm/SPEC.md), those of sim Keeps of that shape, and quotes that
// others have made. The public verifiers (attest/vtpm, attest/sim) say on whose
// word; their documentation says what it is worth.
package tpmquote

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"strconv"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/internal/claims"
)

// Limits on what rows show of what comes from outside.
const (
	// maxShown bounds each text in a row, in bytes.
	maxShown = 64
	// maxLists bounds the revocation lists that are looked at.
	maxLists = 32
	// maxList bounds a revocation list in bytes.
	maxList = 1 << 20
)

var hashes = map[eventlog.Alg]crypto.Hash{
	eventlog.SHA1: crypto.SHA1, eventlog.SHA256: crypto.SHA256, eventlog.SHA384: crypto.SHA384, eventlog.SHA512: crypto.SHA512,
}

// Params say on whose word evidence is checked, and what is asked of it. They
// come from the public verifier's own code, never from outside.
type Params struct {
	// Platform is the platform that claims are made for and reference values
	// are taken from.
	Platform string
	// Simulated marks a throw-away root: rows that pass read "simulated".
	Simulated bool
	// Roots end the chains of endorsement and attestation certificates.
	Roots []*x509.Certificate
	// RootSource says for people where the roots came from.
	RootSource string
	// CertifiedAK says that the attestation key has a certificate of its own
	// also in evidence of Keeps, so that there is nothing to activate: sim.
	CertifiedAK bool
	// MeasureLog, if not nil, takes the place of Measure: it gets the log
	// and the data of the events of a register, nil for one whose digest is
	// not of its data. No measurement refuses the evidence.
	MeasureLog func(log []byte, events func(pcr uint32) [][]byte) []byte
	// VouchedKey is an attestation key that other evidence, verified before,
	// vouches for, and VouchedBy says for people which; a quote that is not a
	// Keep's needs no certificate of that key then. nil for none.
	VouchedKey crypto.PublicKey
	VouchedBy  string
	// Measure is what stands in reference values.
	Measure func(pcrs [][]byte) []byte
	// Demands are what the relying party asks for beyond [attest.Expected].
	Demands Demands
}

// Demands are what a relying party asks for beyond what every verification
// insists on.
type Demands struct {
	// SecureBoot must be on.
	SecureBoot bool
	// AcceptDebug takes reference values of debug images.
	AcceptDebug bool
	// RequireCRL refuses a chain without a current revocation list of each
	// issuer.
	RequireCRL bool
	// PCRs must have these values, by number from 0 to 23.
	PCRs  map[uint][]byte
	Waive attest.Waiver
}

// activation is what a conversation has proven about the attestation key.
type activation struct {
	state       activationState
	endorsement int
	keys        [32]byte // digest of the keys that the conversation was about
	err         error
}

type activationState int

const (
	notAsked     activationState = iota // there was no conversation: saved evidence
	noCredential                        // none could be made: the rows say why
	noAnswer
	wrongAnswer
	activated
)

// verification is one run of Verify: its inputs, the rows so far, and what
// they proved.
type verification struct {
	p    Params
	col  attest.Collateral
	exp  attest.Expected
	at   time.Time
	act  activation
	rows attest.Verdict

	in       *input
	ak       *tpm.Public // nil where only the key is known
	key      crypto.PublicKey
	quote    *tpm.Quote
	sig      *tpm.Signature
	chain    []*x509.Certificate // leaf first; nil until proven
	vouched  bool                // other evidence vouches for the attestation key
	byAK     bool                // chain is that of the attestation key's own certificate
	device   tpm.Device
	log      *log
	logOK    bool // log replays to the quoted PCRs
	pcrsOK   bool // PCRs are those of the quote
	accepted *attest.ReferenceValue
	measure  []byte
	debug    bool
	waivers  []string
}

// Verify checks the evidence against exp at the given time, without a
// conversation. It follows the contract of [attest.Verifier].
func Verify(p Params, ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	return verify(p, activation{}, ev, col, exp, at)
}

func verify(p Params, act activation, ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	v := &verification{p: p, col: col, exp: exp, at: at, act: act, rows: make(attest.Verdict, 0, 24)}
	if !v.format(ev) {
		return nil, v.rows
	}
	v.checkChain()
	v.revocation()
	v.attestationKey()
	v.activation(ev)
	v.signature()
	v.checkPCRs()
	v.eventLog()
	v.registers()
	v.demandedPCRs()
	v.drivers()
	v.secureBoot()
	v.measurement()
	v.firmware()
	v.hostData()
	v.claim()
	v.reportData()
	if !v.rows.OK() || v.chain == nil && !v.vouched {
		return nil, v.rows
	}
	return claims.Mint(v.claims()), v.rows
}

func (v *verification) claims() attest.Claims {
	c := attest.Claims{
		Platform: v.p.Platform, Simulated: v.p.Simulated, Measurement: v.measure, Debug: v.debug,
		HostData: v.hostDataProven(), TCB: map[string]uint64{"tpm-firmware": v.quote.FirmwareVersion},
		Waived: v.waivers, VerifiedAt: v.at,
	}
	if v.chain != nil {
		c.ChipID = keyID(v.chain[0])
	}
	for _, x := range v.chain {
		if c.ValidUntil.IsZero() || x.NotAfter.Before(c.ValidUntil) {
			c.ValidUntil = x.NotAfter
		}
	}
	if v.in.keep && v.exp.ReportData != ([64]byte{}) {
		c.ReportData = v.exp.ReportData // proven by its digest
	} else {
		copy(c.ReportData[:], v.quote.ExtraData)
	}
	return c
}

// row adds a row that passed or failed. reason and todo count only if it failed.
func (v *verification) row(ok bool, reason attest.Reason, check, seen, expected, source, todo string) {
	r := attest.Row{Check: v.p.Platform + "." + check, Seen: seen, Expected: expected, Source: source, Outcome: attest.Pass}
	switch {
	case !ok:
		r.Outcome, r.Reason, r.Todo = attest.Fail, reason, todo
	case v.p.Simulated:
		r.Outcome = attest.Simulated
	}
	v.rows = append(v.rows, r)
}

func (v *verification) note(o attest.Outcome, check, seen, expected, source, todo string) {
	v.rows = append(v.rows, attest.Row{Check: v.p.Platform + "." + check, Seen: seen, Expected: expected, Source: source, Outcome: o, Todo: todo})
}

// waived says whether an expectation is missing and waived; if so it makes the
// row that names it and remembers it for the claims.
func (v *verification) waived(w attest.Waiver, missing bool, check, seen string) bool {
	if v.p.Demands.Waive&w == 0 || !missing {
		return false
	}
	v.note(attest.Skipped, check, seen, "not demanded", relying, "")
	v.waivers = append(v.waivers, check)
	return true
}

const (
	specTPM = "TPM 2.0 Library, Part 2"
	ours    = "rule of this verifier"
	relying = "the relying party"
	session = "computed from this connection"
	forged  = "the evidence is damaged or forged; do not use this Keep"
)

func (v *verification) format(ev attest.Evidence) bool {
	const want = "a quote of a TPM with its key, PCRs and event log, each in its one encoding"
	in, err := decode(ev)
	if err == nil {
		err = v.take(in)
	}
	if err != nil {
		reason, todo := attest.ReasonFormat, forged
		switch {
		case ev.MediaType != attest.MediaTypeTPM && ev.MediaType != attest.MediaTypeTPMQuote:
			reason, todo = attest.ReasonPlatform, "ask for the platform that the Keep runs on"
		case len(ev.Value) > attest.MaxEvidence:
			reason = attest.ReasonTooLarge
		}
		v.row(false, reason, "format", err.Error(), want, specTPM, todo)
		return false
	}
	v.row(true, "", "format", fmt.Sprintf("quote with %v PCRs by a key of type %s, event log of %d bytes", in.bank, tpm.KeyText(v.key), len(in.log)), want, specTPM, "")
	return true
}

// take reads the TPM's structures.
func (v *verification) take(in *input) error {
	var err error
	if v.ak, v.key, err = in.attestationKey(); err != nil {
		return fmt.Errorf("attestation key: %w", err)
	}
	if v.quote, err = tpm.ParseQuote(in.quote); err != nil {
		return err
	}
	if v.sig, err = tpm.ParseSignature(in.signature); err != nil {
		return err
	}
	v.in = in
	return nil
}

// shown makes text from outside fit for a row.
func shown(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "..."
	}
	return strconv.QuoteToASCII(s)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
