// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tcbpolicy

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func floor(line string, from time.Time, min map[string]uint64) attest.TCBFloor {
	return attest.TCBFloor{Line: line, Min: min, From: from, Note: "because"}
}

func TestFloors(t *testing.T) {
	milan := Level{Check: "tcb-floor", Line: "Milan", Have: map[string]uint64{"snp": 8, "microcode": 115}, Text: "snp 8", Todo: "update"}
	intel := Level{Check: "tcb-floor", Line: "00806f050000", Have: map[string]uint64{"pcesvn": 11, "tdx03": 6}, Text: "pcesvn 11", Todo: "update"}
	type m = map[string]uint64
	always, later, sooner := time.Time{}, now.Add(time.Second), now.Add(-time.Second)
	for name, x := range map[string]struct {
		l      Level
		floors []attest.TCBFloor
		want   string // outcomes of the rows
	}{
		"none":                              {milan, nil, "warning"},
		"reached":                           {milan, []attest.TCBFloor{floor("Milan", always, m{"snp": 8})}, "verified"},
		"one too low":                       {milan, []attest.TCBFloor{floor("Milan", always, m{"snp": 9})}, "failed"},
		"one of two too low":                {milan, []attest.TCBFloor{floor("Milan", always, m{"snp": 8, "microcode": 116})}, "failed"},
		"all lines":                         {milan, []attest.TCBFloor{floor("", always, m{"snp": 9})}, "failed"},
		"the higher counts":                 {milan, []attest.TCBFloor{floor("", always, m{"snp": 9}), floor("Milan", always, m{"snp": 1})}, "failed"},
		"component that it does not have":   {milan, []attest.TCBFloor{floor("Milan", always, m{"fmc": 0})}, "failed"},
		"another line":                      {milan, []attest.TCBFloor{floor("Genoa", always, m{"snp": 1})}, "failed"},
		"another line and all":              {milan, []attest.TCBFloor{floor("Genoa", always, m{"snp": 99}), floor("", always, m{"snp": 1})}, "verified"},
		"another line and an empty one":     {milan, []attest.TCBFloor{floor("Genoa", always, m{"snp": 99}), floor("Milan", always, nil)}, "verified"},
		"another vendor's line":             {milan, []attest.TCBFloor{floor("00806f050000", always, m{"pcesvn": 99})}, "warning"},
		"line in another case":              {milan, []attest.TCBFloor{floor("milan", always, m{"snp": 1})}, "failed"},
		"FMSPC":                             {intel, []attest.TCBFloor{floor("00806f050000", always, m{"pcesvn": 12})}, "failed"},
		"FMSPC in capitals":                 {intel, []attest.TCBFloor{floor("00806F050000", always, m{"pcesvn": 12})}, "failed"},
		"another FMSPC":                     {intel, []attest.TCBFloor{floor("00806f050001", always, m{"pcesvn": 1})}, "failed"},
		"AMD's line":                        {intel, []attest.TCBFloor{floor("Milan", always, m{"snp": 1})}, "warning"},
		"to come, too low":                  {milan, []attest.TCBFloor{floor("Milan", later, m{"snp": 9})}, "warning warning"},
		"to come, reached":                  {milan, []attest.TCBFloor{floor("Milan", later, m{"snp": 8})}, "warning"},
		"to come beside one in force":       {milan, []attest.TCBFloor{floor("", always, m{"snp": 8}), floor("Milan", later, m{"snp": 9})}, "verified warning"},
		"since this very moment, too low":   {milan, []attest.TCBFloor{floor("Milan", now, m{"snp": 9})}, "failed"},
		"since the second before, too low":  {milan, []attest.TCBFloor{floor("Milan", sooner, m{"snp": 9})}, "failed"},
		"one failed and one to come":        {milan, []attest.TCBFloor{floor("", always, m{"snp": 9}), floor("", later, m{"snp": 10})}, "failed warning"},
		"two to come, of which one reached": {milan, []attest.TCBFloor{floor("", later, m{"snp": 8}), floor("", later, m{"snp": 10})}, "warning warning"},
	} {
		rows := Floors(attest.TCBPolicy{Floors: x.floors}, x.l, now)
		verdicttest.Check(t, rows)
		var got []string
		for i, r := range rows {
			got = append(got, string(r.Outcome))
			if r.Outcome == attest.Fail && r.Reason != attest.ReasonTCBFloor {
				t.Errorf("%s: reason %q", name, r.Reason)
			}
			if i > 0 && (r.Check != "tcb-floor-ahead" || !strings.Contains(r.Expected, "2026-03-01T12:00:01Z on (because)") || !strings.Contains(r.Todo, "snp")) {
				t.Errorf("%s: %+v does not say what comes when and why", name, r)
			}
		}
		if s := strings.Join(got, " "); s != x.want {
			t.Errorf("%s: %s, expected %s: %+v", name, s, x.want, rows)
		}
	}
}

