// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tdx

import (
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
)

// What is not demanded is named in the verdict; what is demanded passes or
// fails under the same name.
func TestDemands(t *testing.T) {
	v := dcaptest.New(t)
	const mrseam, xfam, ownerConfig = 16, 128, 280
	one, other := [48]byte{1, 2, 3}, [48]byte{9}
	put := func(at int, b ...byte) func([]byte) { return func(body []byte) { copy(body[at:], b) } }
	mask := func(m uint64) *uint64 { return &m }
	none := func([]byte) {}
	rtmr := func(i int, list ...[48]byte) Options {
		var o Options
		o.RTMR[i] = append([][48]byte{}, list...)
		return o
	}
	for _, x := range []struct {
		check     string
		why       attest.Reason
		o         Options
		good, bad func([]byte)
	}{
		{"mrtd", attest.ReasonMeasurement, Options{MRTD: [][48]byte{other, dcaptest.MRTD}}, none, put(dcaptest.TDMRTD, 0)},
		{"mrtd", attest.ReasonMeasurement, Options{MRTD: [][48]byte{}}, nil, none},
		{"rtmr0", attest.ReasonMeasurement, rtmr(0, dcaptest.RTMR[0]), none, put(dcaptest.TDRTMR0, 0)},
		{"rtmr1", attest.ReasonMeasurement, rtmr(1, dcaptest.RTMR[1]), none, put(dcaptest.TDRTMR0+48, 0)},
		{"rtmr2", attest.ReasonMeasurement, rtmr(2, dcaptest.RTMR[2]), none, put(dcaptest.TDRTMR0+96, 0)},
		{"rtmr3", attest.ReasonMeasurement, rtmr(3, one), put(dcaptest.TDRTMR0+144, one[:]...), put(dcaptest.TDRTMR0+144, other[:]...)},
		{"rtmr3", attest.ReasonMeasurement, rtmr(3), nil, none},
		{"mrseam", attest.ReasonGuestPolicy, Options{MRSEAM: [][48]byte{one}}, put(mrseam, one[:]...), put(mrseam, other[:]...)},
		{"owner", attest.ReasonGuestPolicy, Options{MROwner: [][48]byte{one}}, put(dcaptest.TDOwner, one[:]...), put(dcaptest.TDOwner, other[:]...)},
		{"owner-config", attest.ReasonGuestPolicy, Options{MROwnerConfig: [][48]byte{one}}, put(ownerConfig, one[:]...), put(ownerConfig, other[:]...)},
		{"xfam", attest.ReasonGuestPolicy, Options{XFAM: mask(0xe7)}, put(xfam, 0xe7, 0, 0), put(xfam, 0xe7, 0, 6)},
		{"xfam", attest.ReasonGuestPolicy, Options{XFAM: mask(3)}, put(xfam, 3, 0, 0, 0, 0, 0, 0, 0), put(xfam, 3, 0, 0, 0, 0, 0, 0, 0x80)},
		{"pks", attest.ReasonGuestPolicy, Options{Forbid: PKS}, none, put(dcaptest.TDAttributes+3, 0x50)},
		{"kl", attest.ReasonGuestPolicy, Options{Forbid: PKS | KL}, none, put(dcaptest.TDAttributes+3, 0x90)},
		{"perfmon", attest.ReasonGuestPolicy, Options{Forbid: Perfmon}, none, put(dcaptest.TDAttributes+7, 0x80)},
		{"lass", attest.ReasonGuestPolicy, Options{Forbid: LASS}, none, put(dcaptest.TDAttributes+3, 0x18)},
	} {
		for _, e := range []struct {
			body  func([]byte)
			fails string
		}{{x.good, ""}, {x.bad, x.check}} {
			if e.body == nil {
				continue
			}
			set := v.Make(dcaptest.Spec{Body: e.body})
			exp := expected()
			exp.Measurements = nil
			x.o.Waive = attest.WaiveMeasurement // so that the demand alone can refuse
			_, verdict := under(v, x.o).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
			verdicttest.Check(t, verdict)
			if failures(verdict) != e.fails || e.fails != "" && verdict.Reason() != x.why || e.fails == "" && row(verdict, x.check).Outcome != attest.Pass {
				t.Errorf("%s %+v: failed rows %q for %q: %+v", x.check, x.o, failures(verdict), verdict.Reason(), row(verdict, x.check))
			}
			_, verdict = under(v, Options{Waive: attest.WaiveMeasurement}).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
			if r := row(verdict, x.check); failures(verdict) != "" || r.Outcome != attest.Skipped || r.Seen == "" {
				t.Errorf("%s not demanded: %q, %+v", x.check, failures(verdict), r)
			}
		}
	}
}

// What is refused unless it is accepted by name, and what accepting it does not
// excuse.
func TestExcused(t *testing.T) {
	v := dcaptest.New(t)
	service := [48]byte{47: 1}
	td15 := func(f func([]byte)) dcaptest.Spec { s := dcaptest.TD15(); s.Body = f; return s }
	bound := func(b []byte) { copy(b[dcaptest.TDServiceTD:], service[:]) }
	pending := func(b []byte) { b[dcaptest.TDAttributes+3] = 0 }
	for name, x := range map[string]struct {
		o     Options
		s     dcaptest.Spec
		fails string
		row   string
		want  attest.Outcome
	}{
		"service TD":                   {Options{}, td15(bound), "migration", "migration", attest.Fail},
		"accepted service TD":          {Options{ServiceTDs: [][48]byte{{}, service}}, td15(bound), "", "migration", attest.Pass},
		"another service TD":           {Options{ServiceTDs: [][48]byte{{1}}}, td15(bound), "migration", "migration", attest.Fail},
		"migratable all the same":      {Options{ServiceTDs: [][48]byte{service}}, td15(func(b []byte) { bound(b); b[dcaptest.TDAttributes+3] = 0x30 }), "migration", "migration", attest.Fail},
		"exceptions by the host":       {Options{}, dcaptest.Spec{Body: pending}, "sept-ve", "sept-ve", attest.Fail},
		"accepted with a warning":      {Options{AcceptPendingVE: true}, dcaptest.Spec{Body: pending}, "", "sept-ve", attest.Warn},
		"accepted where it is not so":  {Options{AcceptPendingVE: true}, dcaptest.Spec{}, "", "sept-ve", attest.Pass},
		"an attribute nobody can name": {Options{Forbid: 1 << 28}, dcaptest.Spec{}, "forbid", "forbid", attest.Fail},
	} {
		set := v.Make(x.s)
		c, verdict := under(v, x.o).Verify(evidence(set.Quote), set.Collateral, expected(), dcaptest.Made)
		verdicttest.Check(t, verdict)
		if failures(verdict) != x.fails || row(verdict, x.row).Outcome != x.want || (c != nil) != (x.fails == "") {
			t.Errorf("%s: failed rows %q, %+v", name, failures(verdict), row(verdict, x.row))
		}
	}
	// The verifier keeps its own copy.
	o := Options{ServiceTDs: [][48]byte{service}, XFAM: new(uint64), MRTD: [][48]byte{dcaptest.MRTD}}
	*o.XFAM = ^uint64(0)
	verifier := under(v, o)
	o.ServiceTDs[0], *o.XFAM, o.MRTD[0] = [48]byte{}, 0, [48]byte{}
	set := v.Make(td15(bound))
	if c, verdict := verifier.Verify(evidence(set.Quote), set.Collateral, expected(), dcaptest.Made); c == nil {
		t.Errorf("options changed after New: %v", verdict.Err())
	}
}
