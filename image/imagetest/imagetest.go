// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package imagetest gives tests what booting a VM Keep takes: images, built
// once for all packages that ask for the same, and the programs and firmware of
// the machine. What a machine does not have skips the test, or fails it where
// ENARX_REQUIRE_TOOLS is set, as make test does after scripts/deps has run.
//
// Packages of the distribution are taken from build/cache/debs, where
// scripts/debs puts the newest that is offered; ENARX_DEBS names another
// directory.
package imagetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/image"
)

// Kernels to choose from: the one that releases use and an older one, which has
// its drivers as modules and reports nothing of SNP or TDX.
const (
	Kernel612 = "6.12"
	Kernel61  = "6.1"
)

// Options say which image a test wants. The zero value is what releases are.
type Options struct {
	// Kernel is the series; Kernel612 if empty.
	Kernel string
	// Init is the path of a static ELF to boot instead of the Keep runtime.
	Init string
	// Debug asks for a debug image, with a console on the serial port.
	Debug bool
	// Cmdline replaces the kernel command line.
	Cmdline string
}

// Image returns an image, built or from an earlier test. Nobody may change its
// files.
func Image(t testing.TB, o Options) *image.Image {
	t.Helper()
	in := o.inputs(t)
	key, err := json.Marshal([]any{imageCode(t), sum(in.Keep), sum(in.Kernel), sum(in.Stub), in.Release, in.Engine, o.Debug, o.Cmdline})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cacheDir(t, "images"), sum(key)[:32])
	defer lock(t, dir+".lock")()
	if i, err := image.Open(context.Background(), dir); err == nil {
		now := time.Now()
		os.Chtimes(dir, now, now)
		return i
	}
	prune(filepath.Dir(dir))
	c, err := image.Build(context.Background(), in)
	if err != nil {
		t.Fatalf("building the image: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	i, err := c.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// prune removes images that no test has asked for since yesterday.
func prune(dir string) {
	manifests, err := filepath.Glob(filepath.Join(dir, "*", image.FileManifest))
	if err != nil {
		return
	}
	for _, m := range manifests {
		if st, err := os.Stat(filepath.Dir(m)); err == nil && time.Since(st.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Dir(m))
		}
	}
}

// Inputs returns what [Image] would build from.
func Inputs(t testing.TB, o Options) image.Inputs {
	t.Helper()
	return o.inputs(t)
}

func (o Options) inputs(t testing.TB) image.Inputs {
	t.Helper()
	in := image.Inputs{Debug: o.Debug, Cmdline: o.Cmdline}
	path := o.Init
	if path == "" {
		path = Keep(t)
	} else {
		in.Release, in.Engine = "0.0.0-test", "none v0"
	}
	in.Keep = read(t, path)
	in.Kernel = read(t, KernelPackage(t, o.Kernel))
	in.Stub = read(t, StubPackage(t))
	return in
}

// Keep builds the Keep runtime as scripts/build does and returns its path.
func Keep(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keep")
	cmd := exec.Command(filepath.Join(Root(t), "scripts/build"), "keep", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("scripts/build keep: %v\n%s", err, out)
	}
	return path
}

// Program builds the Go package in directory dir as a static ELF, to be booted
// instead of the Keep runtime, and returns its path.
func Program(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "init")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build in %s: %v\n%s", dir, err, out)
	}
	return path
}

// Root is the directory of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d
		}
	}
	t.Fatalf("no go.mod above %s", dir)
	return ""
}

// imageCode is a digest of the sources of package image: an image that other
// code has built is not found again.
func imageCode(t testing.TB) string {
	t.Helper()
	h := sha256.New()
	for _, pattern := range []string{"image/*.go", "image/*/*.go", "internal/guestport/*.go", "go.sum"} {
		files, err := filepath.Glob(filepath.Join(Root(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			fmt.Fprintf(h, "%s %s\n", filepath.Base(f), sum(read(t, f)))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func cacheDir(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(Root(t), "build/cache", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum(b []byte) string {
	d := sha256.Sum256(b)
	return hex.EncodeToString(d[:])
}

// Need skips the test for want of what, or fails it where tools are required.
func Need(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
		t.Fatalf("%s: run scripts/deps", what)
	}
	t.Skipf("%s: run scripts/deps", what)
}
