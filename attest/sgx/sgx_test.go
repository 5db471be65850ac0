// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sgx

import (
	"bytes"
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
	return attest.Expected{
		ReportData: dcaptest.ReportData, HostData: dcaptest.HostData,
		Measurements: []attest.ReferenceValue{{Platform: attest.PlatformSGX, Measurement: dcaptest.MREnclave[:], Release: "test", Source: "the test"}},
	}
}

func atLeast(component string, n uint64) attest.TCBPolicy {
	return attest.TCBPolicy{Floors: []attest.TCBFloor{{Min: map[string]uint64{component: n}}}}
}

func evidence(quote []byte) attest.Evidence {
	return attest.Evidence{MediaType: attest.MediaTypeSGX, Value: quote}
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
			names = append(names, strings.TrimPrefix(r.Check, "sgx."))
		}
	}
	return strings.Join(names, " ")
}

func row(v attest.Verdict, name string) attest.Row {
	for _, r := range v {
		if r.Check == "sgx."+name {
			return r
		}
	}
	return attest.Row{}
}

var signer = Signer{MRSigner: dcaptest.MRSigner, ProductID: dcaptest.ProductID, MinSVN: dcaptest.SVN}

func TestGoodEnclave(t *testing.T) {
	v := dcaptest.New(t)
	for _, version := range []uint16{3, 4, 5} {
		s := dcaptest.SGX()
		s.Version = version
		set := v.Make(s)
		exp := expected()
		exp.TCB = atLeast("pcesvn", 11)
		for _, o := range []Options{{}, {Signer: &signer}} {
			c, verdict := under(v, o).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
			if c == nil {
				t.Fatalf("version %d: %v", version, verdict.Err())
			}
			if !c.Verified() || c.Platform != attest.PlatformSGX || c.Simulated || c.Debug || !bytes.Equal(c.Measurement, dcaptest.MREnclave[:]) ||
				!bytes.Equal(c.HostData, dcaptest.HostData[:]) || c.ReportData != dcaptest.ReportData || c.TCB["sgx01"] != 3 || c.TCB["tdx01"] != 0 || len(c.ChipID) != 16 {
				t.Errorf("version %d: claims %+v", version, c)
			}
			for _, r := range verdict {
				if !strings.HasPrefix(r.Check, "sgx.") || r.Outcome != attest.Pass && r.Outcome != attest.Skipped || r.Source == "" || r.Expected == "" || r.Seen == "" {
					t.Errorf("version %d: row %+v", version, r)
				}
			}
			want := attest.Skipped
			if o.Signer != nil {
				want = attest.Pass
			}
			for name, outcome := range map[string]attest.Outcome{"signer": want, "miscselect": attest.Skipped, "xfrm": attest.Skipped, "ext-product-id": attest.Skipped, "family-id": attest.Skipped, "config-svn": attest.Skipped, "platform-config": attest.Skipped} {
				if row(verdict, name).Outcome != outcome {
					t.Errorf("version %d: row %s reads %q, expected %q", version, name, row(verdict, name).Outcome, outcome)
				}
			}
		}
		if c, verdict := New(Options{}).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made); c != nil || !strings.HasPrefix(failures(verdict), "chain ") {
			t.Errorf("version %d: a throw-away root is accepted in production: %q", version, failures(verdict))
		}
	}
}

// reasons of the rows that this package makes.
var reasons = map[string]attest.Reason{
	"": "", "debug": attest.ReasonDebug, "attributes": attest.ReasonGuestPolicy, "kss": attest.ReasonGuestPolicy, "signer": attest.ReasonSigner,
	"measurement": attest.ReasonMeasurement, "host-data": attest.ReasonHostData, "report-data": attest.ReasonReportData,
}

