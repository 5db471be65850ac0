// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package child is the engine child: the process inside a Keep that compiles
// and runs the workload's code, with nothing to prove with.
//
// It is the Keep's own ELF, executed again by the parent. It inherits one
// control socket, seals itself, and waits. With its [Job] come the descriptors
// that the workload may use: memory with the bundle and the secret values,
// pipes for the standard streams, sockets whose TLS the parent has already
// taken off. It seals itself a second time before the first instruction of the
// guest and ends with the guest.
//
// Whoever controls this process completely, by a bug in the engine or by
// precompiled code, has what the workload was given and no more: no key, no
// evidence source, no sallyport, no file, no way to another process (invariant
// 11). The parent therefore takes nothing that the child says for more than
// the workload's own word.
package child

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/detcbor"
	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/wasi"
	"github.com/enarx/enarx-go/workload"
)

// Env is what the start code of the platform gives to [Main].
type Env struct {
	// Executed says that this program was executed by [Launch], which has
	// waited for the root directory.
	Executed bool
	// Compile seals the process for compiling; Run seals it for guest code.
	// An error ends the child.
	Compile, Run func() error
	// NewEngine makes the engine that this Keep was built with.
	NewEngine func(cacheDir string, limits engine.Limits) (engine.Engine, error)
}

// Main is the life of an engine child. It returns the process's exit status,
// which says nothing about the workload.
func Main(env Env) int {
	c := NewControl(ControlFD)
	defer c.Close()
	if !env.Executed {
		if err := c.waitRoot(); err != nil {
			if errors.Is(err, errClosed) {
				return 0 // the parent ended before there was work
			}
			return fail(c, err)
		}
	}
	if err := env.Compile(); err != nil {
		return fail(c, err)
	}
	fds, job, err := c.recvJob()
	if err != nil {
		if errors.Is(err, errClosed) {
			return 0
		}
		return fail(c, err)
	}
	lateGC()
	d := run(c, env, fds, job)
	if err := c.sendValue(kindDone, d); err != nil {
		return 1
	}
	return 0
}

func fail(c *Control, err error) int {
	c.sendValue(kindDone, &Done{End: DoneSetup, Reason: clip(err.Error())})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// Launch is the first part of the life of an engine child whose engine has a
// program of its own, which goes on with [Main]: it waits until the root
// directory is final, seals the process and executes the program. It returns
// the exit status of a process in which that did not work.
func Launch(seal, exec func() error) int {
	c := NewControl(ControlFD)
	defer c.Close()
	if err := c.waitRoot(); err != nil {
		if errors.Is(err, errClosed) {
			return 0
		}
		return fail(c, err)
	}
	if err := seal(); err != nil {
		return fail(c, err)
	}
	return fail(c, exec())
}

// clip makes a text that a guest may have chosen fit into a message.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), clipText)], "?")
}

func setup(err error) *Done { return &Done{End: DoneSetup, Reason: clip(err.Error())} }

// run compiles and runs the workload and says how it ended.
func run(c *Control, env Env, fds []int, job *Job) *Done {
	if len(fds) < 2 {
		return setup(errors.New("engine child: the job came without its memory"))
	}
	bundle, secrets, err := load(fds, job)
	if err != nil {
		return setup(err)
	}
	ctx := context.Background()
	begin := time.Now()
	limits := engine.Limits{MemoryBytes: bundle.Config().Limits.MemoryBytes}
	eng, err := env.NewEngine(job.CacheDir, limits)
	if err != nil {
		return setup(err)
	}
	mod, err := eng.Compile(ctx, bundle.Module())
	if err != nil {
		return setup(fmt.Errorf("compile the module: %w", err))
	}
	if !mod.HasExport("_start") {
		return setup(errors.New("the module exports no function _start: it is a library and not a program"))
	}
	sys, err := system(bundle, secrets, fds[2:], job)
	if err != nil {
		return setup(err)
	}
	defer sys.Close()
	host := sys.HostFuncs()
	if err := mod.Prepare(ctx, host); err != nil {
		return setup(err)
	}
	took := uint64(time.Since(begin).Microseconds())
	if err := env.Run(); err != nil {
		return setup(err)
	}
	if err := c.sendValue(kindCompiled, &Compiled{US: took, Engine: eng.Name()}); err != nil {
		return setup(err)
	}
	inst, err := mod.Instantiate(ctx, host)
	if err == nil {
		err = inst.Call(ctx, "_start")
	}
	return outcome(err)
}

