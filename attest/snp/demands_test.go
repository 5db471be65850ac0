// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
)

// What is not demanded is named in the verdict; what is demanded passes or
// fails under the same name.
func TestDemands(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	var chip [64]byte
	copy(chip[:], a.HardwareID())
	key, other := [48]byte{1, 2, 3}, [48]byte{9}
	policy := func(bits ...int) func([]byte) { // on top of SMT and ABI 1.55
		return func(b []byte) {
			for _, n := range bits {
				b[8+n/8] ^= 1 << (n % 8)
			}
		}
	}
	type floors = map[string]map[string]uint64
	none := func([]byte) {}
	for _, x := range []struct {
		check    string
		o        Options
		good     func([]byte)
		bad      func([]byte)
		demanded bool
	}{
		{"smt", Options{Require: NoSMT}, policy(16), none, true},
		{"single-socket", Options{Require: SingleSocket}, policy(20), none, true},
		{"cxl", Options{Require: NoCXL}, none, policy(21), true},
		{"memory-xts", Options{Require: MemoryXTS}, policy(22), none, true},
		{"rapl", Options{Require: NoRAPL}, policy(23), none, true},
		{"ciphertext-hiding", Options{Require: CiphertextHiding}, policy(24), none, true},
		{"page-swap", Options{Require: NoPageSwap}, policy(25), none, true},
		{"alias-check", Options{Require: AliasCheck}, none, put(0x40, 0x05), true},
		{"abi", Options{MinABI: ABI{1, 0x37}}, none, put(0x08, 0x36), true},
		{"abi", Options{MinABI: ABI{1, 0x37}}, put(0x08, 0x00, 0x02), put(0x08, 0xff, 0x00), true},
		{"chip-list", Options{ChipIDs: [][64]byte{{1}, chip}}, none, nil, true},
		{"chip-list", Options{ChipIDs: [][64]byte{}}, nil, none, true},
		{"chip-list", Options{ChipIDs: [][64]byte{{}}}, nil, none, true},
		{"provider", Options{Providers: []string{"CN=provider.example"}}, nil, none, true},
		{"id-key", Options{IDKeyDigests: [][48]byte{key}}, put(0xe0, key[:]...), put(0xe0, other[:]...), true},
		{"id-key", Options{IDKeyDigests: [][48]byte{}}, nil, none, true},
		{"author-key", Options{AuthorKeyDigests: [][48]byte{key}}, func(b []byte) { b[0x48] |= 1; copy(b[0x110:], key[:]) }, put(0x110, key[:]...), true},
		{"guest-svn", Options{IDKeyDigests: [][48]byte{{}}, MinGuestSVN: 3}, put(4, 3), put(4, 2), true},
		{"guest-svn", Options{MinGuestSVN: 3}, nil, put(4, 3), true},
		{"mitigations", Options{Mitigations: 1}, none, put(0x1f8, 0), true},
		{"mitigations", Options{Mitigations: 2}, put(0x1f8, 2), none, true},
		{"mitigations", Options{Mitigations: 1}, nil, func(b []byte) { b[0] = 4; clear(b[0x1f8:0x208]) }, true},
		{"tcb-floor", Options{MinTCB: floors{"Milan": {"microcode": 219, "snp": 24}}}, none, nil, true},
		{"tcb-floor", Options{MinTCB: floors{"Milan": {"microcode": 220}}}, nil, none, true},
		{"tcb-floor", Options{MinTCB: floors{"Milan": {"fmc": 0}}}, nil, none, true},
		{"tcb-floor", Options{MinTCB: floors{"Genoa": {"microcode": 1}}}, nil, none, true},
		{"tcb-floor", Options{MinTCB: floors{}}, nil, none, true},
		{"tcb-launch", Options{MinTCB: floors{"Milan": {"microcode": 219}}}, none, put(0x1f7, 218), true},
		{"vmpl", Options{VMPL: 2}, put(0x30, 2), put(0x30, 1), false},
		{"vmpl", Options{VMPL: 2}, nil, none, false},
		{"vmpl", Options{VMPL: 4}, nil, none, false},
		{"vmpl", Options{VMPL: ^uint32(0)}, nil, put(0x30, 0xff, 0xff, 0xff, 0xff), false},
		{"features", Options{Require: 1 << 20}, nil, none, false},
	} {
		for _, e := range []struct {
			edit func([]byte)
			want string
		}{{x.good, ""}, {x.bad, x.check}} {
			if e.edit == nil {
				continue
			}
			c := a.Case("", "", false, e.edit)
			c.Expected = attesttest.ExpectedOf(c.Evidence.Value)
			claims, v := fake(x.o, a, false).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
			// Launch and endorsed level are the same here: below the floor
			// is one, below the floor are both.
			if got := strings.TrimSuffix(failed(v), "tcb-floor tcb-launch"); got != e.want && got+"tcb-floor" != e.want || (claims != nil) != (e.want == "") {
				t.Errorf("%+v: failed %q, expected %q: %v", x.o, failed(v), e.want, v.Err())
			}
			if row := rowOf(v, x.check); e.want == "" && row.Outcome != attest.Pass {
				t.Errorf("%+v: %+v", x.o, row)
			}
			if !x.demanded {
				continue
			}
			// Without the demand: no refusal, and the row is there.
			o := Options{}
			claims, v = fake(o, a, false).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
			row := rowOf(v, strings.Replace(x.check, "tcb-launch", "tcb-floor", 1))
			if claims == nil || row.Outcome != attest.Skipped && row.Outcome != attest.Warn || row.Seen == "" {
				t.Errorf("%s not demanded: %+v, %v", x.check, row, v.Err())
			}
		}
	}
}

