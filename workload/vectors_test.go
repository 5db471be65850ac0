// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

const vectorFile = "testdata/vectors.json"

// vector is one test vector of SPEC.md: bytes and what must become of them.
type vector struct {
	Name        string `json:"name"`
	Bundle      string `json:"bundle"`                // base64
	Class       string `json:"class,omitempty"`       // of the refusal; empty if the bundle is good
	Digest      string `json:"digest,omitempty"`      // of a good bundle
	Precompiled string `json:"precompiled,omitempty"` // digest of its precompiled code
}

func (v vector) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(v.Bundle)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return b
}

// sec is a section as a forger would write it.
type sec struct {
	typ, flags uint32
	data       string
	size       int // stated instead of the length of data, if not 0
}

func forge(sections ...sec) []byte {
	b := append([]byte(magic), 0, 0, 0, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(sections)))
	for _, s := range sections {
		size := len(s.data)
		if s.size != 0 {
			size = s.size
		}
		b = binary.BigEndian.AppendUint32(b, s.typ)
		b = binary.BigEndian.AppendUint32(b, s.flags)
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	}
	for _, s := range sections {
		b = append(b, s.data...)
	}
	return b
}

// The smallest configuration is an empty map.
var (
	cfg = sec{typ: 1, flags: 1, data: "\xa0"}
	mod = sec{typ: 2, flags: 1, data: string(emptyModule)}
)

func idx(cbor string) sec        { return sec{typ: 3, flags: 1, data: cbor} }
func data(s string) sec          { return sec{typ: 4, flags: 1, data: s} }
func conf(cbor string) sec       { return sec{typ: 1, flags: 1, data: cbor} }
func secr(cbor string) sec       { return sec{typ: 6, flags: 1, data: cbor} }
func cut(b []byte, n int) []byte { return b[:len(b)-n] }
func with(b []byte, at int, c byte) []byte {
	b = slices.Clone(b)
	b[at] = c
	return b
}

