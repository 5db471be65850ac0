// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/image"
)

func newImageInspectCmd(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "inspect [flags] [DIR]", Short: "Show what is in an image",
		Long: `Show what the manifest of an image says: release, inputs, files with their digests,
kernel modules, command lines, and the platforms that it can serve. Nothing is
compared with it; enarx image verify does that.`,
		Args: optionalDir,
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.inspectImage(args, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// imageInfo is what `image inspect --json` prints.
type imageInfo struct {
	Dir       string   `json:"dir"`
	Platforms []string `json:"platforms"`
	// Pinned says of each package whether it is the one that this enarx pins.
	Pinned   map[string]bool `json:"pinned"`
	Manifest *image.Manifest `json:"manifest"`
}

func describeImage(i *image.Image) (imageInfo, error) {
	info := imageInfo{Dir: i.Dir, Platforms: i.Manifest.Platforms(), Pinned: map[string]bool{}, Manifest: &i.Manifest}
	lock, err := image.Locked()
	if err != nil {
		return info, fail(exitInternal, "", err)
	}
	for _, in := range i.Manifest.Inputs {
		if in.Name == image.InputKeep {
			info.Pinned[in.Name] = keepDigest != "" && in.SHA256 == keepDigest
		} else {
			pin, ok := lock.Package(in.Name)
			info.Pinned[in.Name] = ok && pin == in
		}
	}
	return info, nil
}

func (a *app) inspectImage(args []string, asJSON bool) error {
	i, err := manifestOf(args)
	if err != nil {
		return err
	}
	info, err := describeImage(i)
	if err != nil {
		return err
	}
	if asJSON {
		return a.writeJSON(info)
	}
	return a.emit("%s", info.text())
}

func (info *imageInfo) text() string {
	m := info.Manifest
	var s strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "%-11s %s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
	row("image", "%s", info.Dir)
	row("release", "%s, %s, %s", m.Release, m.Engine, m.Arch)
	if m.Commit != "" {
		row("commit", "%s", m.Commit)
	}
	if w := imageWord(m); w != "" {
		row("debug", "%s", w)
	}
	row("platforms", "%s", strings.Join(info.Platforms, " "))
	for _, in := range m.Inputs {
		word := "not what this enarx pins"
		if info.Pinned[in.Name] {
			word = "as this enarx pins it"
		}
		row("from", "%s (%s)", inputWord(in), word)
	}
	s.WriteString(fileList(m))
	for _, name := range m.Modules {
		row("module", "%s", name)
	}
	row("cmdline", "%s", m.Cmdline)
	row("cmdline.snp", "%s", m.CmdlineSNP)
	return s.String()
}

// fileList lists the files of an image.
func fileList(m *image.Manifest) string {
	var s strings.Builder
	for _, f := range m.Files {
		fmt.Fprintf(&s, "%-11s %10s  sha256:%s\n", f.Name, formatBytes(uint64(f.Size)), f.SHA256)
	}
	return s.String()
}

func newImageVerifyCmd(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "verify [flags] [DIR]", Short: "Check that an image is undamaged and its manifest true",
		Long: `Compare every file of an image with its manifest, then look into them: the first
process is the Keep runtime that the manifest names, the modules are those listed, the
unified kernel image and the disk hold the same kernel, RAM file system and command
line. The first that is wrong is named.

This finds damage and contradiction. Where an image comes from it does not say: for
that, build it again (enarx image reproduce).

Exit codes:
  0    all of it is as the manifest says
  121  the command line is wrong, or there is no image
  125  something is not as the manifest says`,
		Args: optionalDir,
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.verifyImage(c.Context(), args, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) verifyImage(ctx context.Context, args []string, asJSON bool) error {
	i, err := openImage(ctx, args)
	if err != nil {
		return err
	}
	if err := i.Check(); err != nil {
		return fail(exitAttest, "do not use it: its manifest is not true", fmt.Errorf("image %s: %w", i.Dir, err))
	}
	if w := imageWord(&i.Manifest); w != "" {
		a.ui.warningf("%s", w)
	}
	info, err := describeImage(i)
	if err != nil {
		return err
	}
	if asJSON {
		return a.writeJSON(info)
	}
	for _, in := range i.Manifest.Inputs {
		if !info.Pinned[in.Name] {
			a.ui.warningf("it was not built from the %s that this enarx pins, but from %s", in.Name, inputWord(in))
		}
	}
	return a.emit("%s: all %d files are as the manifest says\n", oneLine(i.Dir), len(i.Manifest.Files))
}
