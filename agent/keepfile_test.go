// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/loader"
)

// The attack: the Keep runtime is measured once, and then another program is
// written over it, in the same file. What the loader gets must be what was
// measured.
func TestInvariant1NoSilentDowngrade_KeepRuntimeOverwrittenInPlace(t *testing.T) {
	started := make(chan []byte, 1)
	l := &fakeLoader{onStart: func(spec loader.Spec) error {
		b, err := io.ReadAll(io.NewSectionReader(spec.Keep, 0, maxKeepFile))
		if err != nil {
			t.Error(err)
		}
		started <- b
		return nil
	}}
	cfg := testConfig(t, l)
	measured, err := os.ReadFile(cfg.Keep)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, cfg)
	f, err := os.OpenFile(cfg.Keep, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("evil"), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	r.create(r.client(client.Options{}))
	if got := <-started; !bytes.Equal(got, measured) || r.KeepDigest() != sha256.Sum256(got) {
		t.Errorf("%q was started and %x was measured", got, r.KeepDigest())
	}
}

// Nor can whoever gets at the copy change it, and it can still be executed.
func TestSealedCopyRunsAndCannotChange(t *testing.T) {
	path, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f, err := sealedCopy(src, "/"+strings.Repeat("long/", 100))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	name := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	if _, err := f.WriteAt([]byte{0}, 0); err == nil {
		t.Error("the descriptor can be written through")
	}
	if w, err := os.OpenFile(name, os.O_RDWR, 0); err == nil {
		if _, err := w.WriteAt([]byte{0}, 0); err == nil {
			t.Error("a copy opened for writing can be written")
		}
		if err := w.Truncate(0); err == nil {
			t.Error("a copy opened for writing can be cut")
		}
		if _, err := unix.Mmap(int(w.Fd()), 0, 4096, unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
			t.Error("a copy opened for writing can be mapped")
		}
		w.Close()
	}
	if out, err := exec.Command(name).CombinedOutput(); err != nil {
		t.Errorf("the copy does not run: %v, %s", err, out)
	}
}

func TestKeepRuntimeMustBeAFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxKeepFile+1); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, large} {
		cfg := testConfig(t, &fakeLoader{})
		cfg.Keep = path
		a, err := New(cfg)
		if err == nil {
			a.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What a larger Keep runtime costs the agent when it starts.
func BenchmarkOpenKeep(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keep")
	if err := os.WriteFile(path, make([]byte, 10<<20), 0o700); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		a := &Agent{cfg: Config{Keep: path}}
		if err := a.openKeep(); err != nil {
			b.Fatal(err)
		}
		a.keepFile.Close()
	}
}
