// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package image_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/imagetest"
)

// bootTime bounds one boot: under emulation, on a busy machine, it takes some
// ten seconds with UEFI.
const bootTime = 120 * time.Second

// boot starts a machine with the arguments given and returns what came out of
// its serial port. The machine ends by itself. An emulated CPU fails a boot once
// in a while, so one that does not come to its end is repeated once, and said.
func boot(t *testing.T, args ...string) string {
	t.Helper()
	for tries := 0; ; tries++ {
		out, err := bootOnce(t, args)
		if err == nil && strings.Contains(out, "init: bye") {
			return out
		}
		if tries > 0 {
			t.Fatalf("machine: %v\n%s", err, out)
		}
		t.Logf("the machine did not come to its end (%v), once more; it said:\n%s", err, out)
	}
}

func bootOnce(t *testing.T, args []string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	all := []string{"-M", "q35,smm=off,usb=off,smbus=off,vmport=off", "-accel", "tcg", "-cpu", "max,cx16=off",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-device", "virtio-serial-pci",
		"-chardev", "null,id=n0", "-device", "virtserialport,chardev=n0,name=enarx.sallyport"}
	cmd := exec.CommandContext(ctx, imagetest.QEMU(t), append(all, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func direct(i *image.Image) []string {
	return []string{"-m", "256", "-kernel", i.Path(image.FileKernel), "-initrd", i.Path(image.FileInitrd), "-append", i.Manifest.Cmdline}
}

// TestImageBoots boots debug images of both kernels: every module loads, or
// says that its hardware is not there, and the port is found.
func TestImageBoots(t *testing.T) {
	init := imagetest.Program(t, filepath.Join("imagetest", "testdata", "init"))
	for _, kernel := range []string{imagetest.Kernel612, imagetest.Kernel61} {
		t.Run(kernel, func(t *testing.T) {
			i := imagetest.Image(t, imagetest.Options{Kernel: kernel, Init: init, Debug: true})
			out := boot(t, direct(i)...)
			for _, want := range []string{"init: cmdline " + i.Manifest.Cmdline + " <nil>", "init: port enarx.sallyport <nil>", "init: bye"} {
				if !strings.Contains(out, want) {
					t.Errorf("the machine did not say %q", want)
				}
			}
			// The kernel names the words of the command line that it does not
			// know; the older one does not know one of them.
			if kernel == imagetest.Kernel612 && strings.Contains(out, "Unknown kernel command line") {
				t.Error("the kernel does not know all words of its command line")
			}
			loaded := 0
			for line := range strings.Lines(out) {
				name, result, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "init: module "), ": ")
				if !ok || !strings.Contains(line, "init: module ") {
					continue
				}
				loaded++
				if result != "<nil>" && result != "no such device" {
					t.Errorf("module %s: %s", name, result)
				}
			}
			if loaded != len(i.Manifest.Modules) || loaded == 0 {
				t.Errorf("%d modules were tried, the manifest has %v", loaded, i.Manifest.Modules)
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// TestDiskBootsUnderUEFI boots disk.raw as firmware does that knows nothing of
// it, and compares what the stub hands to the kernel.
func TestDiskBootsUnderUEFI(t *testing.T) {
	code, vars := imagetest.Firmware(t)
	store := filepath.Join(t.TempDir(), "vars.fd")
	b, err := os.ReadFile(vars)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store, b, 0o600); err != nil {
		t.Fatal(err)
	}
	init := imagetest.Program(t, filepath.Join("imagetest", "testdata", "init"))
	i := imagetest.Image(t, imagetest.Options{Init: init, Debug: true})
	out := boot(t, "-m", "512",
		"-drive", "if=pflash,format=raw,readonly=on,file="+code, "-drive", "if=pflash,format=raw,file="+store,
		"-drive", "if=none,id=d0,format=raw,readonly=on,file="+i.Path(image.FileDisk), "-device", "virtio-blk-pci,drive=d0,bootindex=0")
	for _, want := range []string{"init: cmdline " + i.Manifest.Cmdline + " <nil>", "init: port enarx.sallyport <nil>", "init: bye"} {
		if !strings.Contains(out, want) {
			t.Errorf("the machine did not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}
