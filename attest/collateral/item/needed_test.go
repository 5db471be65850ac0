// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package item

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-sev-guest/kds"

	"github.com/enarx/enarx-go/attest"
)

// names are the names of what is needed; alternatives are joined with "|".
func names(needs []Need) []string {
	out := []string{}
	for _, n := range needs {
		var any []string
		for _, it := range n.Any {
			name := it.Name()
			if it.Kind == VCEK {
				name = "vcek of " + it.Line
			}
			any = append(any, name)
		}
		out = append(out, strings.Join(any, "|"))
	}
	return out
}

func amdNeeds(line string) []string {
	l := strings.ToLower(line)
	return []string{"vcek of " + line, "amd-" + l + "-vcek-chain", "amd-" + l + "-crl"}
}

func intelNeeds(tee, fmspc, ca string) []string {
	return []string{"intel-" + tee + "-tcbinfo-" + fmspc, "intel-" + tee + "-qeidentity", "intel-pck-" + ca + "-crl", "intel-root-crl"}
}

// TestNeededOfRealEvidence says for every vector what it needs.
func TestNeededOfRealEvidence(t *testing.T) {
	either := []string{"vcek of Milan|vcek of Genoa"}
	want := map[string][]string{
		"genoa-v3-azure": amdNeeds("Genoa"), "genoa-v5": amdNeeds("Genoa"), "siena-a0-v3": amdNeeds("Genoa"),
		"turin-v5": amdNeeds("Turin"), "milan-v3-oak": amdNeeds("Milan"), "milan-v4-gcp-novcek": amdNeeds("Milan"), "milan-v5-novcek": amdNeeds("Milan"),
		"milan-v2-aci": either, "milan-v2-azure": either, "milan-v2-debugpolicy": either, "milan-v2-enarx": either,
		"milan-v2-lit-novcek": either, "milan-v2-virtee": either,
		"milan-v3-aws-vlek": {"amd-milan-vlek-chain", "amd-milan-crl", "amd-milan-vlek-04000000000018d9"},

		"v3-00606a-enarx-xeon": intelNeeds("sgx", "00606a000000", "platform"), "v3-00606a-occlum-debug": intelNeeds("sgx", "00606a000000", "platform"),
		"v3-00606a-ravl-debug": intelNeeds("sgx", "00606a000000", "platform"), "v3-00906e-chain-order-debug": intelNeeds("sgx", "00906ea10000", "processor"),
		"v3-00906e-mobilecoin": intelNeeds("sgx", "00906ed50000", "processor"), "v3-00906e-oldroot-debug": intelNeeds("sgx", "00906ea10000", "processor"),
		"v3-00a067-phala":        intelNeeds("sgx", "00a067110000", "processor"),
		"v3-ppid-certdata-debug": {"intel-pck-"},
		"v4-00806f-flashbots":    intelNeeds("tdx", "00806f050000", "platform"), "v4-00806f-gcp-cos113": intelNeeds("tdx", "00806f050000", "platform"),
		"v4-00806f-oldplatform": intelNeeds("tdx", "00806f050000", "platform"), "v4-00a06d-gnr": intelNeeds("tdx", "00a06d080000", "platform"),
		"v4-20a06f-near": intelNeeds("tdx", "20a06f000000", "platform"), "v4-50806f-debug": intelNeeds("tdx", "50806f000000", "platform"),
		"v4-50806f-trailing": intelNeeds("tdx", "50806f000000", "platform"), "v4-90c06f-azure-vtpm": intelNeeds("tdx", "90c06f000000", "platform"),
		"v4-90c06f-dstack": intelNeeds("tdx", "90c06f000000", "platform"), "v4-b0c06f-phala": intelNeeds("tdx", "b0c06f000000", "platform"),
		"v5-90c06f-azure-tcbunsupported": intelNeeds("tdx", "90c06f000000", "platform"), "v5-90c06f-relaunch": intelNeeds("tdx", "90c06f000000", "platform"),
		"v5-90c06f-servicetd": intelNeeds("tdx", "90c06f000000", "platform"), "v5-90c06f-td15": intelNeeds("tdx", "90c06f000000", "platform"),
	}
	seen := 0
	for _, pattern := range []string{amd + "*.report.bin", intel + "sgx/*.quote.bin", intel + "tdx/*.quote.bin"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			name, _, _ := strings.Cut(filepath.Base(f), ".")
			needs, err := Needed(evidence(t, f), nil, Hint{})
			if name == "v4-preproduction-root" {
				// Names and layout are Intel's, the root is not: what to ask
				// for can still be told.
				if err != nil || len(needs) != 4 {
					t.Errorf("%s: %v, %v", name, names(needs), err)
				}
				continue
			}
			got := names(needs)
			if len(got) == 1 && strings.HasPrefix(got[0], "intel-pck-") {
				got[0] = "intel-pck-"
			}
			if err != nil || !reflect.DeepEqual(got, want[name]) {
				t.Errorf("%s: needs %q (%v), want %q", name, got, err, want[name])
			}
			for _, n := range needs {
				if n.Why == "" {
					t.Errorf("%s: no reason for %v", name, n.Any)
				}
				for _, it := range n.Any {
					if err := it.Valid(); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			seen++
		}
	}
	if seen < len(want) {
		t.Errorf("%d vectors seen, %d expected", seen, len(want))
	}
}

func evidence(t testing.TB, path string) attest.Evidence {
	t.Helper()
	types := map[string]string{"snpreport": attest.MediaTypeSNP, "sgx": attest.MediaTypeSGX, "tdx": attest.MediaTypeTDX}
	for part, mediaType := range types {
		if strings.Contains(path, "/"+part+"/") {
			return attest.Evidence{MediaType: mediaType, Value: read(t, path)}
		}
	}
	t.Fatalf("%s: of no known type", path)
	return attest.Evidence{}
}

// A certificate that came along is not asked for, and says the line.
func TestWhatIsAtHandIsNotNeeded(t *testing.T) {
	needs, err := Needed(evidence(t, amd+"milan-v2-azure.report.bin"), cert(t, amd+"milan-v2-azure.vcek.der"), Hint{})
	if got, want := names(needs), amdNeeds("Milan")[1:]; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	needs, err = Needed(evidence(t, amd+"milan-v3-aws-vlek.report.bin"), cert(t, amd+"milan-v3-aws-vlek.vlek.der"), Hint{})
	if got, want := names(needs), []string{"amd-milan-vlek-chain", "amd-milan-crl"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	// A forged one counts for nothing.
	forged := cert(t, amd+"milan-v2-azure.vcek.der")
	forged[0].Value[len(forged[0].Value)-1] ^= 1
	needs, err = Needed(evidence(t, amd+"milan-v2-azure.report.bin"), forged, Hint{})
	if got := names(needs); err != nil || !slices.Equal(got, []string{"vcek of Milan|vcek of Genoa"}) {
		t.Errorf("%q, %v", got, err)
	}
	// So does the key of another machine, and one of another level.
	for _, other := range []string{"milan-v3-oak.vcek.der", "genoa-v5.vcek.der"} {
		needs, err = Needed(evidence(t, amd+"milan-v2-azure.report.bin"), cert(t, amd+other), Hint{})
		if got := names(needs); err != nil || !slices.Equal(got, []string{"vcek of Milan|vcek of Genoa"}) {
			t.Errorf("%s: %q, %v", other, got, err)
		}
	}
	newer := evidence(t, amd+"milan-v2-azure.report.bin")
	newer.Value[0x187]++
	needs, err = Needed(newer, cert(t, amd+"milan-v2-azure.vcek.der"), Hint{})
	if got := names(needs); err != nil || !slices.Equal(got, []string{"vcek of Milan|vcek of Genoa"}) {
		t.Errorf("another level: %q, %v", got, err)
	}
	// A masked chip id names no machine: what the host gave is what there is.
	masked := evidence(t, amd+"milan-v2-azure.report.bin")
	clear(masked.Value[0x1a0:0x1e0])
	needs, err = Needed(masked, cert(t, amd+"milan-v2-azure.vcek.der"), Hint{})
	if got, want := names(needs), amdNeeds("Milan")[1:]; err != nil || !slices.Equal(got, want) {
		t.Errorf("masked: %q, %v, want %q", got, err, want)
	}
	// The hint names the line where the report does not.
	needs, err = Needed(evidence(t, amd+"milan-v2-azure.report.bin"), nil, Hint{Line: "Milan"})
	if got, want := names(needs), amdNeeds("Milan"); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	// A PCK certificate from elsewhere says the model.
	quote := read(t, intel+"sgx/v3-00a067-phala.quote.bin")
	at := strings.Index(string(quote), "-----BEGIN CERTIFICATE")
	pck := part(attest.MediaTypePEMChain, quote[at:])
	needs, err = Needed(evidence(t, intel+"sgx/v3-ppid-certdata-debug.quote.bin"), pck, Hint{Evaluation: "early"})
	want := []string{"intel-sgx-tcbinfo-00a067110000-early", "intel-sgx-qeidentity-early", "intel-pck-processor-crl", "intel-root-crl"}
	if got := names(needs); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if info, err := Check(Item{Kind: PCK, EncryptedPPID: strings.Repeat("00", 384), CPUSVN: strings.Repeat("00", 16), PCESVN: "0000", PCEID: "0000", QEID: strings.Repeat("00", 16)}, pck); err != nil || info.Until.IsZero() {
		t.Errorf("a genuine PCK chain: %v", err)
	}
}

func TestWhatCannotBeAskedForIsSaid(t *testing.T) {
	masked := evidence(t, amd+"milan-v3-oak.report.bin")
	clear(masked.Value[0x1a0:0x1e0])
	unknown := evidence(t, amd+"milan-v3-oak.report.bin")
	unknown.Value[0x188] = 0x1f
	none := evidence(t, amd+"milan-v3-oak.report.bin")
	none.Value[0x48] |= 7 << 2
	for words, ev := range map[string]attest.Evidence{
		"certificate table":   masked,
		"no product line":     unknown,
		"no signing key":      none,
		"no vendor service":   {MediaType: "text/plain"},
		"report of 3 bytes":   {MediaType: attest.MediaTypeSNP, Value: []byte("abc")},
		"expected a header":   {MediaType: attest.MediaTypeTDX, Value: []byte("abc")},
		"ends within its sig": {MediaType: attest.MediaTypeTDX, Value: evidence(t, intel+"tdx/v4-00a06d-gnr.quote.bin").Value[:700]},
	} {
		needs, err := Needed(ev, nil, Hint{})
		if err == nil || !strings.Contains(err.Error(), words) || needs != nil {
			t.Errorf("%q: %v, %v", words, needs, err)
		}
	}
	if _, err := Needed(attest.Evidence{}, nil, Hint{}); !errors.Is(err, ErrOther) {
		t.Errorf("%v", err)
	}
	if line, err := LineNamed("siena"); err != nil || line != "Genoa" {
		t.Errorf("siena: %q, %v", line, err)
	}
	if _, err := LineNamed("Naples"); err == nil || !strings.Contains(err.Error(), "Milan") {
		t.Errorf("Naples: %v", err)
	}
}

// Names and order of the levels are those of an independent implementation.
func TestLevelAgreesWithGoSevGuest(t *testing.T) {
	for line, report := range map[string]string{"Milan": "milan-v3-oak.report.bin", "Genoa": "genoa-v5.report.bin"} {
		it := vcek(t, line, report)
		names, values, err := it.Level()
		if err != nil {
			t.Fatal(err)
		}
		var q []string
		for i, n := range names {
			q = append(q, fmt.Sprintf("%s=%d", n, values[i]))
		}
		r := read(t, amd+report)
		var tcb uint64
		for i := range 8 {
			tcb |= uint64(r[0x180+i]) << (8 * i)
		}
		want := kds.VCEKCertURL(line, r[0x1a0:0x1e0], kds.TCBVersion(tcb))
		if _, query, _ := strings.Cut(want, "?"); query != strings.Join(q, "&") {
			t.Errorf("%s: %s, want %s", line, strings.Join(q, "&"), query)
		}
	}
	names, values, err := vcek(t, "Turin", "turin-v5.report.bin").Level()
	if err != nil || !slices.Equal(names, []string{"fmcSPL", "blSPL", "teeSPL", "snpSPL", "ucodeSPL"}) || !slices.Equal(values, []uint8{0, 1, 0, 2, 0x47}) {
		t.Errorf("Turin: %v %v %v", names, values, err)
	}
}

func FuzzNeeded(f *testing.F) {
	n := 0
	for _, pattern := range []string{amd + "*.report.bin", intel + "sgx/*.quote.bin", intel + "tdx/*.quote.bin"} {
		files, _ := filepath.Glob(pattern)
		for _, p := range files {
			f.Add(read(f, p))
			n++
		}
	}
	if n < 20 {
		f.Fatalf("%d seeds", n)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []string{attest.MediaTypeSNP, attest.MediaTypeTDX, attest.MediaTypeSGX} {
			needs, err := Needed(attest.Evidence{MediaType: m, Value: b}, nil, Hint{})
			if (err == nil) != (len(needs) > 0) {
				t.Fatalf("%v, %v", needs, err)
			}
			for _, n := range needs {
				for _, it := range n.Any {
					if err := it.Valid(); err != nil {
						t.Fatal(err) // would go into a URL and a file name
					}
				}
			}
		}
	})
}

// FuzzCheck throws bytes at every kind. Only what a vendor signed is taken, so
// whatever is taken must be one of the seeds.
func FuzzCheck(f *testing.F) {
	all := genuine(f)
	if len(all) < 15 {
		f.Fatalf("%d seeds", len(all))
	}
	known := map[string]bool{}
	var order []string
	for name, g := range all {
		order = append(order, name)
		var joined []byte
		for _, p := range g.parts {
			joined = append(joined, p.Value...)
		}
		known[string(joined)] = true
	}
	slices.Sort(order)
	for i, name := range order {
		parts := append(slices.Clone(all[name].parts), attest.Evidence{})
		f.Add(uint8(i), parts[0].Value, parts[1].Value)
	}
	f.Fuzz(func(t *testing.T, which uint8, a, b []byte) {
		g := all[order[int(which)%len(order)]]
		parts := attest.Collateral{{MediaType: g.parts[0].MediaType, Value: a}}
		if len(g.parts) > 1 {
			parts = append(parts, attest.Evidence{MediaType: g.parts[1].MediaType, Value: b})
		}
		info, err := Check(g.it, parts)
		if (err == nil) != (info != nil) {
			t.Fatalf("%v, %v", info, err)
		}
		var r *RefusedError
		if err != nil && !errors.As(err, &r) {
			t.Fatalf("an error without a rule: %v", err)
		}
		if err == nil && len(g.parts) == 1 && !known[string(a)] {
			t.Fatal("taken, but nobody signed it")
		}
	})
}
