// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/enarx/enarx-go/internal/claims"
)

func rows(platform string, outcome Outcome, names ...string) Verdict {
	var v Verdict
	for _, n := range names {
		v = append(v, Row{Check: platform + "." + n, Seen: "s", Expected: "e", Source: "x", Outcome: outcome})
	}
	return v
}

var snpChecks = []string{"format", "chain", "dates", "signature", "chip", "tcb", "tcb-floor", "revocation",
	"measurement", "debug", "migration", "vmpl", "host-data", "report-data"}

func standings(l []Layer) map[string]Standing {
	m := map[string]Standing{}
	for _, x := range l {
		m[x.Layer] = x.Standing
	}
	return m
}

func TestTrustStatementOfHardware(t *testing.T) {
	c := claims.Mint(Claims{Platform: PlatformSNP})
	got := standings(TrustStatement(PlatformSNP, c, nil, rows("snp", Pass, snpChecks...)))
	want := map[string]Standing{
		LayerCPU: StandVerified, LayerFirmware: StandVerified, LayerHypervisor: StandExcluded, LayerHostKernel: StandExcluded,
		LayerKeepKernel: StandVerified, LayerRuntime: StandVerified, LayerWorkload: StandAssumed,
	}
	for l, s := range want {
		if got[l] != s {
			t.Errorf("%s is %s, expected %s", l, got[l], s)
		}
	}
	// Each row that a layer rests on, taken away or turned into a warning,
	// must take "verified" or "excluded" away from a layer.
	for i, name := range snpChecks[1:] {
		for _, v := range []Verdict{
			rows("snp", Pass, append(append([]string{}, snpChecks[:i+1]...), snpChecks[i+2:]...)...),
			append(rows("snp", Pass, append(append([]string{}, snpChecks[:i+1]...), snpChecks[i+2:]...)...), rows("snp", Warn, name)...),
		} {
			exposed := 0
			for _, s := range standings(TrustStatement(PlatformSNP, c, nil, v)) {
				if s == StandExposed {
					exposed++
				}
			}
			if exposed == 0 {
				t.Errorf("without %s no layer is worse", name)
			}
		}
	}
}

var vtpmChecks = []string{"format", "chain", "dates", "attestation-key", "activation", "signature", "pcrs", "event-log", "registers", "drivers",
	"measurement", "debug", "host-data", "report-data"}

// Of a machine with measured boot what was booted is verified, and in words and
// standing the host sees inside all the same: no layer below the Keep is kept
// out, and the workload lies open.
func TestInvariant1NoSilentDowngrade_MeasuredBootKeepsNobodyOut(t *testing.T) {
	c := claims.Mint(Claims{Platform: PlatformVTPM})
	statement := TrustStatement(PlatformVTPM, c, nil, rows("vtpm", Pass, vtpmChecks...))
	want := map[string]Standing{
		LayerCPU: StandAssumed, LayerFirmware: StandExposed, LayerHypervisor: StandExposed, LayerHostKernel: StandExposed,
		LayerKeepKernel: StandVerified, LayerRuntime: StandVerified, LayerWorkload: StandExposed,
	}
	words := map[string]string{
		LayerCPU: "holds the root's key", LayerFirmware: "nothing proves which firmware", LayerHypervisor: "read and change its memory",
		LayerHostKernel: "the host can see inside", LayerKeepKernel: "the host can change it since", LayerRuntime: "the host can read its keys",
		LayerWorkload: "the host can read and change",
	}
	for _, l := range statement {
		if l.Standing != want[l.Layer] || !strings.Contains(l.Words, words[l.Layer]) {
			t.Errorf("%s is %s, %q; expected %s, %q", l.Layer, l.Standing, l.Words, want[l.Layer], words[l.Layer])
		}
		if text := TrustText([]Layer{l}, 2000); strings.Contains(text, "…") {
			t.Errorf("%s: words that are cut: %s", l.Layer, text)
		}
		if (l.Standing == StandVerified) != (l.By != "none") {
			t.Errorf("%s is %s by %q", l.Layer, l.Standing, l.By)
		}
	}
	// A register that the relying party names takes the place of the rule for it.
	named := append([]string{"pcr2"}, vtpmChecks...)
	named = slices.DeleteFunc(named, func(s string) bool { return s == "drivers" })
	if got := standings(TrustStatement(PlatformVTPM, c, nil, rows("vtpm", Pass, named...))); got[LayerKeepKernel] != StandVerified {
		t.Errorf("with a value for PCR 2 the Keep kernel is %s", got[LayerKeepKernel])
	}
	// What was booted rests on every one of these rows.
	for i, name := range vtpmChecks[1:] {
		rest := append(append([]string{}, vtpmChecks[:i+1]...), vtpmChecks[i+2:]...)
		for _, o := range []Outcome{Skipped, Warn, ""} {
			v := rows("vtpm", Pass, rest...)
			if o != "" {
				v = append(v, rows("vtpm", o, name)...)
			}
			got := standings(TrustStatement(PlatformVTPM, c, nil, v))
			ofSession := name == "host-data" || name == "report-data"
			if got[LayerRuntime] != StandExposed || (got[LayerKeepKernel] == StandExposed) == ofSession {
				t.Errorf("%s %q: the Keep runtime is %s, the Keep kernel %s", name, o, got[LayerRuntime], got[LayerKeepKernel])
			}
		}
	}
}

