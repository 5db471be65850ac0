// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// bootError says that a machine ended, or hung, before the Keep runtime in it
// had opened its sallyport. It is worth a second try.
type bootError struct{ why string }

func (e *bootError) Error() string { return e.why }

// Start implements loader.Loader. It returns when the Keep runtime in the
// machine has opened its sallyport. A machine that does not get that far is
// started once more; a layer row and a line on Spec.Stderr say so.
func (l *Loader) Start(ctx context.Context, spec loader.Spec, record func(loader.Record) error) (loader.Keep, error) {
	if err := l.check(ctx, &spec); err != nil {
		return nil, err
	}
	b, err := l.source()
	if err != nil {
		return nil, fmt.Errorf("start Keep: %w", err)
	}
	if err := b.checkKeep(spec.Keep, l.o.Image); err != nil {
		return nil, fmt.Errorf("start Keep: %w", err)
	}
	accel, why := l.accel()
	first := ""
	for try := 1; ; try++ {
		s := &start{l: l, boot: b, spec: spec, record: record, accel: accel, why: why, first: first, times: l.times(accel), made: time.Now()}
		if try <= len(l.hurry) {
			s.times.boot = l.hurry[try-1]
		}
		k, err := s.run(ctx)
		if err == nil {
			return k, nil
		}
		var failed *bootError
		if !errors.As(err, &failed) || try == 2 || ctx.Err() != nil {
			return nil, fmt.Errorf("start Keep: %w", err)
		}
		first = failed.why
		if accel == AccelKVM && l.o.Accel == AccelAuto && !confidential(l.o.Platform) {
			why = "KVM did not boot the machine: " + first
			l.avoidKVM(why)
			accel = AccelTCG
		}
		s.say("the machine did not boot and is started once more, by %s: %s", accel, first)
	}
}

// DefaultMemory is the size of a platform's machines, in bytes, unless
// [loader.Spec.MemoryBytes] names one.
func DefaultMemory(platform string) uint64 {
	if platform == attest.PlatformVM {
		return defaultMemory
	}
	return defaultFirmwareMemory
}

// check refuses what cannot be started and fills in the platform's defaults.
func (l *Loader) check(ctx context.Context, spec *loader.Spec) error {
	least := uint64(minMemory)
	if l.o.Platform != attest.PlatformVM {
		least = minFirmwareMemory
	}
	if spec.MemoryBytes == 0 {
		spec.MemoryBytes = DefaultMemory(l.o.Platform)
	}
	if spec.VCPUs == 0 {
		spec.VCPUs = 1
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case spec.Keep == nil:
		return errors.New("start Keep: no Keep file was given")
	case !hostproc.ValidID(spec.ID):
		return fmt.Errorf("start Keep: ID %q is not 1 to %d letters, digits, '-' or '_'", spec.ID, hostproc.MaxID)
	case spec.VCPUs < 0 || spec.VCPUs > maxVCPUs:
		return fmt.Errorf("start Keep: %d virtual CPUs were asked for, 1 to %d are possible", spec.VCPUs, maxVCPUs)
	case spec.VCPUs > 1 && l.o.Platform == attest.PlatformSNP:
		// Without ACPI's tables the kernel finds no second processor; it would
		// only be measured.
		return fmt.Errorf("start Keep: %d virtual CPUs were asked for; on platform snp the kernel boots with acpi=off, so that no code of the host's is run, and uses 1: ask for 1", spec.VCPUs)
	case spec.MemoryBytes&(spec.MemoryBytes-1) != 0 || spec.MemoryBytes < least:
		return fmt.Errorf("start Keep: memory of %d bytes; platform %s takes a power of two of at least %d", spec.MemoryBytes, l.o.Platform, least)
	case len(spec.Dirs) > 0 || spec.CacheDir != "":
		return fmt.Errorf("start Keep: directories of the host can be lent on platform process only, not %s", l.o.Platform)
	}
	p := l.program()
	if p.err != nil {
		return fmt.Errorf("start Keep: %w", p.err)
	}
	return l.checkConfidential(p)
}

// start is one attempt to start a Keep.
type start struct {
	l      *Loader
	boot   *boot
	spec   loader.Spec
	record func(loader.Record) error
	accel  string
	why    string // why this accelerator
	first  string // what became of the first attempt, on the second
	times  times
	made   time.Time

	sockets sockets
	k       *keep
}

// sockets are the pairs between us and the machine's processes.
type sockets struct{ sallyport, words, monitor, console, tpm [2]*os.File }

func (s *sockets) all() []*[2]*os.File {
	return []*[2]*os.File{&s.sallyport, &s.words, &s.monitor, &s.console, &s.tpm}
}

// closeTheirs closes our copies of what the processes have inherited.
func (s *sockets) closeTheirs() {
	for _, p := range s.all() {
		if p[1] != nil {
			p[1].Close()
			p[1] = nil
		}
	}
}

