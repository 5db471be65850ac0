// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
	"github.com/enarx/enarx-go/attest/internal/tcbpolicy"
	"github.com/enarx/enarx-go/internal/claims"
)

// Params say on whose word and by what rules a quote is appraised. They come
// from the public verifier's own code and options, never from outside.
type Params struct {
	// Platform is the platform that claims are made for.
	Platform string
	// TEE and MediaType are what the quote must be.
	TEE       TEE
	MediaType string
	// Root ends every chain.
	Root Root
	// Simulated marks a throw-away root: rows that pass read "simulated".
	Simulated bool
	// Waive names expectations that need not be given.
	Waive attest.Waiver
	// Cache may be nil.
	Cache *Cache
}

// Appraisal is one run over one quote: rows, and what they proved.
type Appraisal struct {
	Rows
	p      Params
	policy attest.TCBPolicy
	at     time.Time
	quote  *Quote
	in     *inputs

	chain    *chain    // nil until proven
	platform *platform // from the proven PCK certificate
	info     *tcbInfo  // nil until its signature and model have been checked
	identity *qeIdentity
	qeStatus Status
	qeNotes  []string // advisories of the quoting enclave's level

	status     Status // of everything together
	advisories []string
	validity   []validity

	signatures signatures
	quoteKey   *ecdsa.PublicKey // see attestationKey
}

// Appraise checks everything about a quote that does not depend on what runs
// in the TEE: who signed it, on which platform, and whether Intel still stands
// by it. The caller adds the checks of the report's contents with the methods
// of [Rows] and ends with [Appraisal.Finish].
func Appraise(p Params, ev attest.Evidence, col attest.Collateral, policy attest.TCBPolicy, at time.Time) *Appraisal {
	a := &Appraisal{Rows: Rows{platform: p.Platform, waive: p.Waive, simulated: p.Simulated}, p: p, policy: policy, at: at}
	if !a.format(ev) {
		return a
	}
	a.add(tcbpolicy.Check(policy)...)
	a.in = sortInputs(a.quote, col)
	a.checkAhead()
	for _, o := range a.in.other {
		a.NotChecked("collateral", o)
	}
	a.checkChain()
	a.checkRevocation()
	a.checkSignatures()
	a.checkIdentity()
	a.checkInfo()
	a.checkDates()
	a.checkLevel()
	a.checkChip()
	return a
}

// Quote is the quote, or nil if it could not be read. It is proven only once
// [Appraisal.Finish] has returned claims.
func (a *Appraisal) Quote() *Quote { return a.quote }

// required are the rows without which nothing is proven.
var required = []string{"format", "chain", "revocation", "qe-signature", "attestation-key", "signature", "qe-identity", "tcb-info", "dates", "tcb"}

// Finish ends the appraisal. c holds what the caller read from the report; the
// rest is filled in here. The claims are nil if any row failed.
func (a *Appraisal) Finish(c attest.Claims) (*attest.Claims, attest.Verdict) {
	for _, name := range required {
		made := slices.ContainsFunc(a.list, func(r attest.Row) bool {
			_, check, _ := strings.Cut(r.Check, ".")
			return check == name && (r.Outcome == attest.Pass || r.Outcome == attest.Simulated || r.Outcome == attest.Warn)
		})
		// Unreachable unless a check forgets its row; then it must not pass.
		if !made && a.list.OK() {
			a.Check(false, attest.ReasonUnchecked, name, "not checked", "a check that every appraisal makes", ours, "report this as a defect of the verifier")
		}
	}
	if !a.list.OK() || a.chain == nil || a.platform == nil || a.info == nil || a.identity == nil {
		return nil, a.list
	}
	c.Platform, c.Simulated = a.p.Platform, a.p.Simulated
	c.TCB = a.levels()
	c.TCBStatus, c.Advisories = string(a.status), slices.Clone(a.advisories)
	c.ChipID, c.PlatformInstanceID = bytes.Clone(a.platform.ppid[:]), bytes.Clone(a.platform.instance)
	c.ValidUntil = a.firstEnd().to
	c.Waived = a.waived
	c.VerifiedAt = a.at
	return claims.Mint(c), a.list
}

func (a *Appraisal) format(ev attest.Evidence) bool {
	want := fmt.Sprintf("a quote of %v, ECDSA P-256, version 3 to 5, with at most zeroes after it", a.p.TEE)
	if ev.MediaType != a.p.MediaType {
		return a.Check(false, attest.ReasonPlatform, "format", "evidence of type "+shown(ev.MediaType), a.p.MediaType, ours, "ask for the platform that the Keep runs on")
	}
	const todo = "the evidence is damaged or forged; do not use this Keep"
	q, err := ParseQuote(ev.Value)
	if err != nil {
		return a.Check(false, fault.Reason(err, attest.ReasonFormat), "format", err.Error(), want, specQuote, todo)
	}
	if q.TEE != a.p.TEE {
		return a.Check(false, attest.ReasonPlatform, "format", fmt.Sprintf("a quote of %v", q.TEE), want, specQuote, "ask for the platform that the Keep runs on")
	}
	a.quote = q
	// The appraisal goes on with foreign bytes after the quote, so that the
	// verdict also says what is true of the quote itself; it cannot pass.
	a.Check(allZero(q.Trailing), attest.ReasonTrailingBytes, "format", fmt.Sprintf("version %d, %d bytes after it", q.Version, len(q.Trailing)), want, specQuote,
		"cut off what follows the quote; nobody signed it")
	return true
}

