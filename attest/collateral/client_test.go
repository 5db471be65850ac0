// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/collateraltest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

const (
	milanList = "/vcek/v1/Milan/crl"
	genoaList = "/vcek/v1/Genoa/crl"
	rootList  = "/IntelSGXRootCA.der"
)

func newServer(t testing.TB) *collateraltest.Server {
	t.Helper()
	root, err := collateraltest.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	s, err := collateraltest.New(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asked is one request in a bubble whose time moves only when everybody waits.
type asked struct {
	took     time.Duration
	requests int
	err      error
}

func ask(t *testing.T, f collateraltest.Fault, change func(*ClientOptions)) (out asked) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.Break(milanList, f)
		o := ClientOptions{Transport: s.Pipe(t)}
		if change != nil {
			change(&o)
		}
		begin := time.Now()
		_, out.err = NewClient(o).get(t.Context(), AMDService+milanList, nil)
		out.took, out.requests = time.Since(begin), s.Requests(milanList)
	})
	return out
}

// TestTheClientKeepsItsBounds is every misbehaviour of a service with the
// number of requests and the time that it may cost.
func TestTheClientKeepsItsBounds(t *testing.T) {
	inBubble := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where its time begins
	for name, c := range map[string]struct {
		fault    collateraltest.Fault
		requests int
		min, max time.Duration
		says     string // of the error; empty means that there is none
	}{
		"good":                        {nil, 1, 0, 0, ""},
		"two failures":                {collateraltest.First(2, collateraltest.Status(500)), 3, 500 * time.Millisecond, 2 * time.Second, ""},
		"failing":                     {collateraltest.Status(502), 4, time.Second, 5 * time.Second, "502 (bad gateway); given up after 4 attempts"},
		"throttled, seconds":          {collateraltest.First(1, collateraltest.Throttled(429, "7")), 2, 7 * time.Second, 8 * time.Second, ""},
		"throttled, date":             {collateraltest.First(1, collateraltest.Throttled(429, inBubble.Add(9*time.Second).Format(http.TimeFormat))), 2, 9 * time.Second, 10 * time.Second, ""},
		"unavailable, seconds":        {collateraltest.First(1, collateraltest.Throttled(503, "4")), 2, 4 * time.Second, 5 * time.Second, ""},
		"throttled, no time":          {collateraltest.First(1, collateraltest.Throttled(429, "")), 2, 250 * time.Millisecond, time.Second, ""},
		"throttled, nonsense":         {collateraltest.First(1, collateraltest.Throttled(429, "-5 fortnights")), 2, 250 * time.Millisecond, time.Second, ""},
		"throttled, in the past":      {collateraltest.First(1, collateraltest.Throttled(429, "Fri, 31 Dec 1999 00:00:00 GMT")), 2, 250 * time.Millisecond, time.Second, ""},
		"throttled for an hour":       {collateraltest.Throttled(429, "3600"), 1, 0, 0, "asks to wait 1h0m0s, longer than the 30s"},
		"throttled beyond all bounds": {collateraltest.Throttled(429, strings.Repeat("9", 400)), 1, 0, 0, "asks to wait 720h0m0s, longer than"},
		"throttled again and again":   {collateraltest.Throttled(429, "20"), 3, 40 * time.Second, 40 * time.Second, "beyond the time limit"},
		"hanging":                     {collateraltest.Hang, 4, 40 * time.Second, 45 * time.Second, "no answer within 10s"},
		"trickling":                   {collateraltest.SlowLoris(5 * time.Second), 4, 40 * time.Second, 45 * time.Second, "the answer did not end within 10s"},
		"cut":                         {collateraltest.Cut, 4, time.Second, 5 * time.Second, "unexpected EOF; given up after 4 attempts"},
		"cut once":                    {collateraltest.First(1, collateraltest.Cut), 2, 0, time.Second, ""},
		"huge":                        {collateraltest.Huge(100 << 20), 1, 0, 0, "answers with more than"},
		"huge and says so":            {collateraltest.Instead(make([]byte, maxBody+1)), 1, 0, 0, fmt.Sprintf("answers with %d bytes", maxBody+1)},
		"unknown":                     {collateraltest.Status(404), 1, 0, 0, "404 (not found)"},
		"forbidden":                   {collateraltest.Status(403), 1, 0, 0, "403 (forbidden)"},
		"sent elsewhere":              {collateraltest.Redirect("https://elsewhere.example/crl"), 1, 0, 0, "on another host, which is not followed"},
		"sent down":                   {collateraltest.Redirect("http://kdsintf.amd.com" + genoaList), 1, 0, 0, "which is not followed"},
		"sent next door":              {collateraltest.Redirect(genoaList), 1, 0, 0, ""},
		"sent round":                  {collateraltest.Redirect(milanList), 4, 0, 0, "which is not followed"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			got := ask(t, c.fault, nil)
			if c.says == "" && got.err != nil || c.says != "" && (got.err == nil || !strings.Contains(got.err.Error(), c.says)) {
				t.Errorf("error %v, want %q", got.err, c.says)
			}
			if got.requests != c.requests {
				t.Errorf("%d requests, want %d", got.requests, c.requests)
			}
			if got.took < c.min || got.took > c.max {
				t.Errorf("took %v, want %v to %v", got.took, c.min, c.max)
			}
		})
	}
}