func TestAccepts(t *testing.T) {
	in := func(until time.Time, statuses, advisories string) attest.TCBAcceptance {
		return attest.TCBAcceptance{Statuses: strings.Fields(statuses), Advisories: strings.Fields(advisories), Until: until, Note: "rollout"}
	}
	never, later, muchLater := time.Time{}, now.Add(time.Second), now.Add(time.Hour)
	for name, x := range map[string]struct {
		accept []attest.TCBAcceptance
		want   Acceptance
	}{
		"nothing":        {nil, Acceptance{}},
		"another status": {[]attest.TCBAcceptance{in(never, "SWHardeningNeeded", "A B")}, Acceptance{}},
		"both":           {[]attest.TCBAcceptance{in(never, "OutOfDate", "A B")}, Acceptance{OK: true, Terms: "accepted without an end (rollout)"}},
		"and more":       {[]attest.TCBAcceptance{in(never, "UpToDate OutOfDate", "C B A")}, Acceptance{OK: true, Terms: "accepted without an end (rollout)"}},
		"one advisory":   {[]attest.TCBAcceptance{in(never, "OutOfDate", "A")}, Acceptance{Uncovered: []string{"B"}}},
		"no advisory":    {[]attest.TCBAcceptance{in(never, "OutOfDate", "")}, Acceptance{Uncovered: []string{"A", "B"}}},
		"two halves do not make one": {[]attest.TCBAcceptance{in(never, "OutOfDate", "A"), in(never, "OutOfDate", "B"), in(never, "", "A B")},
			Acceptance{Uncovered: []string{"B"}}},
		"the last second":        {[]attest.TCBAcceptance{in(later, "OutOfDate", "A B")}, Acceptance{OK: true, Terms: "accepted until 2026-03-01T12:00:01Z (rollout)"}},
		"the longest counts":     {[]attest.TCBAcceptance{in(later, "OutOfDate", "A B"), in(muchLater, "OutOfDate", "A B")}, Acceptance{OK: true, Terms: "accepted until 2026-03-01T13:00:00Z (rollout)"}},
		"no end is longer":       {[]attest.TCBAcceptance{in(never, "OutOfDate", "A B"), in(later, "OutOfDate", "A B")}, Acceptance{OK: true, Terms: "accepted without an end (rollout)"}},
		"ended this moment":      {[]attest.TCBAcceptance{in(now, "OutOfDate", "A B")}, Acceptance{Ended: now}},
		"ended, of less":         {[]attest.TCBAcceptance{in(now, "OutOfDate", "A")}, Acceptance{}},
		"ended, and another":     {[]attest.TCBAcceptance{in(now, "OutOfDate", "A B"), in(later, "OutOfDate", "A B")}, Acceptance{OK: true, Terms: "accepted until 2026-03-01T12:00:01Z (rollout)", Ended: now}},
		"ended, and one of less": {[]attest.TCBAcceptance{in(now, "OutOfDate", "A B"), in(later, "OutOfDate", "A")}, Acceptance{Uncovered: []string{"B"}, Ended: now}},
	} {
		got := Accepts(attest.TCBPolicy{Accept: x.accept}, "OutOfDate", []string{"A", "B"}, now)
		if got.OK != x.want.OK || got.Terms != x.want.Terms || !slices.Equal(got.Uncovered, x.want.Uncovered) || !got.Ended.Equal(x.want.Ended) {
			t.Errorf("%s: %+v, expected %+v", name, got, x.want)
		}
	}
	for _, s := range []string{"Revoked", "NotSupported", "", "outofdate", "Fine"} {
		if a := Accepts(attest.TCBPolicy{Accept: []attest.TCBAcceptance{in(never, s+" OutOfDate", "")}}, s, nil, now); a.OK || Acceptable(s) {
			t.Errorf("status %q accepted", s)
		}
	}
	if got := Describe(attest.TCBPolicy{Accept: []attest.TCBAcceptance{in(now, "OutOfDate", "A"), in(later, "UpToDate SWHardeningNeeded Revoked", "B")}}, now); got != "UpToDate or SWHardeningNeeded with B" {
		t.Error(got)
	}
}

