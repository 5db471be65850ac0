// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// Start implements loader.Loader.
func (l *Loader) Start(ctx context.Context, spec loader.Spec, record func(loader.Record) error) (loader.Keep, error) {
	if err := l.check(ctx, spec); err != nil {
		return nil, err
	}
	s := &start{loader: l, spec: spec, record: record, groups: l.groupPaths(spec), made: time.Now()}
	k, err := s.run()
	if err != nil {
		if uerr := s.undo(); uerr != nil {
			err = fmt.Errorf("%w; and what it left could not be removed: %v", err, uerr)
		}
		return nil, err
	}
	return k, nil
}

func (l *Loader) check(ctx context.Context, spec loader.Spec) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !l.host.Seccomp:
		return errors.New("start Keep: this kernel has no system call filter (seccomp), platform process does not work without it")
	case spec.Keep == nil:
		return errors.New("start Keep: no Keep file was given")
	case !hostproc.ValidID(spec.ID):
		return fmt.Errorf("start Keep: ID %q is not 1 to %d letters, digits, '-' or '_'", spec.ID, hostproc.MaxID)
	case spec.VCPUs < 0 || spec.VCPUs > maxVCPUs:
		return fmt.Errorf("start Keep: %d virtual CPUs were asked for, 0 to %d are possible", spec.VCPUs, maxVCPUs)
	case spec.MemoryBytes&(spec.MemoryBytes-1) != 0:
		return fmt.Errorf("start Keep: memory of %d bytes is not a power of two", spec.MemoryBytes)
	}
	return nil
}

// groupPaths are the groups that a Keep will have.
func (l *Loader) groupPaths(spec loader.Spec) []hostproc.Group {
	if spec.MemoryBytes == 0 && spec.VCPUs == 0 {
		return nil // no limit was asked for; rlimits hold
	}
	return hostproc.Groups(l.hierarchies(), spec.ID)
}

func bounds(spec loader.Spec) hostproc.Bounds {
	return hostproc.Bounds{MemoryBytes: spec.MemoryBytes, VCPUs: spec.VCPUs, Tasks: maxThreads}
}

// start is one attempt to start a Keep, with all that must be undone if it
// does not come to an end.
type start struct {
	loader *Loader
	spec   loader.Spec
	record func(loader.Record) error
	groups []hostproc.Group
	made   time.Time

	madeGroups []hostproc.Group
	keep       *keep
}

func (s *start) run() (*keep, error) {
	if err := s.note(0, 0); err != nil {
		return nil, err
	}
	for _, g := range s.groups {
		s.madeGroups = append(s.madeGroups, g) // before make: it may fail half-way
		if err := g.Make(bounds(s.spec)); err != nil {
			return nil, err
		}
	}
	f, err := s.openFiles()
	if err != nil {
		return nil, err
	}
	defer f.closeKeepEnds()
	p, err := s.spawn(f)
	if err != nil {
		f.channel.Close()
		return nil, err
	}
	if err := s.bound(s.keep.proc.Pid); err != nil {
		return nil, err
	}
	started, err := hostproc.StartTime(s.keep.proc.Pid)
	if err != nil {
		return nil, fmt.Errorf("start Keep: it ended at once: %w", err)
	}
	if err := s.note(s.keep.proc.Pid, started); err != nil {
		return nil, err
	}
	box := s.sandboxSpec(p, f)
	if err := f.send(box); err != nil {
		return nil, err
	}
	s.keep.layers = s.layers(p, box)
	return s.keep, nil
}

// note records what Cleanup would need.
func (s *start) note(pid int, started uint64) error {
	if s.record == nil {
		return nil
	}
	r := loader.Record{ID: s.spec.ID, Platform: "process", PID: pid, StartTime: started, StateDir: s.spec.StateDir, Made: s.made}
	for _, g := range s.groups {
		r.Cgroups = append(r.Cgroups, g.Dir)
	}
	if err := s.record(r); err != nil {
		return fmt.Errorf("record Keep %s before its start: %w", s.spec.ID, err)
	}
	return nil
}

// undo removes everything that a failed start has made.
func (s *start) undo() error {
	if s.keep != nil {
		s.keep.channel.Close()
		s.keep.Kill()
		_, err := s.keep.Wait(context.Background())
		return err
	}
	var errs []error
	for _, g := range s.madeGroups {
		errs = append(errs, hostproc.RemoveGroup(g.Dir))
	}
	return errors.Join(errs...)
}

// spawn starts the Keep's process by the strongest plan that the host allows.
func (s *start) spawn(f *files) (plan, error) {
	elf, err := s.keepFile(f)
	if err != nil {
		return plan{}, err
	}
	defer elf.Close()
	others := false
	var st unix.Stat_t
	if unix.Fstat(int(elf.Fd()), &st) == nil {
		others = st.Mode&0o001 != 0
	}
	n := need{asNobody: others && len(s.spec.Dirs) == 0, paths: len(s.spec.Dirs) > 0 || s.spec.CacheDir != ""}
	path := "/proc/self/fd/" + strconv.Itoa(int(elf.Fd()))
	for _, p := range s.loader.choose(n) {
		if err = s.mounts(p, f); err == nil {
			err = s.exec(path, p, f)
		}
		if err == nil {
			s.loader.worked(n, p)
			return p, nil
		}
		if !refused(err) {
			break
		}
	}
	return plan{}, errAllRefused(err)
}

// exec makes the process and takes charge of it.
func (s *start) exec(path string, p plan, f *files) error {
	pidfd := -1
	attr := p.attr()
	attr.PidFD = &pidfd
	proc, err := os.StartProcess(path, []string{"keep", "process"}, &os.ProcAttr{
		Env: s.env(), Dir: "/", Files: f.inherited(), Sys: attr,
	})
	if err != nil {
		return err
	}
	s.keep = newKeep(proc, pidfd, f.channel, s.madeGroups, p.namespaces)
	s.keep.copyStderr(f.stderr, s.spec.Stderr)
	f.stderr = nil // the Keep's now
	// Last: it waits for the copier, which must be there before it looks.
	go s.keep.reap()
	return nil
}