func TestRefused(t *testing.T) {
	v := dcaptest.New(t)
	for _, x := range []struct {
		name, fails string
		at          int
		b           []byte
	}{
		{"debug", "debug", dcaptest.EnclaveAttributes, []byte{0x87}},
		{"not initialised", "attributes", dcaptest.EnclaveAttributes, []byte{0x84}},
		{"32-bit", "attributes", dcaptest.EnclaveAttributes, []byte{0x81}},
		{"unknown attribute", "attributes", dcaptest.EnclaveAttributes + 7, []byte{0x80}},
		{"no KSS", "kss", dcaptest.EnclaveAttributes, []byte{0x05}},
		{"MRENCLAVE", "measurement", dcaptest.EnclaveMeasurement, []byte{0}},
		{"MRSIGNER", "signer", dcaptest.EnclaveSigner + 31, []byte{0}},
		{"ISVPRODID", "signer", dcaptest.EnclaveProdID, []byte{8}},
		{"older ISVSVN", "signer", dcaptest.EnclaveSVN, []byte{2}},
		{"newer ISVSVN", "", dcaptest.EnclaveSVN, []byte{0, 1}},
		{"CONFIGID", "host-data", dcaptest.EnclaveConfigID, []byte{0}},
		{"CONFIGID beyond the digest", "host-data", dcaptest.EnclaveConfigID + 63, []byte{1}},
		{"report data", "report-data", dcaptest.EnclaveReportData + 63, []byte{0}},
		{"CONFIGSVN", "", dcaptest.EnclaveSVN + 2, []byte{5}},
		{"provisioning key", "", dcaptest.EnclaveAttributes, []byte{0x95}},
	} {
		s := dcaptest.SGX()
		s.Body = func(b []byte) { copy(b[x.at:], x.b) }
		set := v.Make(s)
		c, verdict := under(v, Options{Signer: &signer}).Verify(evidence(set.Quote), set.Collateral, expected(), dcaptest.Made)
		if failures(verdict) != x.fails || verdict.Reason() != reasons[x.fails] || (c != nil) != (x.fails == "") {
			t.Errorf("%s: failed rows %q for %q, expected %q: %v", x.name, failures(verdict), verdict.Reason(), x.fails, verdict.Err())
		}
		if x.fails != "" && row(verdict, x.fails).Todo == "" {
			t.Errorf("%s: nothing to do", x.name)
		}
	}
}

func TestExpectations(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.SGX())
	for _, x := range []struct {
		name, fails string
		edit        func(*attest.Expected)
	}{
		{"no report data", "report-data", func(e *attest.Expected) { e.ReportData = [64]byte{} }},
		{"no host data", "host-data", func(e *attest.Expected) { e.HostData = [32]byte{} }},
		{"no measurement", "measurement", func(e *attest.Expected) { e.Measurements = nil }},
		{"MRSIGNER as the measurement", "measurement", func(e *attest.Expected) { e.Measurements[0].Measurement = dcaptest.MRSigner[:] }},
		{"short measurement", "measurement", func(e *attest.Expected) { e.Measurements[0].Measurement = dcaptest.MREnclave[:31] }},
		{"measurement of another platform", "measurement", func(e *attest.Expected) { e.Measurements[0].Platform = "tdx" }},
		{"higher evaluation", "tcb-floor", func(e *attest.Expected) { e.TCB = atLeast("evaluation", 19) }},
		{"TDX component", "tcb-floor", func(e *attest.Expected) { e.TCB = atLeast("tdx01", 0) }},
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
	zero := dcaptest.SGX()
	zero.Body = func(b []byte) { clear(b[dcaptest.EnclaveConfigID : dcaptest.EnclaveConfigID+64]) }
	set = v.Make(zero)
	exp := expected()
	exp.HostData = [32]byte{}
	if c, verdict := under(v, Options{}).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made); c != nil || failures(verdict) != "host-data" {
		t.Errorf("no CONFIGID: failed rows %q", failures(verdict))
	}
}

