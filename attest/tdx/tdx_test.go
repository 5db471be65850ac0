// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tdx

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

func expected() attest.Expected {
	m := Measurement(dcaptest.MRTD, dcaptest.RTMR[0], dcaptest.RTMR[1], dcaptest.RTMR[2])
	return attest.Expected{
		ReportData: dcaptest.ReportData, HostData: dcaptest.HostData,
		Measurements: []attest.ReferenceValue{{Platform: attest.PlatformTDX, Measurement: m[:], Release: "test", Source: "the test"}},
	}
}

func atLeast(component string, n uint64) attest.TCBPolicy {
	return attest.TCBPolicy{Floors: []attest.TCBFloor{{Min: map[string]uint64{component: n}}}}
}

func evidence(quote []byte) attest.Evidence {
	return attest.Evidence{MediaType: attest.MediaTypeTDX, Value: quote}
}

// under is the verifier under a throw-away root.
func under(v *dcaptest.Vendor, o Options) attest.Verifier {
	return newVerifier(o, dcap.NewRoot(&v.Root.PublicKey, "the test"))
}

// failures are the names of the failed rows.
func failures(v attest.Verdict) string {
	var names []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			names = append(names, strings.TrimPrefix(r.Check, "tdx."))
		}
	}
	return strings.Join(names, " ")
}

func row(v attest.Verdict, name string) attest.Row {
	for _, r := range v {
		if r.Check == "tdx."+name {
			return r
		}
	}
	return attest.Row{}
}

func TestGoodTD(t *testing.T) {
	v := dcaptest.New(t)
	for name, s := range map[string]dcaptest.Spec{"v4": {}, "v5, 1.0": {Version: 5, BodyType: 2}, "v5, 1.5": dcaptest.TD15()} {
		set := v.Make(s)
		exp := expected()
		exp.TCB = atLeast("tdx03", 6)
		c, verdict := under(v, Options{}).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
		verdicttest.Check(t, verdict)
		if c == nil {
			t.Fatalf("%s: %v", name, verdict.Err())
		}
		if !c.Verified() || c.Platform != attest.PlatformTDX || c.Simulated || c.Debug || !bytes.Equal(c.Measurement, exp.Measurements[0].Measurement) ||
			!bytes.Equal(c.HostData, dcaptest.HostData[:]) || c.ReportData != dcaptest.ReportData || c.TCB["tdx01"] != 6 || len(c.ChipID) != 16 || !c.VerifiedAt.Equal(dcaptest.Made) {
			t.Errorf("%s: claims %+v", name, c)
		}
		for _, r := range verdict {
			if !strings.HasPrefix(r.Check, "tdx.") || r.Outcome != attest.Pass && r.Outcome != attest.Skipped || r.Source == "" || r.Expected == "" || r.Seen == "" {
				t.Errorf("%s: row %+v", name, r)
			}
		}
		for _, name := range []string{"pks", "kl", "xfam", "rtmr3", "owner", "mrseam"} {
			if row(verdict, name).Outcome != attest.Skipped {
				t.Errorf("what is not demanded is not named: %s", name)
			}
		}
		for _, l := range attest.TrustStatement(attest.PlatformTDX, c, nil, verdict) {
			if l.Standing != attest.StandVerified && l.Standing != attest.StandExcluded && l.Layer != attest.LayerWorkload {
				t.Errorf("%s: layer %+v", name, l)
			}
		}
		// The same evidence proves nothing under the vendor's root.
		if c, verdict := New(Options{}).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made); c != nil || !strings.HasPrefix(failures(verdict), "chain ") {
			t.Errorf("%s: a throw-away root is accepted in production: %q", name, failures(verdict))
		}
	}
}

// reasons of the rows that this package makes.
var reasons = map[string]attest.Reason{
	"": "", "debug": attest.ReasonDebug, "migration": attest.ReasonMigration, "sept-ve": attest.ReasonGuestPolicy, "attributes": attest.ReasonGuestPolicy,
	"measurement": attest.ReasonMeasurement, "host-data": attest.ReasonHostData, "report-data": attest.ReasonReportData,
}

