// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func testFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type launchCase struct {
	Name         string  `json:"name"`
	Mode         string  `json:"mode"`
	VMM          string  `json:"vmm"`
	VCPUs        int     `json:"vcpus"`
	CPU          *string `json:"vcpu_type"`
	Sig          *string `json:"vcpu_sig"`
	OVMF         string  `json:"ovmf"`
	Kernel       *string `json:"kernel"`
	Append       *string `json:"append"`
	Features     string  `json:"guest_features"`
	HashOverride string  `json:"ovmf_hash_override"`
	Digest       string  `json:"launch_digest"`
	Error        string  `json:"error"`
}

func launchCases(t testing.TB) []launchCase {
	t.Helper()
	var v struct {
		Cases []launchCase `json:"cases"`
	}
	if err := json.Unmarshal(testFile(t, "launch-digests.json"), &v); err != nil {
		t.Fatal(err)
	}
	return v.Cases
}

func (c launchCase) predict(t testing.TB) (*Prediction, error) {
	t.Helper()
	img, p := Image{}, Params{VCPUs: c.VCPUs, Firmware: testFile(t, c.OVMF)}
	o := SEVOptions{Mode: map[string]SEVMode{"SEV": ModeSEV, "SEV_ES": ModeSEVES, "SEV_SNP": ModeSNP}[c.Mode], VMM: VMM(c.VMM), WithoutKernel: c.Kernel == nil}
	if c.Append != nil {
		img.Cmdline = *c.Append
	}
	if c.CPU != nil {
		p.CPU = *c.CPU
	} else if c.Mode == "SEV_ES" {
		p.CPU = "EPYC"
	}
	f, err := strconv.ParseUint(c.Features, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	o.Features = f
	if c.HashOverride != "" {
		if o.FirmwareHash, err = hex.DecodeString(c.HashOverride); err != nil {
			t.Fatal(err)
		}
	}
	return SEV(img, p, o)
}

// Every published launch digest is reproduced, and every published error is
// one here.
func TestPublishedLaunchDigests(t *testing.T) {
	cases := launchCases(t)
	if len(cases) != 17 {
		t.Fatalf("%d vectors, expected 17", len(cases))
	}
	for _, c := range cases {
		got, err := c.predict(t)
		if c.Error != "" {
			if err == nil {
				t.Errorf("%s: %x, expected an error", c.Name, got.Measurement)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if d := hex.EncodeToString(got.Measurement); d != c.Digest {
			t.Errorf("%s: %s, expected %s", c.Name, d, c.Digest)
		}
		if again, err := c.predict(t); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: a second run gives another answer (%v)", c.Name, err)
		}
	}
}

func TestOriginOfVectors(t *testing.T) {
	listed := 0
	for _, line := range strings.Split(strings.TrimSpace(string(testFile(t, "ORIGIN.tsv"))), "\n")[1:] {
		f := strings.Split(line, "\t")
		if sum := sha256.Sum256(testFile(t, f[0])); len(f) != 7 || f[3] == "" || f[2] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s was changed, or has no origin", f[0])
		}
		listed++
	}
	entries, err := os.ReadDir("testdata")
	if err != nil || len(entries) != listed+1 {
		t.Fatalf("%d files, %d listed: %v", len(entries), listed, err)
	}
}

// Every parameter of a launch counts, and a damaged table is an error or
// another digest.
func TestParametersOfALaunchCount(t *testing.T) {
	fw := testFile(t, "ovmf_AmdSev_suffix.bin")
	base := func() (Image, Params, SEVOptions) {
		return Image{Kernel: []byte("k"), Initrd: []byte("i"), Cmdline: "c"}, Params{VCPUs: 2, CPU: "EPYC-v4", Firmware: fw}, SEVOptions{}
	}
	img, p, o := base()
	first, err := SEV(img, p, o)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{hex.EncodeToString(first.Measurement): "nothing"}
	for name, change := range map[string]func(*Image, *Params, *SEVOptions){
		"kernel":       func(i *Image, _ *Params, _ *SEVOptions) { i.Kernel = []byte("K") },
		"initrd":       func(i *Image, _ *Params, _ *SEVOptions) { i.Initrd = nil },
		"command line": func(i *Image, _ *Params, _ *SEVOptions) { i.Cmdline = "c " },
		"no kernel":    func(_ *Image, _ *Params, o *SEVOptions) { o.WithoutKernel = true },
		"vCPUs":        func(_ *Image, p *Params, _ *SEVOptions) { p.VCPUs = 3 },
		"CPU":          func(_ *Image, p *Params, _ *SEVOptions) { p.CPU = "EPYC-Milan" },
		"features":     func(_ *Image, _ *Params, o *SEVOptions) { o.Features = 0x21 },
		"monitor":      func(_ *Image, _ *Params, o *SEVOptions) { o.VMM = GCE },
		"SEV-ES":       func(_ *Image, _ *Params, o *SEVOptions) { o.Mode = ModeSEVES },
		"SEV":          func(_ *Image, _ *Params, o *SEVOptions) { o.Mode = ModeSEV },
	} {
		img, p, o := base()
		change(&img, &p, &o)
		got, err := SEV(img, p, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		d := hex.EncodeToString(got.Measurement)
		if other := seen[d]; other != "" {
			t.Errorf("%s measures as %s", name, other)
		}
		seen[d] = name
	}
}

func TestInvariant4HostileInputIsBounded_Launches(t *testing.T) {
	fw := testFile(t, "ovmf_AmdSev_suffix.bin")
	for name, change := range map[string]func(*Params, *SEVOptions){
		"no vCPU":           func(p *Params, _ *SEVOptions) { p.VCPUs = 0 },
		"too many vCPUs":    func(p *Params, _ *SEVOptions) { p.VCPUs = maxVCPUs + 1 },
		"unknown CPU":       func(p *Params, _ *SEVOptions) { p.CPU = "Skylake-Server" },
		"no CPU":            func(p *Params, _ *SEVOptions) { p.CPU = "" },
		"unknown mode":      func(_ *Params, o *SEVOptions) { o.Mode = "sgx" },
		"unknown monitor":   func(_ *Params, o *SEVOptions) { o.VMM = "bhyve" },
		"short hash":        func(_ *Params, o *SEVOptions) { o.FirmwareHash = []byte{1} },
		"no firmware":       func(p *Params, _ *SEVOptions) { p.Firmware = nil },
		"half a page":       func(p *Params, _ *SEVOptions) { p.Firmware = fw[:2048] },
		"firmware of zeros": func(p *Params, _ *SEVOptions) { p.Firmware = make([]byte, 4096) },
		"huge firmware":     func(p *Params, _ *SEVOptions) { p.Firmware = make([]byte, maxFirmware+4096) },
	} {
		p, o := Params{VCPUs: 1, CPU: "EPYC", Firmware: fw}, SEVOptions{}
		change(&p, &o)
		if got, err := SEV(Image{}, p, o); err == nil || got != nil {
			t.Errorf("%s: predicted", name)
		}
	}
	p := Params{VCPUs: 2, CPU: "EPYC", Firmware: fw}
	want, err := SEV(Image{}, p, SEVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range fw {
		p.Firmware = append([]byte(nil), fw...)
		p.Firmware[i] ^= 0xff
		if got, err := SEV(Image{}, p, SEVOptions{}); err == nil && reflect.DeepEqual(got.Measurement, want.Measurement) {
			t.Fatalf("byte %d of the firmware does not count", i)
		}
	}
}

// Signatures as QEMU 7.2 computes them from its models' families.
func TestSignatures(t *testing.T) {
	for model, want := range map[string]uint32{
		"EPYC": 0x800f12, "EPYC-v4": 0x800f12, "EPYC-IBPB": 0x800f12, "EPYC-Rome": 0x830f10, "EPYC-Milan-v2": 0xa00f11, "EPYC-Genoa": 0xa10f10, "EPYC-Turin": 0xb00f00,
	} {
		if got, err := Signature(model); err != nil || got != want {
			t.Errorf("%s: %#x, %v, expected %#x", model, got, err, want)
		}
	}
	for _, bad := range []string{"", "epyc", "EPYC-v0", "EPYC-v6", "EPYC-Genoa-v9", "host", "max"} {
		if got, err := Signature(bad); err == nil {
			t.Errorf("%q: %#x", bad, got)
		}
	}
	for _, m := range CPUModels() {
		if _, err := Signature(m); err != nil {
			t.Error(err)
		}
	}
}