func TestChips(t *testing.T) {
	a, b, zero := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16), make([]byte, 16)
	for name, x := range map[string]struct {
		chips [][]byte
		ids   [][]byte
		want  attest.Outcome
	}{
		"not demanded":        {nil, [][]byte{a}, attest.Skipped},
		"none":                {[][]byte{}, [][]byte{a}, attest.Fail},
		"listed":              {[][]byte{b, a}, [][]byte{a}, attest.Pass},
		"second id":           {[][]byte{b}, [][]byte{a, b}, attest.Pass},
		"another":             {[][]byte{b}, [][]byte{a}, attest.Fail},
		"masked":              {[][]byte{zero}, [][]byte{zero}, attest.Fail},
		"longer":              {[][]byte{append(bytes.Clone(a), 0)}, [][]byte{a}, attest.Fail},
		"nothing to identify": {[][]byte{a}, nil, attest.Fail},
		"an empty id":         {[][]byte{{}}, [][]byte{{}}, attest.Fail},
	} {
		row := Chips(attest.TCBPolicy{Chips: x.chips}, "the chip", x.ids...)
		verdicttest.Check(t, attest.Verdict{row})
		if row.Outcome != x.want || x.want == attest.Fail && row.Reason != attest.ReasonChip {
			t.Errorf("%s: %+v", name, row)
		}
	}
}

// A policy that can never match is refused loudly.
func TestCheck(t *testing.T) {
	good := attest.TCBPolicy{
		Floors: []attest.TCBFloor{
			{}, {Line: "Milan", Min: map[string]uint64{"bootloader": 1, "tee": 0, "snp": 8, "microcode": 1}}, {Line: "Turin", Min: map[string]uint64{"fmc": 1}},
			{Line: "00806F050000", Min: map[string]uint64{"sgx01": 1, "sgx16": 1, "tdx01": 1, "tdx16": 1, "pcesvn": 1, "qesvn": 1, "evaluation": 17}},
		},
		Accept: []attest.TCBAcceptance{{Statuses: statuses, Advisories: []string{"INTEL-SA-00615"}}},
		Chips:  [][]byte{bytes.Repeat([]byte{1}, 64), bytes.Repeat([]byte{1}, 16)},
	}
	if v := Check(good); v != nil {
		t.Errorf("%+v", v)
	}
	if v := Check(attest.TCBPolicy{}); v != nil {
		t.Errorf("%+v", v)
	}
	for words, p := range map[string]attest.TCBPolicy{
		"floor 1 is for line Rome":                 {Floors: []attest.TCBFloor{{Line: "Rome"}}},
		"floor 1 is for line milan":                {Floors: []attest.TCBFloor{{Line: "milan"}}},
		"floor 2 is for line 00806f0500":           {Floors: []attest.TCBFloor{{}, {Line: "00806f0500"}}},
		"component microcod,":                      {Floors: []attest.TCBFloor{{Min: map[string]uint64{"microcod": 1}}}},
		"component sgx17":                          {Floors: []attest.TCBFloor{{Min: map[string]uint64{"sgx17": 1}, From: now.AddDate(1, 0, 0)}}},
		"acceptance 1 names no status":             {Accept: []attest.TCBAcceptance{{Advisories: []string{"A"}}}},
		"status Revoked":                           {Accept: []attest.TCBAcceptance{{Statuses: []string{"OutOfDate", "Revoked"}}}},
		"status NotSupported":                      {Accept: []attest.TCBAcceptance{{Statuses: []string{"NotSupported"}}}},
		"status OutofDate":                         {Accept: []attest.TCBAcceptance{{Statuses: []string{"OutofDate"}}}},
		"empty advisory":                           {Accept: []attest.TCBAcceptance{{Statuses: []string{"OutOfDate"}, Advisories: []string{""}}}},
		"chip 1 has 63 bytes":                      {Chips: [][]byte{make([]byte, 63)}},
		"chip 2 is all zeroes":                     {Chips: [][]byte{bytes.Repeat([]byte{1}, 16), make([]byte, 64)}},
		"chip 1 has 0 bytes, expected 64 (CHIP_ID": {Chips: [][]byte{{}, {}}},
	} {
		v := Check(p)
		if len(v) != 1 || v[0].Outcome != attest.Fail || v[0].Reason != attest.ReasonPolicy || !strings.Contains(v[0].Seen, words) {
			t.Errorf("%s: %+v", words, v)
			continue
		}
		verdicttest.Check(t, v)
	}
}