func TestRefused(t *testing.T) {
	v := dcaptest.New(t)
	put := func(s dcaptest.Spec, at int, b ...byte) dcaptest.Spec {
		s.Body = func(body []byte) { copy(body[at:], b) }
		return s
	}
	td, td15 := dcaptest.Spec{}, dcaptest.TD15()
	for _, x := range []struct {
		name, fails string
		s           dcaptest.Spec
	}{
		{"debug", "debug", put(td, dcaptest.TDAttributes, 1)},
		{"profiling", "debug", put(td, dcaptest.TDAttributes, 1<<4)},
		{"untrusted reserved bit", "debug", put(td, dcaptest.TDAttributes, 1<<7)},
		{"migratable", "migration", put(td, dcaptest.TDAttributes+3, 0x30)},
		{"service TD", "migration", put(td15, dcaptest.TDServiceTD+47, 1)},
		{"#VE on missing pages", "sept-ve", put(td, dcaptest.TDAttributes+3, 0)},
		{"unknown attribute", "attributes", put(td, dcaptest.TDAttributes+1, 1)},
		{"provisioning agent", "attributes", put(td, dcaptest.TDAttributes+7, 0x40)},
		{"MRTD", "measurement", put(td, dcaptest.TDMRTD, 0)},
		{"RTMR0", "measurement", put(td, dcaptest.TDRTMR0, 0)},
		{"RTMR1", "measurement", put(td, dcaptest.TDRTMR0+48, 0)},
		{"RTMR2", "measurement", put(td, dcaptest.TDRTMR0+96, 0)},
		{"RTMR0 and RTMR1 swapped", "measurement", put(td, dcaptest.TDRTMR0, append(dcaptest.RTMR[1][:], dcaptest.RTMR[0][:]...)...)},
		{"MRCONFIGID", "host-data", put(td, dcaptest.TDConfigID, 0)},
		{"MRCONFIGID beyond the digest", "host-data", put(td, dcaptest.TDConfigID+47, 1)},
		{"report data", "report-data", put(td, dcaptest.TDReportData+63, 0)},
		{"RTMR3", "", put(td, dcaptest.TDRTMR0+144, 9)},
		{"PKS, KL and performance monitoring", "", put(td, dcaptest.TDAttributes+3, 0xd0, 0, 0, 0, 0x80)},
		{"MROWNER", "", put(td, dcaptest.TDOwner, 1)},
	} {
		set := v.Make(x.s)
		c, verdict := under(v, Options{}).Verify(evidence(set.Quote), set.Collateral, expected(), dcaptest.Made)
		if failures(verdict) != x.fails || verdict.Reason() != reasons[x.fails] || (c != nil) != (x.fails == "") {
			t.Errorf("%s: failed rows %q for %q, expected %q: %v", x.name, failures(verdict), verdict.Reason(), x.fails, verdict.Err())
		}
		if r := row(verdict, x.fails); x.fails != "" && r.Todo == "" {
			t.Errorf("%s: nothing to do", x.name)
		}
	}
}

func TestExpectations(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.Spec{})
	for _, x := range []struct {
		name, fails string
		edit        func(*attest.Expected)
	}{
		{"other report data", "report-data", func(e *attest.Expected) { e.ReportData[63] ^= 1 }},
		{"no report data", "report-data", func(e *attest.Expected) { e.ReportData = [64]byte{} }},
		{"other host data", "host-data", func(e *attest.Expected) { e.HostData[31] ^= 1 }},
		{"no host data", "host-data", func(e *attest.Expected) { e.HostData = [32]byte{} }},
		{"no measurement", "measurement", func(e *attest.Expected) { e.Measurements = nil }},
		{"empty measurement", "measurement", func(e *attest.Expected) { e.Measurements[0].Measurement = nil }},
		{"MRTD as the measurement", "measurement", func(e *attest.Expected) { e.Measurements[0].Measurement = dcaptest.MRTD[:] }},
		{"measurement of another platform", "measurement", func(e *attest.Expected) { e.Measurements[0].Platform = "snp" }},
		{"higher TCB", "tcb-floor", func(e *attest.Expected) { e.TCB = atLeast("pcesvn", 12) }},
		{"unknown component", "tcb-floor", func(e *attest.Expected) { e.TCB = atLeast("microcode", 0) }},
		{"nothing", "measurement host-data report-data", func(e *attest.Expected) { *e = attest.Expected{} }},
	} {
		exp := expected()
		x.edit(&exp)
		c, verdict := under(v, Options{}).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
		verdicttest.Check(t, verdict)
		if c != nil || failures(verdict) != x.fails {
			t.Errorf("%s: failed rows %q, expected %q", x.name, failures(verdict), x.fails)
		}
	}
	// Host data and report data of zeroes are never good, even if they match.
	zero := v.Make(dcaptest.Spec{Body: func(b []byte) {
		clear(b[dcaptest.TDConfigID : dcaptest.TDConfigID+48])
		clear(b[dcaptest.TDReportData:])
	}})
	exp := expected()
	exp.HostData, exp.ReportData = [32]byte{}, [64]byte{}
	if c, verdict := under(v, Options{}).Verify(evidence(zero.Quote), zero.Collateral, exp, dcaptest.Made); c != nil || failures(verdict) != "host-data report-data" {
		t.Errorf("zeroes: failed rows %q", failures(verdict))
	}
}

