// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Command keep is the Keep runtime: the one program inside the TEE, the same
// file on every platform. A loader starts it, nobody types it.
//
//	keep process        the parent of a Keep on platform process or sim
//	keep vm DEVICES     the same inside a virtual machine, started by its first
//	                    process, which hands over the devices that DEVICES names
//	keep engine SPEC    the engine child
//	keep version        prints the runtime's version and its engine
//
// As /init of an image it is the first process of that machine (package
// keep/guest). It knows no configuration, reads no environment and opens no
// file by a name from outside. What it links is the trusted computing base; deps_test.go
// holds the list.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/keep"
	"github.com/enarx/enarx-go/keep/child"
	"github.com/enarx/enarx-go/keep/guest"
	"github.com/enarx/enarx-go/keep/quote"
)

// versionLine is one constant string, so that whoever builds an image finds it
// in the file without running it.
const versionLine = "keep " + keep.Version + ", " + engineName + "\n"

func main() {
	started := time.Now()
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch {
	case guest.IsInit():
		guest.Main()
	case role == "process" && len(os.Args) == 2:
		os.Exit(parent(started, keep.Launch{Platforms: []string{attest.PlatformProcess, attest.PlatformSim}}))
	case role == guest.Role && len(os.Args) == 3:
		os.Exit(vm(started, os.Args[2]))
	case role == "engine" && len(os.Args) == 3:
		os.Exit(engineChild(os.Args[2]))
	case role == "version":
		fmt.Print(versionLine)
		return
	}
	fmt.Fprintln(os.Stderr, "keep: this is the runtime inside a Keep; use enarx to start one")
	os.Exit(2)
}

func report(err error) int {
	var private *keep.PrivateError
	if errors.As(err, &private) {
		err = errors.New("it was claimed and ended without running a workload; its owner knows why")
	}
	fmt.Fprintln(host, "keep:", err)
	return 1
}

// host is where the Keep may say something to its host.
var host = os.Stderr

// muteStderr points descriptor 2 away from the host before there is anything
// to keep from it: what the Go runtime prints when it dies could hold a
// workload's data. What the Keep says on purpose goes through host.
func muteStderr() error {
	fd, err := unix.FcntlInt(uintptr(os.Stderr.Fd()), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("keep standard error: %w", err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	if err := unix.Dup3(null, 2, 0); err != nil {
		return fmt.Errorf("mute standard error: %w", err)
	}
	host = os.NewFile(uintptr(fd), "host")
	return nil
}

// vm is the start of a Keep inside a virtual machine. What the machine has to
// prove with says what it can be.
func vm(started time.Time, devices string) int {
	d, err := quote.Inherited(devices)
	if err != nil {
		return report(err)
	}
	platforms, err := d.Platforms()
	if err != nil {
		return report(err)
	}
	return parent(started, keep.Launch{Platforms: platforms, Devices: d})
}

// parent is the start of a Keep's parent process: it seals itself and its
// child before it reads a byte from the host, then lives the one life that
// all platforms share.
func parent(started time.Time, l keep.Launch) int {
	spec, err := sandbox.ReadSpec(sandbox.SpecFD)
	if err != nil {
		return report(err)
	}
	if err := muteStderr(); err != nil {
		return report(err)
	}
	errs, theirErrs, err := os.Pipe()
	if err != nil {
		return report(fmt.Errorf("pipe for the engine child's errors: %w", err))
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return report(fmt.Errorf("control socket: %w", err))
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	proc, err := sandbox.StartChild(spec, sandbox.Child{Args: []string{"engine"}, Control: theirs, Stderr: theirErrs})
	if err != nil {
		return report(err)
	}
	theirs.Close()
	theirErrs.Close()
	control := child.NewControl(pair[0])
	if err := sandbox.PrepareRoot(spec); err != nil {
		return report(err)
	}
	if _, err := sandbox.SealParent(spec); err != nil {
		return report(err)
	}
	if err := control.RootReady(); err != nil {
		return report(err)
	}
	l.Channel = os.NewFile(sandbox.SallyportFD, "sallyport")
	l.Control, l.Child, l.ChildErrors = control, proc, errs
	l.CacheDir, l.Started = spec.CachePath(), started
	for i, d := range spec.Dirs {
		l.Dirs = append(l.Dirs, child.Dir{Path: spec.DirPath(i), Guest: d.Guest, ReadOnly: d.ReadOnly})
	}
	if err := keep.Life(context.Background(), l); err != nil {
		return report(err)
	}
	return 0
}
