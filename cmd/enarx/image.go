// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/fetch"
)

// maxLockFile bounds a lock file: a few packages of 200 bytes.
const maxLockFile = 64 << 10

func newImageCmd(a *app) *cobra.Command {
	c := group("image", "Build and check the image of VM Keeps",
		`A VM Keep is started from an image: a kernel, an initial RAM file system with the
Keep runtime as its first process, and a command line. The same inputs give the same
bytes, so anyone can build an image again and compare.`)
	c.AddCommand(newImageBuildCmd(a), newImageInspectCmd(a), newImageVerifyCmd(a), newImageReproduceCmd(a), newImagePinCmd(a))
	return c
}

// packageFlags say where packages come from.
type packageFlags struct {
	kernel, stub string
	cache        string
	lock         string
	offline      bool
}

func (f *packageFlags) addTo(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.kernel, "kernel", "", "take the kernel's package from `FILE`")
	fs.StringVar(&f.stub, "stub", "", "take the package of the UEFI stub from `FILE`")
	fs.StringVar(&f.cache, "cache", "", "look for packages in `DIR`, and keep them there (default: below the user's cache)")
	fs.BoolVar(&f.offline, "offline", false, "do not ask the package client (apt-get)")
}

func (f *packageFlags) addLock(c *cobra.Command) {
	c.Flags().StringVar(&f.lock, "lock", "", "pins of packages in `FILE` (default: those of this enarx; enarx image pin writes one)")
}

func (f *packageFlags) source() (*fetch.Source, error) {
	s := &fetch.Source{Cache: f.cache, Offline: f.offline}
	if s.Cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, failf(exitUsage, "name one with --cache DIR", "no directory for packages: %w", err)
		}
		s.Cache = filepath.Join(cache, "enarx", "packages")
	}
	return s, nil
}

// file is the file named for a role, or "".
func (f *packageFlags) file(role string) string {
	if role == image.InputStub {
		return f.stub
	}
	return f.kernel
}

// pins are the packages to build from.
func (f *packageFlags) pins() (*image.Lock, error) {
	if f.lock == "" {
		l, err := image.Locked()
		if err != nil {
			return nil, fail(exitInternal, "", err)
		}
		return l, nil
	}
	b, err := readLimited(f.lock, "the lock file", maxLockFile, exitUsage)
	if err != nil {
		return nil, err
	}
	l, err := image.ParseLock(b)
	if err != nil {
		return nil, fail(exitUsage, "enarx image pin writes one", fmt.Errorf("%s: %w", f.lock, err))
	}
	return l, nil
}

// repin is the way out when a pinned package cannot be had.
const repin = "get that file and name it with --%s FILE; or pin what is offered now (enarx image pin -o lock.json) and build with --lock lock.json: that image measures differently"

// packages gets the pinned packages by role.
func (a *app) packages(ctx context.Context, f *packageFlags, pins []image.Input, p *progress) (map[string][]byte, error) {
	source, err := f.source()
	if err != nil {
		return nil, err
	}
	got := map[string][]byte{}
	for _, want := range pins {
		if want.Package == "" {
			continue
		}
		from := f.file(want.Name)
		if from != "" {
			b, err := fetch.File(want, from)
			switch {
			case errors.Is(err, image.ErrNotPinned):
				return nil, fail(exitAttest, "name the pinned package; or pin this one (enarx image pin --"+want.Name+" FILE -o lock.json) and build with --lock lock.json", err)
			case err != nil:
				return nil, fileError(exitUsage, "the "+want.Name+"'s package", from, err)
			}
			got[want.Name] = b
		} else {
			b, where, err := source.Get(ctx, want)
			switch {
			case errors.Is(err, image.ErrNotPinned):
				return nil, fail(exitAttest, fmt.Sprintf(repin, want.Name), err)
			case err != nil:
				return nil, fail(exitAgent, fmt.Sprintf(repin, want.Name), err)
			}
			got[want.Name], from = b, where
		}
		p.done("package", fmt.Sprintf("%s %s, from %s", want.Package, want.Version, from))
	}
	return got, nil
}

// defaultImage is where the image of this installation lies.
func defaultImage() (string, error) {
	exe, err := os.Executable()
	if err == nil {
		var dir string
		if dir, err = image.DefaultDir(exe); err == nil {
			return dir, nil
		}
	}
	return "", fail(exitUsage, "name the image's directory", err)
}

// openImage opens the image of args, or the one of this installation, and
// compares all its files with its manifest.
func openImage(ctx context.Context, args []string) (*image.Image, error) {
	dir := ""
	if len(args) == 1 {
		dir = args[0]
	} else {
		var err error
		if dir, err = defaultImage(); err != nil {
			return nil, err
		}
	}
	i, err := image.Open(ctx, dir)
	return i, imageError(err)
}

// imageError words what is wrong with an image.
func imageError(err error) error {
	var damaged *image.DamagedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &damaged):
		return fail(exitAttest, "build the image again, or get it again from where it was published", err)
	case errors.Is(err, os.ErrNotExist):
		return fail(exitUsage, "enarx image build makes one", err)
	}
	return fail(exitAttest, "", err)
}

// optionalDir is at most one argument, which is an image.
func optionalDir(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return oneArg("DIR")(c, args)
}

// imageWord says of an image what must not be overlooked.
func imageWord(m *image.Manifest) string {
	if m.Debug {
		return "DEBUG image: its console shows what happens inside; no verdict on it will read as one on a release"
	}
	return ""
}

// inputWord describes an input.
func inputWord(in image.Input) string {
	name := strings.TrimSpace(in.Package + " " + in.Version)
	if name == "" {
		name = "the Keep runtime"
	}
	return name + "  sha256:" + in.SHA256
}
