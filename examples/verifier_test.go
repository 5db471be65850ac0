// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"os"
	"path/filepath"
	"testing"
)

// TestVerifierInAKeep runs the verifier itself as a workload: evidence of a real
// machine goes in as an evidence bundle, and the verdict that comes out is that
// of enarx evidence replay, byte for byte.
func TestVerifierInAKeep(t *testing.T) {
	enarx, dir := enarxBin(t), t.TempDir()
	wasm, bundle := filepath.Join(dir, "enarx-verify.wasm"), filepath.Join(dir, "machine.bundle")
	build(t, []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", wasm, "../cmd/enarx-verify")
	const vectors = "../attest/internal/snpreport/testdata/"
	for _, c := range []struct {
		at   string
		code int
	}{
		{"2025-06-01", 0},
		{"2026-06-01", 125}, // the revocation list has ended
	} {
		kept := command{args: []string{enarx, "evidence", "bundle", "--at", c.at, "--collateral", vectors + "milan-v2-enarx.vcek.der",
			"--collateral", vectors + "milan-2025-05-06.crl.der", "-o", bundle, vectors + "milan-v2-enarx.report.bin"}}.run(t)
		file, err := os.ReadFile(bundle)
		if err != nil {
			t.Fatalf("%v: code %d: %s", err, kept.code, kept.stderr)
		}
		want := command{args: []string{enarx, "evidence", "replay", "--json", bundle}}.run(t)
		if want.code != kept.code || len(want.stdout) < 1000 {
			t.Fatalf("replay ended with code %d, the appraisal with %d: %s", want.code, kept.code, want.stderr)
		}
		got := command{args: []string{enarx, "run", wasm}, stdin: string(file)}.run(t)
		if got.code != c.code || got.stdout != want.stdout {
			t.Errorf("in a Keep: code %d: %s%s\noutside: %s", got.code, got.stdout, got.stderr, want.stdout)
		}
	}
}
