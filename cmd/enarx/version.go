// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and commit are set by the linker (-X main.version, -X main.commit);
// without it the Go toolchain's own record of the source is shown.
var (
	version = "unreleased"
	commit  string
)

// versionInfo is what `enarx version --json` prints.
type versionInfo struct {
	Version string      `json:"version"`
	Commit  string      `json:"commit"`
	Go      string      `json:"go"`
	OS      string      `json:"os"`
	Arch    string      `json:"arch"`
	Keep    keepVersion `json:"keep"`
}

type keepVersion struct {
	// Expected is the digest of the Keep runtime built with this enarx.
	Expected string `json:"expected,omitempty"`
	// Engine is its Wasm engine, and Others are the Keep runtimes with other
	// engines that were built with this enarx.
	Engine string    `json:"engine,omitempty"`
	Others []ownKeep `json:"others,omitempty"`
	// Found is the digest of the file that would be started, with its path.
	Found string `json:"found,omitempty"`
	Path  string `json:"path,omitempty"`
	Match bool   `json:"match"`
}

func newVersionCmd(a *app) *cobra.Command {
	var asJSON bool
	var keepFlag string
	c := &cobra.Command{
		Use:   "version",
		Short: "Show the version and the digest of the Keep runtime",
		Long: `Show the version of enarx, the source it was built from, the digest of the Keep
runtime that was built with it, and the digest of the Keep runtime found on this
machine. The two must be the same file for a verdict on a local Keep to mean
anything; a difference is a warning.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return a.version(keepFlag, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	addKeepFlag(c, &keepFlag)
	return c
}

// addKeepFlag is the flag of every command that starts Keeps or looks at the
// Keep runtime.
func addKeepFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "keep", "", "use the Keep runtime in `FILE` (default: ENARX_KEEP, then the file keep beside enarx)")
}

func (a *app) version(keepFlag string, asJSON bool) error {
	a.ui.jsonErrors = asJSON
	v := versionInfo{Version: version, Commit: commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if v.Commit == "" {
		v.Commit = vcsRevision()
	}
	v.Keep.Expected, v.Keep.Engine = keepDigest, keepEngine
	if own := ownKeeps(); len(own) > 1 {
		v.Keep.Others = own[1:]
	}
	k, err := a.openKeep(keepFlag)
	switch {
	case err == nil:
		defer k.File.Close()
		v.Keep.Found, v.Keep.Path, v.Keep.Match = hex.EncodeToString(k.Digest[:]), k.Path, k.genuine()
	case keepFlag != "":
		return err
	default:
		a.ui.warningf("%v", err)
	}
	a.warnKeep(v.Keep)
	if asJSON {
		return a.writeJSON(v)
	}
	expected := v.Keep.Expected
	if expected == "" {
		expected = "unknown: this enarx was built without one"
	} else {
		expected = "sha256:" + expected
		if v.Keep.Engine != "" {
			expected += "  " + v.Keep.Engine
		}
		for _, o := range v.Keep.Others {
			expected += "\nkeep     sha256:" + o.Digest + "  " + o.Engine
		}
	}
	if err := a.emit("enarx %s\ncommit   %s\ngo       %s %s/%s\nkeep     %s\n", v.Version, v.Commit, v.Go, v.OS, v.Arch, expected); err != nil {
		return err
	}
	if k != nil {
		return a.emit("found    sha256:%s  %s\n", v.Keep.Found, v.Keep.Path)
	}
	return nil
}

// warnKeep says when the Keep runtime at hand is not the one of this build.
func (a *app) warnKeep(k keepVersion) {
	switch {
	case k.Found == "" || k.Match:
	case k.Expected == "":
		a.ui.warningf("this enarx does not know its Keep runtime, so it cannot tell %s from another; build with make build", k.Path)
	default:
		a.ui.warningf("the Keep runtime %s is not the one this enarx was built with; run make build, or install both from one release", k.Path)
	}
}

// vcsRevision is what the toolchain recorded.
func vcsRevision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = " (with local changes)"
			}
		}
	}
	return rev + dirty
}
