// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidencebundle_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/cmw"
	"github.com/enarx/enarx-go/attest/evidencebundle"
)

// fill is what the vectors are filled with.
func fill(seed string, n int) []byte {
	out := make([]byte, n)
	h := sha3.NewSHAKE256()
	h.Write([]byte(seed))
	h.Read(out)
	return out
}

// least and full are the two good vectors.
func least() *evidencebundle.Bundle {
	return &evidencebundle.Bundle{
		Evidence: attest.Evidence{MediaType: attest.MediaTypeSNP, Value: []byte("report")},
		Request:  evidencebundle.Request{At: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Maker: "vectors.py"},
		Verdict:  []byte("{}"),
	}
}

func full() *evidencebundle.Bundle {
	b := least()
	b.Request.ReportData = (*[64]byte)(fill("report data", 64))
	b.Request.HostData = (*[32]byte)(fill("host data", 32))
	b.Request.ReferenceKeys = evidencebundle.KeyDigests([][32]byte{
		[32]byte(fill("key 0", 32)), [32]byte(fill("key 1", 32)), [32]byte(fill("key 0", 32)),
	})
	b.Policy = []byte("# none\n")
	b.Collateral = attest.Collateral{
		{MediaType: attest.MediaTypeCertificate, Value: fill("cert", 300)},
		{MediaType: attest.MediaTypeCRL, Value: fill("crl", 70000)},
		{MediaType: attest.MediaTypeEventLog, Value: fill("log", 30)},
	}
	for i := 3; i < 30; i++ {
		b.Collateral = append(b.Collateral, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: fill("cert "+strconv.Itoa(i), 30)})
	}
	b.References = [][]byte{[]byte(`{"payload":""}`)}
	b.LogProofs = [][]byte{[]byte("c2sp.org/tlog-proof@v1\nindex 0\n")}
	return b
}

