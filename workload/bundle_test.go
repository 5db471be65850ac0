// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// emptyModule is the smallest valid module: magic and version.
var emptyModule = []byte("\x00asm\x01\x00\x00\x00")

// sample is a package that uses every section of version 1 and, in map order,
// file order and missing directories, everything that must not show.
func sample() Package {
	return Package{
		Config: Config{
			Args:         []string{"--fast", "héllo"},
			Env:          map[string]string{"B": "2", "A": "1", "LONGER_NAME": "x=y"},
			Confidential: true,
			Steward:      "https://steward.example/",
			Files: append(StdFiles(),
				File{Kind: KindListen, Name: "LISTEN", Prot: ProtTLS, Addr: DefaultAddr, Port: 443},
				File{Kind: KindConnect, Name: "db", Prot: ProtTCP, Host: "db.example", Port: 5432},
				File{Kind: KindNull, Name: "null"}),
			Secrets: []Secret{{Name: "token", Env: "TOKEN"}, {Name: "key", Path: "/run/secrets/key"}},
			Limits:  Limits{MemoryBytes: 64 << 20, TimeoutMS: 30000},
		},
		Module: emptyModule,
		Files: []BundleFile{
			{Path: "/lib/b.txt", Data: []byte("bee")},
			{Path: "/lib-a/x", Data: []byte("ex")},
			{Path: "/lib/a/empty"},
			{Path: "/tmp", Dir: true},
		},
		CARoots:     testRoots,
		Precompiled: []byte("code"),
	}
}

// testRoots is testdata/root.pem: one self-signed certificate made for these
// tests with crypto/x509; its key was never stored.
var testRoots = mustRead("testdata/root.pem")

func mustRead(name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}

