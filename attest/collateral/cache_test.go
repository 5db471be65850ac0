// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/collateraltest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

// bench is a cache in front of a recorded server, with a clock of its own.
type bench struct {
	t      testing.TB
	server *collateraltest.Server
	cache  *Cache
	dir    string

	mu      sync.Mutex
	now     time.Time
	notices []string
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, server: newServer(t), dir: filepath.Join(t.TempDir(), "cache"), now: collateraltest.At}
	b.cache = b.open(0)
	return b
}

// open opens the cache as one more process would.
func (b *bench) open(maxBytes int64) *Cache {
	b.t.Helper()
	client := NewClient(ClientOptions{Transport: b.server.Pipe(b.t)})
	c, err := Open(Options{
		Dir: b.dir, Sources: []Source{&KDS{Client: client}, &PCS{Client: client}}, MaxBytes: maxBytes,
		Now: func() time.Time {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.now
		},
		Notice: func(s string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notices = append(b.notices, s)
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) at(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = t
}

func (b *bench) file(name string) []byte {
	b.t.Helper()
	v, err := b.server.File(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// get demands an outcome.
func (b *bench) get(it item.Item, mode Mode, want Outcome) Result {
	b.t.Helper()
	r := b.cache.Get(b.t.Context(), it, mode)
	if r.Outcome != want || (r.Err != nil) != (want == Kept || want == Failed) {
		b.t.Fatalf("%v: %s, %v, want %s", it, r.Outcome, r.Err, want)
	}
	return r
}

var (
	milan   = item.Item{Kind: item.AMDList, Line: "Milan"}
	genoa   = item.Item{Kind: item.AMDList, Line: "Genoa"}
	root    = item.Item{Kind: item.RootList}
	tcb     = item.Item{Kind: item.TCBInfo, TEE: "tdx", FMSPC: "b0c06f000000"}
	qe      = item.Item{Kind: item.QEIdentity, TEE: "tdx"}
	pckList = item.Item{Kind: item.PCKList, CA: "platform"}
	chain   = item.Item{Kind: item.AMDChain, Line: "Genoa", Key: "vcek"}
)

const tcbPath = "/tdx/certification/v4/tcb"

func vcekOf(t testing.TB, s *collateraltest.Server, name string) (item.Item, string) {
	t.Helper()
	report, err := s.File("attest/internal/snpreport/testdata/" + name + ".report.bin")
	if err != nil {
		t.Fatal(err)
	}
	needs, err := item.Needed(attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report}, nil, item.Hint{Line: "Milan"})
	if err != nil || needs[0].Any[0].Kind != item.VCEK {
		t.Fatalf("%v, %v", needs, err)
	}
	path, _ := collateraltest.VCEKPath(name, report)
	return needs[0].Any[0], path
}

// TestGoodDataStays is every misbehaviour of a service against every kind of
// item that can change: with good data at hand the item stays, byte for byte,
// and the result says why it was not refreshed; without, there is an error and
// nothing is stored.
func TestGoodDataStays(t *testing.T) {
	page := []byte("<html><body>sign in to the hotel's network</body></html>")
	type victim struct {
		it   item.Item
		path string
		// swapped and foreign are genuine answers to other questions.
		swapped func(s *collateraltest.Server) collateraltest.Fault
	}
	other := func(path string, q url.Values) func(*collateraltest.Server) collateraltest.Fault {
		return func(s *collateraltest.Server) collateraltest.Fault { return s.Swapped(path, q) }
	}
	standard := url.Values{"update": {"standard"}}
	victims := []victim{
		{milan, milanList, other(genoaList, nil)},
		{genoa, genoaList, other(milanList, nil)},
		{chain, "/vcek/v1/Genoa/cert_chain", other("/vcek/v1/Turin/cert_chain", nil)},
		{root, rootList, other("/sgx/certification/v4/pckcrl", url.Values{"ca": {"platform"}, "encoding": {"der"}})},
		{tcb, tcbPath, other("/sgx/certification/v4/tcb", url.Values{"fmspc": {"00a067110000"}, "update": {"standard"}})},
		{qe, "/tdx/certification/v4/qe/identity", other("/sgx/certification/v4/qe/identity", standard)},
		{pckList, "/sgx/certification/v4/pckcrl", other("/sgx/certification/v4/pckcrl", url.Values{"ca": {"processor"}, "encoding": {"der"}})},
	}
	for _, v := range victims {
		for name, c := range map[string]struct {
			fault collateraltest.Fault
			rule  item.Rule // empty for what is no answer at all
			says  string
		}{
			"failing":       {collateraltest.Status(500), "", "500"},
			"throttled":     {collateraltest.Throttled(429, "600"), "", "asks to wait 10m0s"},
			"hanging":       {collateraltest.Hang, "", "within"},
			"trickling":     {collateraltest.SlowLoris(time.Second), "", "within"},
			"cut":           {collateraltest.Cut, "", "EOF"},
			"gone":          {collateraltest.Status(404), "", "404"},
			"huge":          {collateraltest.Huge(10 << 20), "", "more than"},
			"sent away":     {collateraltest.Redirect("https://elsewhere.example/"), "", "not followed"},
			"truncated":     {collateraltest.Truncated, "any", ""},
			"wrong signed":  {collateraltest.Forged, "any", ""},
			"a page":        {collateraltest.Instead(page), "any", ""},
			"nothing":       {collateraltest.Instead(nil), "any", ""},
			"of another":    {nil, "any", ""}, // set below
			"without chain": {collateraltest.Headers(nil), "any", ""},
		} {
			if name == "without chain" && v.it.Kind != item.TCBInfo && v.it.Kind != item.QEIdentity && v.it.Kind != item.PCKList {
				continue
			}
			t.Run(v.it.Name()+"/"+strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					fault := c.fault
					if name == "of another" {
						fault = v.swapped(b.server)
					}
					b.server.Break(v.path, fault)
					failed := b.get(v.it, WhenDue, Failed)
					checkRefusal(t, failed.Err, v.it, c.rule, c.says)
					if list, problems, err := b.cache.List(); len(list)+len(problems) != 0 || err != nil {
						t.Fatalf("stored: %v %v %v", list, problems, err)
					}
					b.server.Break(v.path, nil)
					good := b.get(v.it, WhenDue, Fetched)
					b.server.Break(v.path, fault)
					kept := b.get(v.it, Always, Kept)
					checkRefusal(t, kept.Err, v.it, c.rule, c.says)
					if !sameParts(kept.Entry.Parts, good.Entry.Parts) {
						t.Error("the result has other bytes")
					}
					if again := b.get(v.it, Offline, Present); !sameParts(again.Entry.Parts, good.Entry.Parts) {
						t.Error("the cache has other bytes")
					}
					// Once it has ended, keeping it is no success any more.
					b.at(good.Entry.Info.Until.Add(time.Second))
					late := b.get(v.it, WhenDue, Failed)
					if late.Entry == nil || !strings.Contains(late.Err.Error(), "ended on") {
						t.Errorf("after its end: %v", late.Err)
					}
				})
			})
		}
	}
}

func checkRefusal(t *testing.T, err error, it item.Item, rule item.Rule, says string) {
	t.Helper()
	var r *item.RefusedError
	if got := errors.As(err, &r); got != (rule != "") {
		t.Errorf("refused by a rule: %v: %v", got, err)
	} else if got && r.Item != it {
		t.Errorf("the refusal names %v", r.Item)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("%q does not say %q", err, says)
	}
}

// Genuine answers of another time do not take the place of better ones.
func TestStaleAnswersAreHeld(t *testing.T) {
	rule := func(r Result) item.Rule {
		var refused *item.RefusedError
		if !errors.As(r.Err, &refused) {
			return ""
		}
		return refused.Rule
	}
	b := newBench(t)
	const lists = "attest/internal/dcap/testdata/"
	// A list that has ended, with a newer one at hand and without.
	b.server.Put(milanList, nil, b.file("attest/internal/snpreport/testdata/milan-2022-05-09.crl.der"), nil)
	if r := b.get(milan, WhenDue, Failed); rule(r) != item.RuleEnded {
		t.Errorf("an ended list and nothing there: %v", r.Err)
	}
	// Two lists that are both valid: the older does not replace the newer.
	b.at(time.Date(2025, 3, 25, 0, 0, 0, 0, time.UTC))
	old, newer := b.file(lists+"tdx/collateral/00806f050000-2025-01/root.crl.der"), b.file(lists+"tdx/collateral/b0c06f000000-2025-06/root.crl.der")
	b.server.Put(rootList, nil, newer, nil)
	b.get(root, WhenDue, Fetched)
	b.server.Put(rootList, nil, old, nil)
	if r := b.get(root, Always, Kept); rule(r) != item.RuleOlder || !bytes.Equal(r.Entry.Parts[0].Value, newer) {
		t.Errorf("older list: %v", r.Err)
	}
	// The newer one does replace the older.
	second := newBench(t)
	second.at(time.Date(2025, 3, 25, 0, 0, 0, 0, time.UTC))
	second.server.Put(rootList, nil, old, nil)
	second.get(root, WhenDue, Fetched)
	second.server.Put(rootList, nil, newer, nil)
	if r := second.get(root, Always, Fetched); !bytes.Equal(r.Entry.Parts[0].Value, newer) {
		t.Error("the newer list did not come through")
	}
	// An answer from the future: held where there is something good, and where
	// it is further away than clocks differ.
	b = newBench(t)
	b.at(time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC))
	if r := b.get(root, WhenDue, Failed); rule(r) != item.RuleEarly {
		t.Errorf("a list that begins in three weeks: %v", r.Err)
	}
	b.server.Put(rootList, nil, old, nil)
	b.get(root, WhenDue, Fetched)
	b.server.Put(rootList, nil, newer, nil)
	if r := b.get(root, Always, Kept); rule(r) != item.RuleEarly {
		t.Errorf("a list that begins in three weeks: %v", r.Err)
	}
	third := newBench(t)
	third.at(third.get(root, WhenDue, Fetched).Entry.Info.From.Add(-time.Minute))
	if r := third.cache.Get(t.Context(), root, Always); r.Outcome != Unchanged {
		t.Errorf("a clock that is a minute slow: %s, %v", r.Outcome, r.Err)
	}
	// A mirror that still has the intermediate that AMD revoked.
	b = newBench(t)
	b.get(chain, WhenDue, Fetched)
	good := b.get(chain, Offline, Present).Entry
	b.server.Put("/vcek/v1/Genoa/cert_chain", nil, append(pemOf(b.file("attest/internal/snpreport/testdata/genoa-ask-20001-revoked.der")), pemOf(good.Parts[1].Value)...), nil)
	if r := b.get(chain, Always, Kept); rule(r) != item.RuleOlder || !sameParts(r.Entry.Parts, good.Parts) {
		t.Errorf("revoked intermediate: %v", r.Err)
	}
}

