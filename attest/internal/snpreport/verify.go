// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
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
	// Roots are the certificates that end a chain, each one checked with
	// [CheckRoot] by the caller. None means that nothing verifies.
	Roots []*x509.Certificate
	// RootSource says for people where the roots came from.
	RootSource string
}

// verification is one run of Verify: its inputs and the rows so far.
type verification struct {
	p    Params
	col  attest.Collateral
	exp  attest.Expected
	at   time.Time
	rows attest.Verdict

	report *Report
	vcek   *x509.Certificate
	end    *endorsement
}

// Verify checks the report in ev with the certificates in col, all of it
// hostile, against exp at the given time. It follows the contract of
// [attest.Verifier]: claims and only passed rows, or no claims and at least
// one failed row.
func Verify(p Params, ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	v := &verification{p: p, col: col, exp: exp, at: at}
	if !v.format(ev) {
		return nil, v.rows
	}
	v.chain()
	v.signature()
	v.level()
	v.revocation()
	v.measurement()
	v.policy()
	v.bound()
	if !v.rows.OK() || v.vcek == nil || v.end == nil {
		return nil, v.rows
	}
	return claims.Mint(attest.Claims{
		Platform:    p.Platform,
		Simulated:   p.Simulated,
		Measurement: bytes.Clone(v.report.Measurement[:]),
		HostData:    bytes.Clone(v.report.HostData[:]),
		ReportData:  v.report.ReportData,
		TCB:         v.end.tcb.Map(),
		ChipID:      bytes.Clone(v.report.ChipID[:]),
		Debug:       v.report.Policy.Debug(),
		VMPL:        v.report.VMPL,
		VerifiedAt:  at,
	}), v.rows
}

// row adds one row. todo is shown only if the check failed.
func (v *verification) row(ok bool, check, seen, expected, source, todo string) bool {
	r := attest.Row{
		Check:    v.p.Platform + "." + check,
		Seen:     seen,
		Expected: expected,
		Source:   source,
		Outcome:  attest.Pass,
	}
	switch {
	case !ok:
		r.Outcome, r.Todo = attest.Fail, todo
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
		return v.row(false, "format", "evidence of type "+shown(ev.MediaType), attest.MediaTypeSNP, ours,
			"ask for the platform that the Keep runs on")
	}
	r, err := Parse(ev.Value)
	if err != nil {
		return v.row(false, "format", err.Error(), want, specABI, "the evidence is damaged or forged; do not use this Keep")
	}
	v.report = r
	return v.row(true, "format", fmt.Sprintf("report version %d", r.Version), want, specABI, "")
}

// chain finds VCEK ← intermediate ← root in the collateral and checks every
// signature and date on the way.
func (v *verification) chain() {
	const want = "VCEK, signed by an intermediate, signed by the root"
	const todo = "get the certificates of this very machine, or use another host"
	vcek, cas, err := v.sortCollateral()
	if err != nil {
		v.row(false, "chain", err.Error(), want, v.p.RootSource, todo)
		return
	}
	ca, root, err := v.link(vcek, cas)
	if err != nil {
		v.row(false, "chain", err.Error(), want, v.p.RootSource, todo)
		return
	}
	end, err := readEndorsement(vcek)
	if err != nil {
		v.row(false, "chain", err.Error(), "the extensions of a VCEK", specKDS, todo)
		return
	}
	v.vcek, v.end = vcek, end
	v.row(true, "chain", shown(vcek.Subject.CommonName)+" of product "+shown(end.product)+", "+shown(ca.Subject.CommonName)+", "+shown(root.Subject.CommonName),
		want, v.p.RootSource, "")
	v.dates(vcek, ca, root)
}