func TestWaivers(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.SGX())
	attesttest.RunWaiverSuite(t, func(w attest.Waiver) attest.Verifier { return under(v, Options{Waive: w}) },
		attesttest.Case{Evidence: evidence(set.Quote), Collateral: set.Collateral, Expected: expected(), At: dcaptest.Made})
}

// An enclave of somebody else's: no CONFIGID to bind, no measurement that is
// known, but a signer that is.
func TestSignerAlone(t *testing.T) {
	v := dcaptest.New(t)
	s := dcaptest.SGX()
	s.Body = func(b []byte) { // no KSS, and so no CONFIGID
		b[dcaptest.EnclaveAttributes] = 0x05
		clear(b[dcaptest.EnclaveConfigID : dcaptest.EnclaveConfigID+64])
	}
	set := v.Make(s)
	other := signer
	other.MRSigner[0] ^= 1
	exp := attest.Expected{ReportData: dcaptest.ReportData}
	for _, x := range []struct {
		o     Options
		fails string
	}{
		{Options{Signer: &signer, Waive: attest.WaiveMeasurement | attest.WaiveHostData}, ""},
		{Options{Signer: &other, Waive: attest.WaiveMeasurement | attest.WaiveHostData}, "signer"},
		{Options{Signer: &signer, Waive: attest.WaiveHostData}, "measurement"},
		{Options{Signer: &signer, Waive: attest.WaiveMeasurement}, "kss host-data"},
	} {
		c, verdict := under(v, x.o).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
		if failures(verdict) != x.fails || (c != nil) != (x.fails == "") {
			t.Errorf("%+v: failed rows %q, expected %q", x.o, failures(verdict), x.fails)
		}
		if r := row(verdict, "kss"); x.fails == "" && r.Outcome != attest.Skipped {
			t.Errorf("kss: %+v", r)
		}
	}
}

// The statement of an enclave says what its rows have shown, and no more.
func TestTrustStatement(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.SGX())
	for _, x := range []struct {
		edit  func(*attest.Expected)
		o     Options
		stand map[string]attest.Standing
	}{
		{func(e *attest.Expected) { e.TCB = atLeast("pcesvn", 11) }, Options{}, map[string]attest.Standing{
			attest.LayerCPU: attest.StandVerified, attest.LayerFirmware: attest.StandVerified, attest.LayerHypervisor: attest.StandExcluded,
			attest.LayerHostKernel: attest.StandExcluded, attest.LayerKeepKernel: attest.StandVerified, attest.LayerRuntime: attest.StandVerified, attest.LayerWorkload: attest.StandAssumed,
		}},
		{func(*attest.Expected) {}, Options{}, map[string]attest.Standing{attest.LayerFirmware: attest.StandExposed, attest.LayerRuntime: attest.StandVerified}},
		{func(e *attest.Expected) { e.Measurements = nil }, Options{Waive: attest.WaiveMeasurement}, map[string]attest.Standing{
			attest.LayerKeepKernel: attest.StandExposed, attest.LayerRuntime: attest.StandExposed, attest.LayerCPU: attest.StandVerified,
		}},
		{func(e *attest.Expected) { e.HostData = [32]byte{} }, Options{Waive: attest.WaiveHostData}, map[string]attest.Standing{attest.LayerRuntime: attest.StandExposed}},
		{func(e *attest.Expected) { e.ReportData[0] ^= 1 }, Options{}, map[string]attest.Standing{attest.LayerHostKernel: attest.StandExposed, attest.LayerRuntime: attest.StandExposed}},
	} {
		exp := expected()
		x.edit(&exp)
		c, verdict := under(v, x.o).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
		for _, l := range attest.TrustStatement(attest.PlatformSGX, c, nil, verdict) {
			if want := x.stand[l.Layer]; want != "" && l.Standing != want {
				t.Errorf("%+v: layer %s is %s, expected %s (%s)", x.o, l.Layer, l.Standing, want, l.Words)
			}
		}
	}
}

