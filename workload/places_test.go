// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestScratchIsValidated(t *testing.T) {
	one := func(path string, bytes, files uint64) Config { return Config{Scratch: []Scratch{{path, bytes, files}}} }
	two := func(a, b string) Config { return Config{Scratch: []Scratch{{a, 1, 1}, {b, 1, 1}}} }
	for name, tt := range map[string]struct {
		c    Config
		want string // part of the error; "" means valid
	}{
		"good":               {one("/tmp", 64<<20, 4096), ""},
		"two":                {two("/tmp", "/tmpx"), ""},
		"all that there is":  {one("/tmp", MaxScratchBytes, MaxScratchFiles), ""},
		"the root":           {one("/", 1, 1), "root directory"},
		"relative":           {one("tmp", 1, 1), "not absolute"},
		"dots":               {one("/a/../b", 1, 1), "not clean"},
		"devices":            {one("/dev", 1, 1), "where the devices are"},
		"below devices":      {one("/dev/shm", 1, 1), "where the devices are"},
		"like devices":       {one("/device", 1, 1), ""},
		"no bytes":           {one("/tmp", 0, 1), "scratch.0.size: 0 bytes"},
		"no files":           {one("/tmp", 1, 0), "scratch.0.files: 0 files"},
		"too many bytes":     {one("/tmp", MaxScratchBytes+1, 1), "4 GiB"},
		"all the bytes":      {one("/tmp", math.MaxUint64, 1), "4 GiB"},
		"all the files":      {one("/tmp", 1, math.MaxUint64), "and 1048576 at most"},
		"twice":              {two("/tmp", "/tmp"), "lie in one another"},
		"within":             {two("/tmp", "/tmp/x"), "lie in one another"},
		"around":             {two("/tmp/x", "/tmp"), "lie in one another"},
		"bytes of all":       {Config{Scratch: []Scratch{{"/a", MaxScratchBytes, 1}, {"/b", 1, 1}}}, "scratch.1.size"},
		"bytes that wrap":    {Config{Scratch: []Scratch{{"/a", math.MaxUint64, 1}, {"/b", 2, 1}}}, "scratch.1.size"},
		"files of all":       {Config{Scratch: []Scratch{{"/a", 1, MaxScratchFiles}, {"/b", 1, 1}}}, "scratch.1.files"},
		"too many":           {Config{Scratch: make([]Scratch, MaxScratch+1)}, "17 directories"},
		"control characters": {one("/t\x00p", 1, 1), "NUL"},
	} {
		err := tt.c.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// Nothing of a workload hides something else of it.
func TestPlacesAreApart(t *testing.T) {
	scratch := func(path string) Config { return Config{Scratch: []Scratch{{path, 1, 1}}} }
	secret := scratch("/tmp")
	secret.Secrets = []Secret{{Name: "s", Path: "/tmp/secret"}}
	aboveSecret := scratch("/run/x/y")
	aboveSecret.Secrets = []Secret{{Name: "s", Path: "/run/x"}}
	for name, tt := range map[string]struct {
		c    Config
		file BundleFile
		want string
	}{
		"apart":                  {scratch("/tmp"), BundleFile{Path: "/tmpx"}, ""},
		"in an empty directory":  {scratch("/tmp"), BundleFile{Path: "/tmp", Dir: true}, ""},
		"in a directory":         {scratch("/data/tmp"), BundleFile{Path: "/data/x"}, ""},
		"on a file":              {scratch("/tmp"), BundleFile{Path: "/tmp"}, "scratch directory /tmp and file /tmp"},
		"over a file":            {scratch("/tmp"), BundleFile{Path: "/tmp/a/b"}, "in each other's way"},
		"below a file":           {scratch("/a/b"), BundleFile{Path: "/a"}, "in each other's way"},
		"over a secret":          {secret, BundleFile{Path: "/x"}, `secret "s"`},
		"below a secret":         {aboveSecret, BundleFile{Path: "/x"}, `secret "s"`},
		"evidence":               {Config{Evidence: true}, BundleFile{Path: "/device"}, ""},
		"evidence and a device":  {Config{Evidence: true}, BundleFile{Path: "/dev/x"}, "evidence is had in /dev"},
		"evidence and a file":    {Config{Evidence: true}, BundleFile{Path: "/dev"}, "evidence is had in /dev"},
		"a file among devices":   {Config{}, BundleFile{Path: "/dev/null"}, ""},
		"a directory of devices": {Config{}, BundleFile{Path: "/dev", Dir: true}, ""},
	} {
		p := Package{Module: emptyModule, Config: tt.c, Files: []BundleFile{tt.file}}
		b, err := Pack(p)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if got := mustParse(t, b).HasDevices(); got != !strings.HasPrefix(tt.file.Path+"/", "/dev/") {
				t.Errorf("%s: devices %t", name, got)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		// A packer that does not check gets no further: the reader does.
		config, cerr := encodeConfig(tt.c)
		index, ierr := encodeIndex(mustNormal(t, tt.file))
		if err := errors.Join(cerr, ierr); err != nil {
			t.Fatal(err)
		}
		sections := []sec{conf(string(config)), mod, idx(string(index))}
		if len(tt.c.Secrets) > 0 {
			s, err := encodeSecrets(tt.c.Secrets)
			if err != nil {
				t.Fatal(err)
			}
			sections = append(sections, secr(string(s)))
		}
		var f *FormatError
		if _, err := Parse(forge(sections...)); !errors.As(err, &f) || f.Class != ClassFiles {
			t.Errorf("%s: read: %v, want class %s", name, err, ClassFiles)
		}
	}
}

func mustNormal(t *testing.T, f BundleFile) []BundleFile {
	t.Helper()
	files, err := normalFiles([]BundleFile{f})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInvariant9EverythingIsMeasured_Places(t *testing.T) {
	base := Package{Module: emptyModule, Config: Config{Evidence: true, Scratch: []Scratch{{"/a", 2, 3}, {"/b", 4, 5}}}}
	seen := map[Digest]string{mustParse(t, mustPack(t, Package{Module: emptyModule})).Digest(): "all away"}
	for name, change := range map[string]func(*Config){
		"nothing":  func(*Config) {},
		"evidence": func(c *Config) { c.Evidence = false },
		"path":     func(c *Config) { c.Scratch[0].Path = "/c" },
		"bytes":    func(c *Config) { c.Scratch[0].Bytes++ },
		"files":    func(c *Config) { c.Scratch[0].Files++ },
		"order":    func(c *Config) { s := c.Scratch; s[0], s[1] = s[1], s[0] },
		"one":      func(c *Config) { c.Scratch = c.Scratch[:1] },
	} {
		p := base
		p.Config = base.Config.Clone()
		change(&p.Config)
		u := mustParse(t, mustPack(t, p))
		if !reflect.DeepEqual(u.Config(), p.Config) {
			t.Errorf("%s: %+v reads back as %+v", name, p.Config, u.Config())
		}
		if other, dup := seen[u.Digest()]; dup {
			t.Errorf("changing %s gives the digest of changing %s", name, other)
		}
		seen[u.Digest()] = name
	}
}
