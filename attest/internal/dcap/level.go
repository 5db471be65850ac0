// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/tcbpolicy"
)

// checkLevel judges the platform's TCB: Intel's status and the floor.
func (a *Appraisal) checkLevel() {
	if a.info == nil || a.platform == nil {
		a.Check(false, attest.ReasonUnchecked, "tcb", "no TCB info to compare with", tcbpolicy.Describe(a.policy, a.at), specPCS, "see the row of the TCB info")
		return
	}
	td := a.quote.TD
	if td != nil {
		a.checkModule(td)
	}
	s := a.info.evaluate(a.platform, td, a.qeStatus)
	status, notes := s.status, s.advisories
	seen := []string{"platform " + string(s.platform)}
	if s.date != "" {
		seen[0] += " (level of " + s.date + ")"
	}
	if s.module != "" {
		seen = append(seen, "TDX module "+string(s.module))
	}
	if a.identity == nil {
		seen = append(seen, "quoting enclave unknown")
	} else {
		status = converge(status, a.qeStatus)
		notes = append(notes, a.qeNotes...)
		seen = append(seen, "quoting enclave "+string(a.qeStatus))
	}
	slices.Sort(notes)
	notes = slices.Compact(notes)
	a.judge(status, notes, string(status)+": "+strings.Join(seen, ", ")+advisoryText(notes))
	a.add(tcbpolicy.Floors(a.policy, tcbpolicy.Level{
		Check: "tcb-floor", Line: hex.EncodeToString(a.platform.fmspc[:]), Have: a.levels(), Text: levelText(a.levels()), Todo: "the host must update its firmware",
	}, a.at)...)
}

func advisoryText(notes []string) string {
	if len(notes) == 0 {
		return ""
	}
	list := make([]string, len(notes))
	for i, n := range notes {
		list[i] = strings.Trim(shown(n), `"`)
	}
	return "; advisories " + strings.Join(list, ", ")
}

func (a *Appraisal) judge(status Status, notes []string, seen string) {
	a.status, a.advisories = status, notes
	want := tcbpolicy.Describe(a.policy, a.at)
	x := tcbpolicy.Accepts(a.policy, string(status), notes, a.at)
	switch ok := status == UpToDate || x.OK; {
	case ok && a.identity == nil:
		a.Check(false, attest.ReasonUnchecked, "tcb", seen, want, specPCS, "see the row of the QE identity")
	case status == UpToDate:
		a.Check(true, "", "tcb", seen, want, specPCS, "")
	case ok:
		a.warn("tcb", seen, x.Terms, theParty, remedy(status))
	case !x.Ended.IsZero():
		a.Check(false, statusReason(status), "tcb", seen, want+"; this was accepted until "+stamp(x.Ended), theParty,
			"the window in which your policy accepted this ended at "+stamp(x.Ended)+"; "+remedy(status))
	case x.Uncovered != nil:
		a.Check(false, attest.ReasonAdvisory, "tcb", seen, want, theParty, "not accepted: "+strings.Join(x.Uncovered, ", ")+"; "+remedy(status))
	default:
		a.Check(false, statusReason(status), "tcb", seen, want, specPCS, "status "+string(status)+" is not accepted; "+remedy(status))
	}
}

// checkModule checks that the TDX module is one of Intel's: from version 1 on
// its version has an identity of its own.
func (a *Appraisal) checkModule(td *TDReport) {
	const todo = "the TDX module is not one that Intel lists for this platform; do not use this host"
	want := a.info.Module
	version := td.TEETCBSVN[1]
	if version > 0 {
		want = a.info.moduleNamed(version)
	}
	seen := fmt.Sprintf("version %d, SVN %d, MRSIGNERSEAM %x, SEAM attributes %x", version, td.TEETCBSVN[0], td.MRSignerSEAM, td.SEAMAttributes)
	if want == nil {
		a.Check(false, attest.ReasonTCBUnknown, "module", seen, fmt.Sprintf("an identity TDX_%02X in the TCB info", version), specPCS, todo)
		return
	}
	why := attest.ReasonGuestPolicy
	if !bytes.Equal(want.MRSigner, td.MRSignerSEAM[:]) {
		why = attest.ReasonSigner
	}
	a.Check(want.fits(td), why, "module", seen, fmt.Sprintf("MRSIGNER %x, attributes %x under mask %x", []byte(want.MRSigner), []byte(want.Attributes), []byte(want.Mask)), specPCS, todo)
}

// Names of the sixteen components.
var sgxNames, tdxNames = componentNames("sgx"), componentNames("tdx")

func componentNames(tee string) (names [16]string) {
	for i := range names {
		names[i] = fmt.Sprintf("%s%02d", tee, i+1)
	}
	return names
}

// levels are the components of the TCB by name, as in the package comment.
func (a *Appraisal) levels() map[string]uint64 {
	m := make(map[string]uint64, len(sgxNames)+len(tdxNames)+3)
	m["pcesvn"], m["qesvn"] = uint64(a.platform.pceSVN), uint64(a.quote.QE().ISVSVN)
	for i, n := range a.platform.components {
		m[sgxNames[i]] = uint64(n)
	}
	if td := a.quote.TD; td != nil {
		for i, n := range td.TEETCBSVN {
			m[tdxNames[i]] = uint64(n)
		}
	}
	if a.info != nil && a.identity != nil {
		m["evaluation"] = uint64(min(*a.info.Evaluation, *a.identity.Evaluation))
	}
	return m
}

// checkChip names the chip and the machine, and holds them against the list.
func (a *Appraisal) checkChip() {
	if a.platform == nil {
		return // the chain has failed already
	}
	p := a.platform
	name := fmt.Sprintf("PPID %x", p.ppid)
	ids := [][]byte{p.ppid[:]}
	if p.instance != nil {
		name += fmt.Sprintf(", platform instance id %x", p.instance)
		ids = append(ids, p.instance)
	}
	a.add(tcbpolicy.Chips(a.policy, name, ids...))
	config := p.config
	if config == "" {
		config = "the PCK certificate does not say"
	}
	a.NotChecked("platform-config", config)
}

// levelText leaves out components that are zero: most are.
func levelText(m map[string]uint64) string {
	var names []string
	for n, v := range m {
		if v != 0 {
			if strings.ContainsFunc(n, func(c rune) bool { return c < '0' || c > '9' && c < 'a' || c > 'z' }) || len(n) > maxShown {
				n = strings.Trim(shown(n), `"`) // of a floor from outside
			}
			names = append(names, n+" "+strconv.FormatUint(v, 10))
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