// bad are bundles that must be refused, each with its class.
func bad() []vector {
	var all []vector
	add := func(c Class, name string, b []byte) {
		all = append(all, vector{Name: name, Class: string(c), Bundle: base64.StdEncoding.EncodeToString(b)})
	}
	good := forge(cfg, mod)
	roots := string(testRoots)
	add(ClassNotBundle, "nothing", nil)
	add(ClassNotBundle, "a module", emptyModule)
	add(ClassNotBundle, "magic with one bit changed", with(good, 0, 0x8f))
	add(ClassTruncated, "magic only", good[:8])
	add(ClassTruncated, "half a table", good[:headerSize+entrySize])
	add(ClassTruncated, "one byte short", cut(good, 1))
	add(ClassTruncated, "a stated length of 2^28", forge(cfg, sec{typ: 2, flags: 1, data: "x", size: 1 << 28}))
	add(ClassVersion, "version 0", with(good, 11, 0))
	add(ClassVersion, "version 2", with(good, 11, 2))
	add(ClassTrailing, "one byte more", append(slices.Clone(good), 0))
	add(ClassLimit, "no sections", forge())
	add(ClassLimit, "too many sections", with(good, 15, MaxSections+1))
	add(ClassLimit, "2^32-1 sections", append(slices.Clone(good[:12]), 0xff, 0xff, 0xff, 0xff))
	add(ClassLimit, "configuration over its limit", forge(sec{typ: 1, flags: 1, data: "\xa0", size: MaxConfigSize + 1}, mod))
	add(ClassLimit, "module of 2^63-1 bytes", forge(cfg, sec{typ: 2, flags: 1, data: "x", size: 1<<63 - 1}))
	add(ClassTable, "no configuration", forge(mod))
	add(ClassTable, "no module", forge(cfg))
	add(ClassTable, "sections out of order", forge(mod, cfg))
	add(ClassTable, "a section twice", forge(cfg, mod, mod))
	add(ClassTable, "section 0", forge(sec{typ: 0, data: "x"}, cfg, mod))
	add(ClassTable, "module not critical", forge(cfg, sec{typ: 2, data: "x"}))
	add(ClassTable, "precompiled code critical", forge(cfg, mod, sec{typ: 10, flags: 1, data: "x"}))
	add(ClassTable, "unknown flag", forge(cfg, sec{typ: 2, flags: 3, data: "x"}))
	add(ClassTable, "empty module", forge(cfg, sec{typ: 2, flags: 1}))
	add(ClassTable, "empty unknown section", forge(cfg, mod, sec{typ: 99}))
	add(ClassCritical, "unknown critical section", forge(cfg, mod, sec{typ: 99, flags: 1, data: "x"}))
	add(ClassCritical, "peers, which are reserved", forge(cfg, mod, sec{typ: 7, flags: 1, data: "x"}))
	add(ClassCritical, "platform demand, which is reserved", forge(cfg, mod, sec{typ: 8, flags: 1, data: "x"}))
	add(ClassEncoding, "configuration is no CBOR", forge(conf("\xff"), mod))
	add(ClassEncoding, "configuration is a list", forge(conf("\x80"), mod))
	add(ClassEncoding, "configuration with a byte behind it", forge(conf("\xa0\x00"), mod))
	add(ClassEncoding, "configuration of indefinite length", forge(conf("\xbf\xff"), mod))
	add(ClassEncoding, "configuration in a tag", forge(conf("\xd9\xd9\xf7\xa0"), mod))
	add(ClassEncoding, "unknown key", forge(conf("\xa1\x61x\xf5"), mod))
	add(ClassEncoding, "key with another case", forge(conf("\xa1\x6cConfidential\xf5"), mod))
	add(ClassEncoding, "key twice", forge(conf("\xa2\x66memory\x1a\x00\x10\x00\x00\x66memory\x1a\x00\x10\x00\x00"), mod))
	add(ClassEncoding, "keys out of order", forge(conf("\xa2\x64args\x81\x61a\x63env\xa1\x61A\x61B"), mod))
	add(ClassEncoding, "long form of a number", forge(conf("\xa1\x66memory\x1b\x00\x00\x00\x00\x00\x10\x00\x00"), mod))
	add(ClassEncoding, "default written out", forge(conf("\xa1\x6cconfidential\xf4"), mod))
	add(ClassEncoding, "null for a value", forge(conf("\xa1\x64args\xf6"), mod))
	add(ClassEncoding, "empty list written out", forge(conf("\xa1\x64args\x80"), mod))
	add(ClassEncoding, "text that is not UTF-8", forge(conf("\xa1\x64args\x81\x61\xff"), mod))
	add(ClassEncoding, "bytes for text", forge(conf("\xa1\x64args\x81\x41a"), mod))
	add(ClassEncoding, "port of 65536", forge(conf("\xa1\x65files\x81\xa1\x64port\x1a\x00\x01\x00\x00"), mod))
	add(ClassEncoding, "deeply nested", forge(conf("\xa1\x64args"+strings.Repeat("\x81", 1000)+"\x80"), mod))
	add(ClassEncoding, "2^32-1 arguments", forge(conf("\xa1\x64args\x9a\xff\xff\xff\xff"), mod))
	add(ClassEncoding, "secret of an empty list", forge(cfg, mod, secr("\x80")))
	add(ClassEncoding, "secrets out of order", forge(cfg, mod, secr("\x82\xa2\x63env\x61B\x64name\x61b\xa2\x63env\x61A\x64name\x61a")))
	add(ClassEncoding, "file index of an empty list", forge(cfg, mod, idx("\x80")))
	add(ClassEncoding, "file entry with two elements", forge(cfg, mod, idx("\x81\x82\x62/a\xf4")))
	add(ClassEncoding, "roots without PEM", forge(cfg, mod, sec{typ: 5, flags: 1, data: "hello"}))
	add(ClassEncoding, "roots with words between", forge(cfg, mod, sec{typ: 5, flags: 1, data: "x\n" + roots}))
	add(ClassEncoding, "roots with a private key", forge(cfg, mod, sec{typ: 5, flags: 1, data: strings.ReplaceAll(roots, "CERTIFICATE", "PRIVATE KEY")}))
	add(ClassConfig, "NUL in an argument", forge(conf("\xa1\x64args\x81\x61\x00"), mod))
	add(ClassConfig, "unknown kind", forge(conf("\xa1\x65files\x81\xa1\x64kind\x63dir"), mod))
	add(ClassConfig, "colon in a name", forge(conf("\xa1\x65files\x81\xa2\x64kind\x64null\x64name\x63a:b"), mod))
	add(ClassConfig, "http steward", forge(conf("\xa1\x67steward\x68http://s"), mod))
	add(ClassConfig, "memory below a page", forge(conf("\xa1\x66memory\x01"), mod))
	add(ClassConfig, "secret that is seen nowhere", forge(cfg, mod, secr("\x81\xa1\x64name\x61a")))
	add(ClassFiles, "file data without an index", forge(cfg, mod, data("x")))
	add(ClassFiles, "relative path", forge(cfg, mod, idx("\x81\x83\x61a\xf4\x00")))
	add(ClassFiles, "path with ..", forge(cfg, mod, idx("\x81\x83\x65/../a\xf4\x00")))
	add(ClassFiles, "root", forge(cfg, mod, idx("\x81\x83\x61/\xf5\x00")))
	add(ClassFiles, "NUL in a path", forge(cfg, mod, idx("\x81\x83\x63/\x00a\xf4\x00")))
	add(ClassFiles, "paths out of order", forge(cfg, mod, idx("\x82\x83\x62/b\xf4\x00\x83\x62/a\xf4\x00")))
	add(ClassFiles, "path twice", forge(cfg, mod, idx("\x82\x83\x62/a\xf4\x00\x83\x62/a\xf4\x00")))
	add(ClassFiles, "file without its directory", forge(cfg, mod, idx("\x81\x83\x64/a/b\xf4\x00")))
	add(ClassFiles, "file below a file", forge(cfg, mod, idx("\x82\x83\x62/a\xf4\x00\x83\x64/a/b\xf4\x00")))
	add(ClassFiles, "directory with a size", forge(cfg, mod, idx("\x81\x83\x62/a\xf5\x01"), data("x")))
	add(ClassFiles, "file longer than the data", forge(cfg, mod, idx("\x81\x83\x62/a\xf4\x02"), data("x")))
	add(ClassFiles, "file of 2^64-1 bytes", forge(cfg, mod, idx("\x82\x83\x62/a\xf4\x01\x83\x62/b\xf4\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), data("x")))
	add(ClassFiles, "data left over", forge(cfg, mod, idx("\x81\x83\x62/a\xf4\x01"), data("xy")))
	add(ClassFiles, "secret on a file", forge(cfg, mod, idx("\x81\x83\x62/a\xf4\x00"), secr("\x81\xa2\x64name\x61a\x64path\x62/a")))
	return all
}

// golden are good bundles.
func golden(t testing.TB) []vector {
	var all []vector
	add := func(name string, b []byte) {
		u := mustParse(t, b)
		v := vector{Name: name, Bundle: base64.StdEncoding.EncodeToString(b), Digest: u.Digest().String()}
		if code, d := u.Precompiled(); code != nil {
			v.Precompiled = d.String()
		}
		all = append(all, v)
	}
	std := Package{Module: emptyModule, Config: Config{Files: StdFiles()}}
	add("smallest", forge(cfg, mod))
	add("stdin, stdout and stderr", mustPack(t, std))
	add("everything", mustPack(t, sample()))
	stripped := sample()
	stripped.Precompiled = nil
	add("everything but precompiled code", mustPack(t, stripped))
	add("a section of a later version that need not be understood", forge(cfg, mod, sec{typ: 99, data: "x"}))
	add("signatures, which are reserved", forge(cfg, mod, sec{typ: 9, data: "x"}))
	add("an empty directory", forge(cfg, mod, idx("\x81\x83\x62/a\xf5\x00")))
	return all
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("%s is empty", vectorFile)
	}
	return all
}

// TestVectorsAreStable: what this package makes today is what it made when the
// vectors were written. If it fails, every digest that anybody pinned is wrong.
func TestVectorsAreStable(t *testing.T) {
	text, err := json.MarshalIndent(append(golden(t), bad()...), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(vectorFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, text) {
		t.Errorf("%s differs from what the package makes", vectorFile)
	}
}

// TestVectors reads each stored vector.
func TestVectors(t *testing.T) {
	good, classes := 0, map[Class]bool{}
	for _, v := range vectors(t) {
		u, err := Parse(v.bytes(t))
		if v.Class == "" {
			good++
			if err != nil {
				t.Errorf("%s: %v", v.Name, err)
				continue
			}
			_, p := u.Precompiled()
			if u.Digest().String() != v.Digest || v.Precompiled != "" && p.String() != v.Precompiled {
				t.Errorf("%s: %s %s, want %s %s", v.Name, u.Digest(), p, v.Digest, v.Precompiled)
			}
			continue
		}
		var f *FormatError
		if !errors.As(err, &f) || u != nil {
			t.Errorf("%s: %v, want class %s", v.Name, err, v.Class)
			continue
		}
		classes[f.Class] = true
		if string(f.Class) != v.Class || f.Section == "" || f.Reason == "" {
			t.Errorf("%s: %s: %v, want class %s", v.Name, f.Class, err, v.Class)
		}
	}
	if good == 0 || len(classes) != 10 {
		t.Errorf("%d good vectors and %d classes; every class must have one", good, len(classes))
	}
}

// TestDigestBySpec computes the digest of the smallest bundle with nothing but
// the rules of SPEC.md, section 5.
func TestDigestBySpec(t *testing.T) {
	b := forge(cfg, mod)
	pre := "Enarx-Bundle-v1\x00" + "\x8eENARX\x1a\n" + "\x00\x00\x00\x01" + "\x00\x00\x00\x02" +
		"\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01" + sha("\xa0") +
		"\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x08" + sha(string(emptyModule))
	d := mustParse(t, b).Digest()
	if want := sha(pre); string(d[:]) != want {
		t.Errorf("digest %s, want %x", d, want)
	}
}
