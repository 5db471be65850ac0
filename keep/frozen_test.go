// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// frozen is an output that nobody reads.
type frozen struct{ until chan struct{} }

func (f frozen) Write(p []byte) (int, error) {
	<-f.until
	return len(p), nil
}

// flooding starts a workload that writes without end to an output that nobody
// reads.
func flooding(t *testing.T, ctx context.Context, limitMS uint64) (*keeptest.Keep, *session.OwnerKey, *client.Started, chan error) {
	t.Helper()
	k := keeptest.Start(t, keeptest.Config{})
	s := k.Admit(t)
	b, digest := keeptest.Bundle(t, actorModule(t), func(p *workload.Package) {
		p.Config.Args = []string{"flood", "10000000"}
		p.Config.Limits.TimeoutMS = limitMS
	})
	owner := keeptest.NewOwner(t)
	until := make(chan struct{})
	t.Cleanup(func() { close(until) })
	started, ended := make(chan *client.Started, 1), make(chan error, 1)
	go func() {
		_, _, err := s.Deploy(ctx, client.Deployment{
			Bundle: b, Digest: digest, Owner: owner, Stdout: frozen{until}, Evidence: true,
			OnRunning: func(st *client.Started) { started <- st },
		}, k.Demand(t))
		ended <- err
	}()
	select {
	case st := <-started:
		return k, owner, st, ended
	case err := <-ended:
		t.Fatalf("it did not start: %v; the keep said: %s", err, k.Stderr)
	}
	return nil, nil, nil, nil
}

func awaitGone(t *testing.T, k *keeptest.Keep) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := k.Wait(ctx); err != nil {
		t.Fatalf("the keep is still there: %v", err)
	}
}

// A peer that does not read must not keep the limit from ending the workload,
// nor the owner from learning how it ended.
func TestInvariant12NothingHalfDone_FrozenReader(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// The limit counts from the bundle's arrival, so compiling is part of it:
	// a second on the engine that compiles quickly, several on the other.
	limit := uint64(1500)
	if os.Getenv("ENARX_TEST_KEEP") != "" {
		limit = 15_000
	}
	k, owner, st, _ := flooding(t, ctx, limit)
	awaitGone(t, k)
	rec, err := client.OpenRecord(k.Spooled(), owner, st.Running.ChannelKey)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Exit.End != session.EndTimeout {
		t.Errorf("the record says %+v, expected the time limit", rec.Exit)
	}
	if rec.Lost == 0 {
		t.Error("the record does not say that output is lost")
	}
}

// Whoever waits for a reader that does not read can still be told to stop.
func TestBlockedOutputCanBeCancelled(t *testing.T) {
	stop := errors.New("that is enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	k, _, _, ended := flooding(t, ctx, 0)
	time.Sleep(300 * time.Millisecond) // until the pipes are full
	cancel(stop)
	select {
	case err := <-ended:
		if !errors.Is(err, stop) {
			t.Errorf("it ended with %v, expected %v", err, stop)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("deploy does not end")
	}
	awaitGone(t, k)
}

// The host cuts the session at the end: the owner still learns of it.
func TestLostSessionLeavesARecord(t *testing.T) {
	k := keeptest.Start(t, keeptest.Config{})
	s := k.Admit(t)
	b, digest := keeptest.Bundle(t, actorModule(t), func(p *workload.Package) { p.Config.Args = []string{"sleep"} })
	owner := keeptest.NewOwner(t)
	var key []byte
	s.Deploy(context.Background(), client.Deployment{
		Bundle: b, Digest: digest, Owner: owner, Evidence: true,
		OnRunning: func(st *client.Started) { key = st.Running.ChannelKey; k.Host.Close() },
	}, k.Demand(t))
	awaitGone(t, k)
	// The sallyport itself is gone here, so there is nowhere to leave it.
	if k.Spooled() != nil {
		t.Error("a record came over a closed sallyport")
	}

	k = keeptest.Start(t, keeptest.Config{})
	tunnel := k.Tunnel(t)
	s, err := client.Connect(context.Background(), tunnel)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Appraise(k.Demand(t)); err != nil {
		t.Fatal(err)
	}
	s.Deploy(context.Background(), client.Deployment{
		Bundle: b, Digest: digest, Owner: owner, Evidence: true,
		OnRunning: func(st *client.Started) { key = st.Running.ChannelKey; tunnel.Close() },
	}, k.Demand(t))
	awaitGone(t, k)
	rec, err := client.OpenRecord(k.Spooled(), owner, key)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Exit.End != session.EndStopped {
		t.Errorf("the record says %+v", rec.Exit)
	}
}
