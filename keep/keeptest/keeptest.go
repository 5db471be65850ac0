// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package keeptest starts real Keeps for tests: the real keep program in its
// real sandbox, on platform process or sim, with the host's side in the test's
// own hands.
package keeptest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/sim/simhw"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/process"
	"github.com/enarx/enarx-go/sallyport"
	"github.com/enarx/enarx-go/workload"
)

var built struct {
	sync.Once
	path string
	err  error
}

// Binary builds cmd/keep once for the test process and returns its path. The
// environment variable ENARX_TEST_KEEP names one that is built already.
func Binary(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		if p := os.Getenv("ENARX_TEST_KEEP"); p != "" {
			built.path = p
			return
		}
		dir, err := os.MkdirTemp("", "enarx-keep-test-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "keep")
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", built.path, "github.com/enarx/enarx-go/cmd/keep")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = err
			os.Stderr.Write(out)
		}
	})
	if built.err != nil {
		t.Fatalf("build cmd/keep: %v", built.err)
	}
	return built.path
}

// AtRemove has Remove delete dir as well.
func AtRemove(dir string) {
	removals.Lock()
	defer removals.Unlock()
	removals.dirs = append(removals.dirs, dir)
}

var removals struct {
	sync.Mutex
	dirs []string
}

// Remove deletes what Binary built and what AtRemove was told of; TestMain calls
// it last.
func Remove() {
	for _, dir := range removals.dirs {
		os.RemoveAll(dir)
	}
	if built.path != "" && os.Getenv("ENARX_TEST_KEEP") == "" {
		os.RemoveAll(filepath.Dir(built.path))
	}
}

var authority struct {
	sync.Once
	*simhw.Authority
	err error
}

// Authority is one throw-away sim authority for the whole test process.
func Authority(t testing.TB) *simhw.Authority {
	t.Helper()
	authority.Do(func() { authority.Authority, authority.err = simhw.NewAuthority(time.Now()) })
	if authority.err != nil {
		t.Fatal(authority.err)
	}
	return authority.Authority
}

// Config says how to start a Keep. The zero value is platform sim.
type Config struct {
	Platform string
	// Format is the shape of the evidence of platform sim; "" means snp.
	Format string
	// Handler, if not nil, wraps the honest host's handler.
	Handler func(sallyport.Handler) sallyport.Handler
	// Relay is completed with the hardware and host data.
	Relay relay.Config
	Dirs  []loader.Dir
	// Channel, if not nil, wraps the host's end of the sallyport: what a
	// host can see and change there at most.
	Channel func(io.ReadWriteCloser) io.ReadWriteCloser
	// Change, if not nil, makes the start configuration that of a host that
	// does not do what it was asked for.
	Change func(*sallyport.StartConfig)
	// Loader starts the Keep, with the program Keep; nil is the loader of
	// platform process with the program of Binary.
	Loader loader.Loader
	Keep   string
	// TPM and EventLog are the devices of platform vtpm: an open TPM, and what
	// the firmware has measured into it.
	TPM      *os.File
	EventLog []byte
	// NoCache compiles every module anew; otherwise the Keeps of one test
	// process share a directory for compiled code, which in real life only
	// the runs of one user's one module do.
	NoCache bool
}

// Keep is a running Keep and its host's side.
type Keep struct {
	loader.Keep
	Host     *sallyport.Host
	Relay    *relay.Relay
	Platform string
	ELF      [32]byte // SHA-256 of the keep program
	Stderr   *Buffer

	mu    sync.Mutex
	spool []byte
}

// Spooled is the sealed record that the Keep left, or nil.
func (k *Keep) Spooled() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spool
}

// Buffer is a bytes.Buffer for several goroutines.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type hardware struct {
	a      *simhw.Authority
	format string
	m      [48]byte
}

func (h hardware) Quote(reportData [64]byte, hostData [32]byte) ([]byte, error) {
	ev, err := h.a.Evidence(h.format, simhw.Spec{ReportData: reportData, Measurement: h.m, HostData: hostData}, time.Now())
	return ev.Value, err
}