func (v *verification) dates(chain ...*x509.Certificate) {
	for _, c := range chain {
		if !validAt(c, v.at) {
			v.row(false, "dates", fmt.Sprintf("%s is valid from %s to %s", shown(c.Subject.CommonName), stamp(c.NotBefore), stamp(c.NotAfter)),
				"valid at "+stamp(v.at), "time of the appraisal", "check this machine's clock; if it is right, the host must fetch new certificates")
			return
		}
	}
	v.row(true, "dates", "all certificates valid", "valid at "+stamp(v.at), "time of the appraisal", "")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// sortCollateral parses the certificates: exactly one VCEK, any number of
// intermediates. A stapled root is accepted only if it is a root already.
func (v *verification) sortCollateral() (vcek *x509.Certificate, cas []*x509.Certificate, err error) {
	if len(v.col) > maxCollateral {
		return nil, nil, fmt.Errorf("%d entries of collateral, expected at most %d", len(v.col), maxCollateral)
	}
	for i, e := range v.col {
		if e.MediaType != attest.MediaTypeCertificate {
			// Not needed for this chain; what is needed and missing fails below.
			v.note(attest.Skipped, "collateral", fmt.Sprintf("entry %d of type %s", i, shown(e.MediaType)), attest.MediaTypeCertificate, ours)
			continue
		}
		c, err := parseCert(e.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("collateral entry %d: %w", i, err)
		}
		switch {
		case isVCEK(c) && vcek == nil:
			vcek = c
		case isVCEK(c) && vcek.Equal(c):
		case isVCEK(c):
			return nil, nil, fmt.Errorf("two different VCEKs in the collateral")
		case bytes.Equal(c.RawSubject, c.RawIssuer):
			if !v.isRoot(c) {
				return nil, nil, fmt.Errorf("collateral entry %d is a foreign root, %s", i, shown(c.Subject.CommonName))
			}
		case c.IsCA:
			cas = append(cas, c)
		default:
			return nil, nil, fmt.Errorf("collateral entry %d is neither VCEK nor authority", i)
		}
	}
	if vcek == nil {
		return nil, nil, fmt.Errorf("no VCEK in the collateral")
	}
	return vcek, cas, nil
}

func (v *verification) isRoot(c *x509.Certificate) bool {
	for _, r := range v.p.Roots {
		if r != nil && r.Equal(c) {
			return true
		}
	}
	return false
}

// link finds the intermediate and the root. Intermediates of the same name
// exist (AMD has replaced one), so each is tried.
func (v *verification) link(vcek *x509.Certificate, cas []*x509.Certificate) (ca, root *x509.Certificate, err error) {
	err = fmt.Errorf("no intermediate named %s in the collateral", shown(vcek.Issuer.CommonName))
	for _, ca := range cas {
		if !bytes.Equal(ca.RawSubject, vcek.RawIssuer) {
			continue
		}
		if e := checkIssued(vcek, ca); e != nil {
			err = e
			continue
		}
		err = fmt.Errorf("%s leads to no accepted root", shown(ca.Subject.CommonName))
		for _, root := range v.p.Roots {
			if root == nil || !bytes.Equal(root.RawSubject, ca.RawIssuer) {
				continue
			}
			if e := checkIssued(ca, root); e != nil {
				err = e
				continue
			}
			return ca, root, nil
		}
	}
	return nil, nil, err
}

func (v *verification) signature() {
	const want = "ECDSA P-384 by the VCEK over all of the report"
	r := v.report
	if r.SigningKey != KeyVCEK {
		v.row(false, "signature", fmt.Sprintf("signing key %d", r.SigningKey), "signing key 0 (VCEK)", specABI, "use a host that signs with its VCEK")
		return
	}
	if v.vcek == nil {
		v.row(false, "signature", "no proven VCEK to check it with", want, specABI, "see the row of the chain")
		return
	}
	key, err := vcekKey(v.vcek)
	if err == nil {
		err = r.CheckSignature(key)
	}
	if err != nil {
		v.row(false, "signature", err.Error(), want, "the VCEK's certificate", "the evidence is forged or the certificate is of another machine; do not use this Keep")
		return
	}
	v.row(true, "signature", "good", want, "the VCEK's certificate", "")
}

// level checks that the certificate was made for the chip and firmware level
// that the report names, and the floor.
func (v *verification) level() {
	if v.end == nil {
		return // the chain has failed already
	}
	r := v.report
	v.row(r.ChipID == v.end.chipID, "chip", hex.EncodeToString(r.ChipID[:]), hex.EncodeToString(v.end.chipID[:]),
		"the VCEK's certificate", "the certificate is of another machine; get this one's")

	want := v.end.tcb
	got, err := r.ReportedTCB.decode(want.hasFMC)
	switch {
	case err != nil:
		v.row(false, "tcb", err.Error(), want.String(), "the VCEK's certificate", "the evidence is damaged or forged")
	default:
		v.row(got == want, "tcb", got.String(), want.String(), "the VCEK's certificate",
			"get the certificate for the reported firmware level")
	}
	if v.exp.MinTCB == nil {
		v.note(attest.Warn, "tcb-floor", want.String(), "no floor was given", "the relying party")
		return
	}
	low := want.belowFloor(v.exp.MinTCB)
	v.row(len(low) == 0, "tcb-floor", want.String(), "at least "+levelText(v.exp.MinTCB), "the relying party",
		"the host must update its firmware: too low is "+fmt.Sprint(low))
}

// revocation fails closed for real hardware until lists are checked: a
// throw-away root has nobody who could revoke anything.
func (v *verification) revocation() {
	if v.p.Simulated {
		v.note(attest.Skipped, "revocation", "not checked", "a throw-away root has no revocation list", ours)
		return
	}
	v.row(false, "revocation", "not checked", "the vendor's current revocation list", specKDS, "this build cannot verify hardware evidence yet")
}

func (v *verification) measurement() {
	got := v.report.Measurement[:]
	n := 0
	for _, ref := range v.exp.Measurements {
		if ref.Platform != v.p.Platform {
			continue
		}
		n++
		if len(ref.Measurement) == len(got) && bytes.Equal(ref.Measurement, got) {
			v.row(true, "measurement", hex.EncodeToString(got), "Keep release "+shown(ref.Release), shown(ref.Source), "")
			return
		}
	}
	v.row(false, "measurement", hex.EncodeToString(got), fmt.Sprintf("one of %d reference values for %s", n, v.p.Platform),
		"the reference values given", "this is not a Keep release you accept; name its reference values if you trust them")
}

func (v *verification) policy() {
	p := v.report.Policy
	seen := fmt.Sprintf("%#x", uint64(p))
	v.row(!p.Debug(), "debug", seen, "no debugging by the host (bit 19 clear)", ours, "the host can read this Keep's memory; do not use it")
	v.row(!p.MigrationAgent(), "migration", seen, "no migration agent (bit 18 clear)", ours, "another guest may move this Keep's memory; do not use it")
	v.row(v.report.VMPL == 0, "vmpl", fmt.Sprint(v.report.VMPL), "0", ours, "the report was asked for by something less privileged than the Keep")
}

// bound checks the two fields that tie the report to the session. A zero
// expectation is a missing one.
func (v *verification) bound() {
	hd, rd := v.report.HostData, v.report.ReportData
	v.row(v.exp.HostData != [32]byte{} && hd == v.exp.HostData, "host-data",
		hex.EncodeToString(hd[:]), hex.EncodeToString(v.exp.HostData[:]), "digest of the start configuration",
		"the Keep was started with another configuration than it says")
	v.row(v.exp.ReportData != [64]byte{} && rd == v.exp.ReportData, "report-data",
		hex.EncodeToString(rd[:]), hex.EncodeToString(v.exp.ReportData[:]), session,
		"the evidence was made for another session or another Keep; somebody may stand in between")
}