// Floors of the call and of the options are joined.
func TestFloorsAreJoined(t *testing.T) {
	a := attesttest.AMDVendor(t, "Turin")
	c := a.Case("", "", false, nil) // FMC 1, boot loader 2, TEE 3, SNP 4, microcode 70
	for _, x := range []struct {
		call, line map[string]uint64
		ok         bool
	}{
		{map[string]uint64{"fmc": 1, "bootloader": 2, "tee": 3, "snp": 4, "microcode": 70}, nil, true},
		{map[string]uint64{"fmc": 2}, nil, false},
		{map[string]uint64{"tee": 4}, nil, false},
		{map[string]uint64{"snp": 5}, map[string]uint64{"snp": 1}, false},
		{map[string]uint64{"snp": 1}, map[string]uint64{"snp": 5}, false},
		{map[string]uint64{"snp": 1}, map[string]uint64{"fmc": 1}, true},
	} {
		o := Options{}
		if x.line != nil {
			o.MinTCB = map[string]map[string]uint64{"Turin": x.line}
		}
		c.Expected.MinTCB = x.call
		claims, v := fake(o, a, false).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
		if (claims != nil) != x.ok || !x.ok && rowOf(v, "tcb-floor").Outcome != attest.Fail {
			t.Errorf("%v, %v: %v", x.call, x.line, v.Err())
		}
	}
}

// VLEKs name providers and no chips.
func TestProviders(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	var chip [64]byte
	copy(chip[:], a.HardwareID())
	vlek := put(0x48, 1<<2)
	masked := func(b []byte) { vlek(b); clear(b[0x1a0:0x1e0]) }
	for _, x := range []struct {
		o    Options
		edit func([]byte)
		want string
	}{
		{Options{}, vlek, ""},
		{Options{}, masked, ""},
		{Options{Providers: []string{"CN=other.example", "CN=provider.example"}}, masked, ""},
		{Options{Providers: []string{"CN=other.example"}}, masked, "provider"},
		{Options{Providers: []string{}}, masked, "provider"},
		{Options{Providers: []string{""}}, masked, "provider"},
		{Options{ChipIDs: [][64]byte{chip}}, vlek, ""},
		{Options{ChipIDs: [][64]byte{chip}}, masked, "chip-list"},
		{Options{ChipIDs: [][64]byte{{}}}, masked, "chip-list"},
	} {
		c := a.Case("", "", true, x.edit)
		claims, v := fake(x.o, a, true).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
		if failed(v) != x.want || (claims != nil) != (x.want == "") {
			t.Errorf("%+v: failed %q, expected %q", x.o, failed(v), x.want)
		}
		if row := rowOf(v, "chip"); row.Outcome != attest.Pass || !strings.Contains(row.Seen, "provider.example") {
			t.Errorf("%+v", row)
		}
	}
	// A VCEK with a masked chip id cannot be told to be this machine's.
	c := a.Case("", "", false, func(b []byte) { clear(b[0x1a0:0x1e0]) })
	if claims, v := fake(Options{}, a, true).Verify(c.Evidence, c.Collateral, c.Expected, c.At); claims != nil || failed(v) != "chip" {
		t.Errorf("masked chip under a VCEK: failed %q", failed(v))
	}
}

func TestWaivers(t *testing.T) {
	a := attesttest.AMDVendor(t, "Genoa")
	attesttest.RunWaiverSuite(t, func(w attest.Waiver) attest.Verifier { return fake(Options{Waive: w}, a, false) }, a.Case("", "", false, nil))
}

// New keeps nothing that the caller can change afterwards.
func TestOptionsAreCopied(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	o := Options{ChipIDs: [][64]byte{{1}}, MinTCB: map[string]map[string]uint64{"Milan": {"snp": 200}}, Providers: []string{"x"}}
	v := fake(o, a, true)
	copy(o.ChipIDs[0][:], make([]byte, 64))
	copy(o.ChipIDs[0][:], a.HardwareID())
	o.MinTCB["Milan"]["snp"] = 0
	c := a.Case("", "", false, nil)
	if claims, verdict := v.Verify(c.Evidence, c.Collateral, c.Expected, c.At); claims != nil || failed(verdict) != "chip-list provider tcb-floor tcb-launch" {
		t.Errorf("failed %q", failed(verdict))
	}
}
