// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

// Agent is one daemon. Make it with [New] and run it once, with [Agent.Run] or
// [Agent.Serve].
type Agent struct {
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	auth  auth
	tls   *tls.Config
	state *state
	// boot names this life of the agent in the event stream; secret makes
	// its capabilities.
	boot       string
	secret     [32]byte
	keepFile   *os.File // sealed memory, see openKeep
	keepDigest [32]byte
	hardware   *simHardware // nil unless sim is offered
	connect    func(context.Context, io.ReadWriteCloser, sallyport.Handler) (hostEnd, error)
	events     *eventLog
	metrics    *metrics
	tunnels    *relay.Budget
	relayConns *relay.Budget

	// life ends when Keeps may no longer be started; closing is closed when
	// streams have to end; hurry is closed to cut a drain short.
	life     context.Context
	endLife  context.CancelFunc
	closing  chan struct{}
	hurry    chan struct{}
	hurried  sync.Once
	released sync.Once
	endings  chan struct{} // gets something when a Keep has ended

	mu         sync.Mutex // taken before a keep's own
	served     bool
	draining   bool
	keeps      map[string]*keep
	attempts   map[[32]byte]*attempt
	living     int // Keeps that hold a share of the limits
	memory     uint64
	spoolBytes int64
	spoolCount int
	rate       rate
}