func TestWaivers(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.Spec{})
	attesttest.RunWaiverSuite(t, func(w attest.Waiver) attest.Verifier { return under(v, Options{Waive: w}) },
		attesttest.Case{Evidence: evidence(set.Quote), Collateral: set.Collateral, Expected: expected(), At: dcaptest.Made})
}

func TestAcceptances(t *testing.T) {
	v := dcaptest.New(t)
	s := dcaptest.TD15() // started under an old module
	s.Body = func(b []byte) { copy(b, []byte{5, 1, 6}) }
	set := v.Make(s)
	accept := func(status string, advisories ...string) attest.TCBPolicy {
		return attest.TCBPolicy{Accept: []attest.TCBAcceptance{{Statuses: []string{status}, Advisories: advisories}}}
	}
	for _, x := range []struct {
		policy attest.TCBPolicy
		o      Options
		want   bool
	}{
		{attest.TCBPolicy{}, Options{}, false},
		{accept("OutOfDate", "INTEL-SA-00003"), Options{}, false},
		{accept("TDRelaunchAdvised"), Options{}, false},
		{accept("TDRelaunchAdvised", "INTEL-SA-00003"), Options{Cache: NewCache(10)}, true},
	} {
		exp := expected()
		exp.TCB = x.policy
		for range 2 { // the second time with what the cache holds
			c, verdict := under(v, x.o).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
			if (c != nil) != x.want || x.want && row(verdict, "tcb").Outcome != attest.Warn {
				t.Errorf("%+v: %v", x.policy, verdict.Err())
			}
			if c != nil && (c.TCBStatus != "TDRelaunchAdvised" || len(c.Advisories) != 1 || c.Advisories[0] != "INTEL-SA-00003") {
				t.Errorf("claims %+v", c)
			}
		}
	}
}

func TestFormats(t *testing.T) {
	v := dcaptest.New(t)
	td, enclave := v.Make(dcaptest.Spec{}), v.Make(dcaptest.SGX())
	verifier := under(v, Options{})
	if verifier.Platform() != "tdx" || len(verifier.MediaTypes()) != 1 || verifier.MediaTypes()[0] != attest.MediaTypeTDX {
		t.Errorf("%s %v", verifier.Platform(), verifier.MediaTypes())
	}
	for name, x := range map[string]struct {
		ev  attest.Evidence
		col attest.Collateral
	}{
		"nothing": {}, "no value": {evidence(nil), td.Collateral},
		"quote of an enclave": {evidence(enclave.Quote), enclave.Collateral}, "SGX media type": {attest.Evidence{MediaType: attest.MediaTypeSGX, Value: td.Quote}, td.Collateral},
		"one short": {evidence(td.Quote[:len(td.Quote)-1]), td.Collateral}, "one long": {evidence(append(bytes.Clone(td.Quote), 1)), td.Collateral},
		"twice": {evidence(append(bytes.Clone(td.Quote), td.Quote...)), td.Collateral}, "huge": {evidence(make([]byte, 4<<20)), td.Collateral},
	} {
		c, verdict := verifier.Verify(x.ev, x.col, expected(), dcaptest.Made)
		if c != nil || !strings.HasPrefix(failures(verdict), "format") {
			t.Errorf("%s: failed rows %q", name, failures(verdict))
		}
	}
}

