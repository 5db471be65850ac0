// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
)

// A grace window warns until its last moment and says afterwards that it ended.
func TestGraceWindow(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.Spec{Info: func(m map[string]any) {
		firstLevel(m)["tcbStatus"], firstLevel(m)["advisoryIDs"] = "OutOfDate", []string{"INTEL-SA-00009"}
	}})
	p := params(TDX)
	p.Root = NewRoot(&v.Root.PublicKey, "the test")
	end := dcaptest.Made.Add(time.Hour)
	policy := accept([]Status{OutOfDate}, "INTEL-SA-00009")
	policy.Accept[0].Until, policy.Accept[0].Note = end, "until the hosts are patched"
	for _, x := range []struct {
		at time.Time
		ok bool
	}{{end.Add(-time.Hour), true}, {end.Add(-time.Nanosecond), true}, {end, false}, {end.Add(time.Second), false}} {
		ok, verdict := appraiseUnder(p, policy, set.Quote, set.Collateral, x.at)
		verdicttest.Check(t, verdict)
		r := row(verdict, "tcb")
		if ok != x.ok || !strings.Contains(r.Seen, "OutOfDate") || !strings.Contains(r.Seen, "INTEL-SA-00009") || !strings.Contains(r.Expected, stamp(end)) {
			t.Errorf("%v: %+v", x.at, r)
		}
		if ok && (r.Outcome != attest.Warn || !strings.Contains(r.Expected, "until the hosts are patched")) {
			t.Errorf("%v: %+v", x.at, r)
		}
		if !ok && (verdict.Reason() != attest.ReasonTCBOutOfDate || !strings.Contains(r.Todo, "ended at "+stamp(end))) {
			t.Errorf("%v: %+v", x.at, r)
		}
	}
}

func TestChipList(t *testing.T) {
	v := dcaptest.New(t)
	instance := bytes.Repeat([]byte{7}, 16)
	ppid := append(append([]byte{0xaa}, make([]byte, 14)...), 0xbb)
	p := params(TDX)
	p.Root = NewRoot(&v.Root.PublicKey, "the test")
	for name, x := range map[string]struct {
		instance []byte
		chips    [][]byte
		ok       bool
	}{
		"not demanded": {nil, nil, true}, "PPID": {nil, [][]byte{ppid}, true}, "instance": {instance, [][]byte{instance}, true},
		"PPID beside an instance": {instance, [][]byte{ppid}, true}, "another": {instance, [][]byte{bytes.Repeat([]byte{8}, 16)}, false},
		"instance of a platform without": {nil, [][]byte{instance}, false}, "none": {nil, [][]byte{}, false},
	} {
		set := v.Make(dcaptest.Spec{Platform: func(p *dcaptest.Platform) { p.Instance = x.instance }})
		a := Appraise(p, attest.Evidence{MediaType: p.MediaType, Value: set.Quote}, set.Collateral, attest.TCBPolicy{Chips: x.chips}, dcaptest.Made)
		c, verdict := a.Finish(attest.Claims{})
		verdicttest.Check(t, verdict)
		if (c != nil) != x.ok || !x.ok && (failures(verdict) != "chip-list" || verdict.Reason() != attest.ReasonChip) {
			t.Errorf("%s: %v", name, verdict.Err())
		}
		if c != nil && (!bytes.Equal(c.ChipID, ppid) || !bytes.Equal(c.PlatformInstanceID, x.instance) || c.TCBStatus != "UpToDate" || len(c.Advisories) != 0) {
			t.Errorf("%s: claims %+v", name, c)
		}
		if x.chips == nil && row(verdict, "chip-list").Outcome != attest.Skipped {
			t.Errorf("%s: %+v", name, row(verdict, "chip-list"))
		}
	}
	for _, bad := range [][]byte{{}, instance[:15], append(bytes.Clone(instance), 0)} {
		ok, verdict := made(v, dcaptest.Spec{Platform: func(p *dcaptest.Platform) { p.Instance = bad }}, nil, dcaptest.Made, nil, t)
		if ok || !strings.Contains(row(verdict, "chain").Seen, "platform instance id") {
			t.Errorf("instance id of %d bytes: %v", len(bad), verdict.Err())
		}
	}
}

