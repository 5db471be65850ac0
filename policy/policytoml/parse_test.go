// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package policytoml

import (
	"crypto/sha256"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/snp"
)

// example is the one of docs/policy.md.
func example(t testing.TB) []byte {
	t.Helper()
	doc, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(doc), "```toml\n")
	text, _, ok2 := strings.Cut(after, "```")
	if !ok || !ok2 {
		t.Fatal("docs/policy.md has no example")
	}
	return []byte(text)
}

// The example of the documentation is read, every value of it.
func TestExampleOfTheDocumentation(t *testing.T) {
	text := example(t)
	p, err := Parse("policy.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(text); p.Digest == nil || *p.Digest != sum {
		t.Error("the digest is not that of the file")
	}
	if len(p.TCB.Chips) != 2 || len(p.TCB.Chips[0]) != 64 || len(p.TCB.Chips[1]) != 16 || len(p.Platforms) != 3 {
		t.Errorf("chips %v, platforms %v", p.TCB.Chips, p.Platforms)
	}
	if p.Demand != attest.WaiveMeasurement|attest.WaiveReportData {
		t.Errorf("demand %b", p.Demand)
	}
	if len(p.Floors) != 3 {
		t.Fatalf("floors %+v", p.Floors)
	}
	f := p.Floors[1]
	if f.Platform != "tdx" || f.Line != "00806f050000" || f.Min["tdx01"] != 5 || f.Note != "BIOS of January" ||
		!f.From.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", f)
	}
	if g := p.Floors[0]; g.Platform != "snp" || g.Line != "Milan" || g.Min["microcode"] != 213 || !g.From.IsZero() {
		t.Errorf("%+v", g)
	}
	want := attest.TCBAcceptance{Statuses: []string{"OutOfDate"}, Advisories: []string{"INTEL-SA-01010", "INTEL-SA-01036"},
		Until: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), Note: "update of the fleet is under way"}
	if len(p.TCB.Accept) != 1 || !reflect.DeepEqual(p.TCB.Accept[0], want) {
		t.Errorf("%+v", p.TCB.Accept)
	}
	s := p.SNP
	if s.VMPL != 0 || s.Require != snp.SingleSocket|snp.AliasCheck || s.MinABI != (snp.ABI{Major: 1, Minor: 55}) || s.Mitigations != 1 ||
		len(s.Providers) != 1 || len(s.IDKeyDigests) != 1 || s.AuthorKeyDigests == nil || len(s.AuthorKeyDigests) != 0 ||
		s.MinGuestSVN != 2 || s.AcceptMissingCRL {
		t.Errorf("%+v", s)
	}
	if x := p.TDX; len(x.MRTD) != 1 || x.MRTD[0][0] != 0xda || x.RTMR[0] != nil || x.XFAM == nil || *x.XFAM != 0x602e7 || x.AcceptPendingVE {
		t.Errorf("%+v", x)
	}
	if x := p.SGX.Signer; x == nil || x.MRSigner[0] != 0x9a || x.ProductID != 1 || x.MinSVN != 3 {
		t.Errorf("%+v", x)
	}
	if len(p.Nitro.PCRs) != 1 || p.Nitro.PCRs[8][0] != 0x70 || p.Nitro.RequireCRL {
		t.Errorf("%+v", p.Nitro)
	}
	if x := p.VTPM; len(x.OnlyRoots) != 1 || x.OnlyRoots[0][0] != 0x59 || len(x.PCRs) != 1 || x.PCRs[0][0] != 0x0c || !x.SecureBoot || x.RequireCRL ||
		x.AcceptUnprovenActivation || x.Roots != nil {
		t.Errorf("%+v", x)
	}
	if dates := p.Dates(); len(dates) != 2 || !dates[0].Before(dates[1]) {
		t.Errorf("%v", dates)
	}
}

// Every key that the parser knows stands in the documentation.
func TestEveryKeyIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				key := typ.Field(i).Tag.Get("toml")
				if key == "" {
					continue
				}
				n++
				if !regexp.MustCompile("[`.]"+key+"[`\\]]").Match(doc) && !strings.Contains(string(doc), "[["+key) {
					t.Errorf("docs/policy.md does not mention %s", key)
				}
				walk(typ.Field(i).Type)
			}
		}
	}
	walk(reflect.TypeFor[file]())
	if n < 25 {
		t.Fatalf("only %d keys", n)
	}
}

