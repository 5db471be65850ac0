// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// KernelPackage returns the path of the newest package of a kernel series, ""
// for the one that releases use.
func KernelPackage(t testing.TB, series string) string {
	t.Helper()
	if series == "" {
		series = Kernel612
	}
	return Package(t, "linux-image-"+series+".*-cloud-amd64")
}

// StubPackage returns the path of the package of the UEFI stub.
func StubPackage(t testing.TB) string {
	t.Helper()
	return Package(t, "systemd-boot-efi")
}

// Package returns the path of the newest downloaded package whose name matches
// a shell pattern. If there is none it tries to download what the tests need.
func Package(t testing.TB, pattern string) string {
	t.Helper()
	dir := os.Getenv("ENARX_DEBS")
	if dir != "" {
		if p := newest(t, dir, pattern); p != "" {
			return p
		}
		Need(t, "ENARX_DEBS="+dir+" has no package "+pattern)
	}
	dir = cacheDir(t, "debs")
	defer lock(t, dir+".lock")()
	if p := newest(t, dir, pattern); p != "" {
		return p
	}
	out, err := exec.Command(filepath.Join(Root(t), "scripts/debs")).CombinedOutput()
	if p := newest(t, dir, pattern); p != "" {
		return p
	}
	Need(t, "no package "+pattern+" in build/cache/debs, and scripts/debs did not get one ("+errText(err)+"):\n"+string(out))
	return ""
}

func errText(err error) string {
	if err == nil {
		return "it succeeded"
	}
	return err.Error()
}

func newest(t testing.TB, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern+"_*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		return ""
	}
	return slices.MaxFunc(files, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) })
}

// numbers are the numbers in a file name: enough of an order for versions of
// one package.
func numbers(path string) []int {
	var n []int
	for _, s := range regexp.MustCompile(`[0-9]+`).FindAllString(filepath.Base(path), -1) {
		v, _ := strconv.Atoi(s)
		n = append(n, v)
	}
	return n
}

// Tool returns the path of a program of this machine.
func Tool(t testing.TB, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		Need(t, name+" is not installed")
	}
	return p
}

// QEMU returns the path of QEMU for x86-64.
func QEMU(t testing.TB) string { t.Helper(); return Tool(t, "qemu-system-x86_64") }

// Firmware returns the paths of OVMF: its code and an empty variable store,
// which a test copies before a machine writes to it.
func Firmware(t testing.TB) (code, vars string) {
	t.Helper()
	const dir = "/usr/share/OVMF/"
	code, vars = dir+"OVMF_CODE_4M.fd", dir+"OVMF_VARS_4M.fd"
	for _, f := range []string{code, vars} {
		if _, err := os.Stat(f); err != nil {
			Need(t, "UEFI firmware is not installed: "+strings.TrimSpace(err.Error()))
		}
	}
	return code, vars
}