// Claims say until when all of this holds, and the row of the dates says what
// ends then.
func TestValidUntil(t *testing.T) {
	v := dcaptest.New(t)
	end := dcaptest.Made.Add(time.Hour)
	p := params(TDX)
	p.Root = NewRoot(&v.Root.PublicKey, "the test")
	for name, words := range map[string]string{
		"root": "Intel SGX Root CA", "ca": "Intel SGX PCK Platform CA", "signer": "Intel SGX TCB Signing", "pck": "Intel SGX PCK Certificate",
		"root-crl": "list of the root", "ca-crl": "list of the intermediate", "info": "the TCB info", "identity": "the QE identity",
	} {
		set := v.Make(dcaptest.Spec{Valid: map[string][2]time.Time{name: {dcaptest.Made.Add(-time.Hour), end}}})
		a := Appraise(p, attest.Evidence{MediaType: p.MediaType, Value: set.Quote}, set.Collateral, attest.TCBPolicy{}, dcaptest.Made)
		c, verdict := a.Finish(attest.Claims{})
		if c == nil || !c.ValidUntil.Equal(end) || !strings.Contains(row(verdict, "dates").Seen, words) || !strings.Contains(row(verdict, "dates").Seen, stamp(end)) {
			t.Errorf("%s: %+v, %v", name, row(verdict, "dates"), verdict.Err())
		}
	}
}

// Of several documents of a kind the valid one of the highest evaluation
// counts; a better one that is older does not help.
func TestNewestDocumentCounts(t *testing.T) {
	v := dcaptest.New(t)
	older := v.Make(dcaptest.Spec{Info: func(m map[string]any) { m["tcbEvaluationDataNumber"] = 17 }})
	newer := v.Make(dcaptest.Spec{Info: func(m map[string]any) { firstLevel(m)["tcbStatus"] = "OutOfDate" }})
	ended := v.Make(dcaptest.Spec{
		Info:  func(m map[string]any) { m["tcbEvaluationDataNumber"] = 99; firstLevel(m)["tcbStatus"] = "Revoked" },
		Valid: map[string][2]time.Time{"info": {dcaptest.Made.Add(-2 * time.Hour), dcaptest.Made.Add(-time.Hour)}},
	})
	foreign := v.Make(dcaptest.Spec{Info: func(m map[string]any) { m["fmspc"] = "b0c06f000001" }})
	sgx := v.Make(dcaptest.SGX())
	const info, identity = 3, 4
	for name, x := range map[string]struct {
		entries []attest.Evidence
		tcb     attest.Outcome
		skipped int // rows that name what was passed over
	}{
		"older alone":                {[]attest.Evidence{older.Collateral[info]}, attest.Pass, 0},
		"newer first":                {[]attest.Evidence{newer.Collateral[info], older.Collateral[info]}, attest.Fail, 0},
		"older first":                {[]attest.Evidence{older.Collateral[info], newer.Collateral[info]}, attest.Fail, 0},
		"one that has ended":         {[]attest.Evidence{ended.Collateral[info], older.Collateral[info]}, attest.Pass, 0},
		"other models and platforms": {[]attest.Evidence{foreign.Collateral[info], older.Collateral[info], sgx.Collateral[info], sgx.Collateral[identity]}, attest.Pass, 3},
	} {
		set := v.Make(dcaptest.Spec{})
		col := append(append(set.Collateral[:info:info], set.Collateral[identity]), x.entries...)
		p := params(TDX)
		p.Root = NewRoot(&v.Root.PublicKey, "the test")
		ok, verdict := appraise(p, set.Quote, col, dcaptest.Made)
		verdicttest.Check(t, verdict)
		skipped := 0
		for _, r := range verdict {
			if r.Check == "tdx.collateral" && r.Outcome == attest.Skipped {
				skipped++
			}
		}
		if ok != (x.tcb == attest.Pass) || row(verdict, "tcb").Outcome != x.tcb || skipped != x.skipped {
			t.Errorf("%s: %d passed over, %+v, %v", name, skipped, row(verdict, "tcb"), verdict.Err())
		}
	}
}
