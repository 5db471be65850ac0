// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
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
	floor := func(line, component string, n uint64) attest.TCBPolicy {
		return attest.TCBPolicy{Floors: []attest.TCBFloor{{Line: line, Min: map[string]uint64{component: n}}}}
	}
	chips := func(ids ...[]byte) attest.TCBPolicy {
		p := attest.TCBPolicy{Chips: [][]byte{}}
		p.Chips = append(p.Chips, ids...)
		return p
	}
	stranger := append([]byte{1}, make([]byte, 63)...)
	none := func([]byte) {}
	for _, x := range []struct {
		check    string
		demand   any // Options or attest.TCBPolicy
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
		{"chip-list", chips(stranger, chip[:]), none, nil, true},
		{"chip-list", chips(), nil, none, true},
		{"chip-list", chips(stranger), nil, none, true},
		{"provider", Options{Providers: []string{"CN=provider.example"}}, nil, none, true},
		{"id-key", Options{IDKeyDigests: [][48]byte{key}}, put(0xe0, key[:]...), put(0xe0, other[:]...), true},
		{"id-key", Options{IDKeyDigests: [][48]byte{}}, nil, none, true},
		{"author-key", Options{AuthorKeyDigests: [][48]byte{key}}, func(b []byte) { b[0x48] |= 1; copy(b[0x110:], key[:]) }, put(0x110, key[:]...), true},
		{"guest-svn", Options{IDKeyDigests: [][48]byte{{}}, MinGuestSVN: 3}, put(4, 3), put(4, 2), true},
		{"guest-svn", Options{MinGuestSVN: 3}, nil, put(4, 3), true},
		{"image", Options{IDKeyDigests: [][48]byte{{}}, Images: []Image{{}, {Family: [16]byte{1}, Image: [16]byte{2}}}}, func(b []byte) { b[0x10], b[0x20] = 1, 2 }, put(0x10, 1), true},
		{"image", Options{Images: []Image{{}}}, nil, none, true},
		{"mitigations", Options{Mitigations: 1}, none, put(0x1f8, 0), true},
		{"mitigations", Options{Mitigations: 2}, put(0x1f8, 2), none, true},
		{"mitigations", Options{Mitigations: 1}, nil, func(b []byte) { b[0] = 4; clear(b[0x1f8:0x208]) }, true},
		{"tcb-floor", floor("Milan", "snp", 24), none, nil, true},
		{"tcb-floor", floor("Milan", "microcode", 219), none, nil, true},
		{"tcb-floor", floor("Milan", "microcode", 220), nil, none, true},
		{"tcb-floor", floor("Milan", "fmc", 0), nil, none, true},
		{"tcb-floor", floor("Genoa", "microcode", 1), nil, none, true},
		{"tcb-floor", floor("", "microcode", 220), nil, none, true},
		{"tcb-launch", floor("Milan", "microcode", 219), none, put(0x1f7, 218), true},
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
			var o Options
			switch d := x.demand.(type) {
			case Options:
				o = d
			case attest.TCBPolicy:
				c.Expected.TCB = d
			}
			claims, v := fake(o, a, false).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
			verdicttest.Check(t, v)
			// Launch and endorsed level are the same here: below the floor
			// is one, below the floor are both.
			if got := strings.TrimSuffix(failed(v), "tcb-floor tcb-launch"); got != e.want && got+"tcb-floor" != e.want || (claims != nil) != (e.want == "") {
				t.Errorf("%+v: failed %q, expected %q: %v", x.demand, failed(v), e.want, v.Err())
			}
			if row := rowOf(v, x.check); e.want == "" && row.Outcome != attest.Pass {
				t.Errorf("%+v: %+v", x.demand, row)
			}
			if !x.demanded {
				continue
			}
			// Without the demand: no refusal, and the row is there.
			c.Expected.TCB = attest.TCBPolicy{}
			claims, v = fake(Options{}, a, false).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
			row := rowOf(v, strings.Replace(x.check, "tcb-launch", "tcb-floor", 1))
			if claims == nil || row.Outcome != attest.Skipped && row.Outcome != attest.Warn || row.Seen == "" {
				t.Errorf("%s not demanded: %+v, %v", x.check, row, v.Err())
			}
		}
	}
}

// All floors that apply count, the higher value of each component.
func TestFloorsAreJoined(t *testing.T) {
	a := attesttest.AMDVendor(t, "Turin")
	c := a.Case("", "", false, nil) // FMC 1, boot loader 2, TEE 3, SNP 4, microcode 70
	for _, x := range []struct {
		all, line map[string]uint64
		ok        bool
	}{
		{map[string]uint64{"fmc": 1, "bootloader": 2, "tee": 3, "snp": 4, "microcode": 70}, nil, true},
		{map[string]uint64{"fmc": 2}, nil, false},
		{map[string]uint64{"tee": 4}, nil, false},
		{map[string]uint64{"snp": 5}, map[string]uint64{"snp": 1}, false},
		{map[string]uint64{"snp": 1}, map[string]uint64{"snp": 5}, false},
		{map[string]uint64{"snp": 1}, map[string]uint64{"fmc": 1}, true},
	} {
		c.Expected.TCB.Floors = []attest.TCBFloor{{Min: x.all}}
		if x.line != nil {
			c.Expected.TCB.Floors = append(c.Expected.TCB.Floors, attest.TCBFloor{Line: "Turin", Min: x.line})
		}
		claims, v := fake(Options{}, a, false).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
		if (claims != nil) != x.ok || !x.ok && (rowOf(v, "tcb-floor").Outcome != attest.Fail || v.Reason() != attest.ReasonTCBFloor) {
			t.Errorf("%v, %v: %v", x.all, x.line, v.Err())
		}
	}
}