// What makes no sense is an error with its line.
func TestErrorsHaveLines(t *testing.T) {
	for _, x := range []struct{ text, want string }{
		{"version = 1\nplatform = [\"snp\"]\n", "p.toml:2: key platform is not known"},
		{"version = 1\n[snp]\nvmpl = 0\nvmpl2 = 1\n", "p.toml:4: key snp.vmpl2 is not known"},
		{"version = 1\n\n[[tcb.floor]]\nline = \"Milan\"\nmin = { snp = 1 }\nuntil = 2026-01-01\n", "p.toml:6: key tcb.floor.until is not known"},
		{"version = 2\n", "p.toml:1: version: 2, expected 1"},
		{"", "version: 0, expected 1"},
		{"version = 1\nversion = 1\n", "p.toml:2:"},
		{"version = 1\nplatforms = [\"snp\", \"vm\"]\n", `p.toml:2: platforms: "vm", expected one of`},
		{"version = 1\nplatforms = \"snp\"\n", "p.toml:2:"},
		{"version = 1\nchips = [\"00\"]\n", "p.toml:2: chips: \"00\": 1 bytes, expected 64"},
		{"version = 1\nchips = [\"xy\"]\n", "p.toml:2: chips:"},
		{"version = 1\n[[tcb.floor]]\nline = \"Milan\"\n", "p.toml:2: tcb.floor.min: missing"},
		{"version = 1\n[[tcb.floor]]\nline = \"Milan\"\nmin = { snp = 1 }\n[[tcb.floor]]\nline = \"Rome\"\nmin = { snp = 1 }\n", `p.toml:6: tcb.floor.line: "Rome"`},
		{"version = 1\n[[tcb.floor]]\nmin = { snp = 1 }\n", "p.toml:2: tcb.floor.platform: expected line"},
		{"version = 1\n[[tcb.floor]]\nplatform = \"snp\"\nfmspc = \"00806f050000\"\nmin = { tdx01 = 1 }\n", "p.toml:5: tcb.floor.min: component \"tdx01\""},
		{"version = 1\n[[tcb.floor]]\nplatform = \"sgx\"\nmin = { tdx01 = 1 }\n", "p.toml:4: tcb.floor.min:"},
		{"version = 1\n[[tcb.floor]]\nplatform = \"tdx\"\nline = \"Milan\"\nmin = { tdx01 = 1 }\n", "p.toml:3: tcb.floor.platform:"},
		{"version = 1\n[[tcb.floor]]\nplatform = \"tdx\"\nfmspc = \"00806F050000\"\nmin = { tdx01 = 1 }\n", "p.toml:4: tcb.floor.fmspc:"},
		{"version = 1\n[[tcb.floor]]\nline = \"Milan\"\nmin = { snp = -1 }\n", "p.toml:4:"},
		{"version = 1\n[[tcb.floor]]\nline = \"Milan\"\nmin = { snp = 1 }\nfrom = \"2026-01-01\"\n", "p.toml:5: tcb.floor.from: expected a day"},
		{"version = 1\n[[tcb.floor]]\nline = \"Milan\"\nmin = { snp = 1 }\nfrom = 2026-01-01T00:00:00\n", "p.toml:5: tcb.floor.from: expected a day"},
		{"version = 1\n[[tcb.accept]]\nstatus = [\"Revoked\"]\n", "p.toml:3: tcb.accept.status: Revoked is never accepted"},
		{"version = 1\n[[tcb.accept]]\nstatus = [\"UpToDate\"]\n", "p.toml:3: tcb.accept.status:"},
		{"version = 1\n[[tcb.accept]]\nstatus = [\"outofdate\"]\n", "p.toml:3: tcb.accept.status:"},
		{"version = 1\n[[tcb.accept]]\nadvisories = [\"INTEL-SA-01036\"]\n", "p.toml:2: tcb.accept.status: missing"},
		{"version = 1\n[[tcb.accept]]\nstatus = [\"OutOfDate\"]\nadvisories = [\"*\"]\n", "p.toml:4: tcb.accept.advisories:"},
		{"version = 1\n[tdx]\nrtmr1 = [\"00\"]\n", "p.toml:3: tdx.rtmr1:"},
		{"version = 1\nengines = [\"v8\"]\n", `p.toml:2: engines: "v8", expected one of wasmtime, wazero`},
		{"version = 1\ndemand = [\"luck\"]\n", `p.toml:2: demand: "luck", expected some of measurement`},
		{"version = 1\n[snp]\nrequire = [\"smt\", \"fast\"]\n", `p.toml:3: snp.require: "fast", expected some of alias-check`},
		{"version = 1\n[snp]\nmin_abi = \"1\"\n", "p.toml:3: snp.min_abi:"},
		{"version = 1\n[snp]\nvmpl = 4\n", "p.toml:3: snp.vmpl: 4"},
		{"version = 1\n[snp]\nmin_guest_svn = 1\n", "p.toml:3: snp.min_guest_svn: needs id_keys"},
		{"version = 1\n[snp]\nid_keys = [\"00\"]\n", "p.toml:3: snp.id_keys:"},
		{"version = 1\n[sgx]\nmin_svn = 1\n", "p.toml:2: sgx.mrsigner: missing"},
		{"version = 1\n[sgx]\nmrsigner = \"" + strings.Repeat("0a", 32) + "\"\n", "p.toml:2: sgx.product_id: missing"},
		{"version = 1\n[nitro]\npcrs = { 32 = \"\" }\n", "p.toml:3: nitro.pcrs: \"32\" is no register"},
		{"version = 1\n[nitro]\npcrs = { 8 = \"00\" }\n", "p.toml:3: nitro.pcrs: register 8"},
		{"version = 1\n[sgx]\nmin_svn = 70000\n", "p.toml:3:"},
		{"version = 1\n[vtpm]\nsecure_boot = true\n", "p.toml:3: key vtpm.secure_boot is not known"},
		{"version = 1\n[vtpm]\nrequire_secure_boot = \"yes\"\n", "p.toml:3:"},
		{"version = 1\n[vtpm]\nroots = [\"tpm-root.pem\"]\n", "p.toml:3: vtpm.roots: \"tpm-root.pem\" is no SHA-256 digest"},
		{"version = 1\n[vtpm]\nroots = [\"00\"]\n", "p.toml:3: vtpm.roots:"},
		{"version = 1\n[vtpm]\npcrs = { 24 = \"" + strings.Repeat("0a", 32) + "\" }\n", "p.toml:3: vtpm.pcrs: \"24\" is no register from 0 to 23"},
		{"version = 1\n[vtpm]\npcrs = { 07 = \"" + strings.Repeat("0a", 32) + "\" }\n", "p.toml:3: vtpm.pcrs: \"07\" is no register"},
		{"version = 1\n[vtpm]\npcrs = { 0 = \"" + strings.Repeat("0a", 20) + "\" }\n", "p.toml:3: vtpm.pcrs: register 0"},
		{"version = 1\nchips = [\"" + strings.Repeat("0a", 20) + "\"]\n", "p.toml:2: chips:"},
	} {
		if _, err := Parse("p.toml", []byte(x.text)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: %v, expected %s", x.text, err, x.want)
		}
	}
	if _, err := Parse("p.toml", make([]byte, MaxSize+1)); err == nil {
		t.Error("a file beyond the limit was read")
	}
}