// env is the Keep's whole environment.
func (s *start) env() []string {
	if s.spec.VCPUs == 0 {
		return sandbox.RuntimeEnv("")
	}
	return sandbox.RuntimeEnv(strconv.Itoa(s.spec.VCPUs))
}

// keepFile gives the Keep ELF under a descriptor that is above all others, so
// that arranging the child's descriptors cannot overwrite it before the exec.
func (s *start) keepFile(f *files) (*os.File, error) {
	top := 0
	for _, file := range f.inherited() {
		top = max(top, int(file.Fd()))
	}
	// 128 is more than the inherited descriptors: 5, two mounts at most per
	// lent directory's retry, and the cache.
	fd, err := unix.FcntlInt(s.spec.Keep.Fd(), unix.F_DUPFD_CLOEXEC, top+128)
	if err != nil {
		return nil, fmt.Errorf("copy the Keep file's descriptor: %w", err)
	}
	return os.NewFile(uintptr(fd), s.spec.Keep.Name()), nil
}

// bound puts a Keep that still waits for its Spec into its control groups.
func (s *start) bound(pid int) error {
	for _, g := range s.madeGroups {
		if err := g.Add(pid); err != nil {
			return err
		}
	}
	return nil
}

// limits are resource limits for the Keep to set on itself.
func (s *start) limits() []sandbox.Limit {
	ls := []sandbox.Limit{
		{Resource: unix.RLIMIT_CORE, Name: "core dumps", Value: 0},
		{Resource: unix.RLIMIT_MEMLOCK, Name: "locked memory", Value: 0},
		{Resource: unix.RLIMIT_MSGQUEUE, Name: "message queues", Value: 0},
		{Resource: unix.RLIMIT_NOFILE, Name: "open files", Value: s.openFilesLimit()},
	}
	if s.keep.ownPIDs {
		// Counted per user and user namespace; without one the host
		// user's other processes would count too.
		ls = append(ls, sandbox.Limit{Resource: unix.RLIMIT_NPROC, Name: "threads", Value: maxThreads})
	}
	if s.spec.MemoryBytes > 0 && !s.has("memory") {
		ls = append(ls, sandbox.Limit{Resource: unix.RLIMIT_DATA, Name: "memory of each process", Value: s.spec.MemoryBytes})
	}
	return ls
}

// openFilesLimit is maxOpenFiles, or our own limit where that is lower: nobody
// may raise it for another process.
func (s *start) openFilesLimit() uint64 {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return 1024 // what every Linux allows
	}
	return min(maxOpenFiles, own.Max)
}

func (s *start) has(controller string) bool { return hostproc.Has(s.madeGroups, controller) }

// sandboxSpec is what the Keep must apply itself.
func (s *start) sandboxSpec(p plan, f *files) *sandbox.Spec {
	box := &sandbox.Spec{
		MountNS: p.namespaces, PIDNS: p.namespaces,
		LandlockABI: s.loader.host.LandlockABI, Seccomp: s.loader.host.Seccomp,
		DropTo: p.dropTo(), Limits: s.limits(),
	}
	mounts := s.lent()
	for i := range f.mounts {
		mounts[i].FD = firstMountFD + i
	}
	if s.spec.CacheDir != "" {
		box.Cache = &mounts[len(mounts)-1]
		mounts = mounts[:len(mounts)-1]
	}
	box.Dirs = mounts
	return box
}

// lent are the lent directories and, last, the cache directory.
func (s *start) lent() []sandbox.Mount {
	var ms []sandbox.Mount
	for _, d := range s.spec.Dirs {
		ms = append(ms, sandbox.Mount{Guest: d.Guest, Host: filepath.Clean(d.Host), ReadOnly: d.ReadOnly})
	}
	if s.spec.CacheDir != "" {
		ms = append(ms, sandbox.Mount{Host: filepath.Clean(s.spec.CacheDir)})
	}
	return ms
}

// layers lists what isolates the Keep. Those of the Keep's own making are
// listed as applied because it ends where it cannot apply them.
func (s *start) layers(p plan, box *sandbox.Spec) []loader.Layer {
	ls := p.layers()
	ls = append(ls, sandbox.Layer{Name: "no new privileges", Applied: true, Detail: "and no capability"},
		sandbox.Layer{Name: "seccomp", Applied: box.Seccomp, Detail: "allow lists; other system calls kill"})
	landlock := sandbox.Layer{Name: "landlock", Applied: box.LandlockABI > 0, Detail: fmt.Sprintf("version %d", box.LandlockABI)}
	if !landlock.Applied {
		landlock.Detail = "the kernel has none; boot Linux 5.13 or later with landlock among the lsm= modules"
	}
	ls = append(ls, landlock)
	for _, r := range s.limits() {
		ls = append(ls, sandbox.Layer{Name: "rlimit", Applied: true, Detail: fmt.Sprintf("%s at most %d", r.Name, r.Value)})
	}
	if s.spec.MemoryBytes > 0 && !s.has("memory") {
		ls = append(ls, sandbox.Layer{Name: "cgroup memory", Detail: "no writable control group; run the agent from its systemd unit (Delegate=yes) or as root"})
	}
	out := make([]loader.Layer, len(ls))
	for i, l := range ls {
		out[i] = loader.Layer(l)
	}
	for _, g := range s.madeGroups {
		out = append(out, g.Layers(bounds(s.spec))...)
	}
	return out
}
