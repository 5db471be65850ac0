// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package loadertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/loader"
)

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	if h.Patience != 0 {
		patience = h.Patience
	}
	for _, c := range []struct {
		name string
		f    func(*testing.T, Harness)
	}{
		{"Probe", probe},
		{"ChannelBothWays", channel},
		{"ExitCode", exitCode},
		{"EndsWithItsSallyport", endsWithSallyport},
		{"Kill", kill},
		{"StderrIsBounded", stderr},
		{"BadSpecIsRefused", badSpec},
		{"FailedStartLeavesNothing", failedStart},
		{"RecordComesFirst", recordFirst},
		{"MemoryIsBounded", memory},
		{"ManyAtOnce", many},
		{"CleanupAfterCrash", cleanupAfterCrash},
		{"CleanupAfterCrashInStart", cleanupAfterCrashInStart},
		{"CleanupSparesStrangers", cleanupSparesStrangers},
	} {
		if slices.Contains(h.Leave, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			before := takeStock(t)
			// Registered first, so that it runs after the Keeps'
			// own cleanups.
			t.Cleanup(func() { before.compare(t) })
			c.f(t, h)
		})
	}
}

func probe(t *testing.T, h Harness) {
	l := h.Loader()
	r := l.Probe(t.Context())
	if !r.Usable || r.Platform != l.Platform() || r.Visible == "" || len(r.Checks) == 0 {
		t.Fatalf("report %+v", r)
	}
	for _, c := range r.Checks {
		if c.Name == "" || c.Seen == "" || c.OK == (c.Remedy != "") {
			t.Errorf("row %+v: a failed row has a remedy, a good one has none", c)
		}
	}
}

func channel(t *testing.T, h Harness) {
	k := Start(t, h.Loader(), Spec(t, h))
	for i := range 100 {
		line := fmt.Sprint(i, strings.Repeat(" ping", i))
		if got := k.Say(t, "echo "+line); got != line {
			t.Fatalf("sent %q, got %q", line, got)
		}
	}
	applied := 0
	for _, l := range k.Layers() {
		if l.Name == "" || l.Detail == "" {
			t.Errorf("layer %+v says nothing", l)
		}
		if l.Applied {
			applied++
		}
	}
	if applied == 0 {
		t.Error("no layer isolates the Keep")
	}
	t.Logf("layers %+v", k.Layers())
}

func exitCode(t *testing.T, h Harness) {
	for _, code := range h.codes() {
		k := Start(t, h.Loader(), Spec(t, h))
		k.Say(t, fmt.Sprint("exit ", code))
		if e := Gone(t, k); e.Code != code || e.Signal != "" || e.Reason != "exited" {
			t.Errorf("exit %d: %+v", code, e)
		}
	}
	k := Start(t, h.Loader(), Spec(t, h))
	k.Say(t, "panic")
	if e := Gone(t, k); e.Code == 0 {
		t.Errorf("a panic ends with %+v", e)
	}
}

func endsWithSallyport(t *testing.T, h Harness) {
	k := Start(t, h.Loader(), Spec(t, h))
	if k.Say(t, "echo a") != "a" {
		t.Fatal("no answer")
	}
	k.Channel().Close()
	Gone(t, k)
}