func TestItemsThatNeverChangeAreFetchedOnce(t *testing.T) {
	b := newBench(t)
	it, path := vcekOf(t, b.server, "milan-v3-oak")
	b.get(it, WhenDue, Fetched)
	for range 5 {
		b.get(it, Always, Present)
	}
	b.at(collateraltest.At.AddDate(3, 0, 0))
	b.get(it, WhenDue, Present)
	if n := b.server.Requests(path); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// What can change is asked for again after a day, and near its end, but never
// more than once an hour.
func TestItemsAreAskedForWhenDue(t *testing.T) {
	b := newBench(t)
	got := b.get(tcb, WhenDue, Fetched).Entry
	for _, step := range []struct {
		at   time.Time
		want Outcome
	}{
		{collateraltest.At.Add(23 * time.Hour), Present},
		{collateraltest.At.Add(25 * time.Hour), Unchanged},
		{collateraltest.At.Add(26 * time.Hour), Present},
		{got.Info.Until.Add(-6 * day), Unchanged},
		{got.Info.Until.Add(-6*day + 59*time.Minute), Present},
		{got.Info.Until.Add(-6*day + 61*time.Minute), Unchanged},
	} {
		b.at(step.at)
		b.get(tcb, WhenDue, step.want)
	}
	// Fetched says when these bytes came, Checked when they were confirmed.
	e := b.get(tcb, Offline, Present).Entry
	if !e.Fetched.Equal(collateraltest.At) || !e.Checked.Equal(got.Info.Until.Add(-6*day+61*time.Minute)) {
		t.Errorf("fetched %v, checked %v", e.Fetched, e.Checked)
	}
}

// TestManyAskersMakeOneRequest has 64 callers ask at once.
func TestManyAskersMakeOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.Break(milanList, collateraltest.First(1, collateraltest.Throttled(429, "5")))
		const callers = 64
		results := make(chan Result, callers)
		for range callers {
			go func() { results <- b.cache.Get(t.Context(), milan, WhenDue) }()
		}
		for range callers {
			if r := <-results; r.Outcome != Fetched || r.Err != nil || len(r.Entry.Parts) != 1 {
				t.Fatalf("%s: %v", r.Outcome, r.Err)
			}
		}
		if n := b.server.Requests(milanList); n != 2 {
			t.Errorf("%d requests, want the throttled one and one more", n)
		}
	})
}

