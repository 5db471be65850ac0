// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attesttest

import (
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// RunWaiverSuite checks that a waiver excuses a missing expectation and never a
// wrong one, and shows in rows and claims. make gives the verifier with the
// waiver; good must pass without any.
func RunWaiverSuite(t *testing.T, make func(attest.Waiver) attest.Verifier, good Case) {
	t.Helper()
	all := attest.WaiveMeasurement | attest.WaiveHostData | attest.WaiveReportData
	for _, x := range []struct {
		check string
		w     attest.Waiver
		clear func(*attest.Expected)
		wrong func(*attest.Expected)
	}{
		{"measurement", attest.WaiveMeasurement, func(e *attest.Expected) { e.Measurements = nil },
			func(e *attest.Expected) { e.Measurements = []attest.ReferenceValue{{Platform: "other"}} }},
		{"host-data", attest.WaiveHostData, func(e *attest.Expected) { e.HostData = [32]byte{} }, func(e *attest.Expected) { e.HostData[3] ^= 1 }},
		{"report-data", attest.WaiveReportData, func(e *attest.Expected) { e.ReportData = [64]byte{} }, func(e *attest.Expected) { e.ReportData[3] ^= 1 }},
	} {
		for _, e := range []struct {
			name string
			w    attest.Waiver
			edit func(*attest.Expected)
			fail bool
		}{
			{"missing and waived", x.w, x.clear, false}, {"wrong and waived", x.w, x.wrong, true},
			{"missing, another waived", all &^ x.w, x.clear, true}, {"missing", 0, x.clear, true},
			{"given and waived", all, func(*attest.Expected) {}, false},
		} {
			c := good.clone()
			e.edit(&c.Expected)
			claims, v := run(t, make(e.w), c)
			var row attest.Row
			for _, r := range v {
				if strings.HasSuffix(r.Check, "."+x.check) {
					row = r
				}
			}
			skipped := e.w == x.w && !e.fail
			switch {
			case (claims == nil) != e.fail || (row.Outcome == attest.Fail) != e.fail:
				t.Errorf("%s %s: %+v, %v", x.check, e.name, row, v.Err())
			case row.Seen == "" || (row.Outcome == attest.Skipped) != skipped:
				t.Errorf("%s %s: the row reads %+v", x.check, e.name, row)
			case claims != nil && (len(claims.Waived) == 1) != skipped, claims != nil && slices.Contains(claims.Waived, x.check) != skipped:
				t.Errorf("%s %s: claims say that %v was waived", x.check, e.name, claims.Waived)
			}
		}
	}
}
