// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

func madeBoot(boot Boot) (Image, Params) {
	img := Image{Kernel: madeKernel("6.12.1 test"), Initrd: []byte("an initrd"), Cmdline: "panic=-1 quiet"}
	img.UKI = madeUKI(257, img.Kernel, img.Initrd, img.Cmdline)
	return img, Params{VCPUs: 1, MemoryMiB: 512, Boot: boot, PatchedKernel: true}
}

func mustTPM(t testing.TB, img Image, p Params) *Prediction {
	t.Helper()
	pr, err := TPM(img, p)
	if err != nil {
		t.Fatal(err)
	}
	return pr
}

// The registers that a changed part changes, and no others: what lets a verdict
// name the part.
func TestChangedPartsChangeTheirRegisters(t *testing.T) {
	for _, x := range []struct {
		what    string
		boot    Boot
		change  func(*Image, *Params)
		changes string
	}{
		{"kernel", BootDirect, func(i *Image, _ *Params) { i.Kernel = madeKernel("6.12.2 test") }, "PCR4"},
		{"initrd", BootDirect, func(i *Image, _ *Params) { i.Initrd = []byte("an initrD") }, "PCR9"},
		{"longer initrd", BootDirect, func(i *Image, _ *Params) { i.Initrd = append(i.Initrd, 0) }, "PCR4 PCR9"},
		{"command line", BootDirect, func(i *Image, _ *Params) { i.Cmdline += " x" }, "PCR9"},
		{"memory", BootDirect, func(_ *Image, p *Params) { p.MemoryMiB = 256 }, "PCR4"},
		{"unpatched", BootDirect, func(_ *Image, p *Params) { p.PatchedKernel = false }, "PCR4"},
		{"vCPUs", BootDirect, func(_ *Image, p *Params) { p.VCPUs = 4 }, ""},
		{"UKI's kernel", BootUKI, func(i *Image, _ *Params) { i.UKI = madeUKI(257, madeKernel("6.12.2 test"), i.Initrd, i.Cmdline) }, "PCR4 PCR11"},
		{"UKI's initrd", BootUKI, func(i *Image, _ *Params) { i.UKI = madeUKI(257, i.Kernel, []byte("an initrD"), i.Cmdline) }, "PCR4 PCR9 PCR11"},
		{"UKI's command line", BootUKI, func(i *Image, _ *Params) { i.UKI = madeUKI(257, i.Kernel, i.Initrd, "x") }, "PCR4 PCR9 PCR11"},
		{"UKI's stub", BootUKI, func(i *Image, _ *Params) { i.UKI = madeUKI(252, i.Kernel, i.Initrd, i.Cmdline) }, "PCR4 PCR9"},
		{"memory with UKI", BootUKI, func(_ *Image, p *Params) { p.MemoryMiB = 256 }, ""},
	} {
		img, p := madeBoot(x.boot)
		before := mustTPM(t, img, p)
		if again := mustTPM(t, img, p); !reflect.DeepEqual(before, again) {
			t.Errorf("%s: a second run gives another answer", x.what)
		}
		x.change(&img, &p)
		after := mustTPM(t, img, p)
		var changed []string
		for i, r := range before.Registers {
			if !bytes.Equal(r.Value, after.Registers[i].Value) {
				changed = append(changed, r.Name)
			}
		}
		if got := strings.Join(changed, " "); got != x.changes {
			t.Errorf("%s changes %q, expected %q", x.what, got, x.changes)
		}
	}
}

// The second archive that systemd-stub 257 appends, as swtpm measured it for an
// initrd of "initrd" and an .osrel of "ID=x\n".
func TestStubArchive(t *testing.T) {
	got := appendStubArchive([]byte("0123"), "os-release", []byte("ID=x\n"))
	want := "0123" +
		"07070100000001" + "0000416d" + strings.Repeat("0", 16) + "00000001" + strings.Repeat("0", 16) + strings.Repeat("0", 32) + "00000007" + "00000000" + ".extra\x00" + "\x00\x00\x00" +
		"07070100000002" + "00008124" + strings.Repeat("0", 16) + "00000001" + strings.Repeat("0", 8) + "00000005" + strings.Repeat("0", 32) + "00000012" + "00000000" + ".extra/os-release\x00" +
		"ID=x\n\x00\x00\x00" +
		"070701" + strings.Repeat("0", 32) + "00000001" + strings.Repeat("0", 48) + "0000000B00000000TRAILER!!!\x00\x00\x00\x00"
	if string(got) != want {
		t.Errorf("\n%q, expected\n%q", got, want)
	}
}