// One caller that gives up does not end the fetch of the others; the last does.
func TestAFetchLivesAsLongAsItsAskers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.server.Break(milanList, collateraltest.First(1, collateraltest.Throttled(429, "20")))
		why := errors.New("no longer needed")
		first, leave := context.WithCancelCause(t.Context())
		gone, stayed := make(chan Result, 1), make(chan Result, 1)
		go func() { gone <- b.cache.Get(first, milan, WhenDue) }()
		synctest.Wait()
		go func() { stayed <- b.cache.Get(t.Context(), milan, WhenDue) }()
		time.Sleep(time.Second)
		leave(why)
		if r := <-gone; !errors.Is(r.Err, why) {
			t.Errorf("the one that left: %v", r.Err)
		}
		if r := <-stayed; r.Outcome != Fetched {
			t.Errorf("the one that stayed: %s, %v", r.Outcome, r.Err)
		}
		// Nobody waits: the request ends with its askers.
		b.server.Break(genoaList, collateraltest.Hang)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		if r := b.cache.Get(ctx, genoa, WhenDue); r.Outcome != Failed || time.Since(begin) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), r.Err)
		}
		synctest.Wait()
		b.server.Break(genoaList, nil)
		if r := b.cache.Get(t.Context(), genoa, WhenDue); r.Outcome != Fetched {
			t.Errorf("asked anew: %v", r.Err)
		}
	})
}

