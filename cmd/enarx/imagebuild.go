// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/image"
)

type imageBuildFlags struct {
	packageFlags
	keep, output string
	debug, json  bool
}

func newImageBuildCmd(a *app) *cobra.Command {
	var f imageBuildFlags
	c := &cobra.Command{
		Use: "build [flags]", Short: "Build the image from the Keep runtime and pinned packages",
		Long: `Build the image that VM Keeps are started from: kernel, initial RAM file system,
command lines, a unified kernel image for UEFI and a disk that boots it, and a manifest
that names every input and output by digest.

Kernel and UEFI stub come from packages of the distribution that are pinned by digest.
They are looked for in the files named, in the cache, and through the package client,
in this order. A package that cannot be had is an error that says how to go on; another
one is never taken in its place.

Without -o the image goes where enarx run looks for it.`,
		Example: "  enarx image build\n  enarx image build --kernel linux-image-….deb --stub systemd-boot-efi_….deb -o image/",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a.ui.jsonErrors = f.json
			return a.buildImage(c.Context(), &f)
		},
	}
	f.packageFlags.addTo(c)
	f.addLock(c)
	fs := c.Flags()
	fs.StringVarP(&f.output, "output", "o", "", "put the image into directory `DIR` (default: image beside enarx if there is one, else below the user's cache)")
	fs.BoolVar(&f.debug, "debug", false, "build a debug image, which shows the console; it measures differently")
	fs.BoolVar(&f.json, "json", false, "print the manifest as JSON")
	addKeepFlag(c, &f.keep)
	return c
}

func (a *app) buildImage(ctx context.Context, f *imageBuildFlags) error {
	a.ui.quiet = f.json
	p := a.ui.begin()
	lock, err := f.pins()
	if err != nil {
		return err
	}
	output := f.output
	if output == "" {
		if output, err = defaultImage(); err != nil {
			return err
		}
	}
	if err := image.CheckTarget(output); err != nil {
		return fail(exitUsage, "", err)
	}
	elf, err := a.keepForImage(f.keep)
	if err != nil {
		return err
	}
	got, err := a.packages(ctx, &f.packageFlags, lock.Packages, p)
	if err != nil {
		return err
	}
	built, err := image.Build(ctx, image.Inputs{
		Keep: elf, Kernel: got[image.InputKernel], Stub: got[image.InputStub],
		Debug: f.debug, Commit: imageCommit(), Step: p.done,
	})
	if err != nil {
		return fail(exitInternal, "", fmt.Errorf("building the image: %w", err))
	}
	i, err := built.Write(output)
	if err != nil {
		return fail(exitInternal, "check the free space and the permissions of the directory above it", err)
	}
	p.done("written", output)
	if w := imageWord(&i.Manifest); w != "" {
		a.ui.warningf("%s", w)
	}
	if f.json {
		return a.writeJSON(&i.Manifest)
	}
	return a.emit("%s\n%s", output, fileList(&i.Manifest))
}

// imageCommit is the commit for the manifest. It is part of no measured file.
func imageCommit() string {
	if len(commit) != 40 {
		return ""
	}
	if _, err := hex.DecodeString(commit); err != nil {
		return ""
	}
	return commit
}

// keepForImage reads the Keep runtime that goes into an image. What is read is
// what was compared with the digest that this enarx was built with.
func (a *app) keepForImage(flag string) ([]byte, error) {
	k, err := a.openKeep(flag)
	if err != nil {
		return nil, err
	}
	defer k.File.Close()
	if err := k.demandGenuine(); err != nil {
		return nil, err
	}
	if !k.genuine() {
		a.ui.warningf("%s is not the Keep runtime that this enarx was built with: no verdict will know this image", k.Path)
	}
	return readKeep(k)
}

func readKeep(k *keepRuntime) ([]byte, error) {
	elf, err := io.ReadAll(io.NewSectionReader(k.File, 0, maxKeepSize))
	if err != nil {
		return nil, failf(exitPlatform, "", "reading the Keep runtime %s: %w", k.Path, err)
	}
	if image.Digest(elf) != hex.EncodeToString(k.Digest[:]) {
		return nil, failf(exitPlatform, "", "the Keep runtime %s changed while it was read", k.Path)
	}
	return elf, nil
}

type imagePinFlags struct {
	packageFlags
	output string
}

func newImagePinCmd(a *app) *cobra.Command {
	var f imagePinFlags
	c := &cobra.Command{
		Use: "pin [flags]", Short: "Pin the packages that images are built from",
		Long: `Write a lock file: the packages of kernel and UEFI stub with their digests. They are
the files named, or the newest that the package client offers. Look at what has changed
before you pin it: it becomes part of what every Keep is.

Another kernel is another measurement: nobody accepts Keeps of the new image before
its reference values are published. Whoever works on Enarx itself writes
image/lock.json with this command, which the next build of enarx then carries.`,
		Example: "  enarx image pin -o lock.json && enarx image build --lock lock.json\n  enarx image pin --kernel linux-image-….deb --stub systemd-boot-efi_….deb -o lock.json",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.pinImage(c.Context(), &f) },
	}
	f.packageFlags.addTo(c)
	c.Flags().StringVarP(&f.output, "output", "o", "", "write to `FILE` instead of stdout")
	return c
}