// A context that ends, ends the request wherever it is: at once, and with the
// reason.
func TestTheClientStopsWithItsContext(t *testing.T) {
	why := errors.New("the user went home")
	for name, f := range map[string]collateraltest.Fault{
		"before the answer":   collateraltest.Hang,
		"within the answer":   collateraltest.SlowLoris(2 * time.Second),
		"between attempts":    collateraltest.Throttled(429, "25"),
		"after many attempts": collateraltest.Status(500),
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				s.Break(milanList, f)
				client := NewClient(ClientOptions{Transport: s.Pipe(t), Timing: Timing{Attempts: 1000, Pause: 10 * time.Second}})
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(3*time.Second, func() { cancel(why) })
				begin := time.Now()
				_, err := client.get(ctx, AMDService+milanList, nil)
				if took := time.Since(begin); took != 3*time.Second || !errors.Is(err, why) {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	s := newServer(t)
	if _, err := NewClient(ClientOptions{Transport: s.Pipe(t)}).get(ctx, AMDService+milanList, nil); !errors.Is(err, why) || s.Requests("") != 0 {
		t.Errorf("ended before: %v, %d requests", err, s.Requests(""))
	}
}

// A caller's own time limit is named as what it is, with what happened last.
func TestTheTimeLimitIsNamed(t *testing.T) {
	got := ask(t, collateraltest.Status(503), func(o *ClientOptions) {
		o.Timing = Timing{Total: 3 * time.Second, Attempts: 1000, Pause: 800 * time.Millisecond}
	})
	if got.err == nil || !strings.Contains(got.err.Error(), "answers 503") || !strings.Contains(got.err.Error(), "time limit") || got.took > 3*time.Second {
		t.Errorf("after %v: %v", got.took, got.err)
	}
}

// A host that throttles one request is left alone by all others too.
func TestThrottlingCountsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.Break(milanList, collateraltest.First(1, collateraltest.Throttled(429, "12")))
		client := NewClient(ClientOptions{Transport: s.Pipe(t)})
		begin := time.Now()
		go client.get(t.Context(), AMDService+milanList, nil)
		synctest.Wait()
		if _, err := client.get(t.Context(), AMDService+genoaList, nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 12*time.Second {
			t.Errorf("asked again after %v", took)
		}
		if _, err := client.get(t.Context(), IntelRootList, nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 13*time.Second {
			t.Errorf("another host was left alone until %v", took)
		}
	})
}

func TestAddressesAreHTTPS(t *testing.T) {
	for u, ok := range map[string]bool{
		"https://kds.example/x": true, "http://127.0.0.1:8081/x": true, "http://[::1]:8081/x": true, "http://localhost/x": true,
		"http://kds.example/x": false, "http://127.0.0.1.example/x": false, "ftp://kds.example/": false, "file:///etc/passwd": false,
		"https:///x": false, "https://user:secret@kds.example/": false, "kds.example": false, "https://kds.example/#x": false, "https://%zz/": false,
	} {
		if _, err := NewClient(ClientOptions{}).checkURL(u); (err == nil) != ok {
			t.Errorf("%s: %v", u, err)
		}
	}
	if _, err := NewClient(ClientOptions{PlainHTTP: true}).checkURL("http://kds.example/x"); err != nil {
		t.Error(err)
	}
	own, ok := NewClient(ClientOptions{}).o.Transport.(*http.Transport)
	if !ok || own.Proxy == nil || own.TLSClientConfig.InsecureSkipVerify {
		t.Error("the client's own transport knows no proxy, or does not check certificates")
	}
}

// What 404 means is said in words for each kind.
func TestNotFoundIsExplained(t *testing.T) {
	s := newServer(t)
	client := NewClient(ClientOptions{Transport: s.Pipe(t)})
	kds, pcs := &KDS{Client: client}, &PCS{Client: client}
	chip := strings.Repeat("ab", 64)
	for says, c := range map[string]struct {
		from Source
		it   item.Item
	}{
		"AMD has no VCEK for this chip id at this TCB level":    {kds, item.Item{Kind: item.VCEK, Line: "Milan", Chip: chip, TCB: "0400000000001899"}},
		"has no CRL of Turin (404): an old mirror may not know": {kds, item.Item{Kind: item.AMDList, Line: "Turin"}},
		"certificate table of the extended guest request":       {kds, item.Item{Kind: item.VLEK, Line: "Milan", TCB: "0400000000001899"}},
		"no production platform has this FMSPC":                 {pcs, item.Item{Kind: item.TCBInfo, TEE: "tdx", FMSPC: "ffffffffffff"}},
		"a caching service has to be filled":                    {pcs, item.Item{Kind: item.QEIdentity, TEE: "tdx", Evaluation: "7"}},
	} {
		_, err := c.from.Get(t.Context(), c.it)
		var missing *NotFoundError
		if !errors.As(err, &missing) || missing.Item != c.it || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", c.it, err, says)
		}
	}
	s.Break("/tdx/certification/v4/tcb", collateraltest.Status(http.StatusGone))
	_, err := pcs.Get(t.Context(), item.Item{Kind: item.TCBInfo, TEE: "tdx", FMSPC: "b0c06f000000", Evaluation: "3"})
	if err == nil || !strings.Contains(err.Error(), "ask for a newer one") {
		t.Errorf("410: %v", err)
	}
	// What the service itself says goes along, made harmless.
	s.Break("/tdx/certification/v4/tcb", func(w http.ResponseWriter, _ *http.Request, _ *collateraltest.Answer) {
		w.Header().Set("Error-Message", "platform unknown\u202e"+strings.Repeat("x", 1000))
		w.Header().Set("Request-ID", "0123abcd")
		w.WriteHeader(461)
	})
	_, err = pcs.Get(t.Context(), item.Item{Kind: item.TCBInfo, TEE: "tdx", FMSPC: "b0c06f000000"})
	if err == nil || !strings.Contains(err.Error(), `error-message "platform unknown`) || !strings.Contains(err.Error(), `request-id "0123abcd": the caching service has nothing`) ||
		strings.Contains(err.Error(), "\u202e") || len(err.Error()) > 600 {
		t.Errorf("461: %v", err)
	}
	s.Break("/tdx/certification/v4/tcb", func(w http.ResponseWriter, _ *http.Request, _ *collateraltest.Answer) {
		w.Header().Set("Error-Message", "\x1b[2J"+strings.Repeat("x", 10000))
	})
	fast := &PCS{Client: NewClient(ClientOptions{Transport: s.Pipe(t), Timing: Timing{Attempts: 1}})}
	_, err = fast.Get(t.Context(), item.Item{Kind: item.TCBInfo, TEE: "tdx", FMSPC: "b0c06f000000"})
	if err == nil || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 600 {
		t.Errorf("a header that is none: %v", err)
	}
	for _, c := range []struct {
		from Source
		it   item.Item
	}{{kds, item.Item{Kind: item.RootList}}, {pcs, item.Item{Kind: item.AMDList, Line: "Milan"}}, {&AWS{client}, item.Item{Kind: item.RootList}}} {
		if _, err := c.from.Get(t.Context(), c.it); !errors.Is(err, ErrNotServed) {
			t.Errorf("%v at %v: %v", c.it, c.from, err)
		}
	}
	if _, err := pcs.Get(t.Context(), pckItem()); err == nil || !strings.Contains(err.Error(), "subscription key") {
		t.Errorf("PCK certificate from Intel without key: %v", err)
	}
}