func TestDemands(t *testing.T) {
	v := dcaptest.New(t)
	id, other := [16]byte{1, 2, 3}, [16]byte{9}
	mask := func(m uint64) *uint64 { return &m }
	misc := func(m uint32) *uint32 { return &m }
	put := func(at int, b ...byte) func([]byte) { return func(body []byte) { copy(body[at:], b) } }
	const (
		miscSelect, extProduct, flags, xfrm, familyID = 16, 32, 48, 56, 304
	)
	noKSS := func(f func([]byte)) func([]byte) {
		return func(b []byte) {
			f(b)
			b[flags] = 0x05
			clear(b[dcaptest.EnclaveConfigID : dcaptest.EnclaveConfigID+64])
		}
	}
	for _, x := range []struct {
		check, why string
		o          Options
		good, bad  func([]byte)
	}{
		{"ext-product-id", "signer", Options{ExtProductIDs: [][16]byte{other, id}}, put(extProduct, id[:]...), put(extProduct, 7)},
		{"ext-product-id", "signer", Options{ExtProductIDs: [][16]byte{}}, nil, put(extProduct, id[:]...)},
		{"ext-product-id", "signer", Options{ExtProductIDs: [][16]byte{id}}, nil, noKSS(put(extProduct, id[:]...))},
		{"family-id", "signer", Options{FamilyIDs: [][16]byte{id}}, put(familyID, id[:]...), put(familyID, other[:]...)},
		{"family-id", "signer", Options{FamilyIDs: [][16]byte{id}}, nil, noKSS(put(familyID, id[:]...))},
		{"config-svn", "guest-policy", Options{MinConfigSVN: 5}, put(dcaptest.EnclaveSVN+2, 5), put(dcaptest.EnclaveSVN+2, 4)},
		{"config-svn", "guest-policy", Options{MinConfigSVN: 5}, put(dcaptest.EnclaveSVN+2, 0, 1), noKSS(put(dcaptest.EnclaveSVN+2, 5))},
		{"miscselect", "guest-policy", Options{MiscSelect: misc(1)}, put(miscSelect, 1), put(miscSelect, 3)},
		{"miscselect", "guest-policy", Options{MiscSelect: misc(0)}, put(miscSelect, 0), put(miscSelect, 0, 0, 0, 0x80)},
		{"xfrm", "guest-policy", Options{XFRM: mask(0xe7)}, put(xfrm, 0xe7), put(xfrm, 0xe7, 2)},
		{"xfrm", "guest-policy", Options{XFRM: mask(3)}, put(xfrm, 3), put(xfrm, 3, 0, 0, 0, 0, 0, 0, 0x80)},
	} {
		for _, e := range []struct {
			body  func([]byte)
			fails string
		}{{x.good, ""}, {x.bad, x.check}} {
			if e.body == nil {
				continue
			}
			s := dcaptest.SGX()
			s.Body = e.body
			set := v.Make(s)
			exp := expected()
			exp.HostData = [32]byte{}
			x.o.Waive = attest.WaiveHostData // so that an enclave without KSS fails by its demand alone
			_, verdict := under(v, x.o).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
			verdicttest.Check(t, verdict)
			if failures(verdict) != e.fails || e.fails != "" && string(verdict.Reason()) != x.why || e.fails == "" && row(verdict, x.check).Outcome != attest.Pass {
				t.Errorf("%s %+v: failed rows %q for %q", x.check, x.o, failures(verdict), verdict.Reason())
			}
			// Without the demand it is named and refuses nothing.
			_, verdict = under(v, Options{Waive: attest.WaiveHostData}).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
			if r := row(verdict, x.check); failures(verdict) != "" || r.Outcome != attest.Skipped || r.Seen == "" {
				t.Errorf("%s not demanded: %q, %+v", x.check, failures(verdict), r)
			}
		}
	}
}

