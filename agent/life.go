// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/agent/relay"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

// start brings an admitted Keep to life. When it returns a problem, nothing of
// the Keep is left and its share of the limits is given back.
func (a *Agent) start(k *keep) *problem {
	a.emit(k.caller, api.Event{Type: api.EventCreated, Keep: k.id, Platform: k.platform, State: api.StateStarting})
	begin := a.now()
	if err := a.launch(k); err != nil {
		a.log.Error("Keep did not start", "keep", k.id, "platform", k.platform, "err", err)
		k.kill(api.EndedByLoss, "it did not start") // the cause is in the log only
		a.finish(k)
		a.mu.Lock()
		delete(a.keeps, k.id) // nobody has its capability
		a.mu.Unlock()
		return startProblem(k.id, err)
	}
	a.metrics.created.WithLabelValues(k.platform).Inc()
	a.metrics.startSeconds.WithLabelValues(k.platform).Observe(a.now().Sub(begin).Seconds())
	a.log.Info("Keep started", "keep", k.id, "platform", k.platform, "took", a.now().Sub(begin))
	a.arm(k)
	go a.supervise(k)
	return nil
}

// launch runs the loader and opens the sallyport.
func (a *Agent) launch(k *keep) error {
	ctx, cancel := context.WithTimeout(a.life, a.cfg.timing(k.platform).Start)
	defer cancel()
	if err := a.state.makeKeepDir(k.id); err != nil {
		return fmt.Errorf("directory of the Keep: %w", err)
	}
	cfg := sallyport.StartConfig{Mode: sallyport.ModePush, Platform: k.platform}
	l, err := a.cfg.loader(k.platform).Start(ctx, loader.Spec{
		ID: k.id, Keep: a.keepFile, StateDir: a.state.keepDir(k.id), VCPUs: k.vcpus, MemoryBytes: k.memory,
		HostData: cfg.Digest(), Stderr: keepStderr{a.log, k.id},
	}, a.state.recorder(k.caller))
	if err != nil {
		return err
	}
	rl := a.newRelay(k, cfg)
	k.mu.Lock()
	k.launched, k.relay = l, rl
	for _, layer := range l.Layers() {
		k.layers = append(k.layers, api.Layer(layer))
	}
	stopped := k.endedBy != ""
	k.mu.Unlock()
	if stopped {
		return errors.New("the agent was told to end")
	}
	host, err := a.connect(ctx, l.Channel(), rl)
	if err != nil {
		return fmt.Errorf("the Keep does not answer: %w", err)
	}
	k.mu.Lock()
	k.host = host
	k.mu.Unlock()
	if err := host.Start(ctx, cfg); err != nil {
		return fmt.Errorf("the Keep does not take its start configuration: %w", err)
	}
	a.sendHints(ctx, k, host)
	k.mu.Lock()
	first := rank(k.state) < rank(api.StateEmpty) // unless the Keep said so already
	if first {
		k.state = api.StateEmpty
	}
	k.mu.Unlock()
	if first {
		a.emit(k.caller, api.Event{Type: api.EventState, Keep: k.id, Platform: k.platform, State: api.StateEmpty})
	}
	return nil
}

// sendHints gives the Keep what goes with its evidence. It is a convenience for
// clients; a Keep that does not want it still works.
func (a *Agent) sendHints(ctx context.Context, k *keep, host hostEnd) {
	var hints []sallyport.Hint
	var err error
	if k.platform == attest.PlatformSim {
		hints = a.simHints()
	} else if give := a.cfg.Hints[k.platform]; give != nil {
		hints, err = give()
	}
	if err == nil && len(hints) > 0 {
		err = host.SendHints(ctx, hints)
	}
	if err != nil {
		a.log.Warn("hints not given", "keep", k.id, "err", err)
	}
}

func (a *Agent) newRelay(k *keep, cfg sallyport.StartConfig) *relay.Relay {
	rc := relay.Config{
		Dial: a.cfg.Dial, Listen: a.cfg.Ports, Budget: a.relayConns, HostData: cfg.Digest(),
		Spool:  func(sealed []byte) error { return a.keepSpool(k, sealed) },
		OnLog:  func(code sallyport.LogCode) { a.onLog(k, code) },
		OnExit: func(code sallyport.ExitCode) { a.onExit(k, code) },
	}
	if k.platform == attest.PlatformSim {
		rc.Hardware = a.hardware
	}
	return relay.New(rc)
}

func (a *Agent) onLog(k *keep, code sallyport.LogCode) {
	if st, changed := k.noteLog(code, a.now()); changed {
		a.log.Info("Keep says", "keep", k.id, "state", st)
		a.emit(k.caller, api.Event{Type: api.EventState, Keep: k.id, Platform: k.platform, State: st})
	}
}

func (a *Agent) onExit(k *keep, code sallyport.ExitCode) {
	cause := api.EndedByFault
	if code == sallyport.ExitEnded {
		cause = api.EndedByKeep
	}
	k.blame(cause, "the Keep said so")
}

