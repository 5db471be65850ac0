// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/child"
	"github.com/enarx/enarx-go/keep/quote"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
)

// Version is the Keep runtime's version. It is in every leaf that the Keep
// has signed, and a constant of the source so that equal sources give equal
// Keeps.
const Version = "0.1.0"

// Launch is what the platform's start code hands to [Life].
type Launch struct {
	// Channel is the sallyport's byte channel.
	Channel io.ReadWriteCloser
	// Platforms are the platforms that this start code can be; the start
	// configuration names one of them.
	Platforms []string
	// Control and Child are the engine child, started and not yet used.
	Control *child.Control
	Child   *os.Process
	// ChildErrors is the read end of the engine child's standard error: what
	// its Go runtime says when it dies. It is for the owner alone.
	ChildErrors *os.File
	// Devices are what a virtual machine has to prove with; empty elsewhere.
	Devices quote.Devices
	// Dirs and CacheDir are lent by a local run on platform process.
	Dirs     []child.Dir
	CacheDir string
	// Started is when the process began, for the timing of steps.
	Started time.Time
}

// Keep is one Keep.
type Keep struct {
	ctx    context.Context // of this life
	launch Launch
	port   *sallyport.Keep
	start  sallyport.StartConfig
	digest [32]byte // of the start configuration
	id     *identity
	quotes *quote.Batcher
	engine *engine
	steps  stopwatch

	claims chan *claimant // the one session that claims, once
	broken chan error     // why a claim could not be recorded, once
	ended  chan struct{}  // closed when the workload is over and exit is set
	stop   chan struct{}  // closed when the owner or the session's loss wants an end
	once   sync.Once      // guards stop

	mu      sync.Mutex
	state   attest.State
	owner   *session.Owner
	ownerH  [32]byte
	bundleD [32]byte
	clock   Clock
	waiting map[*session.Conn]struct{} // sessions that have not claimed
	running *running                   // set once in state running
	exit    session.Exit               // valid once ended is closed
	stopped *session.Exit              // why the workload was stopped, once stop is closed
	parting bool                       // the last sessions are waited for: no more are told anything
	telling sync.WaitGroup             // sessions that are being told the end; Add only under mu and before parting
}

// errClaimLost ends a Keep whose owner left before the workload ran: it has an
// owner and can serve nobody else.
var errClaimLost = errors.New("keep: the session that claimed this keep ended before the workload ran")

// PrivateError is why a claimed Keep ended without running its workload. Its
// text may depend on the workload: it is for the owner, who has been told, and
// must not be shown to the host.
type PrivateError struct{ Err error }

func (e *PrivateError) Error() string { return e.Err.Error() }
func (e *PrivateError) Unwrap() error { return e.Err }

// Life is the whole life of a Keep, in order. It returns nil after a workload
// has ended, however it ended, and an error for a Keep that ended without one:
// a *PrivateError once the Keep has an owner.
func Life(ctx context.Context, l Launch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	k, err := boot(ctx, l)
	if err != nil {
		return err
	}
	defer k.port.Close()
	defer k.engine.kill()

	if err := k.makeIdentity(ctx); err != nil {
		return k.fault(err)
	}

	c, err := k.attest(ctx)
	if err != nil {
		return k.fault(err)
	}
	defer c.conn.Close()

	w, err := k.receive(ctx, c)
	if err != nil {
		return k.fault(&PrivateError{err})
	}
	defer w.close()

	if err := k.check(c, w); err != nil {
		return k.fault(&PrivateError{err})
	}

	end := k.run(ctx, c, w)

	k.finish(ctx, c, w, end)
	return nil
}

