// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// storyPackages finds the packages that the story of images is built from, ""
// for those that are not there.
func storyPackages() (kernel, stub string) {
	find := func(pattern string) string {
		dir := os.Getenv("ENARX_DEBS")
		if dir == "" {
			dir = "../../build/cache/debs"
		}
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			return ""
		}
		path, err := filepath.Abs(found[len(found)-1])
		if err != nil {
			return ""
		}
		return path
	}
	return find("linux-image-6.12.*-cloud-amd64_*.deb"), find("systemd-boot-efi_*.deb")
}

// storyCondition answers the conditions of stories that are our own. Where
// tools are required their absence fails the story.
func storyCondition(name string) (bool, error) {
	if name != "packages" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	kernel, stub := storyPackages()
	there := kernel != "" && stub != ""
	if !there && os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
		return false, fmt.Errorf("packages of kernel and UEFI stub are missing: run scripts/deps")
	}
	return there, nil
}
