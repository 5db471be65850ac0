// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/sallyport"
)

func fuzzRequest(host, authorization string) *http.Request {
	r := &http.Request{Method: "GET", Host: host, Header: http.Header{}}
	r.Header["Authorization"] = []string{authorization}
	return r
}

// spoolKeep leaves a sealed record and ends.
func spoolKeep(sealed string) keepScript {
	return func(ctx context.Context, k *sallyport.Keep) {
		k.StartConfig(ctx)
		// A real Keep lives longer than the answer to its start is on its way.
		time.Sleep(100 * time.Millisecond)
		k.Spool(ctx, []byte(sealed))
		k.Exit(ctx, sallyport.ExitEnded)
	}
}

func waitEnded(t testing.TB, c *client.Client, k *api.Created) *api.Inspect {
	t.Helper()
	var in *api.Inspect
	eventually(t, "the Keep has ended", func() bool {
		var err error
		in, err = c.Inspect(t.Context(), k.ID, k.Capability)
		return err == nil && in.State == api.StateEnded
	})
	return in
}

func TestSpool(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{script: spoolKeep("sealed record")})
	r := serve(t, cfg)
	c := r.client(client.Options{})
	k := r.create(c)
	in := waitEnded(t, c, k)
	if in.Spool == nil || in.Spool.Bytes != 13 || in.EndedBy != api.EndedByKeep {
		t.Fatalf("%+v", in)
	}
	if d := in.Spool.Expires.Sub(*in.Ended); d != 24*time.Hour {
		t.Fatalf("kept for %s", d)
	}
	got, err := c.Spool(t.Context(), k.ID, k.Capability)
	if err != nil || string(got) != "sealed record" {
		t.Fatalf("%q, %v", got, err)
	}
	r.stop()

	// It outlives the agent, and so does the capability for it.
	r = serve(t, cfg)
	c = r.client(client.Options{})
	if got, err = c.Spool(t.Context(), k.ID, k.Capability); err != nil || string(got) != "sealed record" {
		t.Fatalf("after a restart: %q, %v", got, err)
	}
	again, err := c.Inspect(t.Context(), k.ID, k.Capability)
	if err != nil || again.EndedBy != api.EndedByKeep || !again.Ended.Equal(*in.Ended) || !again.Spool.Expires.Equal(in.Spool.Expires) {
		t.Fatalf("after a restart: %+v, %v; before %+v", again, err, in)
	}
	_, err = c.Spool(t.Context(), k.ID, strings.Repeat("A", 43))
	wantProblem(t, err, api.CodeCapabilityWrong)
	if r.spoolBytes != 13 || r.spoolCount != 1 {
		t.Fatalf("%d bytes, %d records in the books", r.spoolBytes, r.spoolCount)
	}
	r.stop()

	// It expires, on the dot, and is removed.
	late := time.Now().Add(25 * time.Hour)
	r = serve(t, cfg, func(a *Agent) { a.now = func() time.Time { return late } })
	c = r.client(client.Options{})
	_, err = c.Spool(t.Context(), k.ID, k.Capability)
	wantProblem(t, err, api.CodeNoSpool)
	r.sweep()
	_, err = c.Spool(t.Context(), k.ID, k.Capability)
	wantProblem(t, err, api.CodeNotFound)
	if left, _ := os.ReadDir(r.state.path(dirSpool)); len(left) != 0 || r.spoolBytes != 0 || r.spoolCount != 0 {
		t.Fatalf("left after expiry: %v, %d bytes, %d records", left, r.spoolBytes, r.spoolCount)
	}
}

func TestSpoolIsBoundedAndLossIsShown(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{script: spoolKeep("0123456789")})
	cfg.Limits.SpoolBytes = 15
	r := serve(t, cfg)
	c := r.client(client.Options{})
	first, second := r.create(c), r.create(c)
	a, b := waitEnded(t, c, first), waitEnded(t, c, second)
	if a.Spool == nil {
		a, b, second = b, a, first
	}
	if a.Spool == nil || b.Spool != nil || !strings.Contains(b.SpoolLost, "no room") {
		t.Fatalf("%+v\n%+v", a, b)
	}
	_, err := c.Spool(t.Context(), second.ID, second.Capability)
	if p := wantProblem(t, err, api.CodeNoSpool); !strings.Contains(p.Problem.Seen, "no room") {
		t.Fatalf("%+v", p)
	}
}

func TestSpoolOnFullDisk(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{script: spoolKeep("0123456789")}), func(a *Agent) {
		write := a.state.write
		a.state.write = func(path string, b []byte, m os.FileMode) error {
			if strings.HasSuffix(path, ".sealed") {
				return syscall.ENOSPC
			}
			return write(path, b, m)
		}
	})
	c := r.client(client.Options{})
	in := waitEnded(t, c, r.create(c))
	if in.Spool != nil || in.SpoolLost == "" || in.EndedBy != api.EndedByKeep {
		t.Fatalf("%+v", in)
	}
	if r.spoolBytes != 0 || r.spoolCount != 0 {
		t.Fatalf("%d bytes, %d records in the books", r.spoolBytes, r.spoolCount)
	}
}

