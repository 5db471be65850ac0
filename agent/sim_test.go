// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/sallyport"
)

// quoted is what a fake Keep got when it asked for evidence.
type quoted struct {
	start sallyport.StartConfig
	hints []sallyport.Hint
	ev    []byte
	err   error
}

func quotingKeep(reportData [64]byte, out chan<- quoted) keepScript {
	return func(ctx context.Context, k *sallyport.Keep) {
		var q quoted
		if q.start, q.err = k.StartConfig(ctx); q.err != nil {
			return
		}
		q.ev, q.err = k.Quote(ctx, reportData)
		// Hints come after the start configuration, when the host likes.
		for range 200 {
			if q.hints, _ = k.Hints(ctx); len(q.hints) > 0 || q.start.Platform != "sim" {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		out <- q
		<-ctx.Done()
	}
}

// The evidence of a sim Keep verifies under the root in the state directory,
// for the Keep runtime and the start configuration that this agent gave, and
// for nothing else. It reads simulated.
func TestInvariant1NoSilentDowngrade_SimEvidence(t *testing.T) {
	want := [64]byte{1, 2, 3}
	out := make(chan quoted, 1)
	cfg := testConfig(t, &fakeLoader{script: quotingKeep(want, out)})
	cfg.Platforms = []string{"sim", "process"}
	r := serve(t, cfg)
	c := r.client(client.Options{})
	if _, err := c.Create(t.Context(), api.CreateRequest{Platform: "sim"}, ""); err != nil {
		t.Fatal(err)
	}
	q := <-out
	if q.err != nil || q.start.Platform != "sim" || q.start.Mode != sallyport.ModePush {
		t.Fatalf("%+v", q)
	}
	pem, err := os.ReadFile(filepath.Join(cfg.StateDir, SimRootFile))
	if err != nil {
		t.Fatal(err)
	}
	root, err := sim.ParseRoot(pem)
	if err != nil {
		t.Fatal(err)
	}
	var col attest.Collateral
	for _, h := range q.hints {
		col = append(col, attest.Evidence{MediaType: h.MediaType, Value: h.Value})
	}
	measurement := sim.Measurement(r.KeepDigest())
	verify := func(change func(*attest.Expected)) (*attest.Claims, attest.Verdict) {
		exp := attest.Expected{
			ReportData: want, HostData: q.start.Digest(),
			Measurements: []attest.ReferenceValue{{Platform: "sim", Measurement: measurement[:], Source: "the test's Keep"}},
		}
		change(&exp)
		return sim.New(root).Verify(attest.Evidence{MediaType: attest.MediaTypeSNP, Value: q.ev}, col, exp, time.Now())
	}
	claims, verdict := verify(func(*attest.Expected) {})
	if claims == nil || !verdict.OK() || !claims.Simulated {
		t.Fatalf("%v", verdict.Err())
	}
	for _, row := range verdict {
		if row.Outcome == attest.Pass {
			t.Errorf("row %s of a sim Keep reads %q", row.Check, row.Outcome)
		}
	}
	for name, change := range map[string]func(*attest.Expected){
		"other report data": func(e *attest.Expected) { e.ReportData[0]++ },
		"other start":       func(e *attest.Expected) { e.HostData = sallyport.StartConfig{Mode: "push", Platform: "snp"}.Digest() },
		"other Keep":        func(e *attest.Expected) { m := sim.Measurement([32]byte{}); e.Measurements[0].Measurement = m[:] },
	} {
		if claims, verdict := verify(change); claims != nil || verdict.OK() {
			t.Errorf("%s: accepted", name)
		}
	}

	// A process Keep beside it gets no evidence.
	if _, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, ""); err != nil {
		t.Fatal(err)
	}
	q = <-out
	var re *sallyport.RemoteError
	if !errors.As(q.err, &re) || re.Code != sallyport.CodeUnsupported || q.ev != nil {
		t.Fatalf("a process Keep asked for evidence: %v", q.err)
	}
	if len(q.hints) != 0 {
		t.Error("a process Keep got sim's certificates")
	}
}

func TestSimAuthorityIsKept(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{})
	cfg.Platforms = nil // sim comes with process
	root := func() []byte {
		t.Helper()
		a, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := os.ReadFile(filepath.Join(cfg.StateDir, SimRootFile))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := root()
	key := filepath.Join(cfg.StateDir, simAuthorityFile)
	if fi, err := os.Stat(key); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", fi, err)
	}
	os.Remove(filepath.Join(cfg.StateDir, SimRootFile))
	if !bytes.Equal(first, root()) {
		t.Fatal("a restart made another root")
	}
	if err := os.WriteFile(key, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil {
		t.Fatal("a damaged authority was taken")
	}
}
