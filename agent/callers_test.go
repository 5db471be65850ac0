// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

// What callers learn of the host and of each other.

// A caller is not the host's operator: of a failed start it learns a code and
// where the operator has to look, and nothing of what the loader or a Keep said.
func TestFailedStartTellsTheCallerNothingOfTheHost(t *testing.T) {
	const secret = "/srv/tenants/acme/keep: exec format error; Keep said: hunter2"
	var log syncBuffer
	cfg := testConfig(t, &fakeLoader{onStart: func(loader.Spec) error { return errors.New(secret) }})
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	r := serve(t, cfg)
	res := r.raw("POST", "/v1/keeps", strings.NewReader(`{"platform":"process"}`), "Content-Type", "application/json")
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != known[api.CodeStartFailed].status {
		t.Fatalf("status %d, %v", res.StatusCode, err)
	}
	for _, word := range []string{"acme", "exec", "hunter2", cfg.StateDir} {
		if strings.Contains(string(body), word) {
			t.Errorf("the answer %s holds %q", body, word)
		}
	}
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(p.Todo, "keep=")
	if !validID(id) {
		t.Fatalf("%q does not end in a reference", p.Todo)
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "keep="+id) && strings.Contains(line, "hunter2") {
			return
		}
	}
	t.Errorf("the log has no cause under keep=%s: %s", id, log.String())
}

// syncBuffer is a log that a test reads while others write it.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// The attack: a tenant with a token of its own watches another tenant's Keeps,
// in the list and in the event stream, from the start, from the past, and over
// a restart of the agent.
func TestCallersSeeOnlyTheirOwnKeeps(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{script: spoolingKeep})
	second := strings.ToUpper(testToken)
	cfg.TokenFile = writeToken(t, testToken+"\n"+second)
	r := serve(t, cfg)
	mine, theirs := r.client(client.Options{Token: testToken}), r.client(client.Options{Token: second})
	a, b := r.create(mine), r.create(theirs)
	eventually(t, "both Keeps have ended", func() bool { return r.count() == 0 })
	listed := func(c *client.Client) string {
		l, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, k := range l {
			ids = append(ids, k.ID)
		}
		return strings.Join(ids, " ")
	}
	if got := listed(mine); got != a.ID {
		t.Errorf("the first caller is shown %q, expected %q", got, a.ID)
	}
	if got := listed(theirs); got != b.ID {
		t.Errorf("the second caller is shown %q, expected %q", got, b.ID)
	}
	if got := keepsInEvents(t, r, theirs); got != b.ID {
		t.Errorf("the second caller hears of %q, expected %q", got, b.ID)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	// An orphan of the first caller, and sealed records of both, are found by
	// the agent's next life.
	s, err := openState(cfg.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	orphan := loader.Record{ID: newID(), Platform: "process", Made: time.Now()}
	caller, ok := r.auth.match(testToken)
	if !ok {
		t.Fatal("the token is not known")
	}
	if err := s.recorder(caller)(orphan); err != nil {
		t.Fatal(err)
	}
	s.close()
	r = serve(t, cfg)
	mine, theirs = r.client(client.Options{Token: testToken}), r.client(client.Options{Token: second})
	if got := listed(mine); got != a.ID {
		t.Errorf("after a restart the first caller is shown %q, expected %q", got, a.ID)
	}
	if got := listed(theirs); got != b.ID {
		t.Errorf("after a restart the second caller is shown %q, expected %q", got, b.ID)
	}
	if got := keepsInEvents(t, r, mine); got != orphan.ID {
		t.Errorf("the orphan's caller hears of %q, expected %q", got, orphan.ID)
	}
	if got := keepsInEvents(t, r, theirs); got != "" {
		t.Errorf("another caller hears of %q", got)
	}
}

// spoolingKeep leaves a sealed record and ends.
func spoolingKeep(ctx context.Context, k *sallyport.Keep) {
	if _, err := k.StartConfig(ctx); err == nil && k.Spool(ctx, []byte("sealed")) == nil {
		k.Exit(ctx, sallyport.ExitEnded)
	}
}

// keepsInEvents reads all events that a caller gets so far, and names the
// Keeps in them, each once.
func keepsInEvents(t *testing.T, r *running, c *client.Client) string {
	t.Helper()
	ev, err := c.Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	// A word for everybody marks the end of what there was.
	r.emit(everyCaller, api.Event{Type: api.EventDraining})
	var ids []string
	for {
		e, err := ev.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == api.EventDraining {
			return strings.Join(ids, " ")
		}
		if e.Keep != "" && !slices.Contains(ids, e.Keep) {
			ids = append(ids, e.Keep)
		}
	}
}
