// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/collateraltest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

// filled is a cache with one item of every kind that was recorded.
func filled(t testing.TB) (*bench, []*Entry) {
	t.Helper()
	b := newBench(t)
	vcek, _ := vcekOf(t, b.server, "milan-v3-oak")
	items := []item.Item{milan, genoa, root, tcb, qe, pckList, chain, vcek, {Kind: item.AMDChain, Line: "Milan", Key: "vlek"}}
	for _, it := range items {
		if r := b.cache.Get(t.Context(), it, WhenDue); r.Outcome != Fetched {
			t.Fatal(r.Err)
		}
	}
	list, problems, err := b.cache.List()
	if err != nil || len(problems) != 0 || len(list) != len(items) {
		t.Fatalf("%d entries, %v, %v", len(list), problems, err)
	}
	return b, list
}

func exported(t testing.TB) (*bench, []File) {
	t.Helper()
	b, list := filled(t)
	files, err := Files(list)
	if err != nil {
		t.Fatal(err)
	}
	return b, files
}

func tarOf(t testing.TB, files []File) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := WriteTar(&buf, files); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// What was exported, as directory or archive, is the same in another cache.
func TestExportAndImport(t *testing.T) {
	b, files := exported(t)
	dir := filepath.Join(t.TempDir(), "out")
	if err := WriteDir(dir, files); err != nil {
		t.Fatal(err)
	}
	if err := WriteDir(dir, files); err == nil {
		t.Error("a directory with something in it was written over")
	}
	archive := tarOf(t, files)
	if !bytes.Equal(archive, tarOf(t, files)) {
		t.Error("the same export gives another archive")
	}
	fromDir, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fromTar, err := ReadTar(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][]File{"directory": fromDir, "archive": fromTar} {
		entries, err := Parse(files)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		other := newBench(t)
		for _, r := range other.cache.Import(t.Context(), entries) {
			if r.Outcome != Fetched {
				t.Errorf("%s: %v: %s, %v", name, r.Item, r.Outcome, r.Err)
				continue
			}
			want := b.get(r.Item, Offline, Present).Entry
			got := other.get(r.Item, Offline, Present).Entry
			if !sameParts(got.Parts, want.Parts) || got.URL != want.URL || !got.Fetched.Equal(want.Fetched) {
				t.Errorf("%s: %v is not the same: %+v, want %+v", name, r.Item, got, want)
			}
		}
		for _, r := range other.cache.Import(t.Context(), entries) {
			if r.Outcome != Unchanged {
				t.Errorf("%s, again: %v: %s, %v", name, r.Item, r.Outcome, r.Err)
			}
		}
		if other.server.Requests("") != 0 {
			t.Error("an import asked somebody")
		}
	}
	// The directory is a source too.
	c, err := Open(Options{Dir: filepath.Join(t.TempDir(), "third"), Sources: []Source{&Dir{Path: dir}}, Now: func() time.Time { return collateraltest.At }})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Get(t.Context(), tcb, WhenDue); r.Outcome != Fetched {
		t.Error(r.Err)
	}
	var missing *NotFoundError
	if r := c.Get(t.Context(), pckItem(), WhenDue); !errors.As(r.Err, &missing) {
		t.Errorf("what is not in the directory: %v", r.Err)
	}
	if r := c.Get(t.Context(), milan, WhenDue); r.Outcome != Fetched || !strings.HasPrefix(r.Entry.URL, AMDService) {
		t.Errorf("%+v", r.Entry)
	}
}

