// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/evidencebundle"
	"github.com/enarx/enarx-go/attest/replay"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
)

// Caches of good signatures, which change no verdict, for the tests that flip
// bits: nearly all of the certificates stay as they were.
var (
	snpCache   = snp.NewCache(4096)
	intelCache = tdx.NewCache(4096)
)

// stride is how many bits a flip is from the next: a prime, so that all bit
// positions come by. make tamper takes every bit.
var stride = flag.Int("replay.stride", 1021, "flip every Nth bit of the parts of evidence bundles")

// part is one part of a bundle that an attacker can change.
type part struct {
	name  string
	value []byte
}

// parts are the values of a bundle, sharing its memory.
func parts(b *evidencebundle.Bundle) []part {
	out := []part{{"evidence", b.Evidence.Value}, {"verdict", b.Verdict}}
	for i, c := range b.Collateral {
		out = append(out, part{fmt.Sprintf("collateral %d, %s", i, c.MediaType), c.Value})
	}
	return out
}

// TestInvariant4HostileInputIsBounded_AlteredBundlesNeverTurnToYes plays an
// attacker who knows SPEC.md: he flips one bit of a part, computes the digest
// of the bundle anew, and also may write himself the verdict that he likes. A
// replay must not say yes to anything but what it said yes to before, and no
// refusal may turn into acceptance.
func TestInvariant4HostileInputIsBounded_AlteredBundlesNeverTurnToYes(t *testing.T) {
	flips, unchanged := 0, map[string]int{}
	vs := good(t)
	for _, v := range corpus.Vectors(t) {
		if !v.Accepted() && v.Fails != "" && len(vs) < 6 && strings.Count(v.Fails, " ") == 0 && vs[len(vs)-1].Platform != v.Platform {
			vs = append(vs, v) // refused, for one reason
		}
	}
	o := replay.Options{}
	o.Caches.SNP, o.Caches.Intel = snpCache, intelCache
	for _, v := range vs {
		src := of(v)
		src.Caches = o.Caches
		b, res := makeBundle(t, src)
		for _, p := range parts(b) {
			before := bytes.Clone(p.value)
			for bit := 0; bit < 8*len(p.value); bit += *stride {
				p.value[bit/8] ^= 1 << (bit % 8)
				out, err := replay.Run(saved(t, b), o)
				p.value[bit/8] ^= 1 << (bit % 8)
				flips++
				if err != nil {
					t.Fatalf("%s, bit %d of %s: %v", v.Name, bit, p.name, err)
				}
				switch {
				case p.name == "verdict":
					if out.Same || out.Yes() || out.Result.Accepted != res.Accepted {
						t.Fatalf("%s, bit %d of the verdict: same %v, yes %v", v.Name, bit, out.Same, out.Yes())
					}
				case out.Yes() && !out.Same, out.Result.Accepted && !res.Accepted:
					t.Fatalf("%s, bit %d of %s: yes, and not what was recorded: %+v", v.Name, bit, p.name, out.Changes)
				case out.Same:
					unchanged[p.name]++
					if res.Accepted {
						t.Errorf("%s, bit %d of byte %d of %s changes nothing", v.Name, bit%8, bit/8, p.name)
					}
				}
			}
			if !bytes.Equal(before, p.value) {
				t.Fatal("the test has damaged its own bundle")
			}
		}
	}
	t.Logf("%d flips; verdicts that stayed the same: %v", flips, unchanged)
	if flips < 500 {
		t.Errorf("only %d flips", flips)
	}
}

// He changes what was asked, and computes the digest anew.
func TestInvariant4HostileInputIsBounded_AlteredRequestsAreToldAndNeverYes(t *testing.T) {
	for _, v := range good(t) {
		src := of(v)
		src.Caches.SNP, src.Caches.Intel = snpCache, intelCache
		for name, change := range map[string]func(*evidencebundle.Bundle){
			"a second later":   func(b *evidencebundle.Bundle) { b.Request.At = b.Request.At.Add(time.Second) },
			"a second earlier": func(b *evidencebundle.Bundle) { b.Request.At = b.Request.At.Add(-time.Second) },
			"report data":      func(b *evidencebundle.Bundle) { b.Request.ReportData = &[64]byte{1} },
			"host data":        func(b *evidencebundle.Bundle) { b.Request.HostData = &[32]byte{1} },
			"policy":           func(b *evidencebundle.Bundle) { b.Policy = []byte("version = 1\nplatforms = []\n") },
			"references": func(b *evidencebundle.Bundle) {
				b.References, b.Request.ReferenceKeys = [][]byte{[]byte("{}")}, [][32]byte{{1}}
			},
		} {
			b, res := makeBundle(t, src)
			change(b)
			out := run(t, saved(t, b), replay.Options{})
			if !res.Accepted || out.Same || out.Yes() || len(out.Changes) == 0 {
				t.Errorf("%s, %s: same %v, yes %v", v.Name, name, out.Same, out.Yes())
			}
		}
		// What SPEC.md, rule A5, names as free is under the digest only.
		b, _ := makeBundle(t, src)
		before, err := b.Digest()
		if err != nil {
			t.Fatal(err)
		}
		b.Request.Maker = "somebody else"
		b.Evidence.MediaType = evidencebundle.MediaTypeFile
		b.LogProofs = [][]byte{[]byte("c2sp.org/tlog-proof@v1\nindex 1\n")}
		after, err := b.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if out := run(t, saved(t, b), replay.Options{}); !out.Same || !out.Yes() || before == after {
			t.Errorf("%s: same %v, digest %x then %x", v.Name, out.Same, before, after)
		}
	}
}

