// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/enarx/enarx-go/internal/codecache"
)

// keepDigest is the SHA-256 digest of the Keep runtime that was built with
// this enarx, in hexadecimal. The linker sets it (-X main.keepDigest); a build
// that does not is marked unreleased and can tell no Keep from another.
var keepDigest string

// keepEngine is the Wasm engine of that Keep runtime, with its version
// (-X main.keepEngine), and otherKeeps are the Keep runtimes with other engines
// that were built along with it: "wasmtime v39.0.1=HEX", separated by commas.
// Both engines belong to a release; each has a measurement of its own.
var keepEngine, otherKeeps string

// ownKeep is one Keep runtime of this build.
type ownKeep struct {
	Engine string `json:"engine,omitempty"`
	Digest string `json:"digest"` // hexadecimal
}

// ownKeeps are all Keep runtimes of this build, the usual one first.
func ownKeeps() []ownKeep {
	if keepDigest == "" {
		return nil
	}
	own := []ownKeep{{keepEngine, keepDigest}}
	for _, k := range strings.Split(otherKeeps, ",") {
		if engine, digest, ok := strings.Cut(k, "="); ok && digest != keepDigest {
			own = append(own, ownKeep{engine, digest})
		}
	}
	return own
}

// maxKeepSize bounds the Keep runtime that is hashed: the real one has some
// 10 MB, and a path that leads elsewhere must not be read for minutes.
const maxKeepSize = 512 << 20

// keepRuntime is the Keep runtime found on this machine.
type keepRuntime struct {
	File   *os.File
	Path   string
	Source string // where the path came from, for people
	Digest [32]byte
	// measure computes Digest, once; whoever calls it again waits for that.
	measure func() error
}

// genuine says that it is one that this enarx was built with.
func (k *keepRuntime) genuine() bool { return k.own() != nil }

// own is what this enarx knows of it, or nil.
func (k *keepRuntime) own() *ownKeep {
	digest := hex.EncodeToString(k.Digest[:])
	for _, o := range ownKeeps() {
		if o.Digest == digest {
			return &o
		}
	}
	return nil
}

// named says that the user has named this very file on the command line, and
// with it accepted whatever it is.
func (k *keepRuntime) named() bool { return k.Source == sourceFlag }

// sourceFlag and sourceEnv are the Source of a Keep runtime that --keep or the
// environment variable names.
const (
	sourceFlag = "--keep"
	sourceEnv  = "ENARX_KEEP"
)

// demandGenuine refuses a Keep runtime that is not the one this enarx was built
// with, unless --keep names it: neither the environment nor a file that lies
// beside enarx may choose what a workload and its secrets are given to, or what
// a verdict is measured against.
func (k *keepRuntime) demandGenuine() error {
	if err := k.measure(); err != nil {
		return err
	}
	switch {
	case k.named() || k.genuine():
		return nil
	case keepDigest == "":
		return failf(exitPlatform, "build enarx with make build; or name the file with --keep to accept it as it is",
			"this enarx was built without the digest of its Keep runtime, so it cannot tell %s (%s) from another", k.Path, k.Source)
	}
	return failf(exitPlatform, "install both from one release; or name the file with --keep to accept it as it is",
		"the Keep runtime %s (%s) has digest sha256:%x, expected sha256:%s, the one this enarx was built with", k.Path, k.Source, k.Digest, keepDigest)
}

// openKeep finds the Keep runtime: --keep, then ENARX_KEEP, then the file
// "keep" beside enarx itself. The environment can choose the file and nothing
// more: see demandGenuine.
func (a *app) openKeep(flag string) (*keepRuntime, error) {
	k, err := a.findKeep(flag)
	if err != nil {
		return nil, err
	}
	if err := k.measure(); err != nil {
		k.File.Close()
		return nil, err
	}
	return k, nil
}

// findKeep is openKeep without the digest, for who starts a Keep meanwhile:
// hashing the file takes as long as starting a Keep from it, and the kernel
// lets nobody write to a file that runs. It must call measure before it reads
// Digest, and close instead of closing File.
func (a *app) findKeep(flag string) (*keepRuntime, error) {
	k := &keepRuntime{Path: flag, Source: sourceFlag}
	if k.Path == "" {
		k.Path, k.Source = a.getenv(sourceEnv), sourceEnv
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
	st, err := f.Stat()
	if err == nil && (!st.Mode().IsRegular() || st.Size() > maxKeepSize) {
		err = fmt.Errorf("%s is no regular file of at most %s", k.Path, formatBytes(maxKeepSize))
	}
	if err != nil {
		f.Close()
		return nil, failf(exitPlatform, "name the Keep runtime with --keep FILE", "reading the Keep runtime (%s): %w", k.Source, err)
	}
	k.File, k.measure = f, sync.OnceValue(k.hash)
	return k, nil
}

// recallFrom lets measure take the digest from memory where the file is as it
// was. For platform process alone: there the digest says to this user what runs
// on this machine, and proves nothing to anybody. Where the memory lies comes
// from the environment, so it does not vouch for a file that comes from there
// as well.
func (k *keepRuntime) recallFrom(c *codecache.Cache) {
	if k.Source == sourceEnv {
		return
	}
	k.measure = sync.OnceValue(func() (err error) {
		if k.Digest, err = c.Digest(k.File, maxKeepSize); err != nil {
			return failf(exitPlatform, "", "reading the Keep runtime %s: %w", k.Path, err)
		}
		return nil
	})
}

// close lets go of the file, when nobody measures it any more.
func (k *keepRuntime) close() {
	k.measure()
	k.File.Close()
}

func (k *keepRuntime) hash() error {
	h := sha256.New()
	// Not by the file's own position: a process that is started from the file
	// shares it.
	if _, err := io.Copy(h, io.NewSectionReader(k.File, 0, maxKeepSize)); err != nil {
		return failf(exitPlatform, "", "reading the Keep runtime %s: %w", k.Path, err)
	}
	h.Sum(k.Digest[:0])
	return nil
}
