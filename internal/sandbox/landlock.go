// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !enarx_wasmtime || !cgo

package sandbox

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
)

// landlockConfigs are the rule sets by Landlock version, index 0 unused. A
// newer kernel gets the newest one known here.
var landlockConfigs = []landlock.Config{
	{}, landlock.V1, landlock.V2, landlock.V3, landlock.V4, landlock.V5, landlock.V6,
	landlock.V7, landlock.V8, landlock.V9, landlock.V10, landlock.V11,
}

// reach is how much of the file system a Landlock layer leaves.
type reach struct {
	dirs       bool // the lent directories
	cacheRead  bool
	cacheWrite bool
	// signals leaves out the rules that came with version 6, which keep
	// signals and abstract sockets inside: the parent must be able to end
	// its child, which lives in another domain. No socket call is allowed to
	// it, and the only signals are to itself and through a held pidfd.
	signals bool
	// files are directories whose files may be read and written; those that
	// do not exist are left out.
	files []string
}

// lastUnscoped is the last Landlock version that says nothing about signals.
const lastUnscoped = 5

// restrictLandlock puts a Landlock layer on every thread: no file but those of
// r, no TCP port, no signal and no abstract socket outside (as far as the
// version has it). It is exact, not best effort: a kernel that does not have
// the version that the loader found is an error.
func restrictLandlock(spec *Spec, r reach) (Layer, error) {
	if spec.LandlockABI == 0 {
		return Layer{"landlock", false, "the kernel has no Landlock; boot Linux 5.13 or later with lsm=landlock"}, nil
	}
	if have := landlockABI(); have < spec.LandlockABI {
		return Layer{}, fmt.Errorf("apply Landlock: the loader asks for version %d, the kernel has %d; start the Keep on the kernel that the loader looked at", spec.LandlockABI, have)
	}
	v := min(spec.LandlockABI, len(landlockConfigs)-1)
	if r.signals {
		v = min(v, lastUnscoped)
	}
	var rules []landlock.Rule
	if r.dirs {
		for i, d := range spec.Dirs {
			rules = append(rules, dirRule(spec.DirPath(i), d.ReadOnly, v))
		}
	}
	if spec.Cache != nil && (r.cacheRead || r.cacheWrite) {
		rules = append(rules, dirRule(spec.CachePath(), !r.cacheWrite, v))
	}
	if len(r.files) > 0 {
		rules = append(rules, landlock.RWFiles(r.files...).IgnoreIfMissing())
	}
	if err := landlockConfigs[v].Restrict(rules...); err != nil {
		return Layer{}, fmt.Errorf("apply Landlock version %d: %w", v, err)
	}
	return Layer{"landlock", true, fmt.Sprintf("version %d", v)}, nil
}

func dirRule(path string, readOnly bool, version int) landlock.Rule {
	if readOnly {
		return landlock.RODirs(path)
	}
	rule := landlock.RWDirs(path)
	if version >= 2 {
		// Without it a file could not be renamed into another directory.
		rule = rule.WithRefer()
	}
	return rule
}
