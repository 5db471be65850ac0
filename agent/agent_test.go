// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

func TestLifeOfAKeep(t *testing.T) {
	l := &fakeLoader{}
	r := serve(t, testConfig(t, l))
	c := r.client(client.Options{})
	k := r.create(c)
	if k.State != api.StateEmpty || k.Platform != "process" || k.MemoryClass != 512<<20 {
		t.Fatalf("created %+v", k)
	}
	if d := k.ClaimBy.Sub(k.Created); d != 2*time.Minute {
		t.Fatalf("to be claimed within %s", d)
	}
	list, err := c.List(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != k.ID {
		t.Fatalf("list: %v, %v", list, err)
	}
	in, err := c.Inspect(t.Context(), k.ID, k.Capability)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Layers) != 2 || !in.Layers[0].Applied || in.KeepDigest != digestText(r.KeepDigest()) {
		t.Fatalf("inspect: %+v", in)
	}
	conn, err := c.Attach(t.Context(), k.ID, k.Capability)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("ciphertext"), 50_000)
	go func() {
		conn.Write(want)
		conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("tunnel gave back %d bytes, %v; want %d", len(got), err, len(want))
	}
	conn.Close()
	if err := c.Stop(t.Context(), k.ID, k.Capability); err != nil {
		t.Fatal(err)
	}
	if l.count() != 0 {
		t.Fatal("stop returned while the Keep was there")
	}
	in, err = c.Inspect(t.Context(), k.ID, k.Capability)
	if err != nil || in.State != api.StateEnded || in.EndedBy != api.EndedByStop || in.Ended == nil {
		t.Fatalf("after stop: %+v, %v", in, err)
	}
	if err := c.Stop(t.Context(), k.ID, k.Capability); err != nil {
		t.Fatalf("second stop: %v", err)
	}
	_, err = c.Attach(t.Context(), k.ID, k.Capability)
	wantProblem(t, err, api.CodeKeepEnded)
	for _, dir := range []string{dirKeeps, dirRecords} {
		if left, _ := os.ReadDir(r.state.path(dir)); len(left) != 0 {
			t.Fatalf("%s still holds %v", dir, left)
		}
	}
}

// The record must be on disk before the Keep can exist.
func TestInvariant12NothingHalfDone_RecordComesFirst(t *testing.T) {
	l := &fakeLoader{}
	var r *running
	seen := false
	l.onStart = func(spec loader.Spec) error {
		_, err := os.Stat(r.state.path(dirRecords, spec.ID+".json"))
		seen = err == nil
		fi, err := os.Stat(spec.StateDir)
		if err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("the Keep's directory: %v, %v", fi, err)
		}
		return nil
	}
	r = serve(t, testConfig(t, l))
	r.create(r.client(client.Options{}))
	if !seen {
		t.Fatal("the loader went on without a record on disk")
	}
}

func TestInvariant12NothingHalfDone_StartFails(t *testing.T) {
	t.Run("loader", func(t *testing.T) {
		l := &fakeLoader{onStart: func(loader.Spec) error { return errors.New("no more namespaces") }}
		checkFailedStart(t, l, nil, api.CodeStartFailed, "")
	})
	t.Run("silent Keep", func(t *testing.T) {
		l := &fakeLoader{script: func(ctx context.Context, k *sallyport.Keep) { k.Close() }}
		checkFailedStart(t, l, nil, api.CodeStartFailed, "")
	})
	t.Run("disk full", func(t *testing.T) {
		l := &fakeLoader{}
		checkFailedStart(t, l, func(a *Agent) {
			a.state.write = func(string, []byte, os.FileMode) error {
				return &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
			}
		}, api.CodeStateWrite, "no space left")
	})
}

func checkFailedStart(t *testing.T, l *fakeLoader, change func(*Agent), code api.Code, text string) {
	r := serve(t, testConfig(t, l), func(a *Agent) {
		if change != nil {
			change(a)
		}
	})
	c := r.client(client.Options{})
	_, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, "")
	if p := wantProblem(t, err, code); !strings.Contains(p.Problem.Seen, text) || p.RetryAfter == 0 {
		t.Fatalf("problem %+v", p)
	}
	if n := l.count(); n != 0 {
		t.Fatalf("%d Keeps left", n)
	}
	r.mu.Lock()
	living, memory, attempts, keeps := r.living, r.memory, len(r.attempts), len(r.keeps)
	r.mu.Unlock()
	if living != 0 || memory != 0 || attempts != 0 || keeps != 0 {
		t.Fatalf("left in the books: %d Keeps, %d bytes, %d attempts, %d remembered", living, memory, attempts, keeps)
	}
	if left, _ := os.ReadDir(r.state.path(dirKeeps)); len(left) != 0 {
		t.Fatalf("left on disk: %v", left)
	}
}

