// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/loader"
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