type vectors struct {
	Good []struct {
		Why, Bundle, SHA256, Digest string
	}
	Bad []struct{ Why, Bundle string }
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Good) != 2 || len(v.Bad) < 45 {
		t.Fatalf("%d good and %d bad vectors", len(v.Good), len(v.Bad))
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encode(t testing.TB, b *evidencebundle.Bundle) []byte {
	t.Helper()
	enc, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

// The second implementation makes the same bytes.
func TestVectors_Good(t *testing.T) {
	v := readVectors(t)
	for i, b := range []*evidencebundle.Bundle{least(), full()} {
		want, enc := v.Good[i], encode(t, b)
		if sum := sha256.Sum256(enc); hex.EncodeToString(sum[:]) != want.SHA256 || want.Bundle != "" && hex.EncodeToString(enc) != want.Bundle {
			t.Errorf("%s: %x, want %s", want.Why, enc, want.Bundle)
		}
		if d, err := b.Digest(); err != nil || hex.EncodeToString(d[:]) != want.Digest {
			t.Errorf("%s: digest %x, %v; want %s", want.Why, d, err, want.Digest)
		}
		again, err := evidencebundle.Open(enc)
		if err != nil {
			t.Fatalf("%s: %v", want.Why, err)
		}
		if !reflect.DeepEqual(again, b) {
			t.Errorf("%s: read as %+v, want %+v", want.Why, again, b)
		}
	}
}

// What the second implementation refuses, so does Open, and a file that is no
// bundle is told apart from a bundle that is bad.
func TestVectors_Bad(t *testing.T) {
	other := []string{"nothing", "another type", "no type", "cut short"}
	for _, v := range readVectors(t).Bad {
		b, err := evidencebundle.Open(unhex(t, v.Bundle))
		if err == nil {
			t.Errorf("%s: read as %+v", v.Why, b)
			continue
		}
		if strings.HasPrefix(v.Why, "another type") || v.Why == "nothing" || v.Why == "no type" {
			if !errors.Is(err, evidencebundle.ErrNotBundle) {
				t.Errorf("%s: %v", v.Why, err)
			}
		} else if errors.Is(err, evidencebundle.ErrNotBundle) && !slices.Contains(other, v.Why) {
			t.Errorf("%s: called no bundle at all", v.Why)
		}
		if !strings.HasPrefix(err.Error(), "evidence bundle: ") {
			t.Errorf("%s: error %q does not say whose it is", v.Why, err)
		}
	}
}

func TestInvariant4HostileInputIsBounded_BundlesHaveLimits(t *testing.T) {
	for why, change := range map[string]func(*evidencebundle.Bundle){
		"evidence too large":      func(b *evidencebundle.Bundle) { b.Evidence.Value = make([]byte, evidencebundle.MaxEvidence+1) },
		"no evidence":             func(b *evidencebundle.Bundle) { b.Evidence.Value = nil },
		"evidence without a type": func(b *evidencebundle.Bundle) { b.Evidence.MediaType = "" },
		"verdict too large":       func(b *evidencebundle.Bundle) { b.Verdict = make([]byte, 1<<20+1) },
		"policy too large":        func(b *evidencebundle.Bundle) { b.Policy = make([]byte, 256<<10+1) },
		"empty policy":            func(b *evidencebundle.Bundle) { b.Policy = []byte{} },
		"entry too large":         func(b *evidencebundle.Bundle) { b.Collateral[0].Value = make([]byte, 256<<10+1) },
		"entry that is empty":     func(b *evidencebundle.Bundle) { b.Collateral[0].Value = nil },
		"too many entries":        func(b *evidencebundle.Bundle) { b.Collateral = slices.Repeat(b.Collateral, 3) },
		"too many references":     func(b *evidencebundle.Bundle) { b.References = slices.Repeat(b.References, 9) },
		"reference too large":     func(b *evidencebundle.Bundle) { b.References[0] = make([]byte, 1<<20+1) },
		"references alone":        func(b *evidencebundle.Bundle) { b.Request.ReferenceKeys = nil },
		"keys alone":              func(b *evidencebundle.Bundle) { b.References = nil },
		"keys out of order":       func(b *evidencebundle.Bundle) { slices.Reverse(b.Request.ReferenceKeys) },
		"too many keys":           func(b *evidencebundle.Bundle) { b.Request.ReferenceKeys = make([][32]byte, evidencebundle.MaxKeys+1) },
		"too many proofs":         func(b *evidencebundle.Bundle) { b.LogProofs = slices.Repeat(b.LogProofs, 17) },
		"proof of nothing":        func(b *evidencebundle.Bundle) { b.LogProofs[0] = []byte("index 0\n") },
		"no time":                 func(b *evidencebundle.Bundle) { b.Request.At = time.Time{} },
		"half a second":           func(b *evidencebundle.Bundle) { b.Request.At = b.Request.At.Add(time.Second / 2) },
		"maker with an escape":    func(b *evidencebundle.Bundle) { b.Request.Maker = "\x1b[2J" },
		"larger than all": func(b *evidencebundle.Bundle) {
			b.Collateral[0].Value, b.References = make([]byte, 256<<10), slices.Repeat([][]byte{make([]byte, 1<<20)}, 5)
		},
	} {
		b := full()
		change(b)
		if enc, err := b.Encode(); err == nil {
			t.Errorf("%s: encoded in %d bytes", why, len(enc))
		}
	}
	large := append(encode(t, least()), make([]byte, evidencebundle.MaxSize)...)
	if _, err := evidencebundle.Open(large); err == nil || errors.Is(err, evidencebundle.ErrNotBundle) {
		t.Errorf("a bundle that is too large: %v", err)
	}
	if _, err := evidencebundle.Open(large[len(large)-evidencebundle.MaxSize-1:]); !errors.Is(err, evidencebundle.ErrNotBundle) {
		t.Errorf("a large file of something else: %v", err)
	}
}

// The example of SPEC.md is the smallest bundle.
func TestVectors_ExampleOfTheSpecification(t *testing.T) {
	text, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := least().Digest()
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```\n")
	example, _, _ = strings.Cut(example, "```")
	var got []byte
	for line := range strings.Lines(example) {
		for _, word := range strings.Fields(line) {
			b, err := hex.DecodeString(word)
			if word == "DIGEST" {
				b, err = digest[:], nil
			}
			if err != nil {
				break // the comment
			}
			got = append(got, b...)
		}
	}
	if want := encode(t, least()); !bytes.Equal(got, want) || !strings.Contains(string(text), strconv.Itoa(len(want))+" bytes") {
		t.Errorf("the example is\n%x, want\n%x (%d bytes)", got, want, len(want))
	}
}

// Every bit of a bundle counts: whichever is flipped, the file is refused.
func TestInvariant4HostileInputIsBounded_EveryBitOfABundleIsCovered(t *testing.T) {
	b := full()
	b.Collateral = b.Collateral[2:4] // without what is merely long
	enc := encode(t, b)
	for bit := range 8 * len(enc) {
		enc[bit/8] ^= 1 << (bit % 8)
		if _, err := evidencebundle.Open(enc); err == nil {
			t.Fatalf("bit %d of byte %d flipped: accepted", bit%8, bit/8)
		}
		enc[bit/8] ^= 1 << (bit % 8)
	}
}

// Open says what is there even if its memory is changed afterwards.
func TestOpenSharesNoMemory(t *testing.T) {
	enc := encode(t, full())
	b, err := evidencebundle.Open(enc)
	if err != nil {
		t.Fatal(err)
	}
	clear(enc)
	if !reflect.DeepEqual(b, full()) {
		t.Error("the bundle changed with the file")
	}
}

func TestRecognise(t *testing.T) {
	rec := cmw.Node{Record: &cmw.Record{Type: cmw.MediaType("a/b"), Value: []byte("v")}}
	in := func(typ string) *cmw.Node {
		return &cmw.Node{Collection: &cmw.Collection{Type: typ, Entries: []cmw.Entry{{Label: cmw.Text("a"), Node: rec}}}}
	}
	for _, c := range []struct {
		n    *cmw.Node
		want bool
	}{{in(evidencebundle.Type), true}, {in(evidencebundle.Type + "7"), true}, {in("tag:a,2026:b"), false}, {in(""), false}, {&rec, false}, {nil, false}} {
		if got := evidencebundle.Recognise(c.n); got != c.want {
			t.Errorf("%+v: %v", c.n, got)
		}
	}
}

// ofVector is a bundle of real evidence with all of its collateral.
func ofVector(v corpus.Vector) *evidencebundle.Bundle {
	return &evidencebundle.Bundle{
		Evidence: v.Evidence(), Collateral: v.Collateral(), Verdict: []byte("{}\n"),
		Request: evidencebundle.Request{At: v.At.UTC().Truncate(time.Second), Maker: "test"},
	}
}

// Every vector of real hardware has its place in a bundle.
func TestRealEvidenceFits(t *testing.T) {
	largest := 0
	for _, v := range corpus.Vectors(t) {
		b := ofVector(v)
		enc := encode(t, b)
		again, err := evidencebundle.Open(enc)
		if err != nil || !reflect.DeepEqual(again, b) {
			t.Errorf("%s: %v", v.Name, err)
		}
		largest = max(largest, len(enc))
	}
	t.Logf("the largest bundle has %d bytes", largest)
}

func FuzzOpen(f *testing.F) {
	v := readVectors(f)
	for _, b := range v.Bad {
		f.Add(unhex(f, b.Bundle))
	}
	f.Add(encode(f, least()))
	f.Add(encode(f, full()))
	platforms := map[string]int{}
	for _, v := range corpus.Vectors(f) {
		if platforms[v.Platform]++; platforms[v.Platform] <= 4 {
			f.Add(encode(f, ofVector(v)))
		}
	}
	if len(platforms) < 3 {
		f.Fatalf("real evidence of %d platforms", len(platforms))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		b, err := evidencebundle.Open(file)
		if err != nil {
			return
		}
		enc, err := b.Encode()
		if err != nil || !bytes.Equal(enc, file) {
			t.Fatalf("what was read is encoded as something else: %v", err)
		}
	})
}
