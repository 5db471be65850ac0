// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/image"
)

func manifestText(t testing.TB) string {
	t.Helper()
	return string(build(t, fakeInputs(t)).File(image.FileManifest))
}

// TestInvariant4HostileInputIsBounded_BadManifests changes one thing at a time.
func TestInvariant4HostileInputIsBounded_BadManifests(t *testing.T) {
	good := manifestText(t)
	if _, err := image.ParseManifest([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]string{
		"other version":    {`"version": 1`, `"version": 2`},
		"unknown field":    {`"arch": "amd64"`, `"arch": "amd64", "more": 1`},
		"doubled field":    {`"arch": "amd64",`, `"arch": "amd64",` + "\n  " + `"arch": "amd64",`},
		"other spelling":   {`"arch"`, `"Arch"`},
		"spaces":           {`"arch": "amd64"`, `"arch":  "amd64"`},
		"path for a file":  {`"name": "kernel",` + "\n      " + `"size"`, `"name": "../kernel",` + "\n      " + `"size"`},
		"path of a module": {`"00-virtio_ring.ko"`, `"00-../../x.ko"`},
		"no name":          {`"release": "0.0.1"`, `"release": ""`},
		"control codes":    {`"release": "0.0.1"`, `"release": "0.0.1\u001b[2J"`},
		"large file":       {`"size": 2048`, `"size": 1099511627776`},
		"negative file":    {`"size": 2048`, `"size": -1`},
		"no digest":        {image.Digest([]byte(fakeBzImage())), "abcd"},
		"upper case":       {image.Digest([]byte(fakeBzImage())), strings.ToUpper(image.Digest([]byte(fakeBzImage())))},
		"package's path":   {`"package": "systemd-boot-efi"`, `"package": "../systemd-boot-efi"`},
		"option":           {`"package": "systemd-boot-efi"`, `"package": "-o"`},
		"command line":     {`"cmdline": "panic=-1`, `"cmdline": "panic=-2`},
		"order of files":   {`"name": "initrd"`, `"name": "sbom.json"`},
	} {
		bad := strings.Replace(good, c[0], c[1], 1)
		if bad == good {
			t.Errorf("%s: nothing was changed", name)
		}
		if m, err := image.ParseManifest([]byte(bad)); err == nil {
			t.Errorf("%s: accepted: %+v", name, m)
		}
	}
	for name, bad := range map[string]string{"nothing": "", "two": good + good, "cut": good[:len(good)-3], "too long": good + strings.Repeat(" ", 1<<18), "not UTF-8": "\xff"} {
		if _, err := image.ParseManifest([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(manifestText(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := image.ParseManifest(b)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%v: what was read is written differently: %s", err, again)
		}
	})
}

func FuzzParseLock(f *testing.F) {
	b, err := os.ReadFile("lock.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := image.ParseLock(b)
		if err != nil {
			return
		}
		if _, err := l.Encode(); err != nil {
			t.Errorf("accepted, and not encoded: %v", err)
		}
		for _, role := range []string{image.InputKernel, image.InputStub} {
			if in, ok := l.Package(role); !ok || strings.HasPrefix(in.Package, "-") {
				t.Errorf("accepted with the %s %+v", role, in)
			}
		}
	})
}

// FuzzPin reads packages of kernels, modules and stubs.
func FuzzPin(f *testing.F) {
	f.Add(fakeKernel(f), true)
	f.Add(fakeStub(f), false)
	f.Add(pack(f, "linux", "1", "./boot/vmlinuz-1", fakeBzImage(), moduleDir+"kernel/a/virtio_pci.ko", fakeModule("virtio_pci")), true)
	f.Fuzz(func(t *testing.T, b []byte, kernel bool) {
		role := image.InputStub
		if kernel {
			role = image.InputKernel
		}
		in, err := image.Pin(role, b)
		if err == nil && (in.Package == "" || in.SHA256 != image.Digest(b)) {
			t.Errorf("pinned as %+v", in)
		}
	})
}

// TestLockedPinsAreWhole holds what this source is built from.
func TestLockedPinsAreWhole(t *testing.T) {
	l, err := image.Locked()
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{image.InputKernel, image.InputStub} {
		if in, ok := l.Package(role); !ok || len(in.SHA256) != 64 || in.Version == "" {
			t.Errorf("%s is pinned as %+v", role, in)
		}
	}
	text, err := l.Encode()
	b, err2 := os.ReadFile("lock.json")
	if err != nil || err2 != nil || !bytes.Equal(text, b) {
		t.Errorf("lock.json is not written as enarx image pin writes it: %v, %v", err, err2)
	}
}