// A tar of the exported directory, as people make it, is an archive too.
func TestATarOfTheDirectoryIsRead(t *testing.T) {
	_, files := exported(t)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		f := files[len(files)-1-i] // in any order
		if err := w.WriteHeader(&tar.Header{Name: "./" + f.Name, Typeflag: tar.TypeReg, Size: int64(len(f.Data)), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		w.Write(f.Data)
	}
	w.Close()
	got, err := ReadTar(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := Parse(got); err != nil || len(entries) != 9 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// TestInvariant4HostileInputIsBounded_ImportTakesNoBait imports what a courier
// between the two sides of an air gap could have made of an export.
func TestInvariant4HostileInputIsBounded_ImportTakesNoBait(t *testing.T) {
	_, files := exported(t)
	clone := func() []File {
		out := make([]File, len(files))
		for i, f := range files {
			out[i] = File{f.Name, bytes.Clone(f.Data)}
		}
		return out
	}
	header := func(h tar.Header, data string) []byte {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		h.Size, h.Mode = int64(len(data)), 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(data))
		w.Close()
		return buf.Bytes()
	}
	edit := func(old, new string) []byte {
		f := clone()
		if !bytes.Contains(f[0].Data, []byte(old)) {
			t.Fatalf("no %q in the manifest", old)
		}
		f[0].Data = bytes.Replace(f[0].Data, []byte(old), []byte(new), 1)
		return tarOf(t, f)
	}
	changed := clone()
	changed[3].Data[10] ^= 1
	endless := tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg}
	big := header(endless, strings.Repeat(" ", maxManifest+1))
	for name, c := range map[string]struct {
		archive []byte
		says    string
	}{
		"up and away":       {header(tar.Header{Name: "../../etc/cron.d/x", Typeflag: tar.TypeReg}, "x"), "no name of a file"},
		"absolute":          {header(tar.Header{Name: "/etc/passwd", Typeflag: tar.TypeReg}, "x"), "no name of a file"},
		"in a directory":    {header(tar.Header{Name: "a/b.der", Typeflag: tar.TypeReg}, "x"), "no name of a file"},
		"hidden":            {header(tar.Header{Name: ".bashrc", Typeflag: tar.TypeReg}, "x"), "no name of a file"},
		"long name":         {header(tar.Header{Name: strings.Repeat("a", 300) + ".der", Typeflag: tar.TypeReg}, "x"), "no name of a file"},
		"a link":            {header(tar.Header{Name: "manifest.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}, ""), "no plain file"},
		"a hard link":       {header(tar.Header{Name: "a.der", Typeflag: tar.TypeLink, Linkname: "manifest.json"}, ""), "no plain file"},
		"a device":          {header(tar.Header{Name: "a.der", Typeflag: tar.TypeChar}, ""), "no plain file"},
		"a directory":       {header(tar.Header{Name: "a/", Typeflag: tar.TypeDir}, ""), "no plain file"},
		"twice":             {append(header(tar.Header{Name: "a.der", Typeflag: tar.TypeReg}, "x")[:1024], header(tar.Header{Name: "a.der", Typeflag: tar.TypeReg}, "y")...), "twice"},
		"large file":        {header(tar.Header{Name: "a.der", Typeflag: tar.TypeReg}, strings.Repeat("x", item.MaxPart+1)), "expected at most"},
		"large manifest":    {big, "expected at most"},
		"no tar":            {[]byte(strings.Repeat("not a tar archive ", 100)), "reading the archive"},
		"cut":               {tarOf(t, files)[:4000], "reading the archive"},
		"empty":             {nil, "no manifest.json"},
		"no manifest":       {tarOf(t, clone()[1:]), "no manifest.json"},
		"one more file":     {tarOf(t, append(clone(), File{"more.der", []byte("x")})), "more.der is not in the manifest"},
		"one file less":     {tarOf(t, clone()[:len(files)-1]), "is missing"},
		"one bit":           {tarOf(t, changed), "with SHA-256"},
		"unknown field":     {edit(`"version": 1`, `"version": 1, "trust": "me"`), "unknown field"},
		"another version":   {edit(`"version": 1`, `"version": 2`), "version 2"},
		"another format":    {edit(manifestFormat, "zip"), "format"},
		"item that is none": {edit(`"line": "Genoa"`, `"line": "../x"`), "no product line"},
		"path in a record":  {edit(`"file": "amd-genoa-ask.cert.der"`, `"file": "../x.der"`), "no name of a file"},
		"manifest as file":  {edit(`"file": "amd-genoa-ask.cert.der"`, `"file": "manifest.json"`), "stands in it twice"},
		"item twice":        {edit(`"line": "Genoa"`, `"line": "Milan"`), "Milan"},
		"negative size":     {edit(`"size": `, `"size": -`), "expected 1 to"},
	} {
		var entries []*Entry
		read, err := ReadTar(bytes.NewReader(c.archive))
		if err == nil {
			entries, err = Parse(read)
		}
		if name == "item twice" && err == nil {
			// The chain now claims to be Milan's: genuine, and another's.
			b := newBench(t)
			for _, r := range b.cache.Import(t.Context(), entries) {
				if r.Item.Kind == item.AMDChain && r.Item.Key == "vcek" {
					err = r.Err
				}
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// An import follows the same rules as a fetch.
func TestImportNeverReplacesGoodData(t *testing.T) {
	b := newBench(t)
	now := time.Date(2025, 3, 25, 0, 0, 0, 0, time.UTC)
	b.at(now)
	const sets = "attest/internal/dcap/testdata/tdx/collateral/"
	list := func(dir string) *Entry {
		return &Entry{Item: root, URL: "courier", Fetched: now.AddDate(9, 0, 0), Checked: now.AddDate(9, 0, 0),
			Parts: attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: b.file(sets + dir + "/root.crl.der")}}}
	}
	old, present, ended := list("00806f050000-2025-01"), list("b0c06f000000-2025-06"), list("50806f000000-2023-06")
	forged := list("b0c06f000000-2025-06")
	forged.Parts[0].Value[len(forged.Parts[0].Value)-1] ^= 1
	do := func(e *Entry, want Outcome, rule item.Rule) {
		t.Helper()
		r := b.cache.Import(t.Context(), []*Entry{e})[0]
		var refused *item.RefusedError
		if r.Outcome != want || errors.As(r.Err, &refused) != (rule != "") || refused != nil && refused.Rule != rule {
			t.Errorf("%s, %v, want %s, rule %q", r.Outcome, r.Err, want, rule)
		}
	}
	do(ended, Fetched, "") // for saved evidence of its time
	do(old, Fetched, "")
	do(ended, Kept, item.RuleEnded)
	do(present, Fetched, "")
	do(old, Kept, item.RuleOlder)
	do(forged, Failed, item.RuleProof)
	do(present, Unchanged, "")
	e := b.get(root, Offline, Present).Entry
	if !sameParts(e.Parts, present.Parts) || e.Checked.After(now) || e.Fetched.After(now) {
		t.Errorf("fetched %v, checked %v", e.Fetched, e.Checked)
	}
}

func TestReadDirRefuses(t *testing.T) {
	_, files := exported(t)
	dir := filepath.Join(t.TempDir(), "out")
	if err := WriteDir(dir, files); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDir(t.TempDir()); err == nil || !strings.Contains(err.Error(), "it is no export") {
		t.Errorf("an empty directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vlek-of-our-host.der"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDir(dir); err != nil {
		t.Errorf("a file beside: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, files[1].Name)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDir(dir); err == nil {
		t.Error("a file is missing")
	}
}

func FuzzArchive(f *testing.F) {
	_, files := exported(f)
	whole := tarOf(f, files)
	if len(files) < 12 {
		f.Fatalf("%d files", len(files))
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	few, err := Files(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tarOf(f, few))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := ReadTar(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, x := range files {
			if filepath.Base(x.Name) != x.Name || strings.HasPrefix(x.Name, ".") {
				t.Fatalf("name %q", x.Name)
			}
		}
		entries, err := Parse(files)
		if err != nil {
			return
		}
		// What parses is written the same way again.
		for _, e := range entries {
			if len(e.Parts) != len(e.Item.FileNames(len(e.Parts))) {
				return // no such item could be imported
			}
		}
		again, err := Files(entries)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Parse(again); err != nil || len(back) != len(entries) {
			t.Fatalf("%d entries, %v", len(back), err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	_, files := exported(f)
	f.Add(files[0].Data)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		for _, r := range m.Items {
			for _, p := range r.Parts {
				if !goodName(p.File) || p.Size > item.MaxPart {
					t.Fatalf("%+v", p)
				}
			}
		}
	})
}