func (a *app) pinImage(ctx context.Context, f *imagePinFlags) error {
	source, err := f.source()
	if err != nil {
		return err
	}
	p := a.ui.begin()
	l := &image.Lock{Version: image.LockVersion}
	for _, role := range []string{image.InputKernel, image.InputStub} {
		var b []byte
		if path := f.file(role); path != "" {
			if b, err = readLimited(path, "the "+role+"'s package", image.MaxPackage, exitUsage); err != nil {
				return err
			}
		} else if b, err = source.Newest(ctx, role); err != nil {
			return fail(exitAgent, "name the package with --"+role+" FILE", fmt.Errorf("looking for the newest %s: %w", role, err))
		}
		in, err := image.Pin(role, b)
		if err != nil {
			return fail(exitUsage, "", err)
		}
		source.Keep(in, b)
		l.Packages = append(l.Packages, in)
		p.done("pinned", in.Package+" "+in.Version)
	}
	text, err := l.Encode()
	if err != nil {
		return fail(exitInternal, "", err)
	}
	if f.output == "" {
		return a.emit("%s", text)
	}
	return writeFile(f.output, "the lock file", text, 0o644, false)
}

type imageReproduceFlags struct {
	packageFlags
	keep string
	json bool
}

func newImageReproduceCmd(a *app) *cobra.Command {
	var f imageReproduceFlags
	c := &cobra.Command{
		Use: "reproduce [flags] [DIR]", Short: "Build an image again from its inputs and compare",
		Long: `Build the image again from the inputs that its manifest names and compare it with the
one in DIR, byte by byte. The first file that differs is named, and where in it: the
entry of initrd, the section of uki.efi.

It needs the very Keep runtime of that image; build that first from the commit in the
manifest, with the toolchain that go.mod locks.

Exit codes:
  0    the image is what its inputs give
  121  the command line is wrong, or there is no image
  123  the Keep runtime at hand is not the one of the image
  125  the image differs, or a package is not the one that was used
  126  a package cannot be had`,
		Args: optionalDir,
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = f.json
			return a.reproduceImage(c.Context(), args, &f)
		},
	}
	f.packageFlags.addTo(c)
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	addKeepFlag(c, &f.keep)
	return c
}

func (a *app) reproduceImage(ctx context.Context, args []string, f *imageReproduceFlags) error {
	a.ui.quiet = f.json
	i, err := manifestOf(args)
	if err != nil {
		return err
	}
	p := a.ui.begin()
	k, err := a.openKeep(f.keep)
	if err != nil {
		return err
	}
	defer k.File.Close()
	if got := hex.EncodeToString(k.Digest[:]); got != i.KeepDigest() {
		return failf(exitPlatform, "build it from the image's commit, and name it with --keep FILE",
			"the Keep runtime %s has digest sha256:%s, the image was built from sha256:%s", k.Path, got, i.KeepDigest())
	}
	elf, err := readKeep(k)
	if err != nil {
		return err
	}
	got, err := a.packages(ctx, &f.packageFlags, i.Manifest.Inputs, p)
	if err != nil {
		return err
	}
	m := &i.Manifest
	again, err := image.Build(ctx, image.Inputs{Keep: elf, Kernel: got[image.InputKernel], Stub: got[image.InputStub], Debug: m.Debug, Commit: m.Commit, Step: p.done})
	if err != nil {
		return fail(exitInternal, "", fmt.Errorf("building the image again: %w", err))
	}
	d, err := i.Compare(again)
	if err != nil {
		return fail(exitInternal, "", err)
	}
	p.done("compared", i.Dir)
	return a.reproduced(i, d, f.json)
}

// reproduced tells the outcome.
func (a *app) reproduced(i *image.Image, d *image.Difference, asJSON bool) error {
	if asJSON {
		if err := a.writeJSON(map[string]any{"image": i.Dir, "same": d == nil, "difference": d}); err != nil {
			return err
		}
	}
	if d != nil {
		return failf(exitAttest, "do not use it: it is not what its manifest says it was built from", "image %s differs from what its inputs give in %s", i.Dir, d)
	}
	if asJSON {
		return nil
	}
	return a.emit("%s is what its inputs give, bit for bit\n", i.Dir)
}

// manifestOf opens an image without a look at its files, which may differ.
func manifestOf(args []string) (*image.Image, error) {
	dir := ""
	var err error
	if len(args) == 1 {
		dir = args[0]
	} else if dir, err = defaultImage(); err != nil {
		return nil, err
	}
	i, err := image.OpenManifest(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fail(exitUsage, "enarx image build makes one", err)
	}
	return i, imageError(err)
}
