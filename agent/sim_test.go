// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// A saved authority of an agent that knew the shape of SNP alone keeps its root,
// for that shape; another one is refused with what to do, and nothing is lost.
func TestSimAuthorityOfOlderAgent(t *testing.T) {
	older, err := os.ReadFile("../attest/sim/testdata/older-authority.pem")
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, &fakeLoader{})
	cfg.Platforms = nil
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.StateDir, simAuthorityFile)
	if err := os.WriteFile(path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	root, err := os.ReadFile(filepath.Join(cfg.StateDir, SimRootFile))
	if err != nil || !bytes.HasPrefix(older, root) {
		t.Errorf("another root than the saved one: %v", err)
	}
	cfg.SimFormat = "tdx"
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "knows the format snp alone, not tdx; remove the file to have a new root made") {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, older) {
		t.Errorf("the saved authority was changed: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if a, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	a.Close()
	cfg.SimFormat = "sev"
	if _, err := New(cfg); err == nil {
		t.Error("a format that does not exist was taken")
	}
}

// Evidence of every shape verifies under the one root of the state directory,
// with the collateral that the agent staples.
func TestSimFormats(t *testing.T) {
	want := [64]byte{7, 8, 9}
	for _, format := range []string{"snp", "tdx", "sgx", "nitro"} {
		out := make(chan quoted, 1)
		cfg := testConfig(t, &fakeLoader{script: quotingKeep(want, out)})
		cfg.Platforms, cfg.SimFormat = []string{"sim"}, format
		r := serve(t, cfg)
		if _, err := r.client(client.Options{}).Create(t.Context(), api.CreateRequest{Platform: "sim"}, ""); err != nil {
			t.Fatal(err)
		}
		q := <-out
		if q.err != nil {
			t.Fatalf("%s: %v", format, q.err)
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
		m := sim.Measurement(r.KeepDigest())
		exp := attest.Expected{ReportData: want, HostData: q.start.Digest(),
			Measurements: []attest.ReferenceValue{{Platform: "sim", Measurement: m[:], Source: "the test's Keep"}}}
		media := map[string]string{"snp": attest.MediaTypeSNP, "tdx": attest.MediaTypeTDX, "sgx": attest.MediaTypeSGX, "nitro": attest.MediaTypeNitro}[format]
		claims, verdict := sim.New(root).Verify(attest.Evidence{MediaType: media, Value: q.ev}, col, exp, time.Now())
		if claims == nil || !claims.Simulated {
			t.Errorf("%s: %v", format, verdict.Err())
		}
	}
}
