// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/nitro"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
)

// oak is a request about a real SNP report that passes.
func oak(t testing.TB) Request {
	t.Helper()
	return Request{
		File:       read(t, snpData+"milan-v3-oak.report.bin"),
		Collateral: attest.Collateral{entry(t, snpData+"milan-v3-oak.vcek.der"), entry(t, snpData+"milan-2025-05-06.crl.der")},
		At:         day0(t, "2025-06-01"),
	}
}

// caches make the tests faster; TestCachesChangeNothing is about them.
var caches = Caches{SNP: snp.NewCache(256), Intel: tdx.NewCache(1024), Nitro: nitro.NewCache(256)}

func appraise(t testing.TB, r Request) *Result {
	t.Helper()
	r.Caches = caches
	res, err := Appraise(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// What is given is demanded; what is given wrongly is refused for it.
func TestDemands(t *testing.T) {
	good := appraise(t, oak(t))
	if !good.Accepted || len(good.Claims.Waived) != 3 {
		t.Fatalf("%v, %+v", good.Rows.Err(), good.Claims)
	}
	ref := attest.ReferenceValue{Platform: "snp", Measurement: good.Claims.Measurement, Release: "1", Source: "test"}
	rd := good.Claims.ReportData
	var other64 [64]byte
	var other32 [32]byte
	other64[0], other32[0] = 1, 1
	for _, x := range []struct {
		name string
		edit func(*Request)
		want attest.Reason
	}{
		{"reference", func(r *Request) { r.References = []attest.ReferenceValue{ref} }, ""},
		{"no reference accepted", func(r *Request) { r.References = []attest.ReferenceValue{} }, attest.ReasonMeasurement},
		{"of another platform", func(r *Request) {
			r.References = []attest.ReferenceValue{{Platform: "sim", Measurement: ref.Measurement}}
		}, attest.ReasonMeasurement},
		{"report data", func(r *Request) { r.ReportData = &rd }, ""},
		{"other report data", func(r *Request) { r.ReportData = &other64 }, attest.ReasonReportData},
		{"no report data", func(r *Request) { r.ReportData = new([64]byte) }, attest.ReasonReportData},
		{"host data", func(r *Request) { r.HostData = &other32 }, attest.ReasonHostData},
		{"no host data", func(r *Request) { r.HostData = new([32]byte) }, attest.ReasonHostData},
		{"platform", func(r *Request) { r.Policy.Platforms = []string{"tdx", "snp"} }, ""},
		{"other platform", func(r *Request) { r.Policy.Platforms = []string{"tdx"} }, attest.ReasonPolicy},
		{"no platform", func(r *Request) { r.Policy.Platforms = []string{} }, attest.ReasonPolicy},
		{"no verifier", func(r *Request) { r.Verifiers = []attest.Verifier{} }, attest.ReasonPlatform},
		{"vmpl", func(r *Request) { r.Policy.SNP.VMPL = 1 }, attest.ReasonVMPL},
	} {
		r := oak(t)
		x.edit(&r)
		res := appraise(t, r)
		if res.Reason != x.want || res.Accepted != (x.want == "") || (res.Claims != nil) != res.Accepted {
			t.Errorf("%s: %v, %q, expected %q: %v", x.name, res.Accepted, res.Reason, x.want, res.Rows.Err())
		}
	}
}

// Neither the order of the collateral nor what else lies there changes a byte
// of the answer.
func TestSameInputSameBytes(t *testing.T) {
	col := everything(t)
	rnd := rand.New(rand.NewPCG(7, 7))
	for _, x := range vectors {
		r := Request{File: read(t, x.file), Collateral: col, At: day0(t, x.at)}
		first := appraise(t, r)
		want, err := first.JSON()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r.Collateral = append(attest.Collateral{}, col...)
			rnd.Shuffle(len(col), func(i, j int) { r.Collateral[i], r.Collateral[j] = r.Collateral[j], r.Collateral[i] })
			res := appraise(t, r)
			got, err := res.JSON()
			if err != nil || !bytes.Equal(got, want) || res.Text(80) != first.Text(80) {
				t.Errorf("%s: another answer with the collateral in another order: %v", x.file, err)
			}
		}
	}
}

// With caches, cold and warm, the answer is the same as without.
func TestCachesChangeNothing(t *testing.T) {
	r := Request{Collateral: everything(t)}
	r.Prepare()
	for _, x := range vectors[:len(vectors):len(vectors)] {
		r.File, r.At, r.Caches = read(t, x.file), day0(t, x.at), Caches{}
		cold, err := Appraise(r)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if res := appraise(t, r); res.Text(100) != cold.Text(100) {
				t.Errorf("%s: another answer with caches", x.file)
			}
		}
	}
}