func TestMeasurement(t *testing.T) {
	var all []byte
	all = append(all, "enarx-tdx-launch-measurement-v1\x00"...)
	if len(all) != 32 {
		t.Fatalf("domain of %d bytes", len(all))
	}
	for i := range 4 {
		all = append(all, bytes.Repeat([]byte{byte(i + 1)}, 48)...)
	}
	fill := func(b byte) (m [48]byte) { copy(m[:], bytes.Repeat([]byte{b}, 48)); return m }
	got := Measurement(fill(1), fill(2), fill(3), fill(4))
	if got != sha512.Sum384(all) {
		t.Error("another value than documented")
	}
	// Computed once with coreutils, so that a change shows.
	if want := measurement1234; hex.EncodeToString(got[:]) != want {
		t.Errorf("%x, expected %s", got, want)
	}
}

// Real TDs are refused for what they are: none was started for us.
func TestRealTDs(t *testing.T) {
	const dir = "../internal/dcap/testdata/tdx"
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, x := range []struct{ name, collateral, at, fails string }{
		{"v4-50806f-debug", "50806f000000-2023-06", "2023-06-25", "measurement debug host-data"},
		{"v4-50806f-trailing", "50806f000000-2023-06", "2023-06-25", "format tcb measurement sept-ve host-data"},
		{"v4-00806f-flashbots", "00806f050000-2026-01", "2026-02-10", "measurement host-data"},
		{"v4-00a06d-gnr", "00a06d080000-2025-10", "2025-11-01", "tcb measurement host-data"},
		{"v4-20a06f-near", "20a06f000000-2025-09", "2025-09-15", "measurement host-data"},
		{"v5-90c06f-td15", "90c06f000000-2026-06", "2026-06-20", "measurement host-data"},
		{"v5-90c06f-servicetd", "90c06f000000-2026-02", "2026-03-01", "tcb measurement migration host-data"},
		{"v5-90c06f-relaunch", "90c06f000000-2026-02", "2026-03-01", "tcb measurement host-data"},
	} {
		c := "collateral/" + x.collateral + "/"
		col := attest.Collateral{
			{MediaType: attest.MediaTypePEMChain, Value: file(c + "tcb-signing-chain.pem")}, {MediaType: attest.MediaTypeCRL, Value: file(c + "root.crl.der")},
			{MediaType: attest.MediaTypeCRL, Value: file(c + "pck-platform.crl.der")}, {MediaType: attest.MediaTypeIntelTCBInfo, Value: file(c + "tcbinfo.json")},
			{MediaType: attest.MediaTypeIntelQEIdentity, Value: file(c + "qeidentity.json")},
		}
		at, err := time.Parse("2006-01-02", x.at)
		if err != nil {
			t.Fatal(err)
		}
		quote := file(x.name + ".quote.bin")
		q, err := dcap.ParseQuote(quote)
		if err != nil {
			t.Fatal(err)
		}
		exp := attest.Expected{ReportData: q.TD.ReportData}
		claims, verdict := New(Options{}).Verify(evidence(quote), col, exp, at)
		verdicttest.Check(t, verdict)
		if claims != nil || failures(verdict) != x.fails {
			t.Errorf("%s: failed rows %q, expected %q", x.name, failures(verdict), x.fails)
		}
		m := Measurement(q.TD.MRTD, q.TD.RTMR[0], q.TD.RTMR[1], q.TD.RTMR[2])
		exp.Measurements = []attest.ReferenceValue{{Platform: "tdx", Measurement: m[:]}}
		if _, verdict := New(Options{}).Verify(evidence(quote), col, exp, at); row(verdict, "measurement").Outcome != attest.Pass {
			t.Errorf("%s: its own measurement is not accepted", x.name)
		}
	}
}

const measurement1234 = "7d269cddf3a2c3c6ea5467c2e4abd68366d851f2b6ae74ae0b0f410cc48d3d9122e19f4e04a06d5efdc6e6066184e9cb"