// TestFullDisk is the real thing, where the test may mount.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: the mounted disk is left out; the same paths run in TestInvariant12NothingHalfDone_StartFails")
		return
	}
	cfg := testConfig(t, &fakeLoader{})
	if err := os.Mkdir(cfg.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", cfg.StateDir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Logf("mount is not allowed here (%v): the mounted disk is left out", err)
		return
	}
	t.Cleanup(func() { syscall.Unmount(cfg.StateDir, syscall.MNT_DETACH) })
	r := serve(t, cfg)
	c := r.client(client.Options{})
	k := r.create(c)
	filler := cfg.StateDir + "/filler"
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	_, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, "")
	wantProblem(t, err, api.CodeStateWrite)
	// What lives goes on living, and can be stopped.
	if _, err := c.Attach(t.Context(), k.ID, k.Capability); err != nil {
		t.Fatalf("attach on a full disk: %v", err)
	}
	if err := c.Stop(t.Context(), k.ID, k.Capability); err != nil {
		t.Fatalf("stop on a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.create(c)
	r.stop()
}

func TestUnclaimedKeepEnds(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{})
	cfg.Limits.Unclaimed = 50 * time.Millisecond
	r := serve(t, cfg)
	c := r.client(client.Options{})
	k := r.create(c)
	eventually(t, "the unclaimed Keep has ended", func() bool {
		in, err := c.Inspect(t.Context(), k.ID, k.Capability)
		return err == nil && in.State == api.StateEnded && in.EndedBy == api.EndedByUnclaimed
	})
}

func TestClaimedKeepStays(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{script: func(ctx context.Context, k *sallyport.Keep) {
		k.StartConfig(ctx)
		for _, code := range []sallyport.LogCode{sallyport.LogReady, sallyport.LogClaimed, sallyport.LogRunning, sallyport.LogClaimed} {
			k.Log(code)
		}
		<-ctx.Done()
	}})
	cfg.Limits.Unclaimed = 100 * time.Millisecond
	cfg.Limits.Lifetime = time.Second
	r := serve(t, cfg)
	c := r.client(client.Options{})
	k := r.create(c)
	eventually(t, "it runs", func() bool {
		in, err := c.Inspect(t.Context(), k.ID, k.Capability)
		return err == nil && in.State == api.StateRunning && len(in.Log) == 4
	})
	time.Sleep(200 * time.Millisecond)
	if in, err := c.Inspect(t.Context(), k.ID, k.Capability); err != nil || in.State != api.StateRunning {
		t.Fatalf("a claimed Keep: %+v, %v", in, err)
	}
	eventually(t, "its lifetime ends", func() bool {
		in, err := c.Inspect(t.Context(), k.ID, k.Capability)
		return err == nil && in.EndedBy == api.EndedByLifetime
	})
}

func TestWaysToEnd(t *testing.T) {
	for _, test := range []struct {
		by     string
		script keepScript
	}{
		{api.EndedByKeep, func(ctx context.Context, k *sallyport.Keep) {
			k.StartConfig(ctx)
			k.Exit(ctx, sallyport.ExitEnded)
		}},
		{api.EndedByFault, func(ctx context.Context, k *sallyport.Keep) {
			k.StartConfig(ctx)
			k.Exit(ctx, sallyport.ExitFault)
		}},
		{api.EndedByLoss, func(ctx context.Context, k *sallyport.Keep) {
			k.StartConfig(ctx)
			time.Sleep(50 * time.Millisecond)
		}},
	} {
		t.Run(test.by, func(t *testing.T) {
			l := &fakeLoader{script: test.script}
			r := serve(t, testConfig(t, l))
			c := r.client(client.Options{})
			k := r.create(c)
			eventually(t, "it has ended", func() bool {
				in, err := c.Inspect(t.Context(), k.ID, k.Capability)
				return err == nil && in.State == api.StateEnded && in.EndedBy == test.by
			})
			if l.count() != 0 {
				t.Fatal("it is still there")
			}
		})
	}
}

// A Keep whose loader cannot get rid of it keeps its share of the limits.
func TestStubbornKeepIsCounted(t *testing.T) {
	l := &fakeLoader{script: func(ctx context.Context, k *sallyport.Keep) {
		k.StartConfig(ctx)
		<-ctx.Done()
	}}
	r := serve(t, testConfig(t, l))
	k := &keep{id: newID(), gone: make(chan struct{})}
	fk := &fakeKeep{loader: l, cancel: func() {}, left: make(chan struct{})}
	if r.goneWithin(k, fk, 20*time.Millisecond) {
		t.Fatal("a Keep that does not leave was taken for gone")
	}
	close(fk.left)
	if !r.goneWithin(k, fk, time.Second) {
		t.Fatal("a Keep that left was not taken for gone")
	}
}

