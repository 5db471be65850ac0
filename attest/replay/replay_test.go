// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/evidencebundle"
	"github.com/enarx/enarx-go/attest/replay"
	"github.com/enarx/enarx-go/measure"
	"github.com/enarx/enarx-go/policy/policytoml"
)

// of is what a bundle of a vector is made of, with the options of the vector as
// a policy file.
func of(v corpus.Vector) replay.Source {
	return replay.Source{File: v.Parts[0].Value, Collateral: v.Collateral(), At: v.At, Maker: "test", Policy: policy(v.Options)}
}

// policy writes the policy file that says what o says; nil if that is nothing.
func policy(o corpus.Options) []byte {
	if reflect.DeepEqual(o, corpus.Options{}) {
		return nil
	}
	text := "version = 1\n"
	if o.Statuses != nil || o.Advisories != nil {
		text += fmt.Sprintf("[[tcb.accept]]\nstatus = %s\nadvisories = %s\n", list(o.Statuses), list(o.Advisories))
	}
	if o.VMPL != 0 || o.AcceptMissingCRL {
		text += fmt.Sprintf("[snp]\nvmpl = %d\nrequire_revocation_list = %v\n", o.VMPL, !o.AcceptMissingCRL)
	}
	return []byte(text)
}

func list(s []string) string {
	out, _ := json.Marshal(s) // strings; TOML writes such a list the same way
	return strings.ReplaceAll(string(out), "null", "[]")
}

func makeBundle(t testing.TB, src replay.Source) (*evidencebundle.Bundle, *appraisal.Result) {
	t.Helper()
	b, res, err := replay.Make(src)
	if err != nil {
		t.Fatal(err)
	}
	return b, res
}

