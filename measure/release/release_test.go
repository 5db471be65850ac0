// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/measure/predict"
)

// suffix is the end of a real OVMF with its tables: enough to predict with, not
// to boot.
func suffix(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "predict", "testdata", "ovmf_AmdSev_suffix.bin"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEntriesNameTheImage(t *testing.T) {
	init := imagetest.Program(t, filepath.Join("testdata", "pcrs"))
	img := imagetest.Image(t, imagetest.Options{Init: init, Cmdline: "panic=-1 quiet"})
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	launches := []Launch{VTPM(), SNP(1, "EPYC-v4", suffix(t)), SNP(2, "EPYC-Milan", suffix(t))}
	entries, err := Entries(img, launches, from, from.AddDate(1, 0, 0))
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	again, err := Entries(img, launches, from, from.AddDate(1, 0, 0))
	if err != nil || !reflect.DeepEqual(entries, again) {
		t.Errorf("a second run gives other entries: %v", err)
	}
	manifest, err := os.ReadFile(img.Path("manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if e.Image.ManifestSHA256 != sha256.Sum256(manifest) || hex.EncodeToString(e.Image.KeepSHA256[:]) != img.KeepDigest() || e.Debug {
			t.Errorf("entry %d: %+v", i, e.Image)
		}
		if len(e.Components) < 6 {
			t.Errorf("entry %d has %d components", i, len(e.Components))
		}
	}
	if l := entries[2].Launch; l.VCPUs != 2 || l.CPU != "EPYC-Milan" || l.FirmwareSHA256 != sha256.Sum256(suffix(t)) {
		t.Errorf("%+v", l)
	}
	refs, err := ReferenceValues(img, VTPM())
	if err != nil || len(refs) != 1 || !bytes.Equal(refs[0].Measurement, entries[0].Measurement) {
		t.Errorf("%+v, %v", refs, err)
	}
	if _, err := Entries(img, []Launch{{Platform: "sgx"}}, from, from); err == nil {
		t.Error("an image measured on sgx")
	}
}

// A debug image measures differently, and its entry says what it is.
func TestDebugImageMeasuresDifferently(t *testing.T) {
	plain, debug := imagetest.Image(t, imagetest.Options{}), imagetest.Image(t, imagetest.Options{Debug: true})
	for _, l := range []Launch{VTPM(), SNP(1, "EPYC-v4", suffix(t))} {
		a, err := Entry(plain, l, time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Entry(debug, l, time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a.Measurement, b.Measurement) || a.Debug || !b.Debug || !strings.Contains(b.ReferenceValue("x").Release, "DEBUG") {
			t.Errorf("%s: %x and %x", l.Platform, a.Measurement, b.Measurement)
		}
	}
}

// Which part of an image changed is named, and only the events that it changes.
func TestDiffNamesTheCause(t *testing.T) {
	init := imagetest.Program(t, filepath.Join("testdata", "pcrs"))
	base := imagetest.Image(t, imagetest.Options{Init: init, Cmdline: "panic=-1 quiet"})
	report := func(img string, l Launch) *Report {
		t.Helper()
		i := base
		switch img {
		case "keep":
			i = imagetest.Image(t, imagetest.Options{Cmdline: "panic=-1 quiet"})
		case "cmdline":
			i = imagetest.Image(t, imagetest.Options{Init: init, Cmdline: "panic=0 ro"})
		case "kernel":
			i = imagetest.Image(t, imagetest.Options{Init: init, Cmdline: "panic=-1 quiet", Kernel: imagetest.Kernel61})
		}
		r, err := MakeReport(i, l)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseReport(b)
		if err != nil || !reflect.DeepEqual(r, back) {
			t.Fatalf("a saved report comes back as another one: %v", err)
		}
		return back
	}
	direct := Launch{Platform: attest.PlatformVTPM, Params: predict.Params{VCPUs: 1, MemoryMiB: 512, Boot: predict.BootDirect}}
	snp := func(n int) Launch { return SNP(n, "EPYC-v4", suffix(t)) }
	for _, x := range []struct {
		what string
		a, b *Report
		want []string // beginnings of changes that must be there
		not  []string // beginnings of changes that must not
	}{
		{"nothing", report("", direct), report("", direct), nil, []string{""}},
		{"vCPUs", report("", snp(4)), report("", snp(8)),
			[]string{"launch: vCPUs: 4 → 8", "register: launch digest: ", "register: launch digest, vCPU 7 (VMSA page): only in the second"},
			[]string{"initrd", "command line", "register: launch digest, kernel", "register: launch digest, vCPU 3"}},
		{"Keep runtime", report("", direct), report("keep", direct), []string{"initrd: init: mode", "register: PCR9, initrd (EV_EVENT_TAG)"},
			[]string{"command line", "launch", "register: PCR9, command line", "image: kernel", "register: PCR4"}},
		{"command line", report("", direct), report("cmdline", direct),
			[]string{"command line: panic: panic=-1 → panic=0", "command line: quiet: only in the first", "command line: ro: only in the second", "register: PCR9, command line"},
			[]string{"initrd", "register: PCR9, initrd", "register: PCR4"}},
		{"kernel", report("", VTPM()), report("kernel", VTPM()), []string{"image: kernel: 6.12", "register: PCR4, kernel", "register: PCR11, kernel"}, []string{"command line", "register: PCR9, command line"}},
	} {
		var got []string
		for _, c := range Diff(x.a, x.b) {
			got = append(got, c.String())
		}
		for _, w := range x.want {
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, w) }) {
				t.Errorf("%s: no change %q in\n%s", x.what, w, strings.Join(got, "\n"))
			}
		}
		for _, w := range x.not {
			if i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, w) }); i >= 0 {
				t.Errorf("%s: change %q", x.what, got[i])
			}
		}
	}
}

func TestWordsOfACommandLine(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want int
	}{
		{"a b=1", "a b=1", 0}, {"a b=1", "b=1 a", 1}, {"a  b", "a b", 1}, {"a", "a a", 1}, {"x=1 x=2", "x=2 x=3", 1}, {"", "a", 1}, {"a b", "", 2},
	} {
		if got := diffWords(x.a, x.b); len(got) != x.want {
			t.Errorf("%q and %q: %v, expected %d changes", x.a, x.b, got, x.want)
		}
	}
}

func FuzzReport(f *testing.F) {
	r := &Report{Version: ReportVersion, Platform: "vtpm", Registers: []ReportRegister{{Name: "PCR4", Value: "00", Events: []ReportEvent{{Component: "kernel", Digest: "11"}}}},
		Image: ReportImage{Cmdline: "a b=1", Initrd: []ReportFile{{Name: "init", Mode: "100755", SHA256: "22"}}}}
	b, err := r.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseReport(b)
		if err != nil {
			return
		}
		if c := Diff(x, x); len(c) != 0 {
			t.Fatalf("it differs from itself: %v", c)
		}
		Diff(x, r)
		Diff(r, x)
	})
}