func mustPack(t testing.TB, p Package) []byte {
	t.Helper()
	b, err := Pack(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, b []byte) *Bundle {
	t.Helper()
	u, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRoundTrip(t *testing.T) {
	p := sample()
	b := mustPack(t, p)
	u := mustParse(t, b)
	c := u.Config()
	want := p.Config
	want.Secrets = sortSecrets(want.Secrets)
	if !reflect.DeepEqual(c, want) {
		t.Errorf("configuration changed:\n got %+v\nwant %+v", c, want)
	}
	if !bytes.Equal(u.Module(), p.Module) || !bytes.Equal(u.CARoots(), p.CARoots) {
		t.Error("module or roots changed")
	}
	var paths []string
	for _, f := range u.Files() {
		paths = append(paths, fmt.Sprintf("%s %t %q", f.Path, f.Dir, f.Data))
	}
	wantPaths := []string{`/lib true ""`, `/lib-a true ""`, `/lib-a/x false "ex"`, `/lib/a true ""`,
		`/lib/a/empty false ""`, `/lib/b.txt false "bee"`, `/run/secrets`, `/tmp true ""`}
	wantPaths = slices.Delete(wantPaths, 6, 7) // a secret's directory is not part of the bundle
	if !slices.Equal(paths, wantPaths) {
		t.Errorf("files:\n got %q\nwant %q", paths, wantPaths)
	}
	again := mustPack(t, u.Package())
	if !bytes.Equal(again, b) {
		t.Error("packing what was parsed gives other bytes")
	}
}

// The configuration that comes out is a copy: the Keep adds secrets to its
// environment, and that must not change what the bundle says.
func TestConfigIsACopy(t *testing.T) {
	u := mustParse(t, mustPack(t, sample()))
	c := u.Config()
	c.Env["A"], c.Args[0], c.Files[0].Name, c.Secrets[0].Name = "changed", "changed", "changed", "changed"
	if d := u.Config(); d.Env["A"] != "1" || d.Args[0] != "--fast" || d.Files[0].Name != "stdin" || d.Secrets[0].Name != "key" {
		t.Errorf("changing the copy changed the bundle: %+v", d)
	}
}

// A module of 30 MB must not be there twice: what a Bundle returns lies inside
// the bytes that were parsed, and appending to it cannot overwrite them.
func TestParseCopiesNothing(t *testing.T) {
	b := mustPack(t, sample())
	u := mustParse(t, b)
	parts := [][]byte{u.Module(), u.CARoots()}
	for _, f := range u.Files() {
		if len(f.Data) > 0 {
			parts = append(parts, f.Data)
		}
	}
	before := make([][]byte, len(parts))
	for i, p := range parts {
		before[i] = slices.Clone(p)
	}
	for i := range b {
		b[i] ^= 0xff
	}
	for i, p := range parts {
		if bytes.Equal(p, before[i]) {
			t.Errorf("part %d is a copy: it did not change with the bundle", i)
		}
		if cap(p) != len(p) {
			t.Errorf("part %d has room behind it (%d of %d): an append would write into the bundle", i, len(p), cap(p))
		}
	}
}

// TestSameInputSameBytes shuffles everything that has an order in memory and
// none in meaning.
func TestSameInputSameBytes(t *testing.T) {
	want := mustPack(t, sample())
	rnd := mrand.New(mrand.NewPCG(1, 2))
	for range 200 {
		p := sample()
		rnd.Shuffle(len(p.Files), func(i, j int) { p.Files[i], p.Files[j] = p.Files[j], p.Files[i] })
		rnd.Shuffle(len(p.Config.Secrets), func(i, j int) {
			p.Config.Secrets[i], p.Config.Secrets[j] = p.Config.Secrets[j], p.Config.Secrets[i]
		})
		env := map[string]string{}
		keys := sortedKeys(p.Config.Env)
		rnd.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, k := range keys {
			env[k] = p.Config.Env[k]
		}
		p.Config.Env = env
		p.Files = append(p.Files, BundleFile{Path: "/lib", Dir: true}) // written or implied, the same
		p.CARoots = append([]byte("a comment before the block\n\n"), p.CARoots...)
		if !bytes.Equal(mustPack(t, p), want) {
			t.Fatal("the same workload gave other bytes")
		}
	}
	empty := Package{Module: emptyModule}
	full := Package{Module: emptyModule, Files: []BundleFile{}, CARoots: []byte{}, Precompiled: []byte{},
		Config: Config{Args: []string{}, Env: map[string]string{}, Files: []File{}, Secrets: []Secret{}}}
	if !bytes.Equal(mustPack(t, empty), mustPack(t, full)) {
		t.Error("nil and empty give other bytes")
	}
}

// TestInvariant9EverythingIsMeasured changes each thing that shapes a run and
// expects another identity every time.
func TestInvariant9EverythingIsMeasured(t *testing.T) {
	changes := map[string]func(*Package){
		"argument":        func(p *Package) { p.Config.Args[0] = "--slow" },
		"arguments moved": func(p *Package) { p.Config.Args = []string{"--fasthéllo"} },
		"environment":     func(p *Package) { p.Config.Env["A"] = "2" },
		"variable":        func(p *Package) { delete(p.Config.Env, "A"); p.Config.Env["a"] = "1" },
		"confidential":    func(p *Package) { p.Config.Confidential = false },
		"steward":         func(p *Package) { p.Config.Steward = "" },
		"descriptor":      func(p *Package) { p.Config.Files = p.Config.Files[:5] },
		"order":           func(p *Package) { f := p.Config.Files; f[0], f[1] = f[1], f[0] },
		"name":            func(p *Package) { p.Config.Files[0].Name = "in" },
		"protocol":        func(p *Package) { p.Config.Files[3].Prot = ProtTCP },
		"port":            func(p *Package) { p.Config.Files[3].Port = 444 },
		"address":         func(p *Package) { p.Config.Files[3].Addr = "::1" },
		"host":            func(p *Package) { p.Config.Files[4].Host = "db2.example" },
		"secret name":     func(p *Package) { p.Config.Secrets[0].Name = "tokem" },
		"secret variable": func(p *Package) { p.Config.Secrets[0].Env = "TOKEM" },
		"secret path":     func(p *Package) { p.Config.Secrets[1].Path = "/run/secrets/kez" },
		"memory":          func(p *Package) { p.Config.Limits.MemoryBytes++ },
		"timeout":         func(p *Package) { p.Config.Limits.TimeoutMS++ },
		"module":          func(p *Package) { p.Module = append(slices.Clone(p.Module), 0) },
		"file content":    func(p *Package) { p.Files[0].Data = []byte("bea") },
		"file path":       func(p *Package) { p.Files[0].Path = "/lib/c.txt" },
		"file boundary":   func(p *Package) { p.Files[0].Data, p.Files[1].Data = []byte("be"), []byte("exe") },
		"empty directory": func(p *Package) { p.Files = p.Files[:3] },
		"file or dir":     func(p *Package) { p.Files[2].Dir = true },
		"CA roots":        func(p *Package) { p.CARoots = nil },
	}
	base := mustParse(t, mustPack(t, sample())).Digest()
	seen := map[Digest]string{base: "nothing"}
	for name, change := range changes {
		p := sample()
		change(&p)
		d := mustParse(t, mustPack(t, p)).Digest()
		if other, dup := seen[d]; dup {
			t.Errorf("changing the %s gives the digest of changing %s", name, other)
		}
		seen[d] = name
	}
}

// Precompiled code is outside the digest and has a digest that is bound to the
// bundle it is in.
func TestPrecompiledIsOutsideTheDigest(t *testing.T) {
	with := mustParse(t, mustPack(t, sample()))
	p := sample()
	p.Precompiled = nil
	without := mustParse(t, mustPack(t, p))
	if with.Digest() != without.Digest() {
		t.Error("the digest covers precompiled code")
	}
	if code, d := without.Precompiled(); code != nil || d != (PrecompiledDigest{}) {
		t.Error("a bundle without precompiled code has some")
	}
	code, d := with.Precompiled()
	if string(code) != "code" {
		t.Errorf("precompiled code is %q", code)
	}
	p = sample()
	p.Precompiled = []byte("coda")
	if _, e := mustParse(t, mustPack(t, p)).Precompiled(); e == d {
		t.Error("other code has the same digest")
	}
	p = sample()
	p.Config.Args = nil
	if _, e := mustParse(t, mustPack(t, p)).Precompiled(); e == d {
		t.Error("the same code in another bundle has the same digest")
	}
}

// TestInvariant9TamperedBundleHasAnotherIdentity flips every bit of a bundle
// outside its precompiled code. Each result must be refused or have another
// digest.
func TestInvariant9TamperedBundleHasAnotherIdentity(t *testing.T) {
	b := mustPack(t, sample())
	u := mustParse(t, b)
	end := int(u.find(SectionPrecompiled).offset)
	var refused, other int
	for bit := range end * 8 {
		bad := slices.Clone(b)
		bad[bit/8] ^= 1 << (bit % 8)
		v, err := Parse(bad)
		switch {
		case err != nil:
			refused++
			if v != nil {
				t.Fatalf("bit %d: a bundle and an error", bit)
			}
		case v.Digest() == u.Digest():
			t.Fatalf("bit %d of byte %d flipped: accepted with the same digest", bit%8, bit/8)
		default:
			other++
		}
	}
	if refused == 0 || other == 0 {
		t.Errorf("%d refused and %d accepted with another digest: the test has no grip", refused, other)
	}
}

// Every prefix of a bundle is refused, and so is anything behind it.
func TestTruncatedAndTrailing(t *testing.T) {
	b := mustPack(t, sample())
	for n := range b {
		if _, err := Parse(b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(b))
		}
	}
	_, err := Parse(append(slices.Clone(b), 0))
	var f *FormatError
	if !errors.As(err, &f) || f.Class != ClassTrailing || f.Offset != uint64(len(b)) {
		t.Errorf("a trailing byte: %v", err)
	}
}

func TestSectionList(t *testing.T) {
	b := mustPack(t, sample())
	list := mustParse(t, b).SectionList()
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
		if sha256.Sum256(b[s.Offset:s.Offset+s.Size]) != s.SHA256 {
			t.Errorf("%s: the SHA-256 is not that of the bytes at %d", s.Name, s.Offset)
		}
	}
	if got, want := strings.Join(names, " "), "config module file-index file-data ca-roots secrets precompiled"; got != want {
		t.Errorf("sections %s, want %s", got, want)
	}
	last := list[len(list)-1]
	if last.Covered || last.Critical || !list[0].Covered || !list[0].Critical {
		t.Errorf("flags are wrong: %+v", list)
	}
}

// The largest lists that SPEC.md allows go in and come out again.
func TestLargestLists(t *testing.T) {
	p := Package{Module: emptyModule, Files: manyFiles(MaxBundleFiles), Config: Config{Env: map[string]string{}}}
	for i := range MaxArgs {
		p.Config.Args = append(p.Config.Args, "")
		p.Config.Env[fmt.Sprint("V", i)] = ""
	}
	for i := range MaxFDs {
		p.Config.Files = append(p.Config.Files, File{Kind: KindNull, Name: fmt.Sprint(i)})
	}
	for i := range MaxSecrets {
		p.Config.Secrets = append(p.Config.Secrets, Secret{Name: fmt.Sprint(i), Path: fmt.Sprint("/s/", i)})
	}
	u := mustParse(t, mustPack(t, p))
	c := u.Config()
	if len(c.Args) != MaxArgs || len(c.Env) != MaxEnv || len(c.Files) != MaxFDs || len(c.Secrets) != MaxSecrets || len(u.Files()) != MaxBundleFiles {
		t.Errorf("%d arguments, %d variables, %d descriptors, %d secrets, %d files came back",
			len(c.Args), len(c.Env), len(c.Files), len(c.Secrets), len(u.Files()))
	}
}
