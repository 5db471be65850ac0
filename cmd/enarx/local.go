// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/process"
	"github.com/enarx/enarx-go/loader/qemu"
	"github.com/enarx/enarx-go/sallyport"
)

const (
	// startTimeout bounds the start of a local Keep; a loaded machine takes
	// tens of milliseconds.
	startTimeout = 60 * time.Second
	// endTimeout bounds the wait for a killed Keep to be gone.
	endTimeout = 10 * time.Second
	// staleAfter is how old a run's directory is before another run may take
	// it for an orphan's: long past the moment between making and locking it.
	staleAfter = 10 * time.Second
	// maxRecord bounds a run's record, which is a few hundred bytes.
	maxRecord = 64 << 10
	// maxKeepStderr bounds what is kept of a failing Keep runtime's words.
	maxKeepStderr = 16 << 10
)

// localSpec says which Keep to start on this machine.
type localSpec struct {
	Platform string
	Loader   loader.Loader
	Memory   uint64       // 0 for the platform's default
	Progress func(string) // nil for none
	Keep     *keepRuntime
	Dirs     []loader.Dir
	CacheDir func(run string) string // "" for none
	Publish  map[uint16]string
	Hardware *localSim // platform sim only
	Hints    []sallyport.Hint
}

// localKeep is a Keep of this machine with the host's end of its sallyport:
// what the agent is for a deployment, for one run.
type localKeep struct {
	dir    *runDir
	name   string        // of the platform
	leave  time.Duration // how long it may take to say why it ends
	keep   loader.Keep
	relay  *relay.Relay
	host   *sallyport.Host
	stderr *tail
	Cache  string // directory of compiled code lent to the Keep, or ""
}

// startLocal starts a Keep. On error nothing is left of it.
func startLocal(ctx context.Context, spec localSpec) (_ *localKeep, err error) {
	k := &localKeep{stderr: &tail{}, name: spec.Platform, leave: time.Second}
	limit := startTimeout
	if l, ok := spec.Loader.(loader.Timed); ok {
		limit += l.Timing().Start
		k.leave = l.Timing().Leave
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if k.dir, err = newRunDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			k.Close()
		}
	}()
	if spec.CacheDir != nil {
		k.Cache = spec.CacheDir(k.dir.id)
	}
	start := sallyport.StartConfig{Mode: sallyport.ModePush, Platform: spec.Platform}
	k.keep, err = spec.Loader.Start(ctx, loader.Spec{
		ID: k.dir.id, Keep: spec.Keep.File, StateDir: k.dir.state(), Dirs: spec.Dirs, CacheDir: k.Cache, Stderr: k.stderr,
		MemoryBytes: spec.Memory, HostData: start.Digest(), Progress: spec.Progress,
	}, k.dir.record)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, failf(exitPlatform, "enarx platform "+spec.Platform+" shows what this machine lacks", "starting the Keep: %w", err)
	}
	if err := k.connect(ctx, spec, start); err != nil {
		return nil, k.explain(err)
	}
	return k, nil
}

// connect opens the sallyport and gives the Keep its start configuration.
func (k *localKeep) connect(ctx context.Context, spec localSpec, start sallyport.StartConfig) error {
	cfg := relay.Config{
		// The host is the user's own machine: its loopback is no secret to
		// keep, and listeners go where Enarx.toml or --publish says.
		Dial:     relay.DialPolicy{AllowHost: true},
		Listen:   relay.ListenPolicy{AsAsked: true, Publish: spec.Publish},
		HostData: start.Digest(),
	}
	if spec.Hardware != nil {
		cfg.Hardware = spec.Hardware
	}
	k.relay = relay.New(cfg)
	var err error
	if k.host, err = sallyport.ConnectHost(ctx, k.keep.Channel(), k.relay, sallyport.HostOptions{}); err != nil {
		return err
	}
	if err := k.host.Start(ctx, start); err != nil {
		return err
	}
	switch {
	case spec.Hardware != nil:
		return k.host.SendHints(ctx, spec.Hardware.hints())
	case len(spec.Hints) > 0:
		return k.host.SendHints(ctx, spec.Hints)
	}
	return nil
}

// explain adds what the Keep runtime itself said when it failed.
func (k *localKeep) explain(err error) error {
	// The Keep closes its end before its last words are through the pipe.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	k.keep.Kill()
	k.keep.Wait(ctx)
	if said := k.stderr.lastLine(); said != "" {
		return failf(exitPlatform, "enarx platform "+k.name+" shows what this machine lacks", "starting the Keep: %s (%w)", said, err)
	}
	return failf(exitPlatform, "enarx version shows whether the Keep runtime belongs to this enarx", "starting the Keep: it does not answer: %w", err)
}

