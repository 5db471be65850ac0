// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/call"
	"github.com/enarx/enarx-go/attest/replay"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/measure"
)

// accepted is a vector that passes without a policy, and its request.
func accepted(t testing.TB) (corpus.Vector, *call.Request) {
	t.Helper()
	v := corpus.Named(t, "snp/milan-v2-enarx at 2025-06-01")
	r := &call.Request{Evidence: v.Parts[0].Value, At: v.At.Format(time.RFC3339)}
	for _, p := range v.Parts[1:] {
		r.Collateral = append(r.Collateral, p.Value)
	}
	return v, r
}

func encode(t testing.TB, r *call.Request) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ask gives the answer and checks that all ways to ask agree on it.
func ask(t *testing.T, r *call.Request) (answer []byte, yes bool) {
	t.Helper()
	answer, yes, err := r.Answer()
	if err != nil {
		answer = call.Failure(err)
	}
	if again := call.JSON(encode(t, r)); !bytes.Equal(again, answer) {
		t.Errorf("in JSON: %s\ndirectly: %s", again, answer)
	}
	return answer, yes
}

func TestAnswersAreThoseOfTheLibrary(t *testing.T) {
	v, r := accepted(t)
	res, err := appraisal.Appraise(appraisal.Request{File: v.Parts[0].Value, Collateral: v.Collateral(), At: v.At})
	if err != nil {
		t.Fatal(err)
	}
	want, err := res.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if got, yes := ask(t, r); !yes || !bytes.Equal(got, want) {
		t.Errorf("yes %v: %s", yes, got)
	}
	b, _, err := replay.Make(replay.Source{File: v.Parts[0].Value, Collateral: v.Collateral(), At: v.At, Maker: "test"})
	if err != nil {
		t.Fatal(err)
	}
	enc, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, yes := ask(t, &call.Request{Evidence: enc, Replay: true}); !yes || !bytes.Contains(got, []byte(`"same": true`)) {
		t.Errorf("replay: yes %v: %s", yes, got)
	}
	if got, yes := ask(t, &call.Request{Evidence: enc, Replay: true, At: "2050-01-01T00:00:00Z"}); yes || !bytes.Contains(got, []byte(`"same": false`)) {
		t.Errorf("replay, later: yes %v: %s", yes, got)
	}
	if _, yes := ask(t, &call.Request{Evidence: enc, At: r.At}); !yes {
		t.Error("the evidence in a bundle is not appraised")
	}
}