// A VLEK's report is of a chip only if it names one.
func TestChipsUnderVLEK(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	var chip [64]byte
	copy(chip[:], a.HardwareID())
	vlek := put(0x48, 1<<2)
	masked := func(b []byte) { vlek(b); clear(b[0x1a0:0x1e0]) }
	for _, x := range []struct {
		chips [][]byte
		edit  func([]byte)
		want  string
		why   attest.Reason
	}{
		{[][]byte{chip[:]}, vlek, "", ""},
		{[][]byte{chip[:]}, masked, "chip-list", attest.ReasonChip},
		{[][]byte{make([]byte, 64)}, masked, "tcb-policy chip-list", attest.ReasonPolicy},
		{[][]byte{chip[:63]}, vlek, "tcb-policy chip-list", attest.ReasonPolicy},
	} {
		c := a.Case("", "", true, x.edit)
		c.Expected.TCB.Chips = x.chips
		claims, v := fake(Options{}, a, true).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
		if failed(v) != x.want || (claims != nil) != (x.want == "") || v.Reason() != x.why {
			t.Errorf("%x: failed %q for %q, expected %q", x.chips, failed(v), v.Reason(), x.want)
		}
		verdicttest.Check(t, v)
	}
}

// VLEKs name providers and no chips.
func TestProviders(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
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
	o := Options{IDKeyDigests: [][48]byte{{1}}, AuthorKeyDigests: [][48]byte{{1}}, Providers: []string{"x"}}
	v := fake(o, a, true)
	o.IDKeyDigests[0], o.AuthorKeyDigests[0], o.Providers[0] = [48]byte{}, [48]byte{}, ""
	c := a.Case("", "", false, nil)
	if claims, verdict := v.Verify(c.Evidence, c.Collateral, c.Expected, c.At); claims != nil || failed(verdict) != "provider id-key author-key" {
		t.Errorf("failed %q", failed(verdict))
	}
}

// Claims say until when all of this holds, and the row of the dates says what
// ends then.
func TestValidUntil(t *testing.T) {
	a := attesttest.AMDVendor(t, "Genoa")
	end := attesttest.Made.AddDate(0, 2, 0)
	ask := a.NewASK(askSerial, func(c *x509.Certificate) { c.NotAfter = end })
	list := func(months int) attest.Evidence {
		return attesttest.CRL(a.List(func(l *x509.RevocationList) { l.NextUpdate = attesttest.Made.AddDate(0, months, 0) }))
	}
	for name, x := range map[string]struct {
		lists []attest.Evidence
		want  time.Time
		words string
	}{
		"the intermediate": {[]attest.Evidence{list(3)}, end, "SEV-Genoa at "},
		"the list":         {[]attest.Evidence{list(1)}, attesttest.Made.AddDate(0, 1, 0), "the revocation list of "},
		"the longer list":  {[]attest.Evidence{list(4), list(1)}, end, "SEV-Genoa at "},
	} {
		c := a.Case("", "", false, nil)
		c.Collateral = append(attest.Collateral{c.Collateral[0], attesttest.Cert(ask.Raw)}, x.lists...)
		claims, v := fake(Options{}, a, false).Verify(c.Evidence, c.Collateral, c.Expected, c.At)
		if claims == nil {
			t.Errorf("%s: %v", name, v.Err())
			continue
		}
		row := rowOf(v, "dates")
		if !claims.ValidUntil.Equal(x.want) || !strings.Contains(row.Seen, x.words) || !strings.Contains(row.Seen, x.want.UTC().Format(time.RFC3339)) {
			t.Errorf("%s: until %v, %+v", name, claims.ValidUntil, row)
		}
	}
}

// A report whose levels contradict each other is warned of, and what the
// platform says of itself is named.
func TestVersionsAndPlatform(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	tcb := a.TCB()
	newer, older := tcb, tcb
	newer[7]++
	older[6]--
	levels := func(current, committed [8]byte) func([]byte) {
		return func(b []byte) { copy(b[0x38:], current[:]); copy(b[0x1e0:], committed[:]); b[0x40] = 0x65 }
	}
	for name, x := range map[string]struct {
		edit func([]byte)
		want attest.Outcome
	}{
		"all the same":              {levels(tcb, tcb), attest.Pass},
		"newer and not committed":   {levels(newer, tcb), attest.Pass},
		"newer and committed":       {levels(newer, newer), attest.Pass},
		"current below committed":   {levels(tcb, newer), attest.Warn},
		"committed below reported":  {levels(tcb, older), attest.Warn},
		"reserved bytes of another": {levels([8]byte{3: 1}, tcb), attest.Warn},
	} {
		c := a.Case("", "", false, x.edit)
		claims, v := fake(Options{}, a, false).Verify(c.Evidence, c.Collateral, attesttest.ExpectedOf(c.Evidence.Value), c.At)
		verdicttest.Check(t, v)
		if claims == nil || rowOf(v, "tcb-versions").Outcome != x.want {
			t.Errorf("%s: %+v, %v", name, rowOf(v, "tcb-versions"), v.Err())
		}
		if row := rowOf(v, "platform-info"); row.Outcome != attest.Skipped || row.Seen != "0x65; SMT, ECC, alias check, bit 6" {
			t.Errorf("%s: %+v", name, row)
		}
	}
}
