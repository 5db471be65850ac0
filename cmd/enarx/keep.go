// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// keepDigest is the SHA-256 digest of the Keep runtime that was built with
// this enarx, in hexadecimal. The linker sets it (-X main.keepDigest); a build
// that does not is marked unreleased and can tell no Keep from another.
var keepDigest string

// maxKeepSize bounds the Keep runtime that is hashed: the real one has some
// 10 MB, and a path that leads elsewhere must not be read for minutes.
const maxKeepSize = 512 << 20

// keepRuntime is the Keep runtime found on this machine.
type keepRuntime struct {
	File   *os.File
	Path   string
	Source string // where the path came from, for people
	Digest [32]byte
}

// genuine says that it is the one this enarx was built with.
func (k *keepRuntime) genuine() bool { return hex.EncodeToString(k.Digest[:]) == keepDigest }

// openKeep finds the Keep runtime: --keep, then ENARX_KEEP, then the file
// "keep" beside enarx itself. The environment can choose the file and nothing
// more: what a verdict demands is the built-in digest, never this one.
func (a *app) openKeep(flag string) (*keepRuntime, error) {
	k := &keepRuntime{Path: flag, Source: "--keep"}
	if k.Path == "" {
		k.Path, k.Source = a.getenv("ENARX_KEEP"), "ENARX_KEEP"
	}
	if k.Path == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, failf(exitPlatform, "name the Keep runtime with --keep FILE", "finding the Keep runtime: where enarx itself lies is unknown: %w", err)
		}
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		k.Path, k.Source = filepath.Join(filepath.Dir(exe), "keep"), "beside enarx"
	}
	f, err := os.Open(k.Path)
	if err != nil {
		hint := "name the Keep runtime with --keep FILE, or put it beside enarx (make build makes both)"
		if errors.Is(err, os.ErrNotExist) {
			return nil, failf(exitPlatform, hint, "finding the Keep runtime (%s): %s does not exist", k.Source, k.Path)
		}
		return nil, failf(exitPlatform, hint, "finding the Keep runtime (%s): %w", k.Source, err)
	}
	if err := k.hash(f); err != nil {
		f.Close()
		return nil, err
	}
	k.File = f
	return k, nil
}

func (k *keepRuntime) hash(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return failf(exitPlatform, "", "reading the Keep runtime: %w", err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxKeepSize {
		return failf(exitPlatform, "name the Keep runtime with --keep FILE",
			"reading the Keep runtime (%s): %s is no regular file of at most %s", k.Source, k.Path, formatBytes(maxKeepSize))
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxKeepSize)); err != nil {
		return failf(exitPlatform, "", "reading the Keep runtime %s: %w", k.Path, err)
	}
	h.Sum(k.Digest[:0])
	_, err = f.Seek(0, io.SeekStart)
	return err
}