// Start starts a Keep; it is killed and checked to be gone when the test ends.
func Start(t testing.TB, cfg Config) *Keep {
	t.Helper()
	if cfg.Platform == "" {
		cfg.Platform = attest.PlatformSim
	}
	if cfg.Format == "" {
		cfg.Format = attest.PlatformSNP
	}
	bin := cfg.Keep
	if bin == "" {
		bin = Binary(t)
	}
	elf, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	k := &Keep{Platform: cfg.Platform, ELF: sha256.Sum256(elf), Stderr: &Buffer{}}
	start := sallyport.StartConfig{Mode: "push", Platform: cfg.Platform}
	if cfg.Change != nil {
		cfg.Change(&start)
	}
	rc := cfg.Relay
	rc.HostData = start.Digest()
	if cfg.Platform == attest.PlatformSim {
		rc.Hardware = hardware{Authority(t), cfg.Format, sim.Measurement(k.ELF)}
	}
	rc.Spool = func(b []byte) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.spool = bytes.Clone(b)
		return nil
	}
	k.Relay = relay.New(rc)
	var h sallyport.Handler = k.Relay
	if cfg.Handler != nil {
		h = cfg.Handler(h)
	}
	state := t.TempDir()
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	cache := ""
	if !cfg.NoCache {
		cache = filepath.Join(filepath.Dir(bin), "cache")
		if os.Getenv("ENARX_TEST_KEEP") != "" {
			cache = filepath.Join(os.TempDir(), "enarx-keep-test-cache")
		}
		if err := os.MkdirAll(cache, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case cfg.Loader != nil:
		k.Keep, err = cfg.Loader.Start(ctx, loader.Spec{
			ID: "test-" + filepath.Base(state), Keep: f, StateDir: state, HostData: start.Digest(), Stderr: k.Stderr,
		}, func(loader.Record) error { return nil })
	case cfg.TPM != nil:
		k.Keep, err = startWithTPM(t, bin, cfg, k.Stderr)
	default:
		k.Keep, err = process.New().Start(ctx, loader.Spec{
			ID: "test-" + filepath.Base(state), Keep: f, StateDir: state, Dirs: cfg.Dirs, CacheDir: cache, Stderr: k.Stderr,
		}, func(loader.Record) error { return nil })
	}
	if err != nil {
		t.Fatalf("start the keep: %v", err)
	}
	t.Cleanup(func() {
		k.Kill()
		wctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := k.Wait(wctx); err != nil {
			t.Errorf("the keep is not gone: %v", err)
		}
	})
	channel := k.Channel()
	if cfg.Channel != nil {
		channel = cfg.Channel(channel)
	}
	if k.Host, err = sallyport.ConnectHost(ctx, channel, h, sallyport.HostOptions{}); err != nil {
		t.Fatalf("connect to the keep: %v; it said: %s", err, k.Stderr)
	}
	t.Cleanup(func() { k.Host.Close(); k.Relay.Close() })
	if err := k.Host.Start(ctx, start); err != nil {
		t.Fatalf("start configuration: %v; the keep said: %s", err, k.Stderr)
	}
	if cfg.Platform == attest.PlatformSim {
		collateral, err := Authority(t).Collateral(cfg.Format)
		if err != nil {
			t.Fatal(err)
		}
		var hints []sallyport.Hint
		for _, c := range collateral {
			hints = append(hints, sallyport.Hint(c))
		}
		if err := k.Host.SendHints(ctx, hints); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// Demand is what an honest client demands of k before a deployment.
func (k *Keep) Demand(t testing.TB) client.Demand {
	t.Helper()
	d := client.Demand{
		Platform: k.Platform, State: attest.StateEmpty, At: time.Now(),
		Decide: func(*attest.Claims, attest.Verdict) error { return nil },
	}
	if k.Platform == attest.PlatformProcess {
		d.InsecureNoTEE = true
		return d
	}
	root, err := sim.ParseRoot(Authority(t).RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	m := sim.Measurement(k.ELF)
	d.Verifiers = []attest.Verifier{sim.New(root)}
	d.Measurements = []attest.ReferenceValue{{Platform: attest.PlatformSim, Measurement: m[:], Release: "test", Source: "this test's own build"}}
	return d
}

// Tunnel opens a raw tunnel to the Keep, as an honest agent would.
func (k *Keep) Tunnel(t testing.TB) net.Conn {
	t.Helper()
	c, err := k.Host.Attach(context.Background())
	if err != nil {
		t.Fatalf("attach: %v; the keep said: %s", err, k.Stderr)
	}
	return c
}

// Connect opens a session.
func (k *Keep) Connect(t testing.TB) *client.Session {
	t.Helper()
	s, err := client.Connect(context.Background(), k.Tunnel(t))
	if err != nil {
		t.Fatalf("connect: %v; the keep said: %s", err, k.Stderr)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Admit opens a session and appraises the Keep.
func (k *Keep) Admit(t testing.TB) *client.Session {
	t.Helper()
	s := k.Connect(t)
	if _, err := s.Appraise(k.Demand(t)); err != nil {
		t.Fatalf("appraise: %v; the keep said: %s", err, k.Stderr)
	}
	return s
}

// Bundle packs a module with the default descriptors.
func Bundle(t testing.TB, wasm []byte, change func(*workload.Package)) ([]byte, workload.Digest) {
	t.Helper()
	p := workload.Package{Config: workload.Config{Files: workload.StdFiles()}, Module: wasm}
	if change != nil {
		change(&p)
	}
	b, err := workload.Pack(p)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := workload.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return b, parsed.Digest()
}

// NewOwner makes an owner key.
func NewOwner(t testing.TB) *session.OwnerKey {
	t.Helper()
	k, err := session.NewOwnerKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