// The host's own collateral cannot take the place of the relying party's.
func TestOwnCollateralGoesFirst(t *testing.T) {
	doc := func(evaluation int, from, to string) attest.Evidence {
		return attest.Evidence{MediaType: attest.MediaTypeIntelTCBInfo, Value: fmt.Appendf(nil,
			`{"tcbInfo":{"id":"TDX","fmspc":"00806F050000","issueDate":%q,"nextUpdate":%q,"tcbEvaluationDataNumber":%d},"signature":""}`, from, to, evaluation)}
	}
	at := day0(t, "2026-02-01")
	old := doc(16, "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z")
	mine := doc(18, "2026-01-10T00:00:00Z", "2026-02-10T00:00:00Z")
	newer := doc(19, "2026-01-11T00:00:00Z", "2026-02-11T00:00:00Z")
	over := doc(20, "2025-01-11T00:00:00Z", "2025-02-11T00:00:00Z")
	for _, x := range []struct {
		own, brought attest.Collateral
		want         attest.Evidence
	}{
		{attest.Collateral{mine}, attest.Collateral{old}, mine},
		{attest.Collateral{mine}, attest.Collateral{newer}, mine},
		{attest.Collateral{over}, attest.Collateral{old}, old},
		{attest.Collateral{over, old, mine}, nil, mine},
		{attest.Collateral{mine, newer}, attest.Collateral{old}, newer},
		{nil, attest.Collateral{old, over}, old},
	} {
		r := Request{Collateral: x.own}
		r.Prepare()
		s := choose("tdx", attest.Evidence{Value: read(t, dcapData+"tdx/v4-00806f-gcp-cos113.quote.bin")}, r.opened, x.brought, at)
		if len(s.col) != 1 || !bytes.Equal(s.col[0].Value, x.want.Value) {
			t.Errorf("chosen: %.200s", s.col)
		}
		if s.left != len(x.own)+len(x.brought)-1 || s.fmspc != "00806f050000" || s.pckCA != "platform" {
			t.Errorf("%+v", s)
		}
	}
}

// A wrapping that is bound to something else than the relying party demands is
// refused for it, though the evidence would pass by itself.
func TestWrappingMustAgree(t *testing.T) {
	csr := read(t, "../evidence/testdata/snp/milan-v2-enarx.csr.der")
	r := Request{File: csr, Collateral: attest.Collateral{entry(t, snpData+"milan-2022-05-09.crl.der")}, At: day0(t, "2022-12-01")}
	res := appraise(t, r)
	if !res.Accepted {
		t.Fatal(res.Rows.Err())
	}
	if row := rowOf(res.Rows, "snp.report-data"); row.Outcome != attest.Pass || !strings.Contains(row.Source, "key") {
		t.Errorf("bound to the key of the request: %+v", row)
	}
	var other [64]byte
	other[5] = 1
	r.ReportData = &other
	if res := appraise(t, r); res.Reason != attest.ReasonBinding || res.Accepted {
		t.Errorf("%q: %v", res.Reason, res.Rows.Err())
	}
	// Another key in the request: the self-signature and the binding say so.
	bad := bytes.Clone(csr)
	i := bytes.Index(bad, []byte{0x03, 0x62, 0x00, 0x04}) // a point on P-384
	if i < 0 {
		t.Fatal("no public key found")
	}
	bad[i+10] ^= 1
	r.ReportData = nil
	if res := appraise(t, r); !res.Accepted {
		t.Error(res.Rows.Err())
	}
	r.File = bad
	if res := appraise(t, r); res.Accepted {
		t.Error("accepted with another key around the evidence")
	}
}

// Simulated evidence counts under its root only, and never as verified.
func TestInvariant1NoSilentDowngrade_SimReadsSimulated(t *testing.T) {
	s := attesttest.Sim(t)
	c := s.Case("", "", "", s.Spec)
	r := Request{File: c.Evidence.Value, Collateral: c.Collateral, At: c.At}
	if res := appraise(t, r); res.Accepted || res.Platform != "snp" {
		t.Errorf("accepted without its root: %v on %s", res.Accepted, res.Platform)
	}
	r.Verifiers = []attest.Verifier{sim.NewWith(s.Root, sim.Options{Waive: r.Waivers()})}
	res := appraise(t, r)
	if !res.Accepted || !res.Claims.Simulated || res.Platform != "sim" {
		t.Fatalf("%v: %+v", res.Rows.Err(), res.Claims)
	}
	text := res.Text(100)
	if strings.Contains(text, string(attest.Pass)) || !strings.HasPrefix(text, "SIMULATED") || strings.Contains(text, "ACCEPTED") {
		t.Errorf("%s", text)
	}
	real := oak(t)
	real.Verifiers = r.Verifiers
	if res := appraise(t, real); res.Accepted {
		t.Error("evidence of hardware was accepted under a sim root")
	}
	r.Policy.Platforms = []string{"sim"}
	if row := rowOf(appraise(t, r).Rows, "policy.platform"); row.Outcome != attest.Simulated {
		t.Errorf("%+v", row)
	}
}

