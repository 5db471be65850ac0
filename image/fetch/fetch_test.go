// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package fetch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/image"
)

// client writes a package client that says and brings what a test wants, and
// notes what it was asked. Its name is fake-get, so that its sibling is
// fake-cache.
func client(t *testing.T, search, download string) (path, asked string) {
	t.Helper()
	dir := t.TempDir()
	asked = filepath.Join(dir, "asked")
	for name, body := range map[string]string{"fake-get": download, "fake-cache": search} {
		script := "#!/bin/sh\necho \"$0 $*\" >>" + asked + "\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "fake-get"), asked
}

func pin(content string) image.Input {
	return image.Input{Name: image.InputKernel, Package: "linux-image-x", Version: "1:2-3", SHA256: image.Digest([]byte(content))}
}

func TestCacheComesFirstAndIsFilled(t *testing.T) {
	get, asked := client(t, "", `printf genuine >'linux-image-x_1%3a2-3_amd64.deb'`)
	s := &Source{Cache: filepath.Join(t.TempDir(), "new", "cache"), Client: get}
	for i, want := range []string{"package client", "cache"} {
		b, from, err := s.Get(context.Background(), pin("genuine"))
		if err != nil || string(b) != "genuine" || from != want {
			t.Errorf("time %d: %q from %s, %v; expected it from the %s", i, b, from, err, want)
		}
	}
	words, err := os.ReadFile(asked)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(words)), "download -qq linux-image-x=1:2-3") || strings.Count(string(words), "\n") != 1 {
		t.Errorf("the package client was asked: %q, %v", words, err)
	}
	// A cache that a package client has filled itself.
	other := &Source{Cache: t.TempDir(), Offline: true}
	if err := os.WriteFile(filepath.Join(other.Cache, "linux-image-x_1%3a2-3_amd64.deb"), []byte("genuine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, from, err := other.Get(context.Background(), pin("genuine")); err != nil || string(b) != "genuine" || from != "cache" {
		t.Errorf("%q from %s, %v", b, from, err)
	}
}

// TestNothingElseIsTaken offers another package in every place.
func TestNothingElseIsTaken(t *testing.T) {
	cache := t.TempDir()
	for _, name := range []string{fileName(pin("genuine")), "linux-image-x_2_amd64.deb"} {
		if err := os.WriteFile(filepath.Join(cache, name), []byte("another"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	get, _ := client(t, "", "printf another >linux-image-x_1_amd64.deb")
	var missing *MissingError
	_, _, err := (&Source{Cache: cache, Client: get}).Get(context.Background(), pin("genuine"))
	if !errors.Is(err, image.ErrNotPinned) || !errors.As(err, &missing) {
		t.Errorf("another package from the client: %v", err)
	}
	for name, c := range map[string]struct{ script, want string }{
		"refused":     {"echo first >&2; echo 'E: Version not found' >&2; exit 100", "E: Version not found"},
		"silent":      {"exit 1", "(it says nothing)"},
		"nothing":     {"true", "brought 0 packages"},
		"two":         {"printf genuine >a.deb; printf genuine >b.deb", "brought 2 packages"},
		"a directory": {"mkdir a.deb", "is no regular file"},
	} {
		get, _ := client(t, "", c.script)
		if _, _, err := (&Source{Cache: cache, Client: get}).Get(context.Background(), pin("genuine")); err == nil || !errors.As(err, &missing) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected a MissingError with %q", name, err, c.want)
		}
	}
	if _, _, err := (&Source{Cache: cache, Client: "/nowhere/apt-get"}).Get(context.Background(), pin("genuine")); !errors.As(err, &missing) {
		t.Errorf("no client: %v", err)
	}
	if _, _, err := (&Source{Cache: cache, Client: get, Offline: true}).Get(context.Background(), pin("genuine")); !errors.As(err, &missing) || !strings.Contains(err.Error(), "offline") {
		t.Errorf("offline: %v", err)
	}
	path := filepath.Join(cache, "linux-image-x_2_amd64.deb")
	if _, err := File(pin("genuine"), path); !errors.Is(err, image.ErrNotPinned) {
		t.Errorf("named file: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := (&Source{Cache: cache, Client: get}).Get(ctx, pin("genuine")); err == nil {
		t.Error("cancelled, and got")
	}
}

// TestNewest takes the highest number, not the last word.
func TestNewest(t *testing.T) {
	search := `cat <<-'EOF'
linux-image-6.12.9+deb12-cloud-amd64 - Linux
linux-image-6.12.117+deb12-cloud-amd64 - Linux
linux-image-6.12.99+deb12-cloud-amd64-unsigned - Linux
linux-image-6.12-cloud-amd64 - a meta-package
linux-image-6.12.20+deb12-cloud-amd64 - Linux
EOF`
	get, asked := client(t, search, `printf "$3" >a.deb`)
	b, err := (&Source{Client: get}).Newest(context.Background(), image.InputKernel)
	if err != nil || string(b) != "linux-image-6.12.117+deb12-cloud-amd64" {
		t.Errorf("%q, %v", b, err)
	}
	if words, err := os.ReadFile(asked); err != nil || !strings.Contains(string(words), "fake-cache search --names-only ^linux-image") {
		t.Errorf("asked: %q, %v", words, err)
	}
	get, _ = client(t, "true", "true")
	if _, err := (&Source{Client: get}).Newest(context.Background(), image.InputStub); err == nil || !strings.Contains(err.Error(), "offers no package") {
		t.Errorf("nothing offered: %v", err)
	}
	if _, err := (&Source{Client: get}).Newest(context.Background(), image.InputKeep); err == nil {
		t.Error("the Keep runtime is no package")
	}
}
