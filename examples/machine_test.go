// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/image/imagetest"
)

// report is what of enarx run --json must be the same on every platform but sim:
// how the workload ended, which one it was, and which Keep runtime ran it.
type report struct {
	Exit struct {
		By   string `json:"by"`
		Code int    `json:"code"`
	} `json:"exit"`
	Bundle string `json:"bundle"`
	Keep   string `json:"keep"`
}

// reportOf reads the last line of what enarx run --json has said.
func reportOf(t *testing.T, r result) (out report) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &out); err != nil || out.Keep == "" || out.Bundle == "" {
		t.Fatalf("no report: %v: %s", err, r.stderr)
	}
	return out
}

// TestMachinesRunWhatAProcessRuns runs programs on platforms vm and vtpm, from
// the image of the very Keep runtime that platform process starts. Compiling is
// the slowest part under emulation, so the large one has a machine once.
func TestMachinesRunWhatAProcessRuns(t *testing.T) {
	imagetest.QEMU(t)
	enarx, image := enarxBin(t), imagetest.Image(t, imagetest.Options{}).Dir
	text, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	_, c := clangBuild(t, "clang", "-O2", "c/wordcount.c")
	_, hello := goBuild(t, "hello-go")
	for _, x := range []struct {
		wasm      string
		in        input
		platforms []string
	}{
		{c, input{name: "C", args: []string{"20"}, stdin: string(text)}, []string{"vm", "vtpm"}},
		{hello, input{name: "Go", args: []string{"a b", "ü"}, env: []string{"EXIT=125"}, code: 125}, []string{"vm"}},
	} {
		want := runInKeep(t, enarx, []string{"--json", "--platform", "process"}, x.wasm, x.in)
		if want.code != x.in.code || want.stdout == "" {
			t.Fatalf("%s on platform process: %+v", x.in.name, want)
		}
		for _, platform := range x.platforms {
			t.Run(filepath.Join(x.in.name, platform), func(t *testing.T) {
				if platform == "vtpm" {
					imagetest.Tool(t, "swtpm_setup")
					imagetest.Firmware(t)
				}
				got := runInKeep(t, enarx, []string{"--json", "--platform", platform, "--accel", "tcg", "--image", image}, x.wasm, x.in)
				sameAs(t, got, want)
				if g, w := reportOf(t, got), reportOf(t, want); g != w {
					t.Errorf("reported %+v, on platform process %+v", g, w)
				}
			})
		}
	}
}