func TestOptionsAreCopied(t *testing.T) {
	v := dcaptest.New(t)
	set := v.Make(dcaptest.SGX())
	s := signer
	xfrm, misc, ids := ^uint64(0), ^uint32(0), [][16]byte{{}}
	verifier := under(v, Options{Signer: &s, XFRM: &xfrm, MiscSelect: &misc, ExtProductIDs: ids, FamilyIDs: ids, Cache: NewCache(10)})
	s.ProductID++
	xfrm, misc, ids[0] = 0, 0, [16]byte{1}
	if c, verdict := verifier.Verify(evidence(set.Quote), set.Collateral, expected(), dcaptest.Made); c == nil {
		t.Errorf("options changed after New: %v", verdict.Err())
	}
	if verifier.Platform() != "sgx" || len(verifier.MediaTypes()) != 1 || verifier.MediaTypes()[0] != attest.MediaTypeSGX {
		t.Errorf("%s %v", verifier.Platform(), verifier.MediaTypes())
	}
}

func TestFormats(t *testing.T) {
	v := dcaptest.New(t)
	td, enclave := v.Make(dcaptest.Spec{}), v.Make(dcaptest.SGX())
	for name, x := range map[string]struct {
		ev  attest.Evidence
		col attest.Collateral
	}{
		"nothing": {}, "no value": {evidence(nil), enclave.Collateral},
		"quote of a TD": {evidence(td.Quote), td.Collateral}, "TDX media type": {attest.Evidence{MediaType: attest.MediaTypeTDX, Value: enclave.Quote}, enclave.Collateral},
		"one short": {evidence(enclave.Quote[:len(enclave.Quote)-1]), enclave.Collateral}, "one long": {evidence(append(bytes.Clone(enclave.Quote), 1)), enclave.Collateral},
		"twice": {evidence(append(bytes.Clone(enclave.Quote), enclave.Quote...)), enclave.Collateral}, "huge": {evidence(make([]byte, 4<<20)), enclave.Collateral},
	} {
		c, verdict := under(v, Options{}).Verify(x.ev, x.col, expected(), dcaptest.Made)
		if c != nil || !strings.HasPrefix(failures(verdict), "format") {
			t.Errorf("%s: failed rows %q", name, failures(verdict))
		}
	}
}

// Real enclaves are refused for what they are: none was started for us.
func TestRealEnclaves(t *testing.T) {
	const dir = "../internal/dcap/testdata/sgx"
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, x := range []struct{ name, collateral, crl, at, fails string }{
		{"v3-00a067-phala", "00a067110000-2025-06", "pck-processor.crl.der", "2025-06-25", "tcb kss host-data"},
		{"v3-00606a-occlum-debug", "00606a000000-2025-08", "pck-platform.crl.der", "2025-09-01", "tcb debug kss host-data"},
		{"v3-00606a-enarx-xeon", "00606a000000-2025-08", "pck-platform.crl.der", "2025-09-01", "tcb kss host-data"},
		{"v3-00906e-mobilecoin", "00906ed50000-2025-01", "pck-processor.crl.der", "2025-02-05", "tcb kss host-data report-data"},
	} {
		c := "collateral/" + x.collateral + "/"
		col := attest.Collateral{
			{MediaType: attest.MediaTypePEMChain, Value: file(c + "tcb-signing-chain.pem")}, {MediaType: attest.MediaTypeCRL, Value: file(c + "root.crl.der")},
			{MediaType: attest.MediaTypeCRL, Value: file(c + x.crl)}, {MediaType: attest.MediaTypeIntelTCBInfo, Value: file(c + "tcbinfo.json")},
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
		exp := attest.Expected{ReportData: q.Enclave.ReportData, Measurements: []attest.ReferenceValue{{Platform: "sgx", Measurement: q.Enclave.MREnclave[:]}}}
		if claims, verdict := New(Options{}).Verify(evidence(quote), col, exp, at); claims != nil || failures(verdict) != x.fails {
			t.Errorf("%s: failed rows %q, expected %q", x.name, failures(verdict), x.fails)
		}
	}
}