// Every demand of a request is made.
func TestDemandsAreMade(t *testing.T) {
	v, _ := accepted(t)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	sign := func(m []byte) []byte {
		b, err := measure.Sign([]measure.Entry{{Platform: attest.PlatformSNP, Measurement: m, Release: "v1", SourceCommit: strings.Repeat("0a", 20), Engine: "e",
			NotBefore: v.At.AddDate(-1, 0, 0), NotAfter: v.At.AddDate(1, 0, 0)}}, key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	report := v.Parts[0].Value
	for name, c := range map[string]struct {
		change func(*call.Request)
		yes    bool
	}{
		"measurement": {func(r *call.Request) {
			r.References, r.ReferenceKeys = [][]byte{sign(report[0x90:0xc0])}, [][]byte{public}
		}, true},
		"another measurement": {func(r *call.Request) {
			r.References, r.ReferenceKeys = [][]byte{sign(make([]byte, 48))}, [][]byte{public}
		}, false},
		"reference, no key":    {func(r *call.Request) { r.References = [][]byte{sign(report[0x90:0xc0])} }, false},
		"report data":          {func(r *call.Request) { r.ReportData = hex.EncodeToString(report[0x50:0x90]) }, true},
		"another report data":  {func(r *call.Request) { r.ReportData = strings.Repeat("01", 64) }, false},
		"another host data":    {func(r *call.Request) { r.HostData = strings.Repeat("01", 32) }, false},
		"policy":               {func(r *call.Request) { r.Policy = []byte("version = 1\nplatforms = [\"snp\"]\n") }, true},
		"policy of another":    {func(r *call.Request) { r.Policy = []byte("version = 1\nplatforms = [\"tdx\"]\n") }, false},
		"no collateral":        {func(r *call.Request) { r.Collateral = nil }, false},
		"another time":         {func(r *call.Request) { r.At = "2050-01-01T00:00:00Z" }, false},
		"policy that is none":  {func(r *call.Request) { r.Policy = []byte("x") }, false},
		"collateral, unknown":  {func(r *call.Request) { r.Collateral = append(r.Collateral, []byte("x")) }, false},
		"keys that are none":   {func(r *call.Request) { r.ReferenceKeys = [][]byte{[]byte("x")} }, false},
		"report data, short":   {func(r *call.Request) { r.ReportData = "01" }, false},
		"host data, no digits": {func(r *call.Request) { r.HostData = strings.Repeat("x", 64) }, false},
		"no time":              {func(r *call.Request) { r.At = "" }, false},
		"no time like that":    {func(r *call.Request) { r.At = "yesterday" }, false},
		"too many files":       {func(r *call.Request) { r.Collateral = make([][]byte, call.MaxFiles+1) }, false},
		"replay with demands":  {func(r *call.Request) { r.Replay = true }, false},
		"replay of no bundle":  {func(r *call.Request) { r.Replay, r.Collateral = true, nil }, false},
	} {
		_, r := accepted(t)
		c.change(r)
		if answer, yes := ask(t, r); yes != c.yes {
			t.Errorf("%s: yes %v: %s", name, yes, answer)
		}
	}
}

func TestInvariant4HostileInputIsBounded_RequestsOfAnyKindAreAnswered(t *testing.T) {
	for _, request := range []string{
		"", "x", "null", "[]", "1", `"x"`, "{", `{"evidence":1}`, `{"evidence":"!"}`, `{"unknown":1}`, `{"evidence":"eA=="} x`, `{"evidence":"eA=="}{}`,
		`{"collateral":{}}`, strings.Repeat("[", 100000), strings.Repeat("x", call.MaxRequest+1),
	} {
		var answer map[string]string
		if err := json.Unmarshal(call.JSON([]byte(request)), &answer); err != nil || answer["error"] == "" {
			t.Errorf("%.40q: %v, %v", request, answer, err)
		}
	}
}

func FuzzJSON(f *testing.F) {
	_, r := accepted(f)
	f.Add(encode(f, r))
	f.Add([]byte(`{"evidence":"eA==","replay":true}`))
	f.Add([]byte(`{"evidence":"eA==","at":"2026-01-01T00:00:00Z","policy":"dmVyc2lvbiA9IDEK","report_data":"00","host_data":"00"}`))
	f.Fuzz(func(t *testing.T, request []byte) {
		answer := call.JSON(request)
		if !json.Valid(answer) {
			t.Errorf("%q", answer)
		}
	})
}

// TPMs count under the roots of the request only, for an appraisal and for a
// replay, and no bundle takes its own word for their activation.
func TestTPMsCountUnderNamedRoots(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("../evidence/testdata/tpm/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	google, own := read("gcp_ek_ak_ca_root.crt"), read("keep-swtpm.root.pem")
	bundle := func(evidence, root []byte, at string, policy string, col ...[]byte) []byte {
		roots, err := vtpm.ParseRoots(root)
		if err != nil {
			t.Fatal(err)
		}
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		src := replay.Source{File: evidence, At: when, Maker: "test", TPMRoots: roots}
		if policy != "" {
			src.Policy = []byte(policy)
		}
		for _, c := range col {
			src.Collateral = append(src.Collateral, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: c})
		}
		b, res, err := replay.Make(src)
		if err != nil || !res.Accepted {
			t.Fatalf("%v, %v", err, res.Rows.Err())
		}
		enc, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return enc
	}
	const word = "version = 1\n[vtpm]\naccept_unproven_activation = true\n"
	quote, keep, issuer := read("gcp-amd-ecc.json"), read("keep-swtpm.cbor"), read("keep-swtpm.issuer.der")
	of := func(files ...[]byte) [][]byte { return files }
	for name, c := range map[string]struct {
		r   call.Request
		yes bool
	}{
		"its root":              {call.Request{Evidence: quote, At: "2026-02-03T00:00:00Z", TPMRoots: of(own, google)}, true},
		"no root":               {call.Request{Evidence: quote, At: "2026-02-03T00:00:00Z"}, false},
		"another root":          {call.Request{Evidence: quote, At: "2026-02-03T00:00:00Z", TPMRoots: of(own)}, false},
		"a root that is none":   {call.Request{Evidence: quote, At: "2026-02-03T00:00:00Z", TPMRoots: of(google, quote)}, false},
		"too many":              {call.Request{Evidence: quote, At: "2026-02-03T00:00:00Z", TPMRoots: make([][]byte, call.MaxFiles+1)}, false},
		"replay":                {call.Request{Evidence: bundle(quote, google, "2026-02-03T00:00:00Z", ""), Replay: true, TPMRoots: of(google)}, true},
		"replay, no root":       {call.Request{Evidence: bundle(quote, google, "2026-02-03T00:00:00Z", ""), Replay: true}, false},
		"a Keep":                {call.Request{Evidence: keep, At: "2026-11-26T00:00:00Z", TPMRoots: of(own), Collateral: of(issuer)}, false},
		"a Keep, on a word":     {call.Request{Evidence: keep, At: "2026-11-26T00:00:00Z", TPMRoots: of(own), Collateral: of(issuer), Policy: []byte(word)}, true},
		"replay of it":          {call.Request{Evidence: bundle(keep, own, "2026-11-26T00:00:00Z", word, issuer), Replay: true, TPMRoots: of(own)}, false},
		"the bundle, on a word": {call.Request{Evidence: bundle(keep, own, "2026-11-26T00:00:00Z", word, issuer), At: "2026-11-26T00:00:00Z", TPMRoots: of(own), Policy: []byte(word)}, true},
	} {
		if answer, yes := ask(t, &c.r); yes != c.yes {
			t.Errorf("%s: yes %v: %s", name, yes, answer)
		}
	}
}
