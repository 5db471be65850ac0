// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/qemu"
)

const (
	vmRounds  = 7 // a boot under emulation takes seconds
	vmTimeout = 5 * time.Minute
	vmAtOnce  = 8
	// vmFlood is how many bytes a throughput is measured over; the workload
	// writes a MiB more.
	vmFlood  = 64 << 20
	vmTrips  = 500
	vmInitrd = 16 << 20
	vmFloor  = 96
)

// benchVM compares VM Keeps with a bare boot of their kernel and with process
// Keeps. All machines are emulated (TCG), so that the numbers of machines with
// and without KVM can be compared.
func (b *bench) benchVM() error {
	fmt.Println("vm: Keeps in virtual machines under TCG")
	image := filepath.Join(b.work, "image")
	build := []string{"enarx", "image", "build", "--output", image}
	for flag, pattern := range map[string]string{"--kernel": "linux-image-6.12.*.deb", "--stub": "systemd-boot-efi_*.deb"} {
		// What scripts/debs has fetched; without it enarx asks the package client.
		if found, _ := filepath.Glob(filepath.Join("build/cache/debs", pattern)); len(found) > 0 {
			build = append(build, flag, found[len(found)-1])
		}
	}
	if out, err := b.command(build...).CombinedOutput(); err != nil {
		return fmt.Errorf("enarx image build: %w\n%s", err, out)
	}
	fi, err := os.Stat(filepath.Join(image, "initrd"))
	if err != nil {
		return err
	}
	fmt.Printf("  initrd: %.1f MiB\n  %s\n", mib(fi.Size()), goal(fi.Size() <= vmInitrd, "at most 16 MiB"))
	for _, measure := range []func(string) error{b.vmStart, b.vmChannel, b.vmMemory, b.vmMany} {
		if err := measure(image); err != nil {
			return err
		}
	}
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// command is a command with the environment of all measurements; enarx is the
// one that was built.
func (b *bench) command(args ...string) *exec.Cmd {
	if args[0] == "enarx" {
		args[0] = filepath.Join(b.bin, "enarx")
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = b.env
	return cmd
}

// keepRun is enarx run of a module on a platform.
func (b *bench) keepRun(platform, image, module string, more ...string) *exec.Cmd {
	args := []string{"enarx", "run", "--platform", platform, "--timeout", vmTimeout.String()}
	if platform != "process" {
		args = append(args, "--accel", "tcg", "--image", image)
	}
	return b.command(append(append(args, module), more...)...)
}

// firstByte runs a command and says when its first byte came on stdout. Then it
// is ended, or awaited.
func firstByte(cmd *exec.Cmd, await bool) (time.Duration, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	stop := time.AfterFunc(vmTimeout, func() { cmd.Process.Kill() })
	defer stop.Stop()
	_, err = io.ReadFull(out, make([]byte, 1))
	took := time.Since(begin)
	if !await {
		cmd.Process.Kill()
	}
	io.Copy(io.Discard, out)
	if werr := cmd.Wait(); err != nil || await && werr != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), errors.Join(err, werr), &stderr)
	}
	return took, nil
}