// For a product line that a report does not say, the services are asked around.
func TestForEvidence(t *testing.T) {
	b := newBench(t)
	names := func(rs []Result) string {
		var s []string
		for _, r := range rs {
			s = append(s, fmt.Sprintf("%s %s", r.Outcome, r.Item.Kind))
		}
		return strings.Join(s, ", ")
	}
	for file, want := range map[string]string{
		"milan-v2-azure":  "fetched amd-vcek, fetched amd-chain, fetched amd-crl",
		"siena-a0-v3":     "fetched amd-vcek, fetched amd-chain, fetched amd-crl",
		"turin-v5":        "fetched amd-vcek, fetched amd-chain, failed amd-crl", // no list of Turin was recorded
		"milan-v5-novcek": "failed amd-vcek, present amd-chain, present amd-crl",
	} {
		if file == "milan-v5-novcek" {
			b.get(item.Item{Kind: item.AMDChain, Line: "Milan", Key: "vcek"}, WhenDue, Fetched)
			b.get(milan, WhenDue, Fetched)
		} else {
			b = newBench(t)
		}
		if file == "turin-v5" {
			b.at(time.Date(2025, 10, 1, 0, 0, 0, 0, time.UTC)) // it is younger than the others
		}
		ev := attest.Evidence{MediaType: attest.MediaTypeSNP, Value: b.file("attest/internal/snpreport/testdata/" + file + ".report.bin")}
		col, results, err := b.cache.For(t.Context(), ev, nil, item.Hint{}, WhenDue)
		if got := names(results); err != nil || got != want || len(col) == 0 {
			t.Errorf("%s: %s (%v), want %s", file, got, err, want)
		}
	}
	b = newBench(t)
	quote := attest.Evidence{MediaType: attest.MediaTypeTDX, Value: b.file("attest/internal/dcap/testdata/tdx/v4-b0c06f-phala.quote.bin")}
	col, results, err := b.cache.For(t.Context(), quote, nil, item.Hint{}, WhenDue)
	if want := "fetched intel-tcb-info, fetched intel-qe-identity, fetched intel-pck-crl, fetched intel-root-crl"; err != nil || names(results) != want || len(col) != 7 {
		t.Errorf("%s, %d parts, %v", names(results), len(col), err)
	}
	n := b.server.Requests("")
	if _, results, _ = b.cache.For(t.Context(), quote, nil, item.Hint{}, WhenDue); names(results) != "present intel-tcb-info, present intel-qe-identity, present intel-pck-crl, present intel-root-crl" || b.server.Requests("") != n {
		t.Errorf("again: %s, %d requests more", names(results), b.server.Requests("")-n)
	}
	if _, _, err := b.cache.For(t.Context(), attest.Evidence{MediaType: "text/plain"}, nil, item.Hint{}, WhenDue); !errors.Is(err, item.ErrOther) {
		t.Errorf("other evidence: %v", err)
	}
}