// run makes the Keep, or nothing.
func (s *start) run(ctx context.Context) (*keep, error) {
	s.k = newKeep(s)
	err := s.assemble(ctx)
	s.sockets.closeTheirs()
	if err == nil {
		err = s.k.handshake()
	}
	if err == nil {
		s.progress("qemu")
		err = s.await(ctx)
	}
	if err == nil {
		s.progress("boot")
		s.k.layers = s.layers()
		return s.k, nil
	}
	if s.k.channel.f != nil {
		s.k.channel.f.Close()
	}
	s.k.blame("it did not start")
	if uerr := s.k.undo(); uerr != nil {
		err = fmt.Errorf("%w; and what it left could not be removed: %v", err, uerr)
	}
	return nil, err
}

// assemble starts the processes with the machine's CPU still stopped, bounds
// and records them.
func (s *start) assemble(ctx context.Context) error {
	if err := s.note(); err != nil {
		return err
	}
	groups := hostproc.Groups(s.l.groups, s.spec.ID)
	for _, g := range groups {
		s.k.groups = append(s.k.groups, g) // before Make: it may fail half-way
		if err := g.Make(s.bounds()); err != nil {
			return err
		}
	}
	if err := s.openSockets(); err != nil {
		return err
	}
	if s.l.o.Platform == attest.PlatformVTPM {
		if err := s.startTPM(ctx); err != nil {
			return err
		}
		s.progress("software tpm")
		if err := s.bound(s.k.tpm); err != nil {
			return err
		}
	}
	if err := s.startQEMU(); err != nil {
		return err
	}
	return s.bound(s.k.qemu)
}

// bound puts a process into the Keep's control groups and notes it.
func (s *start) bound(c *child) error {
	for _, g := range s.k.groups {
		if err := g.Add(c.proc.Pid); err != nil {
			return err
		}
	}
	return s.note()
}

func (s *start) bounds() hostproc.Bounds {
	b := hostproc.Bounds{MemoryBytes: s.spec.MemoryBytes + s.l.overhead(s.accel), VCPUs: s.spec.VCPUs, Tasks: maxTasks + s.spec.VCPUs}
	return b
}

// Overhead implements loader.Costly.
func (l *Loader) Overhead() uint64 {
	accel, _ := l.accel()
	return l.overhead(accel)
}

func (l *Loader) overhead(accel string) uint64 {
	n := uint64(qemuMemory)
	if accel == AccelTCG {
		n += translated
	}
	if l.o.Platform == attest.PlatformVTPM {
		n += tpmMemory
	}
	return n
}

func (s *start) openSockets() (err error) {
	for _, p := range []struct {
		to   *[2]*os.File
		name string
		make func(string) ([2]*os.File, error)
		want bool
	}{
		{&s.sockets.sallyport, "sallyport", socketpair, true}, {&s.sockets.words, "words", socketpair, true},
		{&s.sockets.monitor, "monitor", socketpair, true}, {&s.sockets.console, "console", socketpair, s.boot.debug},
		{&s.sockets.tpm, "TPM", plainPair, s.l.o.Platform == attest.PlatformVTPM},
	} {
		if !p.want {
			continue
		}
		if *p.to, err = p.make(p.name); err != nil {
			return err
		}
	}
	s.k.channel.f, s.k.words, s.k.monitor, s.k.console = s.sockets.sallyport[0], s.sockets.words[0], s.sockets.monitor[0], s.sockets.console[0]
	return nil
}

// startQEMU starts the machine with its CPU stopped.
func (s *start) startQEMU() error {
	var files []*os.File
	number := func(f *os.File) int {
		if f == nil {
			return 0
		}
		files = append(files, f)
		return len(files) + 2
	}
	path := func(f *os.File) string {
		if f == nil {
			return ""
		}
		return "/proc/self/fd/" + strconv.Itoa(number(f))
	}
	p := s.l.program()
	m := Machine{
		Name: hostproc.GroupPrefix + s.spec.ID, Platform: s.l.o.Platform, Accel: s.accel, QEMU: p.version, VCPUs: s.spec.VCPUs, Memory: s.spec.MemoryBytes,
		Micro:     s.l.micro || s.l.o.Platform == attest.PlatformVM && s.accel == AccelKVM,
		Sallyport: number(s.sockets.sallyport[1]), Words: number(s.sockets.words[1]), Monitor: number(s.sockets.monitor[1]),
		Console: number(s.sockets.console[1]), TPM: number(s.sockets.tpm[1]),
		Kernel: path(s.boot.kernel), Initrd: path(s.boot.initrd), Cmdline: s.boot.cmdline, Sandbox: p.sandbox, HostData: s.spec.HostData,
	}
	set := func(f *os.File) string {
		m.FDs = append(m.FDs, number(f))
		return "/dev/fdset/" + strconv.Itoa(len(m.FDs))
	}
	if s.boot.disk != nil {
		m.Disk = set(s.boot.disk)
	}
	switch m.Platform {
	case attest.PlatformVTPM:
		variables, err := memory("variables", s.boot.variables, 0o600)
		if err != nil {
			return err
		}
		defer variables.Close()
		m.Firmware, m.Variables, m.SMM = set(s.boot.firmware), set(variables), s.l.o.Firmware.SMM
	case attest.PlatformSNP:
		m.CBitPos, m.ReducedPhysBits = encryptionBits()
		m.Firmware = path(s.boot.firmware)
	case attest.PlatformTDX:
		m.Firmware = path(s.boot.firmware)
	}
	c, err := spawn(p.path, m.Args(), files, nil, s.apart()...)
	if err != nil {
		return err
	}
	s.k.qemu = c
	return nil
}