// arm sets the clocks that end a Keep: that of a client who never comes, and
// the operator's own.
func (a *Agent) arm(k *keep) {
	unclaimed := time.AfterFunc(a.cfg.Limits.Unclaimed, func() {
		if rank(k.entry().State) < rank(api.StateClaimed) {
			a.log.Info("Keep was not claimed", "keep", k.id, "within", a.cfg.Limits.Unclaimed)
			k.kill(api.EndedByUnclaimed, fmt.Sprintf("no client claimed it within %s", a.cfg.Limits.Unclaimed))
		}
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timers = append(k.timers, unclaimed)
	if d := a.cfg.Limits.Lifetime; d > 0 {
		k.timers = append(k.timers, time.AfterFunc(d, func() {
			k.kill(api.EndedByLifetime, fmt.Sprintf("the host lets a Keep live for %s", d))
		}))
	}
}

// supervise waits for the end of a Keep, by whatever way it comes, and makes
// sure that nothing is left.
func (a *Agent) supervise(k *keep) {
	k.mu.Lock()
	l, host := k.launched, k.host
	k.mu.Unlock()
	left := make(chan struct{})
	waitCtx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(left)
		exit, err := l.Wait(waitCtx)
		if err == nil {
			k.blame(api.EndedByLoss, exit.Reason)
		}
	}()
	select {
	case <-left:
	case <-host.Done():
		// A Keep that said its last word leaves by itself; one that did not
		// must not stay.
		select {
		case <-left:
		case <-time.After(a.cfg.timing(k.platform).Leave):
		}
		k.blame(api.EndedByLoss, "its channel ended without a last word")
	}
	cancel()
	<-left
	a.finish(k)
}

// finish removes every trace of a Keep. It does not return before nothing is
// left: the limits count what is there, not what should be.
func (a *Agent) finish(k *keep) {
	k.mu.Lock()
	l, host, rl, timers := k.launched, k.host, k.relay, k.timers
	k.mu.Unlock()
	for _, t := range timers {
		t.Stop()
	}
	if host != nil {
		host.Close()
	}
	if rl != nil {
		rl.Close()
	}
	if l != nil {
		for !a.goneWithin(k, l, waitStep) {
		}
	}
	if err := a.state.forget(k.id); err != nil {
		// The record stays, so the next start of the agent tries again.
		a.log.Error("could not remove a Keep's state", "keep", k.id, "err", err)
	}
	a.ended(k)
}

// goneWithin kills the Keep and waits that long for nothing to be left.
func (a *Agent) goneWithin(k *keep, l loader.Keep, limit time.Duration) bool {
	killed := l.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	exit, err := l.Wait(ctx)
	if err != nil {
		a.log.Error("a killed Keep is still there; trying again", "keep", k.id, "pid", l.PID(), "kill", killed, "err", err)
		// A loader that answers at once must not make this a busy loop.
		<-ctx.Done()
		return false
	}
	k.blame(api.EndedByLoss, exit.Reason)
	return true
}

// ended settles the accounts of a Keep that is gone. Whoever sees it ended
// finds everything settled.
func (a *Agent) ended(k *keep) {
	now := a.now().UTC()
	k.mu.Lock()
	k.ended = now
	if k.spool != nil {
		// A copy: readers may hold the old one.
		k.spool = &api.Spool{Bytes: k.spool.Bytes, Expires: now.Add(a.cfg.Limits.Spool)}
	}
	cause, reason := k.endedBy, k.reason
	k.host, k.relay, k.launched, k.timers = nil, nil, nil, nil
	k.mu.Unlock()
	if err := a.writeMeta(k); err != nil {
		a.log.Error("could not note the end of a Keep", "keep", k.id, "err", err)
	}
	a.sweep()
	a.metrics.ended.WithLabelValues(k.platform, cause).Inc()
	a.log.Info("Keep ended", "keep", k.id, "by", cause, "reason", reason)
	a.mu.Lock()
	a.living--
	a.memory -= k.cost
	k.mu.Lock()
	k.state = api.StateEnded
	k.mu.Unlock()
	close(k.gone)
	a.mu.Unlock()
	a.emit(k.caller, api.Event{Type: api.EventEnded, Keep: k.id, Platform: k.platform, State: api.StateEnded, Reason: cause})
	select {
	case a.endings <- struct{}{}:
	default: // one is enough: the reader counts again
	}
}

// sweep forgets ended Keeps: those whose record has expired, those without one
// after a while, and the oldest of these when there are too many.
func (a *Agent) sweep() {
	now := a.now()
	var drop []*keep
	a.mu.Lock()
	dead, oldest := 0, (*keep)(nil)
	var oldestEnd time.Time
	for _, k := range a.keeps {
		if k.alive() {
			continue
		}
		k.mu.Lock()
		end, sp := k.ended, k.spool
		k.mu.Unlock()
		if sp != nil && now.After(sp.Expires) || sp == nil && now.After(end.Add(endedFor)) {
			drop = append(drop, k)
			continue
		}
		dead++
		if sp == nil && (oldest == nil || end.Before(oldestEnd)) {
			oldest, oldestEnd = k, end
		}
	}
	// Keeps end one at a time through here, so one at a time is enough.
	if dead > maxEnded && oldest != nil {
		drop = append(drop, oldest)
	}
	for _, k := range drop {
		delete(a.keeps, k.id)
		delete(a.attempts, k.attempt)
	}
	a.mu.Unlock()
	for _, k := range drop {
		if err := a.dropSpool(k); err != nil {
			a.log.Error("could not remove a sealed record", "keep", k.id, "err", err)
		}
	}
}