func TestAnnouncements(t *testing.T) {
	b := newBench(t)
	e := b.get(milan, WhenDue, Fetched).Entry // until 2026-05-12 00:00
	for _, c := range []struct {
		before time.Duration
		within time.Duration
		state  State
		says   string
		left   int
	}{
		{200 * day, -1, Current, "", 200},
		{31 * day, -1, Current, "", 31},
		{6*day + time.Hour, -1, EndsSoon, "CRL of Milan ends in 6 days (2026-05-12 00:00 UTC): refresh it", 6},
		{6 * day, day, Current, "", 6},
		{40 * day, 60 * day, EndsSoon, "ends in 40 days", 40},
		{30 * time.Hour, -1, EndsSoon, "ends in 1 day ", 1},
		{5 * time.Hour, -1, EndsSoon, "ends in 5 hours", 0},
		{0, -1, EndsSoon, "ends in 0 hours", 0},
		{-time.Second, -1, Ended, "CRL of Milan ended on 2026-05-12", -1},
		{-25 * time.Hour, -1, Ended, "evidence that needs it is refused", -2},
		{2000 * day, -1, NotYet, "check this machine's clock", 2000},
	} {
		at := e.Info.Until.Add(-c.before)
		got := e.Announcement(at, c.within)
		if e.State(at, c.within) != c.state || (got == "") != (c.says == "") || !strings.Contains(got, c.says) || e.DaysLeft(at) != c.left {
			t.Errorf("%v before: %s, %q, %d days, want %s, %q, %d", c.before, e.State(at, c.within), got, e.DaysLeft(at), c.state, c.says, c.left)
		}
	}
	for kind, s := range schedules {
		if s.announce < 7*day && kind != item.NitroList {
			t.Errorf("%s is announced only %v ahead", kind, s.announce)
		}
	}
}

func TestOfflineAsksNobody(t *testing.T) {
	b := newBench(t)
	if r := b.get(milan, Offline, Failed); !strings.Contains(r.Err.Error(), "not in the cache") {
		t.Error(r.Err)
	}
	b.get(milan, WhenDue, Fetched)
	n := b.server.Requests("")
	b.get(milan, Offline, Present)
	b.at(b.now.AddDate(5, 0, 0))
	if r := b.get(milan, Offline, Failed); r.Entry == nil || !strings.Contains(r.Err.Error(), "ended on") {
		t.Error(r.Err)
	}
	if b.server.Requests("") != n {
		t.Error("somebody was asked")
	}
	c, err := Open(Options{Dir: b.dir})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Get(t.Context(), genoa, WhenDue); r.Outcome != Failed || !strings.Contains(r.Err.Error(), "no source") {
		t.Errorf("%s, %v", r.Outcome, r.Err)
	}
	if r := c.Get(t.Context(), item.Item{Kind: item.AMDList, Line: "../../etc"}, WhenDue); r.Outcome != Failed {
		t.Error("an item that is none")
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(Options{}); err == nil {
		t.Error("no directory")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("a directory of everybody's: %v", err)
	}
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: file}); err == nil {
		t.Error("a file")
	}
}
