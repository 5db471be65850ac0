// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package fetch finds the packages that an image is built from: in files that
// the user names, in a cache, and through the package client of the system
// (apt-get), which knows the mirrors and checks signatures. Whatever the way,
// the digest decides; nothing is ever taken in place of what is pinned.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/enarx/enarx-go/image"
)

// clientTimeout bounds one call of the package client.
const clientTimeout = 10 * time.Minute

// Source is where to look.
type Source struct {
	// Cache is a directory of package files. What the package client brings
	// is kept there.
	Cache string
	// Client is the package client's program, "apt-get" if empty.
	Client string
	// Offline keeps the package client from being asked.
	Offline bool
}

// MissingError says that a pinned package is not to be had.
type MissingError struct {
	Want  image.Input
	Cache string
	Err   error // what the package client said
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("package %s version %s (sha256:%s), which is pinned as the image's %s, is not in %s, and the package client does not bring it: %v",
		e.Want.Package, e.Want.Version, e.Want.SHA256, e.Want.Name, e.Cache, e.Err)
}

func (e *MissingError) Unwrap() error { return e.Err }

// File reads the package file at path, which must be the one that is pinned.
func File(want image.Input, path string) ([]byte, error) {
	b, err := readPackage(path)
	if err != nil {
		return nil, err
	}
	if err := image.CheckPin(want, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Get returns a pinned package and where it came from: the cache, or the
// package client.
func (s *Source) Get(ctx context.Context, want image.Input) (b []byte, from string, err error) {
	if b := s.cached(want); b != nil {
		return b, "cache", nil
	}
	b, err = s.download(ctx, want.Package+"="+want.Version)
	if err == nil {
		err = image.CheckPin(want, b)
	}
	if err != nil {
		return nil, "", &MissingError{want, s.Cache, err}
	}
	s.Keep(want, b)
	return b, "package client", nil
}

// fileName is a package's name in the cache.
func fileName(in image.Input) string { return in.Package + "_" + in.SHA256[:16] + ".deb" }

// cached looks for a package by the name that we give it, then by those that
// package clients give, in which the version's colon is escaped.
func (s *Source) cached(want image.Input) []byte {
	paths := []string{filepath.Join(s.Cache, fileName(want))}
	found, err := filepath.Glob(filepath.Join(s.Cache, want.Package+"_*.deb"))
	if err == nil {
		paths = append(paths, found...)
	}
	for _, p := range paths {
		if b, err := File(want, p); err == nil {
			return b
		}
	}
	return nil
}

// Keep puts a package into the cache, whole or not at all. A cache that cannot
// be written to is a loss of time only.
func (s *Source) Keep(in image.Input, b []byte) {
	if s.Cache == "" || os.MkdirAll(s.Cache, 0o755) != nil {
		return
	}
	f, err := os.CreateTemp(s.Cache, ".package-*")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.Cache, fileName(in)))
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// names are the packages that can play a role, as the package client searches
// for them.
var names = map[string]string{
	image.InputKernel: `^linux-image-6\.12\.[0-9.]+(\+[a-z0-9]+)?-cloud-amd64$`,
	image.InputStub:   `^systemd-boot-efi$`,
}

// Newest returns the newest package that the package client offers for a role.
func (s *Source) Newest(ctx context.Context, role string) ([]byte, error) {
	pattern, ok := names[role]
	if !ok {
		return nil, fmt.Errorf("%q is no role of a package", role)
	}
	out, err := s.run(ctx, "", strings.TrimSuffix(s.client(), "-get")+"-cache", "search", "--names-only", pattern)
	if err != nil {
		return nil, err
	}
	best := ""
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		if regexp.MustCompile(pattern).MatchString(name) && (best == "" || newer(name, best)) {
			best = name
		}
	}
	if best == "" {
		return nil, fmt.Errorf("the package client offers no package named %s", pattern)
	}
	return s.download(ctx, best)
}

// newer compares the numbers in two names of packages.
func newer(a, b string) bool {
	number := regexp.MustCompile(`[0-9]+`)
	x, y := number.FindAllString(a, -1), number.FindAllString(b, -1)
	for i := range min(len(x), len(y)) {
		p, q := strings.TrimLeft(x[i], "0"), strings.TrimLeft(y[i], "0")
		if len(p) != len(q) {
			return len(p) > len(q)
		}
		if p != q {
			return p > q
		}
	}
	return len(x) > len(y)
}

func (s *Source) client() string {
	if s.Client == "" {
		return "apt-get"
	}
	return s.Client
}

// download asks the package client for a package, "name" or "name=version".
func (s *Source) download(ctx context.Context, name string) ([]byte, error) {
	if s.Offline {
		return nil, errors.New("it was not asked (offline)")
	}
	dir, err := os.MkdirTemp("", "enarx-package-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if _, err := s.run(ctx, dir, s.client(), "download", "-qq", name); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("%s brought %d packages for %s, expected 1", s.client(), len(files), name)
	}
	return readPackage(files[0])
}

// run runs the package client and returns what it prints.
func (s *Source) run(ctx context.Context, dir, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var out, errs limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, args[0], err, lastLine(errs.String()))
	}
	return out.String(), nil
}

// lastLine is the last line that says something.
func lastLine(s string) string {
	last := "(it says nothing)"
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
	}
	return last
}

// limitedBuffer keeps the first megabyte of a program's words.
type limitedBuffer struct{ strings.Builder }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := 1<<20 - b.Len(); room > 0 {
		b.Builder.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// readPackage reads a regular file that can be a package.
func readPackage(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > image.MaxPackage {
		return nil, fmt.Errorf("%s is no regular file of at most %d bytes", path, image.MaxPackage)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return b, nil
}
