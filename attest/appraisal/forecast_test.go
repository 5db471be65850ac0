// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
)

func stamp(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A forecast says when the collateral of a real platform ends, to the second,
// and that is what the appraisal says.
func TestForecastOfCollateralThatEnds(t *testing.T) {
	r := Request{
		File:       read(t, dcapData+"tdx/v4-00806f-gcp-cos113.quote.bin"),
		Collateral: folder(t, "tdx/collateral/00806f050000-2025-01"), At: day0(t, "2025-02-05"),
	}
	f, err := r.Foretell(day0(t, "2025-03-01"))
	if err != nil {
		t.Fatal(err)
	}
	end := stamp(t, "2099-01-01T00:00:00Z")
	for _, e := range f.Now.Pieces[0].Collateral {
		for _, x := range open(attest.Collateral{e}, true) {
			if x.list != nil && x.list.NextUpdate.Before(end) {
				end = x.list.NextUpdate
			} else if x.doc != nil && x.doc.to.Before(end) {
				end = x.doc.to
			}
		}
	}
	if !f.Now.Accepted || f.Refused == nil || !f.Refused.Equal(end.Add(time.Second)) || len(f.Changes) == 0 {
		t.Fatalf("refused from %v, expected the second after %v: %+v", f.Refused, end, f.Changes)
	}
	c := f.Changes[0]
	if c.Accepted || c.Reason == "" || len(c.Fails) != 1 || c.Fails[0].Check != "tdx.dates" {
		t.Errorf("%+v", c)
	}
	// Shorter than that, nothing happens.
	if f, err := r.Foretell(end); err != nil || f.Refused != nil || len(f.Changes) != 0 {
		t.Errorf("until %v: %+v, %v", end, f, err)
	}
	if _, err := r.Foretell(r.At.Add(-time.Second)); err == nil {
		t.Error("a forecast of the past")
	}
}

// What a forecast says is what the appraisal says, at every second around every
// change and far from them.
func TestForecastIsWhatTheAppraisalSays(t *testing.T) {
	shared := Request{Collateral: everything(t), Caches: Caches{SNP: snp.NewCache(64), Intel: tdx.NewCache(256)}}
	shared.Prepare()
	for _, x := range vectors {
		r := shared
		r.File, r.At = read(t, x.file), day0(t, x.at)
		f, err := r.Foretell(r.At.AddDate(1, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		accepted, reason := f.Now.Accepted, f.Now.Reason
		from := f.From
		same := func(at time.Time) {
			t.Helper()
			q := r
			q.At = at
			res, err := Appraise(q)
			if err != nil {
				t.Fatal(err)
			}
			if res.Accepted != accepted || res.Reason != reason {
				t.Errorf("%s at %v: %v, %q, the forecast says %v, %q", x.file, at, res.Accepted, res.Reason, accepted, reason)
			}
		}
		for _, c := range f.Changes {
			same(c.At.Add(-time.Second))
			same(from.Add(c.At.Sub(from) / 2))
			accepted, reason, from = c.Accepted, c.Reason, c.At
			same(c.At)
		}
		same(f.Until)
	}
}

// Newer TCB info: the forecast with it says what will be refused once it is in
// force.
func TestForecastWithNewerCollateral(t *testing.T) {
	r := Request{
		File:       read(t, dcapData+"tdx/v4-00806f-gcp-cos113.quote.bin"),
		Collateral: folder(t, "tdx/collateral/00806f050000-2025-01"), At: day0(t, "2025-02-05"),
	}
	res, err := r.With(folder(t, "tdx/collateral/00806f050000-2026-01"))
	if err != nil {
		t.Fatal(err)
	}
	if res.Accepted || res.Reason != attest.ReasonTCBOutOfDate || !res.At.Equal(stamp(t, "2026-01-27T09:49:59Z")) {
		t.Errorf("at %v: %v, %q", res.At, res.Accepted, res.Reason)
	}
	// Both at once: the newer counts from the day on which it is issued.
	r.Collateral = append(r.Collateral, folder(t, "tdx/collateral/00806f050000-2026-01")...)
	r.At = day0(t, "2026-01-20")
	f, err := r.Foretell(day0(t, "2026-02-10"))
	if err != nil {
		t.Fatal(err)
	}
	last := f.Changes[len(f.Changes)-1]
	if f.Now.Reason == attest.ReasonTCBOutOfDate || last.Reason != attest.ReasonTCBOutOfDate || last.Accepted {
		t.Errorf("%q, and then %+v", f.Now.Reason, f.Changes)
	}
	if !strings.Contains(strings.Join(last.Mended, " "), "tdx.dates") {
		t.Errorf("%+v", last)
	}
}