func pckItem() item.Item {
	return item.Item{Kind: item.PCK, EncryptedPPID: strings.Repeat("01", 384), CPUSVN: strings.Repeat("02", 16), PCESVN: "0b00", PCEID: "0000", QEID: strings.Repeat("03", 16)}
}

// Mirrors are named as their users know them.
func TestBaseAddresses(t *testing.T) {
	for given, want := range map[string]string{
		"": IntelService, "https://localhost:8081": "https://localhost:8081", "https://localhost:8081/": "https://localhost:8081",
		"https://localhost:8081/sgx/certification/v4/": "https://localhost:8081", "https://host/pccs/sgx/certification/v4": "https://host/pccs",
	} {
		if got := (&PCS{Base: given}).String(); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
	if got := (&KDS{Base: "https://mirror.example/amd/vcek/v1/"}).String(); got != "https://mirror.example/amd" {
		t.Error(got)
	}
}

// A caching service answers in forms of its own: the root's list in
// hexadecimal, the PCK certificate with its chain in a header.
func TestACachingServiceIsUnderstood(t *testing.T) {
	s := newServer(t)
	client := NewClient(ClientOptions{Transport: s.Pipe(t)})
	pccs := &PCS{Client: client, Base: "https://pccs.example:8081/sgx/certification/v4/", Key: "secret"}
	a, err := pccs.Get(t.Context(), item.Item{Kind: item.RootList})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := item.Check(item.Item{Kind: item.RootList}, a.Parts); err != nil {
		t.Error(err)
	}
	quote, err := s.File("attest/internal/dcap/testdata/sgx/v3-00a067-phala.quote.bin")
	if err != nil {
		t.Fatal(err)
	}
	chain := string(quote[strings.Index(string(quote), "-----BEGIN"):])
	chain = strings.TrimRight(chain, "\x00")
	const end = "-----END CERTIFICATE-----\n"
	cut := strings.Index(chain, end) + len(end)
	it, header := pckItem(), http.Header{}
	s.Break("/sgx/certification/v4/pckcert", func(w http.ResponseWriter, r *http.Request, _ *collateraltest.Answer) {
		header = r.Header
		if q := r.URL.Query(); q.Get("encrypted_ppid") != it.EncryptedPPID || q.Get("qeid") != it.QEID || q.Get("cpusvn") != it.CPUSVN || q.Get("pcesvn") != it.PCESVN || q.Get("pceid") != it.PCEID {
			http.Error(w, "bad request", 400)
			return
		}
		w.Header().Set("SGX-PCK-Certificate-Issuer-Chain", strings.NewReplacer("+", "%2B", "\n", "%0A", " ", "%20", "=", "%3D").Replace(chain[cut:]))
		fmt.Fprint(w, strings.TrimSpace(chain[:cut]))
	})
	if a, err = pccs.Get(t.Context(), it); err != nil {
		t.Fatal(err)
	}
	if _, err := item.Check(it, a.Parts); err != nil {
		t.Error(err)
	}
	if header.Get("Ocp-Apim-Subscription-Key") != "" {
		t.Error("the key for Intel was sent to somebody else")
	}
}

func FuzzIssuerChain(f *testing.F) {
	s := newServer(f)
	n := 0
	for _, name := range []string{"tcb-signing-chain.pem", "pck-platform-ca-chain.pem"} {
		b, err := s.File("attest/internal/dcap/testdata/tdx/collateral/b0c06f000000-2025-06/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.NewReplacer("+", "%2B", "\n", "%0A", " ", "%20").Replace(string(b)))
		f.Add(string(b))
		n++
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := issuerChain(http.Header{"X": {text}}, []string{"X"})
		if err != nil {
			return
		}
		ders, err := splitPEM(b)
		if err != nil || len(ders) == 0 || len(b) > item.MaxPart {
			t.Fatalf("%d certificates in %d bytes, %v", len(ders), len(b), err)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT")
	f.Add("99999999999999999999999999")
	f.Fuzz(func(t *testing.T, text string) {
		if d := retryAfter(text, time.Unix(0, 0)); d < 0 || d > 30*day {
			t.Fatalf("%v", d)
		}
	})
}

// The lists of Nitro come from AWS and nowhere else, and what comes instead is
// held to AWS's root.
func TestNitroLists(t *testing.T) {
	b := newBench(t)
	client := NewClient(ClientOptions{Transport: b.server.Pipe(t)})
	c, err := Open(Options{Dir: b.dir, Sources: []Source{&KDS{Client: client}, &PCS{Client: client}, &AWS{client}}})
	if err != nil {
		t.Fatal(err)
	}
	ev := attest.Evidence{MediaType: attest.MediaTypeNitro, Value: b.file("attest/internal/nitrodoc/testdata/enclave-2025-12.cbor")}
	col, results, err := c.For(t.Context(), ev, nil, item.Hint{}, WhenDue)
	if err != nil || len(results) != 2 || len(col) != 0 {
		t.Fatalf("%v, %v", results, err)
	}
	for _, r := range results {
		var missing *NotFoundError
		if r.Outcome != Failed || !errors.As(r.Err, &missing) || !strings.Contains(r.Err.Error(), "last three weeks") {
			t.Errorf("%s, %v", r.Outcome, r.Err)
		}
		_, path, _ := strings.Cut(strings.TrimPrefix(r.Item.URL, "https://"), "/")
		if b.server.Requests("/"+path) != 1 {
			t.Errorf("%s was asked for %d times", path, b.server.Requests("/"+path))
		}
		b.server.Put("/"+path, nil, b.file("attest/internal/snpreport/testdata/milan-2025-05-06.crl.der"), nil)
		var refused *item.RefusedError
		if r = c.Get(t.Context(), r.Item, WhenDue); !errors.As(r.Err, &refused) || refused.Rule != item.RuleProof {
			t.Errorf("another vendor's list: %v", r.Err)
		}
	}
}