// saved encodes a bundle and opens it again.
func saved(t testing.TB, b *evidencebundle.Bundle) *evidencebundle.Bundle {
	t.Helper()
	enc, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := evidencebundle.Open(enc)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func run(t testing.TB, b *evidencebundle.Bundle, o replay.Options) *replay.Outcome {
	t.Helper()
	out, err := replay.Run(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every vector of real hardware, saved and replayed, gives the verdict of the
// appraisal itself, byte for byte.
func TestReplayGivesTheSameVerdict(t *testing.T) {
	cache := appraisal.Caches{SNP: snpCache, Intel: intelCache}
	accepted := map[string]int{}
	for _, v := range corpus.Vectors(t) {
		src := of(v)
		src.Caches = cache
		b, res := makeBundle(t, src)
		out := run(t, saved(t, b), replay.Options{}) // without a cache
		if !out.Same || !bytes.Equal(out.Verdict, b.Verdict) || out.Yes() != res.Accepted {
			t.Errorf("%s: %+v", v.Name, out.Changes)
		}
		p, err := policytoml.Parse("policy", []byte(cmp.Or(string(src.Policy), "version = 1\n")))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		direct, err := appraisal.Appraise(appraisal.Request{File: src.File, Collateral: src.Collateral, At: v.At, Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		if direct.Accepted != res.Accepted || direct.Reason != res.Reason {
			t.Errorf("%s: accepted %v (%s), without the bundle %v (%s)", v.Name, res.Accepted, res.Reason, direct.Accepted, direct.Reason)
		}
		if v.Accepted() && !res.Accepted {
			t.Errorf("%s: accepted %v: %s", v.Name, res.Accepted, corpus.Failed(res.Rows))
		}
		if res.Accepted {
			accepted[v.Platform]++
		}
	}
	for _, p := range []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro} {
		if accepted[p] == 0 {
			t.Errorf("no evidence of %s was accepted: nothing was shown", p)
		}
	}
}

// good are vectors that are accepted, one of each platform.
func good(t testing.TB) []corpus.Vector {
	t.Helper()
	var out []corpus.Vector
	seen := map[string]bool{}
	for _, v := range corpus.Vectors(t) {
		if !seen[v.Platform] && v.Accepted() {
			seen[v.Platform] = true
			out = append(out, v)
		}
	}
	if len(out) < 4 {
		t.Fatalf("%d platforms have accepted evidence", len(out))
	}
	return out
}

// Only what was used is kept: a fleet's collateral does not end up in the
// bundle of one machine.
func TestOnlyUsedCollateralIsKept(t *testing.T) {
	var fleet attest.Collateral
	for _, v := range good(t) {
		fleet = append(fleet, v.Collateral()...)
	}
	for _, v := range good(t) {
		if v.Platform == attest.PlatformNitro {
			continue // its verifier is handed everything, so everything is used
		}
		src := of(v)
		src.Collateral = fleet
		b, res := makeBundle(t, src)
		if !res.Accepted || len(b.Collateral) == 0 || len(b.Collateral) >= len(fleet) {
			t.Errorf("%s: accepted %v, %d of %d entries: %s", v.Name, res.Accepted, len(b.Collateral), len(fleet), corpus.Failed(res.Rows))
		}
		if out := run(t, saved(t, b), replay.Options{}); !out.Same {
			t.Errorf("%s: %+v", v.Name, out.Changes)
		}
	}
}

func TestAnotherTime(t *testing.T) {
	v := good(t)[0]
	b, _ := makeBundle(t, of(v))
	out := run(t, b, replay.Options{At: v.At.AddDate(40, 0, 0)})
	if out.Same || out.Yes() || out.Result.Accepted {
		t.Errorf("forty years later: same %v, %v", out.Same, out.Result.Accepted)
	}
	found := false
	for _, c := range out.Changes {
		found = found || c.Part == "rows" && strings.Contains(string(c.Is), `"failed"`)
		if c.Name == "at" {
			t.Error("the time itself is told as a difference")
		}
	}
	if text := out.Text(80); !found || !strings.Contains(text, "CHANGED: ") || !strings.Contains(text, "accepted: was true, is false") {
		t.Errorf("%+v\n%s", out.Changes, text)
	}
	// A second later nothing has changed but the time.
	later := run(t, b, replay.Options{At: v.At.Add(time.Second)})
	if later.Result.Accepted != later.Yes() {
		t.Errorf("a second later: accepted %v, yes %v", later.Result.Accepted, later.Yes())
	}
}

// reference signs a reference value for the measurement of accepted evidence.
func reference(t *testing.T, key ed25519.PrivateKey, src replay.Source) []byte {
	t.Helper()
	_, res := makeBundle(t, src)
	if res.Claims == nil {
		t.Fatalf("not accepted: %s", corpus.Failed(res.Rows))
	}
	signed, err := measure.Sign([]measure.Entry{{
		Platform: res.Claims.Platform, Measurement: res.Claims.Measurement, Release: "v1", SourceCommit: strings.Repeat("0a", 20), Engine: "e",
		NotBefore: src.At.AddDate(-1, 0, 0), NotAfter: src.At.AddDate(1, 0, 0),
	}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestReferenceValuesCountUnderTheReadersKeysOnly(t *testing.T) {
	src := of(good(t)[0])
	mine := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	public := func(k ed25519.PrivateKey) []ed25519.PublicKey {
		return []ed25519.PublicKey{k.Public().(ed25519.PublicKey)}
	}
	src.References = [][]byte{reference(t, mine, src)}
	if _, _, err := replay.Make(src); err == nil {
		t.Error("made without the key of the reference values")
	}
	src.ReferenceKeys = public(mine)
	b, res := makeBundle(t, src)
	if !res.Accepted || len(b.Request.ReferenceKeys) != 1 {
		t.Fatalf("accepted %v, %d keys", res.Accepted, len(b.Request.ReferenceKeys))
	}
	b = saved(t, b)
	if out := run(t, b, replay.Options{ReferenceKeys: public(mine)}); !out.Same || !out.Yes() || out.NotCounted != nil {
		t.Errorf("under the key: %+v, %q", out.Changes, out.NotCounted)
	}
	for name, keys := range map[string][]ed25519.PublicKey{"no key": nil, "another key": public(other)} {
		out := run(t, b, replay.Options{ReferenceKeys: keys})
		if out.Same || out.Yes() || out.Result.Accepted || len(out.NotCounted) != 1 {
			t.Errorf("%s: same %v, accepted %v, %q", name, out.Same, out.Result.Accepted, out.NotCounted)
		}
		if text := out.Text(80); !strings.Contains(text, "not counted: reference values 1") {
			t.Errorf("%s: %s", name, text)
		}
		// Asked for at another time it is no yes, either.
		if out := run(t, b, replay.Options{ReferenceKeys: keys, At: src.At.Add(time.Minute)}); out.Yes() {
			t.Errorf("%s, later: yes", name)
		}
	}
	// The digests in the bundle decide nothing.
	b.Request.ReferenceKeys = [][32]byte{{1}}
	if out := run(t, saved(t, b), replay.Options{}); out.Yes() {
		t.Error("yes without a key")
	}
}

// Expectations come back as they were given.
func TestDemandsAreKept(t *testing.T) {
	src := of(good(t)[0])
	src.HostData = &[32]byte{1}
	src.ReportData = &[64]byte{2}
	b, res := makeBundle(t, src)
	if res.Accepted {
		t.Fatal("accepted with report data that is not in the evidence")
	}
	b = saved(t, b)
	if *b.Request.HostData != *src.HostData || *b.Request.ReportData != *src.ReportData {
		t.Error("other demands")
	}
	if out := run(t, b, replay.Options{}); !out.Same || out.Yes() {
		t.Errorf("%+v", out.Changes)
	}
	b.Request.ReportData, b.Request.HostData = nil, nil
	if out := run(t, saved(t, b), replay.Options{}); out.Same || out.Yes() || !out.Result.Accepted {
		t.Errorf("without the demands: same %v, yes %v, accepted %v", out.Same, out.Yes(), out.Result.Accepted)
	}
}

func TestWhatIsNoBundle(t *testing.T) {
	src := of(good(t)[0])
	b, _ := makeBundle(t, src)
	enc, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	src.File = enc
	if _, _, err := replay.Make(src); err == nil {
		t.Error("a bundle of a bundle is made")
	}
	src.File = []byte("nothing of the kind")
	b, res := makeBundle(t, src)
	if res.Accepted || b.Evidence.MediaType != evidencebundle.MediaTypeFile {
		t.Errorf("accepted %v, type %s", res.Accepted, b.Evidence.MediaType)
	}
	if out := run(t, saved(t, b), replay.Options{}); !out.Same {
		t.Errorf("%+v", out.Changes)
	}
}
