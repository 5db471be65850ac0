// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func fullSpec() *Spec {
	return &Spec{
		MountNS: true, PIDNS: true, LandlockABI: 7, Seccomp: true, DropTo: 65534,
		Dirs:  []Mount{{Guest: "/data", Host: "/srv/data", ReadOnly: true}, {Guest: "/w", Host: "/srv/w", FD: 5}},
		Cache: &Mount{Host: "/var/cache/x", FD: 6},
	}
}

// viaPipe passes b through a pipe to ReadSpec.
func viaPipe(t *testing.T, b []byte) (*Spec, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		w.Write(b)
		w.Close()
	}()
	fd, err := unix.Dup(int(r.Fd()))
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadSpec(fd)
	if unix.Close(fd) == nil {
		t.Error("ReadSpec left its descriptor open")
	}
	return s, err
}

func TestSpecRoundTrip(t *testing.T) {
	want := fullSpec()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := viaPipe(t, b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got.DirPath(1) != "/dirs/1" || got.CachePath() != "/cache" {
		t.Errorf("paths %s, %s", got.DirPath(1), got.CachePath())
	}
	got.MountNS = false
	if got.DirPath(1) != "/srv/w" || got.CachePath() != "/var/cache/x" {
		t.Errorf("paths without a root of its own: %s, %s", got.DirPath(1), got.CachePath())
	}
}

func TestInvariant4HostileInputIsBounded_Spec(t *testing.T) {
	many := `{"dirs":[` + strings.Repeat(`{"host":"/a"},`, maxDirs) + `{"host":"/a"}]}`
	for name, c := range map[string]struct{ in, want string }{
		"empty":         {"", "empty"},
		"not JSON":      {"\x00\x01", "decode"},
		"two objects":   {"{}{}", "more than one"},
		"unknown field": {`{"sealed":true}`, "unknown field"},
		"too long":      {`{"dirs":[` + strings.Repeat(" ", maxSpecBytes) + `]}`, "longer than"},
		"too many dirs": {many, "at most 64"},
		"relative path": {`{"dirs":[{"host":"etc"}]}`, "not absolute"},
		"zero byte":     {`{"dirs":[{"host":"/a\u0000b"}]}`, "zero byte"},
		"long path":     {`{"cache":{"host":"/` + strings.Repeat("a", maxPath) + `"}}`, "longer than 4095"},
		"sallyport":     {`{"dirs":[{"host":"/a","fd":3}]}`, "cannot be"},
		"negative":      {`{"cache":{"host":"/a","fd":-1}}`, "cannot be"},
		"landlock":      {`{"landlock_abi":-1}`, "cannot be"},
		"user":          {`{"drop_to":-1}`, "cannot be"},
	} {
		s, err := viaPipe(t, []byte(c.in))
		if err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; expected an error with %q", name, s, err, c.want)
		}
	}
}

func FuzzSpec(f *testing.F) {
	full, err := fullSpec().Encode()
	if err != nil {
		f.Fatal(err)
	}
	seeds := []string{string(full), "{}", `{"dirs":[{"host":"/a"}]}`}
	for _, s := range seeds {
		if _, err := ChildSpec(s); err != nil {
			f.Fatalf("seed %s: %v", s, err)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ChildSpec(in)
		if err != nil {
			if s != nil {
				t.Fatal("a Spec and an error")
			}
			return
		}
		b, err := s.Encode()
		if err != nil {
			// Escapes may make the text longer than what was read.
			if !strings.Contains(err.Error(), "bytes, at most") {
				t.Fatalf("what was accepted cannot be encoded: %v", err)
			}
			return
		}
		again, err := ChildSpec(string(b))
		if err != nil || fmt.Sprint(again.Dirs) != fmt.Sprint(s.Dirs) || again.MountNS != s.MountNS || again.DropTo != s.DropTo {
			t.Fatalf("round trip: %v, %v", again, err)
		}
	})
}