// TestInvariant12NothingHalfDone_Orphans: the agent dies without a word, and
// the next one removes what it finds.
func TestInvariant12NothingHalfDone_Orphans(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{})
	s, err := openState(cfg.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	orphan, stuck, early := newID(), newID(), newID()
	for _, id := range []string{orphan, stuck} {
		if err := s.makeKeepDir(id); err != nil {
			t.Fatal(err)
		}
		// A record that points elsewhere must not lead the agent there.
		if err := s.record(record{Record: loader.Record{ID: id, Platform: "process", PID: 4711, StartTime: 99, StateDir: "/somewhere/else"}}); err != nil {
			t.Fatal(err)
		}
	}
	s.makeKeepDir(early) // died between the directory and the record
	for _, d := range []string{dirRecords, dirSpool} {
		os.WriteFile(s.path(d, newID()+".json"+tempSuffix), []byte("{"), 0o600) // died while writing
	}
	os.WriteFile(s.path(dirSpool, newID()+".sealed"), []byte("x"), 0o600) // died before its description
	s.close()

	l := &fakeLoader{onCleanup: func(r loader.Record) error {
		if r.ID == stuck {
			return errors.New("it is in uninterruptible sleep")
		}
		return nil
	}}
	cfg.Loaders["process"] = l
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.cleaned) != 2 {
		t.Fatalf("cleaned up %v", l.cleaned)
	}
	for _, r := range l.cleaned {
		if r.StateDir != filepath.Join(cfg.StateDir, dirKeeps, r.ID) || r.PID != 4711 || r.StartTime != 99 {
			t.Errorf("record %+v", r)
		}
	}
	for dir, want := range map[string]int{dirRecords: 1, dirKeeps: 1, dirSpool: 0} {
		left, err := os.ReadDir(a.state.path(dir))
		if err != nil || len(left) != want {
			t.Errorf("%s: %v, %v; want %d left", dir, left, err, want)
		}
	}
	events, _, _ := a.events.after(0)
	if len(events) != 2 || events[0].Type != api.EventOrphan {
		t.Errorf("events %+v", events)
	}
	a.Close()

	// The next start tries the stuck one again.
	l.onCleanup, l.cleaned = nil, nil
	if a, err = New(cfg); err != nil || len(l.cleaned) != 1 || l.cleaned[0].ID != stuck {
		t.Fatalf("%v, %+v", err, l.cleaned)
	}
	a.Close()
}

func TestDamagedRecordStopsTheStart(t *testing.T) {
	for name, text := range map[string]string{"not JSON": "{", "another's": `{"id":"00000000000000000000000000000000"}`} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t, &fakeLoader{})
			s, err := openState(cfg.StateDir)
			if err != nil {
				t.Fatal(err)
			}
			id := newID()
			os.WriteFile(s.path(dirRecords, id+".json"), []byte(text), 0o600)
			s.close()
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), id) {
				t.Fatalf("New: %v", err)
			}
		})
	}
}

func TestDamagedSpoolIsRemoved(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{script: spoolKeep("sealed")})
	r := serve(t, cfg)
	c := r.client(client.Options{})
	k := r.create(c)
	waitEnded(t, c, k)
	r.stop()
	meta := filepath.Join(cfg.StateDir, dirSpool, k.ID+".json")
	good, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	var m spoolMeta
	if err := json.Unmarshal(good, &m); err != nil {
		t.Fatal(err)
	}
	m.CapabilityHash = ""
	bad, _ := json.Marshal(m)
	for name, b := range map[string][]byte{"cut": good[:20], "no capability": bad} {
		sealed := filepath.Join(cfg.StateDir, dirSpool, k.ID+".sealed")
		os.WriteFile(meta, b, 0o600)
		os.WriteFile(sealed, []byte("sealed"), 0o600)
		a, err := New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(a.keeps) != 0 {
			t.Errorf("%s: it can be asked for", name)
		}
		if left, _ := os.ReadDir(a.state.path(dirSpool)); len(left) != 0 {
			t.Errorf("%s: left %v", name, left)
		}
		a.Close()
	}
}

func TestStateDirectory(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{})
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if fi, _ := os.Stat(cfg.StateDir); fi.Mode().Perm() != 0o700 {
		t.Errorf("mode %04o", fi.Mode().Perm())
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "another agent uses") {
		t.Errorf("two agents on one directory: %v", err)
	}
	a.Close()
	if err := os.Chmod(cfg.StateDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("open directory: %v", err)
	}
	os.RemoveAll(cfg.StateDir)
	os.WriteFile(cfg.StateDir, nil, 0o600)
	if _, err := New(cfg); err == nil {
		t.Error("a file was taken for the state directory")
	}
	os.Remove(cfg.StateDir)
	os.Symlink(t.TempDir(), cfg.StateDir)
	if _, err := New(cfg); err == nil {
		t.Error("a symlink was taken for the state directory")
	}
}

func TestConfigRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no state":          {func(c *Config) { c.StateDir = "" }, "--state"},
		"no keep":           {func(c *Config) { c.Keep = "" }, "--keep"},
		"absent keep":       {func(c *Config) { c.Keep += ".no" }, "make build"},
		"no loader":         {func(c *Config) { c.Loaders = nil; c.Platforms = nil }, "no platform"},
		"other platform":    {func(c *Config) { c.Platforms = []string{"snp"} }, "enarx platform"},
		"half of TLS":       {func(c *Config) { c.TLSCert = "x" }, "--tls-key"},
		"client CA, no TLS": {func(c *Config) { c.ClientCA = "x" }, "--tls-cert"},
		"odd memory":        {func(c *Config) { c.Limits.DefaultMemory = 100 << 20 }, "power of two"},
		"negative":          {func(c *Config) { c.Limits.Keeps = -1 }, "negative"},
		"absent token":      {func(c *Config) { c.TokenFile = "/nonexistent/token" }, "token file"},
	} {
		cfg := testConfig(t, &fakeLoader{})
		test.change(&cfg)
		if a, err := New(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
			if a != nil {
				a.Close()
			}
		}
	}
}
