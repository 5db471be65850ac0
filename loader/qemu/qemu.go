// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// Options say what a Loader starts Keeps with. Only Platform is demanded; a
// loader without an image can still probe and clean up.
type Options struct {
	// Platform is vm, vtpm, snp or tdx.
	Platform string
	// Image is the directory of the Keep image (package image).
	Image string
	// Accel is AccelAuto, AccelKVM or AccelTCG; "" means AccelAuto. snp and
	// tdx exist under KVM only.
	Accel string
	// QEMU is the program's name or path; "" means qemu-system-x86_64.
	QEMU string
	// Firmware is for vtpm, snp and tdx; without it the distribution's usual
	// places are searched.
	Firmware Firmware
	// Direct boots vtpm by kernel, initrd and command line that QEMU hands to
	// the firmware, in place of the image's disk: other events, other PCRs.
	Direct bool
	// TPMAuthority is the directory of the certificate authority that
	// certifies the endorsement keys of the software TPMs, made if absent.
	// vtpm only. No Keep, nor QEMU, can read it.
	TPMAuthority string
}

// Loader starts Keeps in virtual machines of QEMU. It may be used by many
// goroutines. Make one with [New].
type Loader struct {
	o      Options
	groups []hostproc.Hierarchy

	hurry   []time.Duration // tests: boot deadlines of the first tries
	micro   bool            // tests: microvm also under TCG
	program func() program  // asked once
	assist  func() (bool, string)

	mu    sync.Mutex
	boot  *boot
	noKVM string // why AccelAuto takes TCG although KVM seemed to work
}

var (
	_ loader.Loader = (*Loader)(nil)
	_ loader.Timed  = (*Loader)(nil)
	_ loader.Costly = (*Loader)(nil)
)

// Platforms are those that this loader starts.
var Platforms = []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformVTPM, attest.PlatformVM}

// New returns a loader. It looks at nothing yet: what is missing shows in
// Probe, or when a Keep is started.
func New(o Options) (*Loader, error) {
	if !slices.Contains(Platforms, o.Platform) {
		return nil, fmt.Errorf("QEMU loader: platform %q, expected one of %v", o.Platform, Platforms)
	}
	if o.Accel == "" {
		o.Accel = AccelAuto
	}
	if !slices.Contains([]string{AccelAuto, AccelKVM, AccelTCG}, o.Accel) {
		return nil, fmt.Errorf("QEMU loader: accelerator %q, expected auto, kvm or tcg", o.Accel)
	}
	if o.Accel == AccelTCG && confidential(o.Platform) {
		return nil, fmt.Errorf("QEMU loader: platform %s cannot be emulated, and accelerator tcg was asked for", o.Platform)
	}
	if o.QEMU == "" {
		o.QEMU = "qemu-system-x86_64"
	}
	// The tools that make a TPM work in a directory of their own.
	for _, dir := range []*string{&o.Image, &o.TPMAuthority} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, fmt.Errorf("QEMU loader: directory %s: %w", *dir, err)
		}
		*dir = abs
	}
	l := &Loader{o: o, groups: hostproc.FindHierarchies("/proc/self")}
	l.program = sync.OnceValue(func() program { return findProgram(o.QEMU) })
	l.assist = sync.OnceValues(hardwareAssisted)
	return l, nil
}

// confidential says that a platform keeps its host out.
func confidential(platform string) bool {
	return platform == attest.PlatformSNP || platform == attest.PlatformTDX
}

// Platform implements loader.Loader.
func (l *Loader) Platform() string { return l.o.Platform }

// Close gives back the image's copy in memory. Keeps that run are not touched.
func (l *Loader) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.boot.close()
	l.boot = nil
	return nil
}

// source is what machines are started from, read when it is first needed.
func (l *Loader) source() (*boot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.boot != nil {
		return l.boot, nil
	}
	b, err := l.openBoot()
	if err != nil {
		return nil, err
	}
	l.boot = b
	return b, nil
}

// Check says whether Keeps can be started from keep, as Start would, without
// starting one: the image and what else the platform takes are there, and the
// image has that Keep runtime.
func (l *Loader) Check(keep *os.File) error {
	if p := l.program(); p.err != nil {
		return p.err
	}
	b, err := l.source()
	if err != nil {
		return err
	}
	return b.checkKeep(keep, l.o.Image)
}

// accel chooses the accelerator and says why.
func (l *Loader) accel() (name, why string) {
	switch {
	case l.o.Accel != AccelAuto:
		return l.o.Accel, "as asked"
	case confidential(l.o.Platform):
		return AccelKVM, "the platform has no other"
	}
	l.mu.Lock()
	no := l.noKVM
	l.mu.Unlock()
	if no != "" {
		return AccelTCG, no
	}
	if ok, seen := l.assist(); ok {
		return AccelKVM, seen
	} else {
		return AccelTCG, seen
	}
}

// avoidKVM has AccelAuto take TCG from now on.
func (l *Loader) avoidKVM(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noKVM = why
}

// times are how long a Keep's steps may take.
type times struct {
	boot, goodbye, leave time.Duration
	work                 int
}

func (l *Loader) times(accel string) times {
	t := times{bootKVM, goodbyeTimeKVM, leaveTimeKVM, 1}
	firmware := firmwareKVM
	if accel == AccelTCG {
		t, firmware = times{bootTCG, goodbyeTimeTCG, leaveTimeTCG, workTCG}, firmwareTCG
	}
	if l.o.Platform != attest.PlatformVM {
		t.boot += firmware
	}
	return t
}

// Timing implements loader.Timed.
func (l *Loader) Timing() loader.Timing {
	accel, _ := l.accel()
	t := l.times(accel)
	second := t.boot
	if l.o.Accel == AccelAuto && accel == AccelKVM {
		// The second try may be an emulation.
		slow := l.times(AccelTCG)
		second, t.goodbye, t.leave, t.work = slow.boot, slow.goodbye, slow.leave, slow.work
	}
	start := t.boot + second + 2*answerTime
	if l.o.Platform == attest.PlatformVTPM {
		start += setupTime
	}
	return loader.Timing{Start: start, Leave: t.leave + t.goodbye, Work: t.work}
}
