// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest"
)

func (v *verification) debug() {
	const check, want = "debug", "not started in debug mode (PCR0, PCR1 and PCR2 are not all zero)"
	if v.doc.Kind == TPM {
		v.note(attest.Skipped, check, "an instance with a NitroTPM has no debug mode; what its owner can do to it is measured, or not", "not demanded", ours, "")
		return
	}
	seen := "measured"
	if v.doc.Debug() {
		seen = "PCR0, PCR1 and PCR2 are zero"
	}
	v.row(!v.doc.Debug(), attest.ReasonDebug, check, seen, want, specAWS,
		"the parent instance can read this Keep's console, and nothing in it was measured; start it without debug mode")
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

func (v *verification) measurement() {
	v.measure = v.doc.Measurement()
	if v.p.Measure != nil {
		v.measure = v.p.Measure(v.doc)
	}
	var plain []string
	for _, i := range v.doc.Kind.Measured() {
		plain = append(plain, fmt.Sprintf("PCR%d %x", i, v.doc.PCRs[i]))
	}
	seen := fmt.Sprintf("%x (%s)", v.measure, strings.Join(plain, ", "))
	if v.waived(attest.WaiveMeasurement, len(v.exp.Measurements) == 0, "measurement", seen) {
		return
	}
	n := 0
	for _, ref := range v.exp.Measurements {
		if ref.Platform != v.p.Platform {
			continue
		}
		n++
		if bytes.Equal(ref.Measurement, v.measure[:]) {
			v.row(true, "", "measurement", seen, "Keep release "+shown(ref.Name()), shown(ref.Source), "")
			return
		}
	}
	v.row(false, attest.ReasonMeasurement, "measurement", seen, fmt.Sprintf("one of %d reference values for %s", n, v.p.Platform),
		"the reference values given", "this is not a Keep release you accept; name its reference values if you trust them")
}

// registers checks the demanded registers and names those of an enclave that
// have a meaning and were not demanded.
func (v *verification) registers() {
	for _, i := range slices.Sorted(maps.Keys(v.p.Demands.PCRs)) {
		want := v.p.Demands.PCRs[i]
		got, there := v.doc.PCRs[i]
		reason, seen := attest.ReasonMeasurement, hex.EncodeToString(got)
		if i == 8 && v.doc.Kind == Enclave {
			reason = attest.ReasonSigner
		}
		if !there {
			seen = "not in the document"
		}
		v.row(there && len(want) != 0 && bytes.Equal(got, want), reason, fmt.Sprintf("pcr%d", i), seen, hex.EncodeToString(want), relying,
			"this Keep is not one you accept; demand another value of the register if you trust it")
	}
	if v.p.Simulated {
		return // what made-up hardware says of itself is of no interest
	}
	named := v.doc.Kind.Measured()
	if v.doc.Kind == Enclave {
		for _, r := range []struct {
			i    uint
			what string
		}{{3, "the parent instance's IAM role"}, {4, "the parent instance"}, {8, "the certificate that signed the image"}} {
			named = append(named, r.i)
			if _, demanded := v.p.Demands.PCRs[r.i]; !demanded {
				v.note(attest.Skipped, fmt.Sprintf("pcr%d", r.i), hex.EncodeToString(v.doc.PCRs[r.i])+": "+r.what, "not demanded", relying, "")
			}
		}
	}
	var rest []string
	for _, i := range slices.Sorted(maps.Keys(v.doc.PCRs)) {
		if _, demanded := v.p.Demands.PCRs[i]; !demanded && !slices.Contains(named, i) && !allZero(v.doc.PCRs[i]) {
			rest = append(rest, fmt.Sprintf("PCR%d %x…", i, v.doc.PCRs[i][:8]))
		}
	}
	if len(rest) != 0 {
		v.note(attest.Skipped, "pcrs", strings.Join(rest, ", "), "not demanded", relying, "")
	}
}

// firmware answers demands on firmware level and chip, of which a document
// says nothing: what cannot be checked and was demanded fails.
func (v *verification) firmware() {
	const seen = "a document names neither firmware level nor chip"
	floor := false
	for _, f := range v.exp.TCB.Floors {
		// A product line that AWS does not have is nobody's.
		floor = floor || f.Line == "" && (f.From.IsZero() || !v.at.Before(f.From))
	}
	const todo = "AWS keeps its hypervisor's level to itself; ask for no floor and no chip on this platform"
	if floor {
		v.row(false, attest.ReasonTCBFloor, "tcb-floor", seen, "the demanded floor", relying, todo)
	} else if !v.p.Simulated {
		v.note(attest.Skipped, "tcb-floor", seen, "not demanded", relying, "")
	}
	if v.exp.TCB.Chips != nil {
		v.row(false, attest.ReasonChip, "chip-list", seen, fmt.Sprintf("one of %d chips", len(v.exp.TCB.Chips)), relying, todo)
	}
}

// hostData checks the nonce, in which a Keep puts the digest of its start
// configuration: the platform has no field that the host fills in.
func (v *verification) hostData() {
	seen := "nonce " + hex.EncodeToString(v.doc.Nonce)
	if v.doc.Nonce == nil {
		seen = "no nonce"
	}
	missing := v.exp.HostData == [32]byte{}
	if v.waived(attest.WaiveHostData, missing, "host-data", seen) {
		return
	}
	v.row(!missing && bytes.Equal(v.doc.Nonce, v.exp.HostData[:]), attest.ReasonHostData, "host-data", seen, hex.EncodeToString(v.exp.HostData[:]),
		"digest of the start configuration", "the Keep was started with another configuration than it says")
}

// reportData checks the user data, in which a Keep puts its 64 bytes of report
// data.
func (v *verification) reportData() {
	seen := "user_data " + hex.EncodeToString(v.doc.UserData)
	if v.doc.UserData == nil {
		seen = "no user_data"
	}
	missing := v.exp.ReportData == [64]byte{}
	if v.waived(attest.WaiveReportData, missing, "report-data", seen) {
		return
	}
	v.row(!missing && bytes.Equal(v.doc.UserData, v.exp.ReportData[:]), attest.ReasonReportData, "report-data", seen, hex.EncodeToString(v.exp.ReportData[:]),
		session, "the evidence was made for another session or another Keep; somebody may stand in between")
}

func (v *verification) notChecked() {
	if v.p.Simulated {
		return
	}
	v.note(attest.Skipped, "module-id", shown(v.doc.ModuleID), "not demanded", relying, "")
	key := "none"
	if v.doc.PublicKey != nil {
		key = fmt.Sprintf("%d bytes", len(v.doc.PublicKey))
	}
	v.note(attest.Skipped, "public-key", key, "not demanded", relying, "")
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