// whyLost adds the Keep runtime's own words to an error of a Keep that was lost.
func (k *localKeep) whyLost(err error) error {
	var ce *cliError
	if !errors.As(err, &ce) || ce.code != exitKeep {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), k.leave)
	defer cancel()
	exit, werr := k.keep.Wait(ctx)
	if said := k.stderr.lastLine(); said != "" {
		return failf(exitKeep, ce.hint, "%w; the Keep runtime said: %s", ce.err, said)
	}
	if werr == nil && exit.Reason != "" {
		return failf(exitKeep, ce.hint, "%w; the Keep's process: %s", ce.err, exit.Reason)
	}
	return err
}

// Attach opens a raw tunnel to the Keep.
func (k *localKeep) Attach(ctx context.Context) (net.Conn, error) { return k.host.Attach(ctx) }

// Close ends the Keep and removes its directory.
func (k *localKeep) Close() error { return errors.Join(k.end(), k.dir.close()) }

// end ends the Keep and waits until nothing is left of it but its directory.
func (k *localKeep) end() error {
	var errs []error
	if k.keep != nil {
		errs = append(errs, k.keep.Kill())
	}
	if k.host != nil {
		k.host.Close()
	}
	if k.relay != nil {
		k.relay.Close()
	}
	if k.keep != nil {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		defer cancel()
		_, err := k.keep.Wait(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - maxKeepStderr; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// lastLine is the first line that the Keep runtime wrote as its reason, or the
// last of whatever else it wrote.
func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	for _, l := range lines {
		if s, ok := strings.CutPrefix(l, "keep: "); ok {
			return s
		}
	}
	return lines[len(lines)-1]
}

// runDir is the directory of one local run. It holds what the next run needs
// to remove whatever this one left, should this one be killed.
type runDir struct {
	id, path string
	lock     *os.File
}

// runBase is this user's directory of local runs, private to the user.
func runBase() (string, error) {
	base := filepath.Join(os.TempDir(), "enarx-"+strconv.Itoa(os.Geteuid()))
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		base = filepath.Join(d, "enarx")
	}
	return base, privateDir(base)
}

// privateDir makes sure that a directory is there and nobody else's business:
// in a shared place such as /tmp somebody may have made it first.
func privateDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return failf(exitInternal, "check the free space and permissions there, or set TMPDIR", "making the directory of local runs: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return failf(exitInternal, "", "looking at %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		return failf(exitInternal, "remove it or make it private: chmod 700 "+path,
			"%s is not a directory that only this user can use (mode %o, owner %d)", path, st.Mode&0o7777, st.Uid)
	}
	return nil
}

func newRunDir() (*runDir, error) {
	base, err := runBase()
	if err != nil {
		return nil, err
	}
	var r [8]byte
	rand.Read(r[:])
	d := &runDir{id: "run-" + hex.EncodeToString(r[:])}
	d.path = filepath.Join(base, d.id)
	if err := os.MkdirAll(d.state(), 0o700); err != nil {
		return nil, failf(exitInternal, "check the free space and permissions there", "making the directory of this run: %w", err)
	}
	d.lock, err = os.OpenFile(filepath.Join(d.path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		d.close()
		return nil, failf(exitInternal, "check the free space and permissions there", "locking the directory of this run: %w", err)
	}
	return d, nil
}

// state is the directory that belongs to the loader.
func (d *runDir) state() string { return filepath.Join(d.path, "keep") }

// record writes what a later run needs for Cleanup, whole or not at all.
func (d *runDir) record(r loader.Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := filepath.Join(d.path, "record.tmp")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("recording the Keep: %w", err)
	}
	return os.Rename(tmp, filepath.Join(d.path, "record.json"))
}

func (d *runDir) close() error {
	if d == nil {
		return nil
	}
	if d.lock != nil {
		defer d.lock.Close()
	}
	return os.RemoveAll(d.path)
}

// sweepRuns removes what runs left that were killed before they could. A run
// that lives holds its lock.
func sweepRuns(ctx context.Context) {
	base, err := runBase()
	if err != nil {
		return
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || !strings.HasPrefix(e.Name(), "run-") || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		sweepRun(ctx, &runDir{id: e.Name(), path: filepath.Join(base, e.Name())})
	}
}

// cleanUp removes what a Keep left by the loader that started it.
func cleanUp(ctx context.Context, r loader.Record) error {
	if r.Platform == attest.PlatformProcess {
		return process.New().Cleanup(ctx, r)
	}
	l, err := qemu.New(qemu.Options{Platform: r.Platform})
	if err != nil {
		return err
	}
	return l.Cleanup(ctx, r)
}

func sweepRun(ctx context.Context, d *runDir) {
	f, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_RDWR, 0)
	if err == nil {
		defer f.Close()
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			return
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return
	}
	rf, err := os.Open(filepath.Join(d.path, "record.json"))
	if err == nil {
		defer rf.Close()
		var r loader.Record
		b, err := io.ReadAll(io.LimitReader(rf, maxRecord))
		if err != nil || json.Unmarshal(b, &r) != nil {
			return
		}
		if err := cleanUp(ctx, r); err != nil {
			return // the next run tries again
		}
	}
	releaseLent(d.id)
	os.RemoveAll(d.path)
}