// Whatever goes wrong or is only simulated, no layer may read "verified" or
// "excluded".
func TestInvariant1NoSilentDowngrade_TrustStatementNeverClaimsTooMuch(t *testing.T) {
	snp := claims.Mint(Claims{Platform: PlatformSNP})
	simc := claims.Mint(Claims{Platform: PlatformSim, Simulated: true})
	pass := rows("snp", Pass, snpChecks...)
	for name, l := range map[string][]Layer{
		"process":            TrustStatement(PlatformProcess, nil, &Unattested{Platform: PlatformProcess}, nil),
		"vm":                 TrustStatement(PlatformVM, nil, &Unattested{Platform: PlatformVM}, nil),
		"sim":                TrustStatement(PlatformSim, simc, nil, rows("sim", Simulated, snpChecks...)),
		"sim rows that lie":  TrustStatement(PlatformSim, simc, nil, rows("sim", Pass, snpChecks...)),
		"sim claims as snp":  TrustStatement(PlatformSNP, simc, nil, pass),
		"snp claims as sim":  TrustStatement(PlatformSim, snp, nil, pass),
		"hand-made claims":   TrustStatement(PlatformSNP, &Claims{Platform: PlatformSNP}, nil, pass),
		"no claims":          TrustStatement(PlatformSNP, nil, nil, pass),
		"failed row":         TrustStatement(PlatformSNP, snp, nil, append(pass, Row{Outcome: Fail})),
		"no rows":            TrustStatement(PlatformSNP, snp, nil, nil),
		"claims and none":    TrustStatement(PlatformSNP, snp, &Unattested{Platform: PlatformSNP}, pass),
		"unattested as snp":  TrustStatement(PlatformSNP, nil, &Unattested{Platform: PlatformSNP}, nil),
		"simulated snp":      TrustStatement(PlatformSNP, claims.Mint(Claims{Platform: PlatformSNP, Simulated: true}), nil, pass),
		"debug":              TrustStatement(PlatformSNP, claims.Mint(Claims{Platform: PlatformSNP, Debug: true}), nil, pass),
		"vtpm, debug":        TrustStatement(PlatformVTPM, claims.Mint(Claims{Platform: PlatformVTPM, Debug: true}), nil, rows("vtpm", Pass, vtpmChecks...)),
		"vtpm, no claims":    TrustStatement(PlatformVTPM, nil, nil, rows("vtpm", Pass, vtpmChecks...)),
		"vtpm as snp":        TrustStatement(PlatformSNP, claims.Mint(Claims{Platform: PlatformVTPM}), nil, rows("vtpm", Pass, vtpmChecks...)),
		"vm as vtpm":         TrustStatement(PlatformVTPM, nil, &Unattested{Platform: PlatformVM}, rows("vtpm", Pass, vtpmChecks...)),
		"platform not known": TrustStatement("cloud", claims.Mint(Claims{Platform: "cloud"}), nil, pass),
	} {
		if len(l) != 7 {
			t.Errorf("%s: %d layers", name, len(l))
		}
		exposed := false
		for _, x := range l {
			if x.Standing == StandVerified || x.Standing == StandExcluded {
				t.Errorf("%s: %s reads %s", name, x.Layer, x.Standing)
			}
			exposed = exposed || x.Layer == LayerHostKernel && x.Standing == StandExposed
			if x.Words == "" || x.By == "" {
				t.Errorf("%s: %s says nothing", name, x.Layer)
			}
		}
		if !exposed {
			t.Errorf("%s: does not say that the host can see inside", name)
		}
	}
}