// boot meets the host and passes the gates that come before the first key.
func boot(ctx context.Context, l Launch) (*Keep, error) {
	k := &Keep{
		ctx: ctx, launch: l, state: attest.StateEmpty,
		claims:  make(chan *claimant, 1),
		broken:  make(chan error, 1),
		ended:   make(chan struct{}),
		stop:    make(chan struct{}),
		waiting: map[*session.Conn]struct{}{},
	}
	k.steps.last = l.Started
	k.engine = newEngine(l.Control, l.Child, l.ChildErrors)
	k.steps.mark("keep process")

	var err error
	if k.port, err = sallyport.ConnectKeep(ctx, l.Channel); err != nil {
		k.engine.kill()
		return nil, fmt.Errorf("keep: boot: %w", err)
	}
	bad := func(err error) (*Keep, error) {
		k.engine.kill()
		return nil, k.fault(fmt.Errorf("keep: boot: %w", err))
	}
	if k.start, err = k.port.StartConfig(ctx); err != nil {
		return bad(err)
	}
	k.digest = k.start.Digest()
	known := false
	for _, p := range l.Platforms {
		known = known || p == k.start.Platform
	}
	if !known {
		return bad(fmt.Errorf("the host says this is platform %q; this start code can only be one of %q", k.start.Platform, l.Platforms))
	}
	if k.start.Mode != "push" {
		return bad(fmt.Errorf("the host asks for mode %q; this keep knows only push", k.start.Mode))
	}
	if err := entropyReady(k.start.Platform, cpu.X86.HasRDRAND && cpu.X86.HasRDSEED, unix.Getrandom); err != nil {
		return bad(err)
	}
	k.port.Log(sallyport.LogBoot)
	return k, nil
}

// makeIdentity chooses the platform's evidence source, binds the start
// configuration where the launch has not done so, and then makes the keys: no
// key of this Keep is older than what it was started for.
func (k *Keep) makeIdentity(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	src, err := k.source(ctx)
	if err != nil {
		return fmt.Errorf("keep: evidence: %w", err)
	}
	k.quotes = quote.NewBatcher(src)
	if r := k.quotes.Register(); r != nil {
		if err := r.Start(ctx, attest.StartEvent(k.digest)); err != nil {
			return fmt.Errorf("keep: bind the start configuration: %w", err)
		}
	}
	if k.id, err = newIdentity(); err != nil {
		return err
	}
	k.steps.mark("keep boot")
	k.port.Log(sallyport.LogReady)
	return nil
}

// sourceTimeout bounds the setup of the evidence source and each entry into a
// register. A slow TPM takes ten seconds and more for an RSA key.
const sourceTimeout = 60 * time.Second

// source makes the platform's evidence source.
func (k *Keep) source(ctx context.Context) (quote.Source, error) {
	d := k.launch.Devices
	switch k.start.Platform {
	case attest.PlatformSim:
		return quote.Sim{Host: k.port, Chain: k.hints}, nil
	case attest.PlatformVTPM:
		t, err := quote.NewTPM(ctx, d.TPM, d.EventLog)
		if err != nil {
			return nil, err
		}
		t.Hints = k.hints
		return t, nil
	case attest.PlatformSNP, attest.PlatformTDX:
		return &quote.TSM{Device: d.TSM, Platform: k.start.Platform, Hints: k.hints}, nil
	}
	return quote.None{}, nil
}

// hints asks the host for stapled certificates. They are untrusted and only
// passed on; without them the client uses its own.
func (k *Keep) hints(ctx context.Context) attest.Collateral {
	hs, err := k.port.Hints(ctx)
	if err != nil {
		return nil
	}
	var c attest.Collateral
	for _, h := range hs {
		c = append(c, attest.Evidence{MediaType: h.MediaType, Value: h.Value})
	}
	return c
}

// fault tells the host that the Keep has ended without a workload, and nothing
// else: why is for the Keep's own standard error and for sessions.
func (k *Keep) fault(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	code := sallyport.ExitFault
	if errors.Is(err, errClaimLost) {
		code = sallyport.ExitEnded
	}
	k.port.Exit(ctx, code)
	k.port.Close()
	return err
}

// farewell bounds the last words to the host, which need not listen.
const farewell = 5 * time.Second

// stopwatch keeps the steps of this life with their times, for the owner.
type stopwatch struct {
	mu    sync.Mutex
	last  time.Time
	steps []session.Step
}

func (s *stopwatch) mark(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now() // durations only: Go's monotonic reading
	if !s.last.IsZero() {
		s.steps = append(s.steps, session.Step{Name: name, US: uint64(max(0, now.Sub(s.last).Microseconds()))})
	}
	s.last = now
}

// reset starts the next step now: what came before was waiting for someone.
func (s *stopwatch) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
}

func (s *stopwatch) all() []session.Step {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]session.Step(nil), s.steps...)
}
