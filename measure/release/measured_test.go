// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"os"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

func measuredVector(t *testing.T) *Report {
	t.Helper()
	b, err := os.ReadFile("testdata/swtpm.evidence.cbor")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Measured(attest.Evidence{MediaType: attest.MediaTypeTPM, Value: b})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// predicted is what would have predicted what was measured.
func predicted(t *testing.T) *Report {
	r := measuredVector(t)
	r.Measured, r.Launch.VCPUs, r.Image.Cmdline = false, 1, "quiet"
	for _, g := range r.Registers {
		for i := range g.Events {
			g.Events[i].Component = "part"
		}
	}
	g := find(r.Registers, "PCR11")
	g.Events[1].Component, g.Events[len(g.Events)-1].Component = "kernel", "initrd"
	return r
}

func TestMeasuredIsComparedWithPredicted(t *testing.T) {
	m := measuredVector(t)
	if g := find(m.Registers, "PCR11"); g == nil || len(g.Events) < 4 || g.Events[1].Type != "EV_IPL" || len(g.Value) != 64 {
		t.Fatalf("PCR 11 was measured as %+v", g)
	}
	p := predicted(t)
	if c := Diff(p, m); len(c) != 0 {
		t.Errorf("measured as predicted, and yet: %v", c)
	}
	if c := Diff(m, p); len(c) != 0 {
		t.Errorf("predicted as measured, and yet: %v", c)
	}
	g := find(p.Registers, "PCR11")
	g.Events[1].Digest, g.Value = strings.Repeat("0", 64), strings.Repeat("1", 64)
	var got []string
	for _, c := range Diff(p, m) {
		got = append(got, c.Kind+" "+c.What+" "+c.Event)
	}
	if s := strings.Join(got, "; "); s != "register PCR11 ; register PCR11 kernel (EV_IPL)" {
		t.Errorf("another kernel was measured: %q", s)
	}
	// An event fewer was predicted: what is beyond is said to be.
	p = predicted(t)
	g = find(p.Registers, "PCR11")
	g.Events = g.Events[:len(g.Events)-1]
	c := Diff(p, m)
	if len(c) != 1 || !strings.HasPrefix(c[0].Event, "beyond the prediction") || c[0].From != "" {
		t.Errorf("an event more was measured: %v", c)
	}
}

func TestOnlyATPMsEvidenceIsMeasured(t *testing.T) {
	for name, ev := range map[string]attest.Evidence{
		"another platform": {MediaType: "application/x", Value: []byte("x")},
		"no evidence":      {MediaType: attest.MediaTypeTPM, Value: []byte("x")},
		"nothing":          {},
	} {
		if r, err := Measured(ev); err == nil || r != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