// The attacker writes the verdict himself.
func TestInvariant4HostileInputIsBounded_AForgedVerdictIsToldAndDecidesNothing(t *testing.T) {
	for _, v := range corpus.Vectors(t) {
		if v.Accepted() {
			continue
		}
		src := of(v)
		src.Caches.SNP, src.Caches.Intel = snpCache, intelCache
		b, res := makeBundle(t, src)
		if res.Accepted {
			continue // refused only under the options of the vector
		}
		var verdict map[string]any
		if err := json.Unmarshal(b.Verdict, &verdict); err != nil {
			t.Fatal(err)
		}
		verdict["accepted"] = true
		delete(verdict, "reason")
		for _, r := range verdict["rows"].([]any) {
			r.(map[string]any)["outcome"] = "verified"
			delete(r.(map[string]any), "reason")
		}
		forged, err := json.MarshalIndent(verdict, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		b.Verdict = append(forged, '\n')
		out := run(t, saved(t, b), replay.Options{})
		if out.Same || out.Yes() || out.Result.Accepted || len(out.Changes) == 0 {
			t.Errorf("%s: same %v, yes %v", v.Name, out.Same, out.Yes())
		}
		if text := out.Text(100); !strings.Contains(text, "accepted: was true, is false") {
			t.Errorf("%s: %s", v.Name, text)
		}
	}
}

// A recorded verdict is JSON of anybody's making.
func TestInvariant4HostileInputIsBounded_RecordedVerdictsOfAnyKind(t *testing.T) {
	b, res := makeBundle(t, of(good(t)[0]))
	for _, verdict := range []string{
		"x", "null", "[]", "{}", "1", `"`, `{"rows":1}`, `{"rows":[1]}`, `{"rows":[null,{}]}`, `{"rows":[{"check":1}],"trust":{}}`,
		`{"accepted":"\u001b[2J\u202e"}`, `{"rows":[{"check":"\u001b[2J","seen":"\u202e"}]}`, strings.Repeat("[", 100000),
		`{"rows":[` + strings.Repeat(`{"check":"a"},`, 50000) + `{}]}`, string(b.Verdict) + " ", strings.ReplaceAll(string(b.Verdict), "\n", ""),
	} {
		b.Verdict = []byte(verdict)
		out := run(t, saved(t, b), replay.Options{})
		if out.Same || out.Yes() || out.Result.Accepted != res.Accepted || len(out.Changes) == 0 || len(out.Changes) > 256 {
			t.Errorf("%.40s: same %v, yes %v, %d changes", verdict, out.Same, out.Yes(), len(out.Changes))
		}
		for _, c := range out.Text(80) {
			if c < ' ' && c != '\n' || c == 0x202e {
				t.Errorf("%.40s: text has %U", verdict, c)
			}
		}
		js, err := out.JSON()
		if err != nil || !json.Valid(js) {
			t.Errorf("%.40s: JSON: %v", verdict, err)
		}
	}
}

// FuzzRun puts whatever comes into a bundle that is whole: with bytes of whole
// bundles the fuzzer would never get past the digest.
func FuzzRun(f *testing.F) {
	platforms := map[string]int{}
	for _, v := range corpus.Vectors(f) {
		if platforms[v.Platform]++; platforms[v.Platform] > 3 {
			continue
		}
		b, _ := makeBundle(f, of(v))
		first := []byte{0}
		if len(b.Collateral) > 0 {
			first = b.Collateral[0].Value
		}
		f.Add(b.Evidence.Value, first, b.Policy, b.Verdict, b.Request.At.Unix())
	}
	if len(platforms) < 4 {
		f.Fatalf("evidence of %d platforms", len(platforms))
	}
	f.Fuzz(func(t *testing.T, file, entry, policy, verdict []byte, at int64) {
		b := &evidencebundle.Bundle{
			Evidence: attest.Evidence{MediaType: evidencebundle.MediaTypeFile, Value: file}, Verdict: verdict,
			Collateral: attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: entry}, {MediaType: attest.MediaTypeCRL, Value: entry}},
			Request:    evidencebundle.Request{At: time.Unix(at, 0).UTC(), Maker: "fuzz"},
		}
		if len(policy) > 0 {
			b.Policy = policy
		}
		enc, err := b.Encode()
		if err != nil {
			return
		}
		if b, err = evidencebundle.Open(enc); err != nil {
			t.Fatalf("what was made does not open: %v", err)
		}
		out, err := replay.Run(b, replay.Options{})
		if err != nil {
			return
		}
		if out.Same != bytes.Equal(out.Verdict, b.Verdict) {
			t.Errorf("same %v, but the bytes say otherwise", out.Same)
		}
		if out.Yes() && !(out.Result.Accepted && out.Same && out.Result.Rows.OK()) {
			t.Error("a yes that is none")
		}
	})
}
