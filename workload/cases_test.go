// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	long := strings.Repeat("x", 300)
	file := func(f File) Config { return Config{Files: []File{f}} }
	tests := []struct {
		name string
		c    Config
		want string // part of the error; "" means valid
	}{
		{"zero", Config{}, ""},
		{"standard", Config{Files: StdFiles()}, ""},
		{"two of a name", Config{Files: append(StdFiles(), StdFiles()...)}, ""},
		{"listen anywhere", file(File{Kind: KindListen, Name: "l", Prot: ProtTCP, Addr: "127.0.0.1"}), ""},
		{"listen by name", file(File{Kind: KindListen, Name: "l", Prot: ProtTCP, Addr: "localhost", Port: 1}), ""},
		{"NUL in args", Config{Args: []string{"ok", "a\x00b"}}, "args.1: "},
		{"args not UTF-8", Config{Args: []string{"\xff"}}, "not UTF-8"},
		{"too many args", Config{Args: make([]string, MaxArgs+1)}, "4097 arguments"},
		{"env without name", Config{Env: map[string]string{"": "x"}}, "without a name"},
		{"env with =", Config{Env: map[string]string{"A=B": "x"}}, "contains '='"},
		{"env NUL", Config{Env: map[string]string{"A": "\x00"}}, "env.A: the value contains a NUL"},
		{"too many fds", Config{Files: make([]File, MaxFDs+1)}, "257 entries"},
		{"kind", file(File{Kind: "stdn"}), `files.0.kind: "stdn" is not a kind`},
		{"no kind", file(File{}), "is not a kind"},
		{"colon", file(File{Kind: KindNull, Name: "a:b"}), "must not contain ':'"},
		{"long name", file(File{Kind: KindNull, Name: long}), "300 bytes"},
		{"stdin with port", file(File{Kind: KindStdin, Port: 1}), "has no port"},
		{"stdin with prot", file(File{Kind: KindStdin, Prot: ProtTLS}), "has no prot"},
		{"stdin with host", file(File{Kind: KindStdin, Host: "h"}), "has no host"},
		{"listen without addr", file(File{Kind: KindListen, Prot: ProtTLS, Port: 443}), "files.0.addr: missing"},
		{"listen without prot", file(File{Kind: KindListen, Addr: "::", Port: 443}), "not a protocol"},
		{"listen with host", file(File{Kind: KindListen, Prot: ProtTLS, Addr: "::", Host: "h"}), "has no host"},
		{"connect without host", file(File{Kind: KindConnect, Prot: ProtTLS, Port: 443}), "files.0.host: missing"},
		{"connect without port", file(File{Kind: KindConnect, Prot: ProtTLS, Host: "h"}), "port 0"},
		{"connect with addr", file(File{Kind: KindConnect, Prot: ProtTLS, Host: "h", Port: 1, Addr: "::"}), "goes into host"},
		{"udp", file(File{Kind: KindConnect, Prot: "udp", Host: "h", Port: 1}), `"udp" is not a protocol`},
		{"zone", file(File{Kind: KindConnect, Prot: ProtTLS, Host: "fe80::1%eth0", Port: 1}), "has a zone"},
		{"brackets", file(File{Kind: KindConnect, Prot: ProtTLS, Host: "[::1]", Port: 1}), "without brackets"},
		{"host:port", file(File{Kind: KindConnect, Prot: ProtTLS, Host: "h:80", Port: 1}), "port apart"},
		{"long label", file(File{Kind: KindConnect, Prot: ProtTLS, Host: strings.Repeat("a", 64), Port: 1}), "neither a host name"},
		{"dots", file(File{Kind: KindConnect, Prot: ProtTLS, Host: "a..b", Port: 1}), "neither a host name"},
		{"final dot", file(File{Kind: KindConnect, Prot: ProtTLS, Host: "a.b.", Port: 1}), ""},
		{"http steward", Config{Steward: "http://s.example"}, "not encrypted"},
		{"bare steward", Config{Steward: "s.example"}, "not encrypted"},
		{"steward without host", Config{Steward: "https:///x"}, "names no host"},
		{"bad steward", Config{Steward: "https://%zz"}, "not a URL"},
		{"long steward", Config{Steward: "https://" + strings.Repeat("a", MaxStewardLen)}, "at most 2048"},
		{"secret", Config{Secrets: []Secret{{Name: "a", Env: "A"}, {Name: "b", Path: "/b"}}}, ""},
		{"secret nowhere", Config{Secrets: []Secret{{Name: "a"}}}, "exactly one"},
		{"secret twice there", Config{Secrets: []Secret{{Name: "a", Env: "A", Path: "/a"}}}, "exactly one"},
		{"secret name", Config{Secrets: []Secret{{Name: "a b", Env: "A"}}}, "not a secret's name"},
		{"secret dot", Config{Secrets: []Secret{{Name: "..", Env: "A"}}}, "not a secret's name"},
		{"secret dup", Config{Secrets: []Secret{{Name: "a", Env: "A"}, {Name: "a", Env: "B"}}}, "declared twice"},
		{"secret and env", Config{Env: map[string]string{"A": "1"}, Secrets: []Secret{{Name: "a", Env: "A"}}}, "only source"},
		{"secrets share env", Config{Secrets: []Secret{{Name: "a", Env: "A"}, {Name: "b", Env: "A"}}}, `variable of secret "a"`},
		{"secrets share path", Config{Secrets: []Secret{{Name: "a", Path: "/a"}, {Name: "b", Path: "/a"}}}, `path of secret "a"`},
		{"secret path", Config{Secrets: []Secret{{Name: "a", Path: "/a/../b"}}}, `expected "/b"`},
		{"small memory", Config{Limits: Limits{MemoryBytes: 1}}, "limits.memory: 1 bytes"},
		{"large memory", Config{Limits: Limits{MemoryBytes: MaxMemoryBytes + 1}}, "4 GiB"},
		{"long timeout", Config{Limits: Limits{TimeoutMS: math.MaxUint64}}, "100 years"},
	}
	for _, tt := range tests {
		err := tt.c.Validate()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && err == nil:
			t.Errorf("%s: accepted, want an error with %q", tt.name, tt.want)
		case tt.want != "" && !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestValidateListsEverything(t *testing.T) {
	c := Config{Args: []string{"\x00"}, Steward: "http://x", Limits: Limits{MemoryBytes: 1}}
	var e ConfigError
	if err := c.Validate(); !errors.As(err, &e) || len(e) != 3 {
		t.Errorf("%v, want three errors", err)
	}
	if _, err := Pack(Package{Config: c, Module: emptyModule}); err == nil {
		t.Error("an invalid configuration was packed")
	}
}

func TestPackRefuses(t *testing.T) {
	with := func(change func(*Package)) Package { p := sample(); change(&p); return p }
	files := func(f ...BundleFile) Package { return Package{Module: emptyModule, Files: f} }
	deep := strings.Repeat("/d", MaxPathDepth+1)
	tests := []struct {
		name string
		p    Package
		want string
	}{
		{"no module", Package{}, "module is empty"},
		{"huge module", Package{Module: make([]byte, MaxModuleSize+1)}, "module has 268435457 bytes"},
		{"relative", files(BundleFile{Path: "a"}), "not absolute"},
		{"empty path", files(BundleFile{}), "not absolute"},
		{"root", files(BundleFile{Path: "/", Dir: true}), "root directory"},
		{"dots", files(BundleFile{Path: "/a/../b"}), "not clean"},
		{"slash", files(BundleFile{Path: "/a/"}), "not clean"},
		{"double", files(BundleFile{Path: "//a"}), "not clean"},
		{"NUL", files(BundleFile{Path: "/a\x00"}), "NUL"},
		{"UTF-8", files(BundleFile{Path: "/\xff"}), "not UTF-8"},
		{"long", files(BundleFile{Path: "/" + strings.Repeat("a", MaxPathLen)}), "1025 bytes"},
		{"long name", files(BundleFile{Path: "/" + strings.Repeat("a", MaxNameLen+1)}), "name of 256"},
		{"deep", files(BundleFile{Path: deep}), "64 names"},
		{"twice", files(BundleFile{Path: "/a"}, BundleFile{Path: "/a"}), "twice"},
		{"file and dir", files(BundleFile{Path: "/a"}, BundleFile{Path: "/a", Dir: true}), "twice"},
		{"below a file", files(BundleFile{Path: "/a"}, BundleFile{Path: "/a/b"}), "which is a file"},
		{"dir with data", files(BundleFile{Path: "/a", Dir: true, Data: []byte{1}}), "has data"},
		{"too many files", files(manyFiles(MaxBundleFiles + 1)...), "65537 files"},
		{"roots", with(func(p *Package) { p.CARoots = []byte("hello") }), "0 PEM blocks"},
		{"private key", with(func(p *Package) {
			p.CARoots = []byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")
		}), "PRIVATE KEY"},
		{"damaged root", with(func(p *Package) {
			p.CARoots = append([]byte("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), p.CARoots...)
		}), "damaged"},
		{"not a certificate", with(func(p *Package) {
			p.CARoots = []byte("-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n")
		}), "holds no certificate"},
		{"secret on a file", with(func(p *Package) { p.Config.Secrets[1].Path = "/lib/b.txt" }), "has a file"},
		{"secret on a directory", with(func(p *Package) { p.Config.Secrets[1].Path = "/lib" }), "has a directory"},
		{"secret below a file", with(func(p *Package) { p.Config.Secrets[1].Path = "/lib/b.txt/x" }), "below the file /lib/b.txt"},
		{"secret below a secret", with(func(p *Package) {
			p.Config.Secrets = append(p.Config.Secrets, Secret{Name: "z", Path: "/run/secrets/key/z"})
		}), "below the secret"},
	}
	for _, tt := range tests {
		b, err := Pack(tt.p)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if b != nil {
			t.Errorf("%s: bytes and an error", tt.name)
		}
	}
}

func manyFiles(n int) []BundleFile {
	f := make([]BundleFile, n)
	for i := range f {
		f[i].Path = "/f" + strings.Repeat("a", i%200) + string(rune('0'+i/200%10)) + string(rune('0'+i/2000%10)) + string(rune('0'+i/20000))
	}
	return f
}

func TestDigestText(t *testing.T) {
	d := mustParse(t, mustPack(t, sample())).Digest()
	back, err := ParseDigest(d.String())
	if err != nil || back != d {
		t.Errorf("%s reads back as %s: %v", d, back, err)
	}
	for _, s := range []string{
		"", "bundle:sha256:", d.String()[14:], strings.ToUpper(d.String()), d.String() + "0", d.String()[:77],
		"bundle:sha256:" + strings.Repeat("0", 64), "bundle:sha256:" + strings.Repeat("g", 64),
		"bundle:sha512:" + d.String()[14:], "bundle:sha256:" + strings.ToUpper(d.String()[14:]), " " + d.String(),
		"precompiled:sha256:" + d.String()[14:],
	} {
		if v, err := ParseDigest(s); err == nil || v != (Digest{}) {
			t.Errorf("%q was read as a digest", s)
		}
	}
	if _, err := ParsePrecompiledDigest(d.String()); err == nil {
		t.Error("a bundle digest was read as one of precompiled code")
	}
	_, pd := mustParse(t, mustPack(t, sample())).Precompiled()
	if v, err := ParsePrecompiledDigest(pd.String()); err != nil || v != pd {
		t.Errorf("%s: %v", pd, err)
	}
	var j struct{ D Digest }
	j.D = d
	text, err := json.Marshal(j)
	if err != nil || !strings.Contains(string(text), d.String()) {
		t.Errorf("%s, %v", text, err)
	}
	if err := json.Unmarshal(text, &j); err != nil || j.D != d {
		t.Errorf("%v, %v", j, err)
	}
	if _, err := json.Marshal(struct{ D Digest }{}); err == nil {
		t.Error("a digest that was never set was written down")
	}
}

func TestFDEnv(t *testing.T) {
	c := Config{Files: append(StdFiles(), File{Kind: KindListen, Name: "LISTEN"})}
	if n, names := c.FDEnv(); n != "4" || names != "stdin:stdout:stderr:LISTEN" {
		t.Errorf("FD_COUNT=%s FD_NAMES=%s", n, names)
	}
	if n, names := (Config{}).FDEnv(); n != "0" || names != "" {
		t.Errorf("FD_COUNT=%s FD_NAMES=%s", n, names)
	}
	if ProtTCP.DefaultPort() != 80 || ProtTLS.DefaultPort() != 443 {
		t.Error("default ports are not those of the original")
	}
}

func TestCheckModule(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "empty",
		"\x7fELF\x02":              "program of this machine",
		"#!/bin/sh":                "program of this machine",
		"(module)":                 "expected a WebAssembly binary",
		"\x00asm":                  "at least 8",
		"\x8eENARX\x1a\n":          "already",
		"\x00asm\x01\x00\x00\x00":  "",
		"\x00asm\x0d\x00\x01\x00x": "",
	} {
		err := CheckModule([]byte(in))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// Values from the definition in the PURBs paper: the size keeps as many
// leading bits as it takes to write its exponent, and the rest is rounded up.
func TestPadmeSize(t *testing.T) {
	for n, want := range map[uint64]uint64{
		0: 0, 1: 1, 2: 2, 3: 3, 7: 7, 8: 8, 9: 10, 10: 10, 11: 12, 15: 16, 17: 18, 100: 104, 1000: 1024, 1025: 1088,
		1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1<<15, 30_000_000: 30_408_704,
		math.MaxUint64: math.MaxUint64, math.MaxUint64 - 1: math.MaxUint64,
	} {
		if got := PadmeSize(n); got != want {
			t.Errorf("PadmeSize(%d) = %d, want %d", n, got, want)
		}
	}
	last := uint64(0)
	for n := uint64(0); n < 1<<16; n++ {
		p := PadmeSize(n)
		if p < n || p < last || PadmeSize(p) != p || n > 0 && float64(p-n)/float64(n) > 0.12 {
			t.Fatalf("PadmeSize(%d) = %d", n, p)
		}
		last = p
	}
}