func kill(t *testing.T, h Harness) {
	k := Start(t, h.Loader(), Spec(t, h))
	if k.Say(t, "hang") != "hanging" {
		t.Fatal("no answer")
	}
	if k.PID() <= 1 {
		t.Fatalf("process %d", k.PID())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := k.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("waiting for a Keep that hangs: %v", err)
	}
	for range 3 {
		if err := k.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if e := Gone(t, k); e.Code != -1 || e.Signal != "SIGKILL" || e.Reason != "killed" {
		t.Errorf("%+v", e)
	}
	if err := k.Kill(); err != nil {
		t.Errorf("killing a dead Keep: %v", err)
	}
	// At once, before the Keep has had time for anything.
	k = Start(t, h.Loader(), Spec(t, h))
	k.Kill()
	Gone(t, k)
}

func stderr(t *testing.T, h Harness) {
	spec := Spec(t, h)
	var out bytes.Buffer
	spec.Stderr = &out
	k := Start(t, h.Loader(), spec)
	if k.Say(t, "say 5000000") == "" {
		t.Fatal("a Keep that prints much does not get on")
	}
	k.Say(t, "exit 0")
	Gone(t, k)
	if n := out.Len(); n < 1000 || n > 1<<20 {
		t.Errorf("%d bytes came through, expected a bounded part of 5000000", n)
	}
}

func badSpec(t *testing.T, h Harness) {
	for name, spoil := range map[string]func(*loader.Spec){
		"no file":       func(s *loader.Spec) { s.Keep = nil },
		"no ID":         func(s *loader.Spec) { s.ID = "" },
		"path as ID":    func(s *loader.Spec) { s.ID = "../../x" },
		"long ID":       func(s *loader.Spec) { s.ID = strings.Repeat("a", 1000) },
		"odd memory":    func(s *loader.Spec) { s.MemoryBytes = 12345 },
		"negative CPUs": func(s *loader.Spec) { s.VCPUs = -1 },
	} {
		spec := Spec(t, h)
		spoil(&spec)
		if k, err := h.Loader().Start(t.Context(), spec, nil); err == nil {
			k.Kill()
			t.Errorf("%s: a Keep was started", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Loader().Start(ctx, Spec(t, h), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled start: %v", err)
	}
}

func failedStart(t *testing.T, h Harness) {
	garbage := filepath.Join(t.TempDir(), "keep")
	if err := os.WriteFile(garbage, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(garbage)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	spec := Spec(t, h)
	spec.Keep = f
	spec.MemoryBytes = 1 << 28
	if _, err := h.Loader().Start(t.Context(), spec, nil); err == nil {
		t.Error("garbage was started")
	}
	// The record fails before, and after, there is a process.
	for fails := range 2 {
		spec := Spec(t, h)
		spec.MemoryBytes = 1 << 28
		n := 0
		_, err := h.Loader().Start(t.Context(), spec, func(loader.Record) error {
			if n++; n > fails {
				return io.ErrShortWrite
			}
			return nil
		})
		if !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("record %d failed, start says %v", fails, err)
		}
	}
}

func recordFirst(t *testing.T, h Harness) {
	spec := Spec(t, h)
	var records []loader.Record
	k, err := h.Loader().Start(t.Context(), spec, func(r loader.Record) error {
		records = append(records, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Channel().Close()
	defer Gone(t, k)
	defer k.Kill()
	if len(records) < 2 || records[0].ID != spec.ID || records[0].PID != 0 || records[0].StateDir != spec.StateDir {
		t.Fatalf("first record %+v", records)
	}
	last := records[len(records)-1]
	if last.PID != k.PID() || last.StartTime == 0 || last.Made.IsZero() || last.Platform != h.Loader().Platform() {
		t.Errorf("last record %+v", last)
	}
}

func memory(t *testing.T, h Harness) {
	if h.MemoryBytes == 0 {
		t.Log("this host cannot bound memory")
		return
	}
	spec := Spec(t, h)
	spec.MemoryBytes = h.MemoryBytes
	k := Start(t, h.Loader(), spec)
	if k.Say(t, "echo small") != "small" {
		t.Fatal("a Keep of that size does not start")
	}
	got := k.Say(t, fmt.Sprint("self eat ", 2*h.MemoryBytes>>20))
	if got == "ate" {
		t.Fatal("a Keep took twice its memory")
	}
	if e := Gone(t, k); e.Code == 0 {
		t.Errorf("out of memory ends with %+v", e)
	} else {
		t.Logf("%+v", e)
	}
}

func many(t *testing.T, h Harness) {
	l := h.Loader()
	var specs []loader.Spec
	for range h.many() {
		specs = append(specs, Spec(t, h))
	}
	var wg sync.WaitGroup
	for i, spec := range specs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			k, err := l.Start(t.Context(), spec, nil)
			if err != nil {
				t.Error(err)
				return
			}
			r := &Running{k, nil}
			r.talk = newTalk(k)
			if got, want := r.Say(t, fmt.Sprint("echo ", i)), fmt.Sprint(i); got != want {
				t.Errorf("Keep %d says %q", i, got)
			}
			if i%2 == 0 {
				k.Kill()
			}
			k.Channel().Close()
			Gone(t, k)
		}()
	}
	wg.Wait()
}

// KillWhen starts a Keep in a process of its own and kills that at the moment
// at which now, asked again and again about the Keep's directory, first says
// yes. It returns that directory and the last record, of which there may be
// none.
func KillWhen(t *testing.T, h Harness, now func(dir string) bool) (dir string, r loader.Record) {
	t.Helper()
	dir = t.TempDir()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), crashEnv+"="+h.Keep, dirEnv+"="+dir)
	c.Stderr = os.Stderr // why it ended before it was killed, if it did
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !now(dir); {
		if time.Now().After(end) {
			t.Errorf("the moment to kill the loader's process did not come within %v", patience)
			break
		}
	}
	c.Process.Kill()
	c.Wait()
	if b, err := os.ReadFile(filepath.Join(dir, "record")); err == nil {
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
	}
	return dir, r
}

// crashed starts a Keep in a process of its own and kills that: when the Keep
// has started, or after the record of a number.
func crashed(t *testing.T, h Harness, at string) (dir string, r loader.Record) {
	t.Helper()
	dir = t.TempDir()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), crashEnv+"="+h.Keep, dirEnv+"="+dir, atEnv+"="+at)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, rerr := out.Read(buf)
	c.Process.Kill()
	c.Wait()
	if string(buf[:n]) != "started\n" {
		t.Fatalf("the loader's process said %q, %v", buf[:n], rerr)
	}
	b, err := os.ReadFile(filepath.Join(dir, "record"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return dir, r
}

// cleanupAfterCrashInStart kills the loader's process whenever it has recorded
// something, which is when there is something more to be left behind.
func cleanupAfterCrashInStart(t *testing.T, h Harness) {
	for at := range max(h.Records, 2) {
		dir, r := crashed(t, h, strconv.Itoa(at+1))
		if (r.PID == 0) != (at < max(h.Records, 2)-1) {
			t.Errorf("record %d is %+v: the Keep's process is known with the last", at+1, r)
		}
		for _, p := range append([]loader.Process{{PID: r.PID}}, r.Helpers...) {
			if p.PID > 0 && !endsWithin(p.PID, patience) {
				t.Errorf("after record %d: process %d waits for a loader that is gone", at+1, p.PID)
			}
		}
		if err := h.Loader().Cleanup(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		leftNothing(t, dir, r)
	}
}

// leftNothing checks what Cleanup leaves.
func leftNothing(t *testing.T, dir string, r loader.Record) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left in the Keep's directory beside the record: %v, %v", left, err)
	}
	for _, g := range r.Cgroups {
		if _, err := os.Stat(g); err == nil {
			t.Errorf("control group %s is left", g)
		}
	}
}

func cleanupAfterCrash(t *testing.T, h Harness) {
	dir, r := crashed(t, h, "")
	pids := []int{r.PID}
	for _, p := range r.Helpers {
		pids = append(pids, p.PID)
	}
	if h.EndWithLoader {
		for _, pid := range pids {
			if !endsWithin(pid, patience) {
				t.Errorf("process %d lives on after the loader's has ended", pid)
			}
		}
	} else if !alive(r.PID) {
		t.Fatal("the hanging Keep is gone already: this test proves nothing")
	}
	for range 2 { // the second time there is nothing left
		if err := h.Loader().Cleanup(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d of the Keep lives on after Cleanup", pid)
		}
	}
	leftNothing(t, dir, r)
}

func cleanupSparesStrangers(t *testing.T, h Harness) {
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	l := h.Loader()
	group := t.TempDir()
	r := loader.Record{ID: "stranger", Platform: l.Platform(), PID: c.Process.Pid, StartTime: 1, StateDir: t.TempDir()}
	if err := l.Cleanup(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if !alive(c.Process.Pid) {
		t.Fatal("Cleanup killed a process that has the Keep's number and is another one")
	}
	r.Cgroups = []string{group}
	if err := l.Cleanup(t.Context(), r); err == nil {
		t.Error("Cleanup takes any directory for a control group")
	}
	if _, err := os.Stat(group); err != nil {
		t.Error("Cleanup removed a directory that is no control group of a Keep")
	}
	r.Platform = "elsewhere"
	if err := l.Cleanup(t.Context(), r); err == nil {
		t.Error("Cleanup takes records of other platforms")
	}
}