// What is too large is refused before it is looked into.
func TestInvariant4HostileInputIsBounded_Sizes(t *testing.T) {
	res := appraise(t, Request{File: make([]byte, MaxFile+1), At: day0(t, "2025-06-01")})
	if res.Reason != attest.ReasonTooLarge || res.Accepted {
		t.Errorf("%q", res.Reason)
	}
	r := oak(t)
	r.Collateral = make(attest.Collateral, MaxCollateral+1)
	if _, err := Appraise(r); err == nil {
		t.Error("any number of entries")
	}
	r = oak(t)
	for range 200 {
		r.Collateral = append(r.Collateral, attest.Evidence{MediaType: attest.MediaTypeCRL, Value: make([]byte, maxEntry+1)})
	}
	start := time.Now()
	appraise(t, r)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("%v for entries that are too long", took)
	}
	if _, err := Appraise(Request{File: r.File}); err == nil {
		t.Error("an appraisal without a time")
	}
}

// Text keeps to its width but for addresses, and acts on no terminal.
func TestTextFitsTheScreen(t *testing.T) {
	col := everything(t)
	for _, x := range vectors {
		res := appraise(t, Request{File: read(t, x.file), Collateral: col, At: day0(t, x.at)})
		for _, width := range []int{80, 120} {
			for _, text := range []string{res.Text(width), res.Explain(width)} {
				for line := range strings.Lines(text) {
					line = strings.TrimSuffix(line, "\n")
					if utf8.RuneCountInString(line) > width && !strings.Contains(line, "://") || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
						t.Errorf("%s, width %d: %q", x.file, width, line)
					}
				}
			}
		}
	}
}

// Every check that occurs has a meaning.
func TestEveryCheckIsExplained(t *testing.T) {
	col := everything(t)
	n := 0
	for _, x := range vectors {
		res := appraise(t, Request{File: read(t, x.file), Collateral: col, At: day0(t, x.at)})
		for _, r := range res.Rows {
			n++
			if Meaning(r.Check) == "" || Meaning("2."+r.Check) != Meaning(r.Check) {
				t.Errorf("nothing says what %s means", r.Check)
			}
		}
	}
	if n < 300 || Meaning("snp.nonsense") != "" {
		t.Errorf("%d rows", n)
	}
}

// Every failed row of the vectors says what to do or refers to one that does.
func TestRefusalsSayWhatToDo(t *testing.T) {
	for _, x := range vectors {
		res := appraise(t, Request{File: read(t, x.file), At: day0(t, x.at)}) // without any collateral
		if res.Accepted || len(res.Next()) == 0 || !strings.Contains(res.Text(80), "what to do next:") {
			t.Errorf("%s: %v", x.file, res.Next())
		}
		var m map[string]any
		b, err := res.JSON()
		if err != nil || json.Unmarshal(b, &m) != nil || m["accepted"] != false || m["reason"] == "" {
			t.Errorf("%s: %s", x.file, b)
		}
	}
}

// FuzzAppraise: no file and no collateral makes the appraisal panic, accept
// without claims, or answer differently the second time.
func FuzzAppraise(f *testing.F) {
	col := everything(f)
	for _, x := range vectors {
		f.Add(read(f, x.file), []byte(nil))
	}
	f.Add(read(f, "../evidence/testdata/snp/milan-v2-enarx.csr.der"), read(f, snpData+"milan-2022-05-09.crl.der"))
	f.Add(read(f, dcapData+"sgx/ratls-gramine.cert.pem"), read(f, dcapData+"tdx/collateral/00806f050000-2026-01/tcbinfo.json"))
	if len(vectors) < 15 {
		f.Fatal("no seeds: nothing would be shown")
	}
	kinds := []string{attest.MediaTypeCertificate, attest.MediaTypeCRL, attest.MediaTypePEMChain, attest.MediaTypeIntelTCBInfo, attest.MediaTypeIntelQEIdentity}
	f.Fuzz(func(t *testing.T, file, extra []byte) {
		r := Request{File: file, At: time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC), Collateral: col}
		for _, k := range kinds {
			r.Collateral = append(r.Collateral[:len(r.Collateral):len(r.Collateral)], attest.Evidence{MediaType: k, Value: extra})
		}
		a, err := Appraise(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Appraise(r)
		if err != nil || a.Text(80) != b.Text(80) {
			t.Errorf("another answer the second time: %v", err)
		}
		if a.Accepted != a.Claims.Verified() || a.Accepted != a.Rows.OK() || a.Accepted != (a.Reason == "") {
			t.Errorf("accepted %v, rows %v, reason %q", a.Accepted, a.Rows.Err(), a.Reason)
		}
	})
}