// New checks the configuration, takes the state directory, and removes what a
// former life of the agent left there and on the machine. The agent holds the
// directory until it has been run, or [Agent.Close].
func New(cfg Config) (*Agent, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, log: cfg.Log, now: time.Now, boot: newID(), connect: connectHost, events: newEventLog(),
		tunnels: relay.NewBudget(cfg.Limits.Tunnels), relayConns: relay.NewBudget(cfg.Limits.RelayConns),
		closing: make(chan struct{}), hurry: make(chan struct{}), endings: make(chan struct{}, 1),
		keeps: map[string]*keep{}, attempts: map[[32]byte]*attempt{},
		rate: rate{perSecond: cfg.Limits.CreateRate, burst: float64(cfg.Limits.CreateBurst)},
	}
	a.life, a.endLife = context.WithCancel(context.Background())
	rand.Read(a.secret[:]) // never fails
	a.metrics = newMetrics(a)
	if err := a.open(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// open takes everything outside the process that the agent needs.
func (a *Agent) open() (err error) {
	a.auth.certs = a.cfg.ClientCA != ""
	if a.cfg.TokenFile != "" {
		if a.auth.tokens, err = loadTokens(a.cfg.TokenFile); err != nil {
			return err
		}
	}
	if a.tls, err = a.cfg.serverTLS(); err != nil {
		return err
	}
	if err := a.openKeep(); err != nil {
		return err
	}
	if a.state, err = openState(a.cfg.StateDir); err != nil {
		return err
	}
	if err := a.cleanOrphans(); err != nil {
		return err
	}
	if err := a.loadSpool(); err != nil {
		return err
	}
	a.sweep()
	if slices.Contains(a.cfg.Platforms, attest.PlatformSim) {
		return a.openSim()
	}
	return nil
}

// cleanOrphans removes the Keeps that a former life of the agent left behind
// (it was killed, or the machine lost power). One that cannot be removed keeps
// its record, so that the next start tries again.
func (a *Agent) cleanOrphans() error {
	records, err := a.state.records()
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	for _, r := range records {
		err := a.cleanOrphan(r.Record)
		result := "removed"
		if err != nil {
			result, kept[r.ID] = "left", true
			a.log.Error("a Keep of a former life could not be removed", "keep", r.ID, "platform", r.Platform, "pid", r.PID, "err", err)
		} else {
			a.log.Info("removed a Keep of a former life", "keep", r.ID, "platform", r.Platform)
		}
		a.metrics.orphans.WithLabelValues(result).Inc()
		a.emit(r.Caller, api.Event{Type: api.EventOrphan, Keep: r.ID, Platform: r.Platform, Reason: result})
	}
	return a.state.strays(kept)
}

func (a *Agent) cleanOrphan(r loader.Record) error {
	l := a.cfg.loader(r.Platform)
	if l == nil {
		return fmt.Errorf("no loader for platform %q", r.Platform)
	}
	// The directory is derived, not believed: the record is only a file.
	r.StateDir = a.state.keepDir(r.ID)
	ctx, cancel := context.WithTimeout(a.life, a.cfg.Limits.Start)
	defer cancel()
	if err := l.Cleanup(ctx, r); err != nil {
		return err
	}
	return a.state.forget(r.ID)
}

// KeepDigest is the SHA-256 of the Keep runtime that the agent starts.
func (a *Agent) KeepDigest() [32]byte { return a.keepDigest }

// Platforms are the platforms offered.
func (a *Agent) Platforms() []string { return slices.Clone(a.cfg.Platforms) }

// Close gives the state directory back. It is for an agent that was never run;
// Serve and Run do it themselves.
func (a *Agent) Close() error {
	a.released.Do(func() {
		a.endLife()
		if a.keepFile != nil {
			a.keepFile.Close()
		}
		if a.state != nil {
			a.state.close()
		}
	})
	return nil
}

// Run listens on Config.Listen and serves until ctx ends or the process gets
// SIGTERM or SIGINT, drains, and returns. A second signal cuts the drain short.
// ready, if not nil, is called with the bound address.
func (a *Agent) Run(ctx context.Context, ready func(net.Addr)) error {
	ln, err := net.Listen("tcp", a.cfg.Listen)
	if err != nil {
		a.Close()
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("agent: listen on %s: the port is in use; is another agent running? choose another with --listen", a.cfg.Listen)
		}
		return fmt.Errorf("agent: listen: %w", err)
	}
	// Before ready, which tells callers where to come.
	if err := a.cfg.checkListen(ln.Addr()); err != nil {
		ln.Close()
		a.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	go func() {
		select {
		case s := <-signals:
			a.log.Info("draining", "signal", s.String(), "at most", a.cfg.Limits.Drain)
			cancel()
		case <-ctx.Done():
			return
		}
		select {
		case s := <-signals:
			a.log.Info("ending at once", "signal", s.String())
			a.StopNow()
		case <-a.closing:
		}
	}()
	if ready != nil {
		ready(ln.Addr())
	}
	return a.Serve(ctx, ln)
}

// StopNow cuts a drain short: every Keep is stopped at once. Without a drain
// under way it has no effect until there is one.
func (a *Agent) StopNow() { a.hurried.Do(func() { close(a.hurry) }) }

// Serve serves the API on ln until ctx ends. Then it takes no more Keeps, lets
// those that were claimed go on for Limits.Drain, stops the rest, and returns
// when nothing is left of any Keep. It closes ln.
func (a *Agent) Serve(ctx context.Context, ln net.Listener) error {
	defer a.Close()
	defer ln.Close()
	if err := a.cfg.checkListen(ln.Addr()); err != nil {
		return err
	}
	a.mu.Lock()
	again := a.served
	a.served = true
	a.mu.Unlock()
	if again {
		return errors.New("agent: an agent is run once; make another with New")
	}
	limited := newConnLimit(ln, a.cfg.Limits.Conns)
	srv := &http.Server{
		Handler: a, ConnState: limited.track, MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headTime, ReadTimeout: bodyTime, IdleTimeout: idleTime,
		// The server's own log is about bytes that strangers sent.
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		// No HTTP/2: see serverTLS.
		TLSNextProto:                 map[string]func(*http.Server, *tls.Conn, http.Handler){},
		DisableGeneralOptionsHandler: true,
	}
	var l net.Listener = limited
	if a.tls != nil {
		l = tls.NewListener(limited, a.tls)
	}
	a.log.Info("serving", "addr", ln.Addr().String(), "tls", a.tls != nil, "platforms", a.cfg.Platforms, "keep", digestText(a.keepDigest))
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	sweeper := time.NewTicker(sweepEvery)
	defer sweeper.Stop()
	for {
		select {
		case <-sweeper.C:
			a.sweep()
		case err := <-failed:
			a.StopNow()
			a.drain()
			return fmt.Errorf("agent: serving ended: %w", err)
		case <-ctx.Done():
			a.drain()
			return a.shutdown(srv)
		}
	}
}

// drain ends the Keeps: those without a workload at once, for nothing is lost
// with them, the others when their time is up.
func (a *Agent) drain() {
	a.mu.Lock()
	a.draining = true
	a.mu.Unlock()
	a.emit(everyCaller, api.Event{Type: api.EventDraining})
	a.stopKeeps(func(s api.State) bool { return rank(s) < rank(api.StateClaimed) })
	limit := time.NewTimer(a.cfg.Limits.Drain)
	defer limit.Stop()
	a.await(limit.C, a.hurry)
	a.endLife()
	a.stopKeeps(func(api.State) bool { return true })
	// Also those that were being started: start cleans up after itself.
	a.await(nil, nil)
}

// await waits until no Keep is left, or one of the channels says otherwise.
func (a *Agent) await(limit <-chan time.Time, hurry <-chan struct{}) {
	for a.count() > 0 {
		select {
		case <-a.endings:
		case <-limit:
			return
		case <-hurry:
			return
		}
	}
}

func (a *Agent) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.living
}

func (a *Agent) stopKeeps(which func(api.State) bool) {
	a.mu.Lock()
	all := make([]*keep, 0, len(a.keeps))
	for _, k := range a.keeps {
		all = append(all, k)
	}
	a.mu.Unlock()
	for _, k := range all {
		if k.alive() && which(k.entry().State) {
			k.kill(api.EndedByDrain, "the agent was told to end")
		}
	}
}

// shutdown ends the HTTP side, when no Keep is left.
func (a *Agent) shutdown(srv *http.Server) error {
	close(a.closing)
	ctx, cancel := context.WithTimeout(context.Background(), headTime)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		srv.Close()
	}
	a.log.Info("ended")
	return nil
}