func outcome(err error) *Done {
	var exit *engine.ExitError
	var trap *engine.TrapError
	switch {
	case err == nil:
		return &Done{End: DoneExit}
	case errors.As(err, &exit):
		return &Done{End: DoneExit, Code: uint64(exit.Code)}
	case errors.As(err, &trap):
		return &Done{End: DoneTrap, Reason: clip(trap.Reason), Trace: clip(trap.Trace)}
	}
	return setup(err)
}

// load maps the bundle and the secret values. The parent has sealed and
// checked both.
func load(fds []int, job *Job) (*workload.Bundle, map[string][]byte, error) {
	b, err := mapped(fds[0], job.BundleSize, workload.MaxBundleSize)
	if err != nil {
		return nil, nil, fmt.Errorf("engine child: bundle: %w", err)
	}
	bundle, err := workload.Parse(b)
	if err != nil {
		return nil, nil, fmt.Errorf("engine child: %w", err)
	}
	s, err := mapped(fds[1], job.SecretsSize, maxSecrets)
	if err != nil {
		return nil, nil, fmt.Errorf("engine child: secrets: %w", err)
	}
	var secrets map[string][]byte
	if err := detcbor.Unmarshal(s, &secrets); err != nil {
		return nil, nil, fmt.Errorf("engine child: secrets: %w", err)
	}
	return bundle, secrets, nil
}

func mapped(fd int, size, limit uint64) ([]byte, error) {
	if size == 0 || size > limit {
		return nil, fmt.Errorf("%d bytes; from 1 to %d are possible", size, limit)
	}
	m, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	unix.Close(fd)
	return m, nil
}

// system makes the workload's view of the world from its configuration.
func system(b *workload.Bundle, secrets map[string][]byte, fds []int, job *Job) (*wasi.System, error) {
	cfg := b.Config()
	wc := wasi.Config{
		Args:   append([]string{"main.wasm"}, cfg.Args...),
		Env:    environment(cfg, secrets),
		Clock:  newClock(job),
		Random: rand.Reader,
	}
	for i, f := range cfg.Files {
		d := wasi.Null()
		if f.Kind != workload.KindNull {
			if len(fds) == 0 {
				return nil, fmt.Errorf("engine child: no descriptor came for entry %d of files", i)
			}
			var err error
			if d, err = descriptor(f.Kind, fds[0]); err != nil {
				return nil, fmt.Errorf("engine child: entry %d of files: %w", i, err)
			}
			fds = fds[1:]
		}
		wc.FDs = append(wc.FDs, d)
	}
	if len(fds) != 1 {
		return nil, fmt.Errorf("engine child: %d descriptors are left for the socket for questions, expected 1", len(fds))
	}
	asks := &asker{c: NewControl(fds[0])}
	var err error
	if wc.Preopens, err = preopens(b, cfg, secrets, job, asks); err != nil {
		return nil, err
	}
	return wasi.New(wc)
}

func descriptor(k workload.Kind, fd int) (wasi.Descriptor, error) {
	if k == workload.KindListen {
		l, err := wasi.NewFDListener(fd)
		return wasi.Listen(l), err
	}
	s, err := wasi.NewFDStream(fd)
	if err != nil {
		return wasi.Descriptor{}, err
	}
	switch k {
	case workload.KindStdin:
		return wasi.Stdin(s), nil
	case workload.KindStdout:
		return wasi.Stdout(s), nil
	case workload.KindStderr:
		return wasi.Stderr(s), nil
	case workload.KindConnect:
		return wasi.Socket(s), nil
	}
	return wasi.Descriptor{}, fmt.Errorf("kind %q is not known", k)
}