// apart are directories with what no guest is to see, whatever lies beside them.
func (s *start) apart() []string {
	var dirs []string
	for _, dir := range []string{s.spec.StateDir, s.l.o.TPMAuthority} {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// await waits until the Keep runtime in the machine has opened its sallyport.
func (s *start) await(ctx context.Context) error {
	deadline := time.NewTimer(s.times.boot)
	defer deadline.Stop()
	select {
	case <-s.k.up:
		return nil
	case <-s.k.gone:
		if s.k.said() {
			// It booted, and knows why there is no Keep.
			return errors.New(s.k.exit.Reason)
		}
		return &bootError{"while booting, " + s.k.exit.Reason}
	case <-deadline.C:
		return &bootError{fmt.Sprintf("the machine has not opened its sallyport within %v (by %s)", s.times.boot, s.accel)}
	case <-ctx.Done():
		return fmt.Errorf("waiting for the machine to boot: %w", ctx.Err())
	}
}

// note records what Cleanup would need.
func (s *start) note() error {
	if s.record == nil {
		return nil
	}
	r := loader.Record{ID: s.spec.ID, Platform: s.l.o.Platform, StateDir: s.spec.StateDir, Made: s.made}
	if c := s.k.qemu; c != nil {
		r.PID, r.StartTime = c.proc.Pid, c.started
	}
	if c := s.k.tpm; c != nil {
		r.Helpers = append(r.Helpers, c.process())
	}
	for _, g := range hostproc.Groups(s.l.groups, s.spec.ID) {
		r.Cgroups = append(r.Cgroups, g.Dir)
	}
	if err := s.record(r); err != nil {
		return fmt.Errorf("record Keep %s before its start: %w", s.spec.ID, err)
	}
	return nil
}

func (s *start) progress(step string) {
	if s.spec.Progress != nil {
		s.spec.Progress(step)
	}
}

// say tells whoever hears the Keep runtime's words something of our own.
func (s *start) say(format string, args ...any) {
	if s.spec.Stderr != nil {
		fmt.Fprintf(s.spec.Stderr, "loader: "+format+"\n", args...)
	}
}

// layers lists what isolates the Keep from its host.
func (s *start) layers() []loader.Layer {
	k := s.k
	ls := []loader.Layer{{Name: "virtual machine", Applied: true, Detail: fmt.Sprintf("QEMU %v, %s (%s)", s.l.program().version, s.accel, s.why)}}
	if s.first != "" {
		ls = append(ls, loader.Layer{Name: "boot", Applied: true, Detail: "second try; the first: " + s.first})
	}
	sandbox := loader.Layer{Name: "seccomp", Applied: s.l.program().sandbox, Detail: "QEMU's own: " + sandboxRules}
	if !sandbox.Applied {
		sandbox.Detail = "this QEMU has no -sandbox; install one that was built with libseccomp"
	}
	own := loader.Layer{Name: "own user", Applied: k.qemu.asNobody, Detail: fmt.Sprintf("user %d", k.qemu.user)}
	if !own.Applied {
		own.Detail = "QEMU is the same host user as its loader; a loader that is root uses user 65534"
	}
	network := loader.Layer{Name: "network namespace", Applied: k.qemu.confined, Detail: "new and empty; also mount, ipc, uts, cgroup"}
	if !network.Applied {
		network.Detail = "the host refuses namespaces; allow user namespaces (sysctl user.max_user_namespaces) or run as root"
	}
	landlock := loader.Layer{Name: "landlock", Applied: k.qemu.landlock > 0, Detail: fmt.Sprintf("version %d, a domain of each Keep's own", k.qemu.landlock)}
	if !landlock.Applied {
		landlock.Detail = "the host's kernel has no Landlock; boot Linux 5.13 or later with lsm=landlock"
	}
	ls = append(ls, sandbox, landlock, own, network)
	for _, g := range k.groups {
		ls = append(ls, g.Layers(s.bounds())...)
	}
	if !hostproc.Has(k.groups, "memory") {
		ls = append(ls, loader.Layer{Name: "cgroup memory", Detail: "no writable control group, so only the guest's own memory is bounded; run the agent from its systemd unit (Delegate=yes) or as root"})
	}
	return ls
}
