// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enarx/enarx-go/workload"
)

var emptyModule = []byte("\x00asm\x01\x00\x00\x00")

// tree makes a directory with the given files; a name that ends in '/' is a
// directory, content that begins with "-> " is a symbolic link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, p)
		} else if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(p, 0o700)
		} else {
			err = os.WriteFile(p, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const dataMount = "files = []\n[[mounts]]\nguest = '/data'\nsource = 'data'\n"

func TestPackFiles(t *testing.T) {
	roots, err := os.ReadFile("../testdata/root.pem")
	if err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{
		"data/a.txt": "A", "data/sub/b.txt": "B", "data/empty/": "", "other": "not named", "conf/c": "C", "roots.pem": string(roots),
	})
	doc := mustParse(t, dataMount+"[[mounts]]\nguest = '/etc/app/c'\nsource = 'conf/c'\n[[mounts]]\nguest = '/data/more'\nsource = 'conf'\n")
	doc.ca = "roots.pem"
	p, err := PackFiles(doc, dir, emptyModule, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := workload.Pack(p)
	if err != nil {
		t.Fatal(err)
	}
	u, err := workload.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range u.Files() {
		got = append(got, f.Path+"="+string(f.Data))
	}
	want := []string{"/data=", "/data/a.txt=A", "/data/empty=", "/data/more=", "/data/more/c=C", "/data/sub=", "/data/sub/b.txt=B",
		"/etc=", "/etc/app=", "/etc/app/c=C"}
	if !slices.Equal(got, want) {
		t.Errorf("files\n got %q\nwant %q", got, want)
	}
	if !bytes.Equal(u.CARoots(), roots) {
		t.Errorf("CA roots %q", u.CARoots())
	}
}

// TestPackIsIndependentOfTheMachine packs the same content from two
// directories that were made at other times in another order with other modes.
func TestPackIsIndependentOfTheMachine(t *testing.T) {
	a := tree(t, map[string]string{"data/x": "1", "data/y": "2"})
	b := t.TempDir()
	if err := os.Mkdir(filepath.Join(b, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"y2", "x1"} {
		p := filepath.Join(b, "data", f[:1])
		if err := os.WriteFile(p, []byte(f[1:]), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, time.Unix(0, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	var bundles [2][]byte
	for i, dir := range []string{a, b} {
		p, err := PackFiles(mustParse(t, dataMount), dir, emptyModule, Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		if bundles[i], err = workload.Pack(p); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(bundles[0], bundles[1]) {
		t.Error("the same workload gave other bytes")
	}
}

// TestHostileEnarxTomlReadsNothingElse: an Enarx.toml and a tree from somebody
// else cannot bring a file from outside the directory into a bundle.
func TestHostileEnarxTomlReadsNothingElse(t *testing.T) {
	outside := tree(t, map[string]string{"secret": "SECRET", "dir/secret": "SECRET"})
	links := map[string]map[string]string{
		"link in the tree":        {"data/x": "-> " + outside + "/secret"},
		"link to a directory":     {"data/x": "-> " + outside + "/dir"},
		"the source is a link":    {"data": "-> " + outside + "/dir"},
		"link inside":             {"data/x": "-> y", "data/y": "Y"},
		"dangling link":           {"data/x": "-> nowhere"},
		"relative link out of it": {"data/x": "-> ../../secret"},
	}
	for name, files := range links {
		p, err := PackFiles(mustParse(t, dataMount), tree(t, files), emptyModule, Overrides{})
		if err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(p, workload.Package{}) {
			t.Errorf("%s: a package and an error", name)
		}
	}
	doc := mustParse(t, "files=[]\n[[mounts]]\nguest='/x'\nsource='data/link/secret'\n")
	_, err := PackFiles(doc, tree(t, map[string]string{"data/link": "-> " + outside}), emptyModule, Overrides{})
	if err == nil || !strings.Contains(err.Error(), "data/link is a symbolic link") {
		t.Errorf("a link on the way: %v", err)
	}
	doc = mustParse(t, "files=[]\nca='r.pem'\n")
	_, err = PackFiles(doc, tree(t, map[string]string{"r.pem": "-> " + outside + "/secret"}), emptyModule, Overrides{})
	if err == nil || !strings.Contains(err.Error(), "r.pem is a symbolic link") {
		t.Errorf("ca: %v", err)
	}
	// Past the parser, the root still holds.
	doc = &Doc{name: "E", mounts: []Mount{{"/x", "../" + filepath.Base(outside) + "/secret"}}}
	if _, err := PackFiles(doc, tree(t, nil), emptyModule, Overrides{}); err == nil {
		t.Error("a source above the directory was read")
	}
}

func TestPackFilesErrors(t *testing.T) {
	pipe := tree(t, map[string]string{"data/": ""})
	if err := syscall.Mkfifo(filepath.Join(pipe, "data", "p"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := tree(t, map[string]string{"data/": ""})
	l, err := net.Listen("unix", filepath.Join(socket, "data", "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	big := tree(t, map[string]string{"data/big": ""})
	if err := os.Truncate(filepath.Join(big, "data", "big"), workload.MaxFileDataSize+1); err != nil {
		t.Fatal(err)
	}
	deep := tree(t, map[string]string{"data" + strings.Repeat("/d", workload.MaxPathDepth) + "/": ""})
	two := "[[mounts]]\nguest='/data/f'\nsource='other'\n"
	tests := []struct{ name, toml, dir, want string }{
		{"missing", dataMount, tree(t, nil), "no such file"},
		{"no directory", dataMount, filepath.Join(big, "nowhere"), "no such file"},
		{"pipe", dataMount, pipe, "data/p is a pipe"},
		{"socket", dataMount, socket, "data/s is a socket"},
		{"sparse giant", dataMount, big, "data/big has 268435457 bytes"},
		{"deep", dataMount, deep, "64 names deep"},
		{"not UTF-8", dataMount, tree(t, map[string]string{"data/\xff": ""}), "not UTF-8"},
		{"file twice", dataMount + two, tree(t, map[string]string{"data/f": "", "other": ""}), "data/f and other would both be /data/f"},
		{"file on a directory", dataMount + two, tree(t, map[string]string{"data/f/": "", "other": ""}), "would both be /data/f"},
		{"directory on a file", dataMount + two, tree(t, map[string]string{"data/f": "", "other/": ""}), "would both be /data/f"},
		{"file as root", "files=[]\n[[mounts]]\nguest='/'\nsource='f'\n", tree(t, map[string]string{"f": ""}), "cannot be the root"},
		{"no PEM", "files=[]\nca='f'\n", tree(t, map[string]string{"f": "hello"}), "has no certificate"},
		{"private key", "files=[]\nca='f'\n", tree(t, map[string]string{"f": "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"}), "PRIVATE KEY"},
		{"bad certificate", "files=[]\nca='f'\n", tree(t, map[string]string{"f": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}), "f: certificate 1:"},
		{"CA directory", "files=[]\nca='f'\n", tree(t, map[string]string{"f/": ""}), "not a regular file"},
	}
	for _, tt := range tests {
		_, err := PackFiles(mustParse(t, tt.toml), tt.dir, emptyModule, Overrides{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := PackFiles(nil, "", []byte("#!/bin/sh"), Overrides{}); err == nil || !strings.Contains(err.Error(), "WebAssembly") {
		t.Errorf("a script as module: %v", err)
	}
}

func TestOverrides(t *testing.T) {
	doc := mustParse(t, "args=['a']\nfiles=[]\n[env]\nA='1'\nB='2'\n[secrets.k]\npath='/run/k'\n[limits]\nmemory='1MiB'\ntimeout='1s'\n")
	p, err := PackFiles(doc, "", emptyModule, Overrides{
		Args: []string{"b", "c"}, Env: map[string]string{"B": "3", "C": "4"}, MemoryBytes: 2 << 20, TimeoutMS: 5,
		Secrets: []workload.Secret{{Name: "k"}, {Name: "TOKEN"}, {Name: "x", Path: "/x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := workload.Config{
		Args: []string{"a", "b", "c"}, Env: map[string]string{"A": "1", "B": "3", "C": "4"},
		Secrets: []workload.Secret{{Name: "k", Path: "/run/k"}, {Name: "TOKEN", Env: "TOKEN"}, {Name: "x", Path: "/x"}},
		Limits:  workload.Limits{MemoryBytes: 2 << 20, TimeoutMS: 5},
	}
	if !reflect.DeepEqual(p.Config, want) {
		t.Errorf("got %+v\nwant %+v", p.Config, want)
	}
	if c := doc.Config(); len(c.Args) != 1 || c.Env["B"] != "2" || len(c.Secrets) != 1 {
		t.Errorf("the command line changed the Doc: %+v", c)
	}
	p, err = PackFiles(doc, "", emptyModule, Overrides{Secrets: []workload.Secret{{Name: "k", Env: "K"}}})
	if err != nil || !reflect.DeepEqual(p.Config.Secrets, []workload.Secret{{Name: "k", Env: "K"}}) {
		t.Errorf("a secret that is seen in another way: %+v, %v", p.Config.Secrets, err)
	}
	for name, o := range map[string]Overrides{
		"env without a name":     {Env: map[string]string{"": "x"}},
		"secret over env":        {Secrets: []workload.Secret{{Name: "A"}}},
		"NUL in an argument":     {Args: []string{"\x00"}},
		"argument not UTF-8":     {Args: []string{"\xff"}},
		"memory past the limit":  {MemoryBytes: workload.MaxMemoryBytes + 1},
		"timeout past the limit": {TimeoutMS: workload.MaxTimeoutMS + 1},
	} {
		if _, err := PackFiles(doc, "", emptyModule, o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if p, err := PackFiles(nil, "", emptyModule, Overrides{}); err != nil || !reflect.DeepEqual(p.Config, Default().Config()) {
		t.Errorf("without Enarx.toml: %+v, %v", p.Config, err)
	}
}