// environment is FD_COUNT and FD_NAMES, then the configuration's variables in
// order of their names, then secrets. A later one shadows an earlier one, as in
// the original.
func environment(cfg workload.Config, secrets map[string][]byte) []string {
	count, names := cfg.FDEnv()
	vars := map[string]string{"FD_COUNT": count, "FD_NAMES": names}
	order := []string{"FD_COUNT", "FD_NAMES"}
	add := func(name, value string) {
		if _, ok := vars[name]; !ok {
			order = append(order, name)
		}
		vars[name] = value
	}
	var sorted []string
	for name := range cfg.Env {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		add(name, cfg.Env[name])
	}
	for _, s := range cfg.Secrets {
		if s.Env != "" {
			add(s.Env, string(secrets[s.Name]))
		}
	}
	env := make([]string, 0, len(order))
	for _, name := range order {
		env = append(env, name+"="+vars[name])
	}
	return env
}

// preopens are the bundle's files with the secrets that are files, as the root
// directory, lent directories, and what places adds.
func preopens(b *workload.Bundle, cfg workload.Config, secrets map[string][]byte, job *Job, asks *asker) ([]wasi.Preopen, error) {
	var files []wasi.BundleFile
	for _, f := range b.Files() {
		files = append(files, wasi.BundleFile(f))
	}
	for _, s := range cfg.Secrets {
		if s.Path != "" {
			files = withParents(files, wasi.BundleFile{Path: s.Path, Data: secrets[s.Name]})
		}
	}
	var pre []wasi.Preopen
	if len(files) > 0 {
		fs, err := wasi.NewBundleFS(files)
		if err != nil {
			return nil, fmt.Errorf("engine child: files of the bundle: %w", err)
		}
		pre = append(pre, wasi.Preopen{Path: "/", FS: fs})
	}
	for _, d := range job.Dirs {
		root, err := os.OpenRoot(d.Path)
		if err != nil {
			return nil, fmt.Errorf("engine child: lent directory %s: %w", d.Guest, err)
		}
		fs, err := wasi.NewDirFS(root, d.ReadOnly)
		if err != nil {
			return nil, fmt.Errorf("engine child: lent directory %s: %w", d.Guest, err)
		}
		pre = append(pre, wasi.Preopen{Path: d.Guest, FS: fs})
	}
	more, err := places(b, cfg, pre, asks)
	if err != nil {
		return nil, err
	}
	return append(pre, more...), nil
}

// withParents adds f and those of its parent directories that are missing.
func withParents(files []wasi.BundleFile, f wasi.BundleFile) []wasi.BundleFile {
	have := func(p string) bool {
		return slices.ContainsFunc(files, func(g wasi.BundleFile) bool { return g.Path == p })
	}
	for i := 1; i < len(f.Path); i++ {
		if f.Path[i] == '/' && !have(f.Path[:i]) {
			files = append(files, wasi.BundleFile{Path: f.Path[:i], Dir: true})
		}
	}
	return append(files, f)
}

// clock is the Keep's trusted time in this process: it starts at what the
// parent said and advances by the monotonic counter.
type clock struct {
	wall  uint64 // nanoseconds since 1970 UTC at start
	mono  uint64 // CLOCK_MONOTONIC at start
	start time.Time
}

func newClock(job *Job) *clock {
	c := &clock{wall: job.WallNS, start: time.Now()} // only its monotonic reading is used
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err == nil {
		if c.mono = uint64(ts.Nano()); c.mono > job.MonoNS {
			c.wall += c.mono - job.MonoNS
		}
	}
	return c
}

func (c *clock) Realtime() uint64 { return c.wall + uint64(time.Since(c.start)) }

// Monotonic starts at 1: some programs take 0 for "never".
func (c *clock) Monotonic() uint64 { return uint64(time.Since(c.start)) + 1 }

// Offsets make the same times of CLOCK_MONOTONIC, for an engine that tells
// them itself (wasi.Steady).
func (c *clock) Offsets() (realtime, monotonic uint64) { return c.wall - c.mono, 1 - c.mono }

func (c *clock) Resolution() uint64 { return 1 }