// vmBoot measures from the start of a loader that is at work already to the
// Keep runtime's opening of its sallyport: what a bare boot is compared with.
func (b *bench) vmBoot(l loader.Loader) (took time.Duration, err error) {
	keep, err := os.Open(filepath.Join(b.bin, "keep"))
	if err != nil {
		return 0, err
	}
	defer keep.Close()
	dir, err := os.MkdirTemp(b.work, "state-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	begin := time.Now()
	k, err := l.Start(context.Background(), loader.Spec{ID: filepath.Base(dir), Keep: keep, StateDir: dir}, nil)
	took = time.Since(begin)
	if err != nil {
		return 0, err
	}
	defer k.Channel().Close()
	if err := k.Kill(); err != nil {
		return 0, err
	}
	_, err = k.Wait(context.Background())
	return took, err
}

// vmStart measures from the start of enarx to the first byte that a workload
// writes, and from the start of QEMU to the first byte of a bare /init.
func (b *bench) vmStart(image string) error {
	initrd, err := b.bareInitrd()
	if err != nil {
		return err
	}
	cmdline, err := os.ReadFile(filepath.Join(image, "cmdline"))
	if err != nil {
		return err
	}
	l, err := qemu.New(qemu.Options{Platform: attest.PlatformVM, Image: image, Accel: qemu.AccelTCG})
	if err != nil {
		return err
	}
	defer l.Close()
	var bare, boot, vm, vtpm, process times
	for range min(b.rounds, vmRounds) {
		took, err := b.vmBoot(l)
		if err != nil {
			return err
		}
		boot = append(boot, took)
		for _, r := range []struct {
			into *times
			cmd  *exec.Cmd
			wait bool
		}{
			{&bare, b.command("qemu-system-x86_64", "-M", "q35,sata=off,usb=off,smbus=off,i8042=off,vmport=off", "-accel", "tcg,tb-size=96",
				"-cpu", "max,cx16=off", "-m", "256M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
				"-kernel", filepath.Join(image, "kernel"), "-initrd", initrd, "-append", string(cmdline)), false},
			{&vm, b.keepRun("vm", image, b.guests.helloC), true},
			{&vtpm, b.keepRun("vtpm", image, b.guests.helloC), true},
			{&process, b.keepRun("process", image, b.guests.helloC), true},
		} {
			took, err := firstByte(r.cmd, r.wait)
			if err != nil {
				return err
			}
			*r.into = append(*r.into, took)
		}
	}
	ratio := float64(boot.median()) / float64(bare.median())
	fmt.Printf("  start, median (lowest)\n    bare kernel  %v   to the first byte of its /init\n    vm           %v   to the Keep runtime at work, %.2fx of the bare kernel\n", bare, boot, ratio)
	fmt.Printf("  %s\n", goal(ratio <= 1.25, "a vm Keep is at work within 1.25x of a bare boot"))
	fmt.Printf("  enarx run, to the first byte of the workload, median (lowest)\n    vm           %v   %.2fx of the bare kernel\n    vtpm         %v   with firmware and TPM\n    process      %v\n",
		vm, float64(vm.median())/float64(bare.median()), vtpm, process)
	return nil
}

// vmChannel compares the attached standard streams of a vm Keep with those of a
// process Keep.
func (b *bench) vmChannel(image string) error {
	fmt.Println("  channel, end to end through the attested session:")
	for _, platform := range []string{"process", "vm"} {
		rate, err := b.throughput(b.keepRun(platform, image, b.guests.flood, "--", strconv.Itoa(vmFlood>>20+1)))
		if err != nil {
			return err
		}
		trips, err := b.roundTrips(b.keepRun(platform, image, b.guests.echo))
		if err != nil {
			return err
		}
		fmt.Printf("    %-8s %6.1f MiB/s out   64 bytes there and back %v\n", platform, rate, trips)
	}
	return nil
}

// throughput reads vmFlood bytes after the first one, in MiB/s.
func (b *bench) throughput(cmd *exec.Cmd) (float64, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	stop := time.AfterFunc(vmTimeout, func() { cmd.Process.Kill() })
	defer stop.Stop()
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		return 0, fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	begin := time.Now()
	n, err := io.CopyN(io.Discard, out, vmFlood)
	if err != nil {
		return 0, fmt.Errorf("%s: %d bytes came: %w", strings.Join(cmd.Args, " "), n, err)
	}
	return mib(n) / time.Since(begin).Seconds(), nil
}

// roundTrips sends 64 bytes and waits for them, again and again.
func (b *bench) roundTrips(cmd *exec.Cmd) (times, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	stop := time.AfterFunc(vmTimeout, func() { cmd.Process.Kill() })
	defer stop.Stop()
	var all times
	msg := bytes.Repeat([]byte("x"), 64)
	for i := range vmTrips {
		begin := time.Now()
		if _, err := in.Write(msg); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(out, msg); err != nil {
			return nil, fmt.Errorf("%s: round trip %d: %w", strings.Join(cmd.Args, " "), i, err)
		}
		if i > 0 { // the first waits for the start
			all = append(all, time.Since(begin))
		}
	}
	return all, nil
}

// vmMemory looks for the smallest machine in which hello runs. A Keep's size is
// a power of two; in between, a shim in front of QEMU makes the machine smaller.
func (b *bench) vmMemory(image string) error {
	real, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return err
	}
	// QEMU runs as nobody where we are root, and must reach the shim.
	shims, err := os.MkdirTemp("", "enarx-bench-qemu-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(shims)
	if err := os.Chmod(shims, 0o755); err != nil {
		return err
	}
	floor := 0
	for _, size := range []int{128, 112, 96, 88, 80, 72, 64} {
		dir := filepath.Join(shims, strconv.Itoa(size))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		shim := fmt.Sprintf("#!/bin/sh\nfor a; do shift; case $a in 256M) a=%dM;; esac; set -- \"$@\" \"$a\"; done\nexec %s \"$@\"\n", size, real)
		if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte(shim), 0o755); err != nil {
			return err
		}
		cmd := b.keepRun("vm", image, b.guests.helloC)
		cmd.Env = append(append([]string(nil), b.env...), "PATH="+dir+":"+os.Getenv("PATH"))
		if _, err := firstByte(cmd, true); err != nil {
			if floor == 0 {
				return fmt.Errorf("hello in a machine of %d MiB: %w", size, err)
			}
			break
		}
		floor = size
	}
	fmt.Printf("  memory floor: hello runs in a machine of %d MiB\n  %s\n", floor, goal(floor <= vmFloor, "at most 96 MiB"))
	return nil
}

// vmMany runs hello in several machines at the same time.
func (b *bench) vmMany(image string) error {
	type end struct {
		took time.Duration
		err  error
	}
	ends := make(chan end)
	begin := time.Now()
	for range vmAtOnce {
		cmd := b.keepRun("vm", image, b.guests.helloC)
		go func() {
			took, err := firstByte(cmd, true)
			ends <- end{took, err}
		}()
	}
	var all times
	var errs []error
	for range vmAtOnce {
		e := <-ends
		all, errs = append(all, e.took), append(errs, e.err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%d at once: %w", vmAtOnce, err)
	}
	fmt.Printf("  %d vm Keeps at once: first byte %v, all ended after %.1f s\n", vmAtOnce, all, time.Since(begin).Seconds())
	return nil
}

// bareInitrd makes an initial RAM file system (cpio, newc) of one file.
func (b *bench) bareInitrd() (string, error) {
	init := filepath.Join(b.work, "bare")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", init, "./bench/guests/bare")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the bare init: %w\n%s", err, out)
	}
	elf, err := os.ReadFile(init)
	if err != nil {
		return "", err
	}
	var cpio bytes.Buffer
	add := func(name string, mode int, data []byte) {
		fmt.Fprintf(&cpio, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			cpio.Len()+1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		for ; cpio.Len()%4 != 0; cpio.WriteByte(0) {
		}
		cpio.Write(data)
		for ; cpio.Len()%4 != 0; cpio.WriteByte(0) {
		}
	}
	add("init", 0o100755, elf)
	add("TRAILER!!!", 0, nil)
	path := filepath.Join(b.work, "bare.cpio")
	return path, os.WriteFile(path, cpio.Bytes(), 0o600)
}