func TestActionOfABootOption(t *testing.T) {
	// As OVMF logs it on every boot.
	if got := hex.EncodeToString(option()[0].Digest); got != "3d6772b4f84ed47595d72a2c4c5ffd15f5bb72c7507fe26f2aaee2c69d5633ba" {
		t.Errorf("action %s", got)
	}
	if got := hex.EncodeToString(option()[1].Digest); got != "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119" {
		t.Errorf("separator %s", got)
	}
}

func TestInvariant4HostileInputIsBounded_Boots(t *testing.T) {
	for name, change := range map[string]func(*Image, *Params){
		"no way of booting":    func(_ *Image, p *Params) { p.Boot = "" },
		"no vCPU":              func(_ *Image, p *Params) { p.VCPUs = 0 },
		"too much memory":      func(_ *Image, p *Params) { p.MemoryMiB = maxMemory + 1 },
		"no memory":            func(_ *Image, p *Params) { p.MemoryMiB = 0 },
		"large initrd":         func(i *Image, p *Params) { i.Initrd, p.MemoryMiB = make([]byte, 2<<20), 1 },
		"long command line":    func(i *Image, _ *Params) { i.Cmdline = strings.Repeat("x", maxCmdline+1) },
		"NUL in command line":  func(i *Image, _ *Params) { i.Cmdline = "a\x00b" },
		"no kernel":            func(i *Image, _ *Params) { i.Kernel = nil },
		"kernel of noise":      func(i *Image, _ *Params) { i.Kernel = bytes.Repeat([]byte("MZ"), 4096) },
		"old kernel":           func(i *Image, _ *Params) { i.Kernel = madeKernel("5.10.0 test") },
		"kernel of no version": func(i *Image, _ *Params) { i.Kernel = madeKernel("six") },
	} {
		img, p := madeBoot(BootDirect)
		change(&img, &p)
		if pr, err := TPM(img, p); err == nil || pr != nil {
			t.Errorf("%s: predicted", name)
		}
	}
	k := madeKernel("6.12.1 test")
	for name, u := range map[string][]byte{
		"none": nil, "no stub": madePE(madeSection{".linux", k}), "unknown stub": madeUKI(249, k, []byte("i"), "x"),
		"no kernel": madePE(madeSection{".sdmagic", []byte(stubMagic + "257 ####")}),
		"profiles": madePE(madeSection{".sdmagic", []byte(stubMagic + "257 ####")}, madeSection{".linux", k}, madeSection{".initrd", nil},
			madeSection{".cmdline", nil}, madeSection{".profile", []byte("x")}),
		"two kernels": madePE(madeSection{".sdmagic", []byte(stubMagic + "257 ####")}, madeSection{".linux", k}, madeSection{".linux", k}, madeSection{".initrd", nil},
			madeSection{".cmdline", nil}),
		"control character": madeUKI(257, k, []byte("i"), "a\x1bb"),
	} {
		if pr, err := TPM(Image{UKI: u}, Params{VCPUs: 1, Boot: BootUKI}); err == nil || pr != nil {
			t.Errorf("UKI, %s: predicted", name)
		}
	}
}

// A damaged PE file is an error or another digest, never the same one: but for
// the checksum and the signatures' entry, which Authenticode leaves out.
func TestInvariant4HostileInputIsBounded_DamagedPE(t *testing.T) {
	b := madePE(madeSection{".text", []byte("some code")}, madeSection{".data", []byte("some data")})
	f, err := parsePE(b)
	if err != nil {
		t.Fatal(err)
	}
	want, err := f.authenticode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x40
		got, err := authenticode(c)
		left := i >= f.checksum && i < f.checksum+4 || i >= f.certEntry && i < f.certEntry+8
		if err == nil && got == want && !left {
			t.Fatalf("byte %d does not count", i)
		}
		if _, err := authenticode(b[:i]); err == nil {
			t.Fatalf("cut at %d: taken", i)
		}
	}
}