func TestDrain(t *testing.T) {
	finish := make(chan struct{})
	l := &fakeLoader{script: func(ctx context.Context, k *sallyport.Keep) {
		cfg, _ := k.StartConfig(ctx)
		_ = cfg
		k.Log(sallyport.LogReady)
		c, err := k.AcceptAttach(ctx)
		if err != nil {
			return
		}
		defer c.Close()
		k.Log(sallyport.LogClaimed)
		select {
		case <-finish:
			k.Exit(ctx, sallyport.ExitEnded)
		case <-ctx.Done():
		}
	}}
	r := serve(t, testConfig(t, l))
	c := r.client(client.Options{})
	empty, claimed := r.create(c), r.create(c)
	if _, err := c.Attach(t.Context(), claimed.ID, claimed.Capability); err != nil {
		t.Fatal(err)
	}
	eventually(t, "claimed", func() bool {
		in, err := c.Inspect(t.Context(), claimed.ID, claimed.Capability)
		return err == nil && in.State == api.StateClaimed
	})
	r.end()
	eventually(t, "the empty Keep is stopped", func() bool {
		in, err := c.Inspect(t.Context(), empty.ID, empty.Capability)
		return err == nil && in.EndedBy == api.EndedByDrain && in.State == api.StateEnded
	})
	if h, err := c.Health(t.Context()); err != nil || h.Status != "draining" {
		t.Fatalf("health while draining: %v, %v", h, err)
	}
	_, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, "")
	wantProblem(t, err, api.CodeDraining)
	if in, err := c.Inspect(t.Context(), claimed.ID, claimed.Capability); err != nil || in.State != api.StateClaimed {
		t.Fatalf("the claimed Keep while draining: %+v, %v", in, err)
	}
	close(finish)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if l.count() != 0 {
		t.Fatal("Keeps left after the drain")
	}
}

func TestDrainHasAnEnd(t *testing.T) {
	for _, hurry := range []bool{false, true} {
		t.Run(fmt.Sprintf("hurry=%v", hurry), func(t *testing.T) {
			l := &fakeLoader{script: func(ctx context.Context, k *sallyport.Keep) {
				k.StartConfig(ctx)
				k.Log(sallyport.LogRunning)
				<-ctx.Done()
			}}
			cfg := testConfig(t, l)
			cfg.Limits.Drain = 300 * time.Millisecond
			if hurry {
				cfg.Limits.Drain = time.Hour
			}
			r := serve(t, cfg)
			c := r.client(client.Options{})
			k := r.create(c)
			eventually(t, "it runs", func() bool {
				in, err := c.Inspect(t.Context(), k.ID, k.Capability)
				return err == nil && in.State == api.StateRunning
			})
			begin := time.Now()
			r.end()
			if hurry {
				r.StopNow()
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > 10*time.Second || !hurry && took < 250*time.Millisecond {
				t.Fatalf("the drain took %s", took)
			}
			if l.count() != 0 {
				t.Fatal("Keeps left after the drain")
			}
		})
	}
}

func TestRunEndsOnSignal(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{})
	cfg.Listen = "127.0.0.1:0"
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	done := make(chan error, 1)
	go func() { done <- a.Run(t.Context(), func(addr net.Addr) { ready <- addr.String() }) }()
	addr := <-ready
	c, err := client.New("http://"+addr, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := c.Health(t.Context()); err != nil || h.Status != "ok" {
		t.Fatalf("health: %v, %v", h, err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("SIGTERM did not end the agent")
	}
}

func TestBusyPort(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{}))
	cfg := testConfig(t, &fakeLoader{})
	cfg.Listen = r.addr
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Fatalf("busy port: %v", err)
	}
	// The state directory is free again.
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

func TestManyKeepsAtOnce(t *testing.T) {
	l := &fakeLoader{}
	r := serve(t, testConfig(t, l))
	c := r.client(client.Options{})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			k, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, "")
			if err != nil {
				t.Error(err)
				return
			}
			conn, err := c.Attach(t.Context(), k.ID, k.Capability)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, k.ID)
			got := make([]byte, len(k.ID))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != k.ID {
				t.Errorf("%q, %v", got, err)
			}
			if err := c.Stop(t.Context(), k.ID, k.Capability); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if l.count() != 0 || r.count() != 0 {
		t.Fatalf("%d Keeps left, %d in the books", l.count(), r.count())
	}
}
