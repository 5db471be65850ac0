// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/measure/predict"
)

// bootTime bounds one boot under emulation on a busy machine.
const bootTime = 150 * time.Second

// swtpm starts an emulated TPM with a SHA-256 bank alone and gives its socket.
func swtpm(t *testing.T) string {
	t.Helper()
	setup, emulator := imagetest.Tool(t, "swtpm_setup"), imagetest.Tool(t, "swtpm")
	dir, err := os.MkdirTemp("", "tpm") // sockets' paths are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if out, err := exec.Command(setup, "--tpm2", "--tpmstate", dir, "--pcr-banks", "sha256").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sock := filepath.Join(dir, "sock")
	cmd := exec.Command(emulator, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--ctrl", "type=unixio,path="+sock, "--flags", "startup-clear", "--terminate")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it ends with its machine; this is for failed tests
		_ = cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(sock); err == nil {
			return sock
		}
		if time.Now().After(end) {
			t.Fatal("swtpm made no socket")
		}
	}
}

// boot starts an image under OVMF with a TPM and gives the PCRs that its first
// process read. Emulated machines hang at times, so it is tried once more.
func boot(t *testing.T, qemu string, img *image.Image, l Launch) map[int]string {
	t.Helper()
	var last string
	for try := range 2 {
		pcrs, out := tryBoot(t, qemu, img, l)
		if len(pcrs) == 24 {
			return pcrs
		}
		t.Logf("boot %d gave %d PCRs", try+1, len(pcrs))
		last = out
	}
	t.Fatalf("no boot gave all PCRs:\n%s", last)
	return nil
}

func tryBoot(t *testing.T, qemu string, img *image.Image, l Launch) (pcrs map[int]string, output string) {
	t.Helper()
	code, vars := imagetest.Firmware(t)
	b, err := os.ReadFile(vars)
	if err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(t.TempDir(), "vars.fd")
	if err := os.WriteFile(store, b, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-M", "q35,smm=off,usb=off,smbus=off,vmport=off", "-accel", "tcg", "-cpu", "max,cx16=off", "-m", strconv.Itoa(l.MemoryMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-drive", "if=pflash,format=raw,readonly=on,file=" + code, "-drive", "if=pflash,format=raw,file=" + store,
		"-chardev", "socket,id=tpm,path=" + swtpm(t), "-tpmdev", "emulator,id=t0,chardev=tpm", "-device", "tpm-crb,tpmdev=t0"}
	if l.Boot == predict.BootDirect {
		args = append(args, "-kernel", img.Path(image.FileKernel), "-initrd", img.Path(image.FileInitrd), "-append", img.Manifest.Cmdline)
	} else {
		args = append(args, "-drive", "if=none,id=d0,format=raw,readonly=on,file="+img.Path(image.FileDisk), "-device", "virtio-blk-pci,drive=d0,bootindex=0")
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, qemu, args...).CombinedOutput()
	if err != nil {
		t.Logf("machine: %v", err)
	}
	pcrs = map[int]string{}
	for _, m := range regexp.MustCompile(`(?m)^pcr (\d+) ([0-9A-F]{64})`).FindAllStringSubmatch(string(out), -1) {
		n, _ := strconv.Atoi(m[1])
		pcrs[n] = strings.ToLower(m[2])
	}
	return pcrs, string(out)
}

// What is predicted is what a TPM measures: two kernels, two command lines,
// both ways of booting, three sizes of memory, two versions of QEMU.
func TestPredictedIsMeasured(t *testing.T) {
	init := imagetest.Program(t, filepath.Join("testdata", "pcrs"))
	for _, x := range []struct {
		kernel, cmdline string
		boot            predict.Boot
		memory          int
		qemu            func(testing.TB) string
	}{
		{imagetest.Kernel612, "panic=-1 quiet", predict.BootUKI, 512, imagetest.QEMU},
		{imagetest.Kernel61, "panic=-1 quiet enarx.test=two", predict.BootUKI, 512, imagetest.QEMU},
		{imagetest.Kernel612, "panic=-1 quiet enarx.test=two", predict.BootDirect, 256, imagetest.SNPQEMU},
		{imagetest.Kernel61, "panic=-1 quiet", predict.BootDirect, 3072, imagetest.QEMU},
	} {
		t.Run(fmt.Sprintf("%s %s %s %d", x.kernel, x.boot, x.cmdline, x.memory), func(t *testing.T) {
			qemu := x.qemu(t)
			img := imagetest.Image(t, imagetest.Options{Kernel: x.kernel, Init: init, Cmdline: x.cmdline})
			l := Launch{Platform: attest.PlatformVTPM, Params: predict.Params{VCPUs: 1, MemoryMiB: x.memory, Boot: x.boot}}
			measured := boot(t, qemu, img, l)
			// QEMU and firmware together decide about the kernel's header.
			l.PatchedKernel = true
			p, err := Predict(img, l)
			if err != nil {
				t.Fatal(err)
			}
			if x.boot == predict.BootDirect && hex.EncodeToString(p.Register("PCR4").Value) != measured[4] {
				l.PatchedKernel = false
				if p, err = Predict(img, l); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range predict.TPMRegisters {
				want := hex.EncodeToString(p.Register(fmt.Sprintf("PCR%d", n)).Value)
				if measured[n] != want {
					t.Errorf("PCR %d is %s, predicted %s", n, measured[n], want)
				}
			}
			t.Logf("the kernel's header was filled in: %v", l.PatchedKernel)
		})
	}
}