// checkChain proves the certificates: PCK, intermediate, root, and beside them
// the signer of TCB data.
func (a *Appraisal) checkChain() {
	const want = "PCK certificate, signed by an intermediate, signed by the root"
	const todo = "get the certificates of this very machine from Intel, or use another host"
	c, err := (*chain)(nil), a.in.certErr
	if err == nil {
		c, err = a.in.certs.link(a.p.Root, &a.signatures)
	}
	var p *platform
	if err == nil {
		p, err = parsePlatform(c.pck)
	}
	if err != nil {
		a.Check(false, fault.Reason(err, attest.ReasonChain), "chain", err.Error(), want, a.p.Root.source, todo)
		return
	}
	a.chain, a.platform = c, p
	a.Check(true, "", "chain", fmt.Sprintf("PCK certificate of FMSPC %x, PCEID %x; %s", p.fmspc, p.pceID, shown(c.ca.Subject.CommonName)), want, a.p.Root.source, "")
	a.addCertDates(c.pck)
	a.addCertDates(c.ca)
	if root := c.root(a.at); root != nil {
		a.addCertDates(root)
	}
}

// checkRevocation asks both lists: the root's for the intermediate and the TCB
// signers, the intermediate's for the PCK certificate.
func (a *Appraisal) checkRevocation() {
	const want = "neither PCK certificate, nor intermediate, nor TCB signer revoked"
	const todo = "get current revocation lists from Intel; if a certificate is revoked, do not use this host"
	const source = "Intel's revocation lists"
	if a.chain == nil {
		a.Check(false, attest.ReasonUnchecked, "revocation", "no proven chain", want, source, "see the row of the chain")
		return
	}
	err := a.in.crlErr
	if err == nil {
		err = a.askLists()
	}
	if err != nil {
		a.Check(false, fault.Reason(err, attest.ReasonListForeign), "revocation", err.Error(), want, source, todo)
		return
	}
	a.Check(true, "", "revocation", "none revoked", want, source, "")
}

func (a *Appraisal) askLists() error {
	c := a.chain
	rootLists, err := ofIssuer(a.in.crls, c.ca.RawIssuer, a.p.Root.key, &a.signatures)
	if err != nil {
		return a.noList("the root", err)
	}
	caLists, err := ofIssuer(a.in.crls, c.ca.RawSubject, publicKey(c.ca), &a.signatures)
	if err != nil {
		return a.noList(shown(c.ca.Subject.CommonName), err)
	}
	rootList, caList := newest(rootLists, a.at), newest(caLists, a.at)
	a.validity = append(a.validity,
		listDates("the revocation list of the root", rootList.ThisUpdate, rootList.NextUpdate),
		listDates("the revocation list of the intermediate", caList.ThisUpdate, caList.NextUpdate))
	for _, cert := range append([]*x509.Certificate{c.ca}, c.signers...) {
		if revoked(rootLists, cert) {
			return fault.New(attest.ReasonRevoked, "certificate of %s, serial number %x, is revoked", shown(cert.Subject.CommonName), cert.SerialNumber)
		}
	}
	if revoked(caLists, c.pck) {
		return fault.New(attest.ReasonRevoked, "PCK certificate, serial number %x, is revoked", c.pck.SerialNumber)
	}
	for _, l := range a.otherLists() {
		a.NotChecked("collateral", "revocation list of "+shown(l.Issuer.CommonName))
	}
	return nil
}

// otherLists are those that are neither of the root nor of the intermediate.
func (a *Appraisal) otherLists() (others []*x509.RevocationList) {
	c := a.chain
	for _, l := range a.in.crls {
		if !bytes.Equal(l.RawIssuer, c.ca.RawIssuer) && !bytes.Equal(l.RawIssuer, c.ca.RawSubject) {
			others = append(others, l)
		}
	}
	return others
}

// noList says of whom no list could be used. One of somebody else in its place
// is another mistake than none.
func (a *Appraisal) noList(whose string, err error) error {
	others := a.otherLists()
	if fault.Reason(err, "") == attest.ReasonListMissing && len(others) > 0 {
		return fault.New(attest.ReasonListForeign, "revocation list of %s: %w, but there is one of %s", whose, err, shown(others[0].Issuer.CommonName))
	}
	return fmt.Errorf("revocation list of %s: %w", whose, err)
}

// checkSignatures follows the three links from the PCK to the quote.
func (a *Appraisal) checkSignatures() {
	q := a.quote
	const forged = "the evidence is forged or the certificates are of another machine; do not use this Keep"
	const noPCK = "no proven PCK certificate to check it with"
	seen, why, ok := noPCK, attest.ReasonUnchecked, false
	if a.chain != nil {
		if ok = a.signatures.verify(publicKey(a.chain.pck), formRaw, q.qeReport, q.qeSig); ok {
			seen = "good"
		} else {
			seen, why = "does not verify", attest.ReasonSignature
		}
	}
	a.Check(ok, why, "qe-signature", seen, "ECDSA P-256 by the PCK over the quoting enclave's report", "the PCK certificate", forged)

	qe := q.QE()
	digest := sha256.Sum256(append(bytes.Clone(q.key), q.qeAuth...))
	bound := bytes.Equal(qe.ReportData[:32], digest[:]) && allZero(qe.ReportData[32:])
	a.Check(bound, attest.ReasonSignature, "attestation-key", fmt.Sprintf("report data %x", qe.ReportData[:32]), fmt.Sprintf("%x", digest), "SHA-256 of the attestation key and QE authentication data", forged)

	seen, why = "no proven attestation key to check it with", attest.ReasonUnchecked
	good := false
	if ok && bound {
		if good = a.quoteGood(); good {
			seen = "good"
		} else {
			seen, why = "does not verify", attest.ReasonSignature
		}
	}
	a.Check(good, why, "signature", seen, "ECDSA P-256 by the attestation key over header and body", "the quoting enclave", forged)
}
