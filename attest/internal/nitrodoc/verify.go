// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
	"github.com/enarx/enarx-go/internal/claims"
)

// Params say on whose word a document is checked. They come from the public
// verifier's own code, never from outside.
type Params struct {
	// Platform is the platform that claims are made for and reference values
	// are taken from.
	Platform string
	// Simulated marks a throw-away root: rows that pass read "simulated".
	Simulated bool
	// Root is the certificate that every bundle must begin with; nil means
	// that nothing verifies.
	Root *x509.Certificate
	// RootSource says for people where the root came from.
	RootSource string
	// Measure is what stands in reference values; nil is
	// [Document.Measurement].
	Measure func(*Document) [48]byte
	// Demands are what the relying party asks for beyond [attest.Expected].
	Demands Demands
	// Cache may be nil.
	Cache *Cache
}

// Demands are what a relying party asks for beyond what every verification
// insists on.
type Demands struct {
	RequireCRL bool
	// PCRs are registers by index with the value that each must have.
	PCRs  map[uint][]byte
	Waive attest.Waiver
}

// verification is one run of Verify: its inputs, the rows so far, and what
// they proved.
type verification struct {
	p    Params
	col  attest.Collateral
	exp  attest.Expected
	at   time.Time
	rows attest.Verdict

	doc     *Document
	chain   []*x509.Certificate // root first, the document's last; nil until proven
	signed  error               // of the document's signature by the last, once chain is proven
	lists   []*list
	listErr error
	measure [48]byte
	waivers []string
}

// Verify checks the document in ev, with the lists in col, against exp at the
// given time. It follows the contract of [attest.Verifier].
func Verify(p Params, ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	v := &verification{p: p, col: col, exp: exp, at: at, rows: make(attest.Verdict, 0, 24)}
	if !v.format(ev) {
		return nil, v.rows
	}
	v.checkChain()
	v.dates()
	v.revocation()
	v.signature()
	v.time()
	v.debug()
	v.measurement()
	v.registers()
	v.firmware()
	v.hostData()
	v.reportData()
	v.notChecked()
	if !v.rows.OK() || v.chain == nil {
		return nil, v.rows
	}
	c := attest.Claims{
		Platform:    p.Platform,
		Simulated:   p.Simulated,
		Measurement: bytes.Clone(v.measure[:]),
		HostData:    bytes.Clone(v.doc.Nonce),
		Waived:      v.waivers,
		VerifiedAt:  at,
	}
	if len(v.doc.UserData) == len(c.ReportData) {
		c.ReportData = [64]byte(v.doc.UserData)
	}
	return claims.Mint(c), v.rows
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

const (
	specAWS = "AWS Nitro Enclaves, Verifying the root of trust"
	ours    = "rule of this verifier"
	relying = "the relying party"
	session = "computed from this connection"
	forged  = "the evidence is damaged or forged; do not use this Keep"
)

func (v *verification) format(ev attest.Evidence) bool {
	const want = "one COSE_Sign1 document of a Nitro hypervisor, ES384, and nothing after it"
	if ev.MediaType != attest.MediaTypeNitro {
		v.row(false, attest.ReasonPlatform, "format", "evidence of type "+shown(ev.MediaType), attest.MediaTypeNitro, ours,
			"ask for the platform that the Keep runs on")
		return false
	}
	d, err := Parse(ev.Value)
	if err != nil {
		reason, todo := attest.ReasonFormat, forged
		var trailing *TrailingError
		switch {
		case len(ev.Value) > maxDocument:
			reason = attest.ReasonTooLarge
		case errors.As(err, &trailing):
			reason, todo = attest.ReasonTrailingBytes, "cut off what follows the document; nobody signed it"
		}
		v.row(false, reason, "format", err.Error(), want, specAWS, todo)
		return false
	}
	v.doc = d
	v.row(true, "", "format", fmt.Sprintf("document of %v, %d registers", d.Kind, len(d.PCRs)), want, specAWS, "")
	return true
}

func (v *verification) checkChain() {
	const want = "the document's certificate, signed by the bundle's last, and so on up to the root"
	chain, err := v.doc.readChain(v.p.Root)
	if err == nil {
		err, v.signed = v.doc.checkSignatures(chain, v.p.Cache)
	}
	if err != nil {
		v.row(false, fault.Reason(err, attest.ReasonChain), "chain", err.Error(), want, v.p.RootSource,
			"the evidence is damaged, forged, or of a partition of AWS with another root; do not use this Keep")
		return
	}
	v.chain = chain
	v.row(true, "", "chain", chainText(chain), want, v.p.RootSource, "")
}

// dates looks at every certificate: those of instance, zone and region last for
// a day to three weeks, the document's for three hours.
func (v *verification) dates() {
	want, source := "valid at "+stamp(v.at), "time of the appraisal"
	if v.chain == nil {
		v.row(false, attest.ReasonUnchecked, "dates", "no proven chain", want, source, "see the row of the chain")
		return
	}
	for _, c := range v.chain {
		var reason attest.Reason
		todo := "the certificate has ended: ask the Keep for new evidence; a saved document is checked at the time it was made"
		switch {
		case v.at.Before(c.NotBefore):
			reason, todo = attest.ReasonCertNotYetValid, "check this machine's clock"
		case v.at.After(c.NotAfter):
			reason = attest.ReasonCertExpired
		default:
			continue
		}
		v.row(false, reason, "dates", fmt.Sprintf("%s is valid from %s to %s", shown(c.Subject.CommonName), stamp(c.NotBefore), stamp(c.NotAfter)), want, source, todo)
		return
	}
	leaf := v.leaf()
	v.row(true, "", "dates", fmt.Sprintf("all certificates valid; the document's from %s to %s", stamp(leaf.NotBefore), stamp(leaf.NotAfter)), want, source, "")
}

func (v *verification) leaf() *x509.Certificate { return v.chain[len(v.chain)-1] }

func (v *verification) signature() {
	const want, source = "ES384 by the document's certificate over all of the payload", "the document's certificate"
	if v.chain == nil {
		v.row(false, attest.ReasonUnchecked, "signature", "no proven certificate to check it with", want, source, "see the row of the chain")
		return
	}
	if v.signed != nil {
		v.row(false, attest.ReasonSignature, "signature", v.signed.Error(), want, source, forged)
		return
	}
	v.row(true, "", "signature", "good", want, source, "")
}

// time holds the document's own time against its certificate and the time of
// the appraisal: a document cannot be older than the certificate that signs it,
// nor come from the future.
func (v *verification) time() {
	ts := v.doc.Timestamp
	seen := "signed at " + ts.Format("2006-01-02T15:04:05.000Z07:00")
	if v.chain == nil {
		v.row(false, attest.ReasonUnchecked, "time", seen, "within the validity of the document's certificate", ours, "see the row of the chain")
		return
	}
	leaf := v.leaf()
	want := fmt.Sprintf("from %s to %s, and at most %v after %s", stamp(leaf.NotBefore), stamp(leaf.NotAfter), Skew, stamp(v.at))
	ok := !ts.Before(leaf.NotBefore) && !ts.After(leaf.NotAfter) && !ts.After(v.at.Add(Skew))
	v.row(ok, attest.ReasonTime, "time", seen, want, "the document's certificate and the time of the appraisal",
		"check this machine's clock; if it is right, the evidence is forged")
}

// shown makes text from outside fit for a row.
func shown(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "..."
	}
	return strconv.QuoteToASCII(s)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
