// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cpio

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func sample() []Entry {
	return []Entry{
		{Name: "dev", Mode: Dir | 0o755},
		{Name: "dev/console", Mode: Char | 0o600, Major: 5, Minor: 1},
		{Name: "init", Mode: Regular | 0o755, Data: []byte("#!abc")},
		{Name: "empty", Mode: Regular | 0o444},
	}
}

func encode(t testing.TB, entries []Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, entries); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEntriesComeBack(t *testing.T) {
	b := encode(t, sample())
	if len(b)%4 != 0 {
		t.Errorf("archive of %d bytes, expected a multiple of 4", len(b))
	}
	got, err := Read(b)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCpioProgramReadsIt compares with GNU cpio, where there is one.
func TestCpioProgramReadsIt(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		if os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
			t.Fatal("cpio is not installed: run scripts/deps")
		}
		t.Skip("cpio is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command("cpio", "-i", "--quiet", "--no-absolute-filenames", "-m", "init", "empty")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(encode(t, sample()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "init"))
	st, serr := os.Stat(filepath.Join(dir, "init"))
	if err != nil || serr != nil || string(b) != "#!abc" || st.Mode().Perm() != 0o755 || st.ModTime().Unix() != 0 {
		t.Errorf("cpio made of init: %q, %v, %v, %v", b, st, err, serr)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, e := range map[string][]Entry{
		"absolute":          {{Name: "/init", Mode: Regular}},
		"parent":            {{Name: "../init", Mode: Regular}},
		"no name":           {{Name: "", Mode: Regular}},
		"trailer":           {{Name: trailer, Mode: Regular}},
		"NUL":               {{Name: "a\x00b", Mode: Regular}},
		"twice":             {{Name: "a", Mode: Regular}, {Name: "a", Mode: Regular}},
		"no directory":      {{Name: "a/b", Mode: Regular}},
		"below a file":      {{Name: "a", Mode: Regular}, {Name: "a/b", Mode: Regular}},
		"symbolic link":     {{Name: "a", Mode: 0o120777}},
		"directory of data": {{Name: "a", Mode: Dir, Data: []byte("x")}},
		"file with device":  {{Name: "a", Mode: Regular, Major: 1}},
		"unknown bits":      {{Name: "a", Mode: Regular | 1<<20}},
		"long name":         {{Name: strings.Repeat("a", maxName+1), Mode: Regular}},
	} {
		if err := Write(io.Discard, e); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

// TestInvariant4HostileInputIsBounded_DamagedArchives flips every bit that is
// not file data: none may pass for the same archive.
func TestInvariant4HostileInputIsBounded_DamagedArchives(t *testing.T) {
	good := encode(t, sample())
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			if got, err := Read(b); err == nil && reflect.DeepEqual(got, sample()) {
				t.Errorf("bit %d of byte %d flipped, and the same entries were read", bit, i)
			}
		}
		if _, err := Read(good[:i]); err == nil {
			t.Errorf("cut to %d bytes, and read", i)
		}
	}
	if _, err := Read(append(bytes.Clone(good), 0)); err == nil {
		t.Error("a byte follows, and was not seen")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Add(encode(f, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := Read(b)
		if err != nil {
			return
		}
		if !bytes.Equal(encode(t, entries), b) {
			t.Error("what was read is written differently")
		}
	})
}