// A policy that names engines demands a measurement, and leaves only reference
// values that say that they are of one of them.
func TestEngines(t *testing.T) {
	refs := []attest.ReferenceValue{{Engine: "wazero v1.12.0"}, {Engine: "wasmtime v39.0.1"}, {Engine: "wasmtimes v1"}, {}}
	for text, want := range map[string]int{
		"":                                    4,
		"engines = []\n":                      0,
		"engines = [\"wasmtime\"]\n":          1,
		"engines = [\"wazero\",\"wasmtime\"]": 2,
	} {
		p, err := Parse("p", []byte("version = 1\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.References(refs); len(got) != want || got == nil {
			t.Errorf("%q: %v, expected %d values", text, got, want)
		}
		if p.References(nil) != nil {
			t.Errorf("%q: no values given became some", text)
		}
		if demands := p.Demand&attest.WaiveMeasurement != 0; demands != (text != "") {
			t.Errorf("%q: demands a measurement: %v", text, demands)
		}
	}
}

// A list that is left out demands nothing, one that is empty accepts nothing.
func TestEmptyIsNotMissing(t *testing.T) {
	p, err := Parse("p", []byte("version = 1\n"))
	if err != nil || p.Platforms != nil || p.TCB.Chips != nil || p.SNP.Providers != nil || p.SNP.IDKeyDigests != nil || p.VTPM.OnlyRoots != nil {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = Parse("p", []byte("version = 1\n[[tcb.floor]]\nline = \"Genoa\"\nmin = {}\n"))
	if err != nil || len(p.Floors) != 1 || p.Floors[0].Min == nil {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = Parse("p", []byte("version = 1\nplatforms = []\nchips = []\n[snp]\nproviders = []\nid_keys = []\n[vtpm]\nroots = []\n"))
	if err != nil || p.Platforms == nil || p.TCB.Chips == nil || p.SNP.Providers == nil || p.SNP.IDKeyDigests == nil || p.VTPM.OnlyRoots == nil {
		t.Errorf("%+v, %v", p, err)
	}
}

// FuzzParse: no text makes the parser panic, and none gives a policy that
// accepts what is never to be accepted.
func FuzzParse(f *testing.F) {
	text := example(f)
	f.Add(text)
	f.Add([]byte("version = 1\n[[tcb.accept]]\nstatus = [\"OutOfDate\"]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("p", text)
		if err != nil {
			return
		}
		for _, a := range p.TCB.Accept {
			for _, s := range a.Statuses {
				if s == "Revoked" || s == "NotSupported" || s == "" {
					t.Errorf("%q is accepted", s)
				}
			}
		}
		if p.VTPM.Roots != nil {
			t.Error("a file has named a root")
		}
		if p.Digest == nil {
			t.Error("a policy without digest")
		}
	})
}