func TestNamesOfChecksAreShort(t *testing.T) {
	for list, want := range map[string]string{
		"snp.chain":                                "snp.chain",
		"snp.chain, snp.dates, snp.debug":          "snp.chain, dates, debug",
		"before/snp.chain, before/snp.a, x.b, x.c": "before/snp.chain, a, x.b, c",
		"chain, snp.chain, chain":                  "chain, snp.chain, chain",
		"":                                         "",
	} {
		text := TrustText([]Layer{{Layer: "l", Standing: StandVerified, By: list, Words: "w"}}, 200)
		if want != "" {
			want = " [" + want + "]"
		}
		if text != "l  verified  w"+want+"\n" {
			t.Errorf("%q reads %q", list, text)
		}
	}
}

func TestVerdictFailsClosed(t *testing.T) {
	for name, v := range map[string]Verdict{
		"nothing checked": nil,
		"one failed":      append(rows("snp", Pass, "a", "b"), Row{Check: "snp.c", Outcome: Fail, Todo: "do this"}),
	} {
		if v.OK() || v.Err() == nil {
			t.Errorf("%s: OK", name)
		}
	}
	if v := rows("snp", Pass, "a"); !v.OK() || v.Err() != nil {
		t.Error("a passed verdict is not OK")
	}
}

func TestTextIsBoundedAndHarmless(t *testing.T) {
	hostile := "\x1b[31mred\x07 \u202eevil\r\nline \xff\xfe " + strings.Repeat("A", 10000)
	v := Verdict{
		{Check: "snp.chain", Seen: hostile, Expected: hostile, Source: hostile, Outcome: Fail, Todo: hostile},
		{Check: "snp.debug", Seen: "0x30000", Outcome: Pass},
		{Check: "sim.measurement", Seen: strings.Repeat("ab", 64), Outcome: Simulated},
	}
	layers := append(TrustStatement(PlatformProcess, nil, &Unattested{Platform: PlatformProcess}, nil), Layer{Layer: hostile, Words: hostile, By: hostile})
	for _, width := range []int{-1, 0, 1, 40, 80, 200} {
		for _, text := range []string{v.Text(width), TrustText(layers, width)} {
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				if n := utf8.RuneCountInString(line); width >= 80 && n > max(width, 2*maxCell) {
					t.Errorf("width %d: line of %d characters", width, n)
				}
				if strings.ContainsAny(line, "\x1b\x07\r\u202e") || !utf8.ValidString(line) {
					t.Errorf("width %d: harmful line %q", width, line)
				}
			}
		}
	}
	clean := Verdict{v[1], v[2], {Check: "snp.tcb", Seen: strings.Repeat("word ", 30), Expected: "more", Source: "the vendor", Outcome: Warn}}
	for _, width := range []int{60, 80, 120} {
		for line := range strings.Lines(clean.Text(width)) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("width %d: line of %d characters: %q", width, n, line)
			}
		}
	}
	if got := v.Text(80); !strings.Contains(got, "failed") || !strings.Contains(got, "expected: ") || !strings.Contains(got, "do: ") {
		t.Errorf("a failed row does not say what to do:\n%s", got)
	}
	b, err := json.Marshal(layers[0])
	if err != nil || !strings.HasPrefix(string(b), `{"layer":"CPU","standing":"assumed"`) {
		t.Errorf("%s, %v", b, err)
	}
}
