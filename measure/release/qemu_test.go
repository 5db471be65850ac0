// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/measure/predict"
)

// qemuModels asks a QEMU for family, model and stepping of CPU models.
func qemuModels(t *testing.T, qemu string, models []string) map[string][3]uint32 {
	t.Helper()
	in := `{"execute":"qmp_capabilities"}` + "\n"
	for _, m := range models {
		in += fmt.Sprintf(`{"execute":"query-cpu-model-expansion","id":%q,"arguments":{"type":"full","model":{"name":%q}}}`+"\n", m, m)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-M", "none", "-accel", "tcg", "-nodefaults", "-display", "none", "-qmp", "stdio")
	cmd.Stdin = strings.NewReader(in + `{"execute":"quit"}` + "\n")
	b, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][3]uint32{}
	for line := range strings.Lines(string(b)) {
		var r struct {
			ID     string `json:"id"`
			Return struct {
				Model struct {
					Props struct{ Family, Model, Stepping uint32 } `json:"props"`
				} `json:"model"`
			} `json:"return"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if p := r.Return.Model.Props; r.ID != "" && p.Family != 0 {
			out[r.ID] = [3]uint32{p.Family, p.Model, p.Stepping}
		}
	}
	return out
}

// The signatures of CPU models are those that QEMU gives a guest.
func TestSignaturesAreQEMUs(t *testing.T) {
	known := 0
	for _, qemu := range []string{imagetest.QEMU(t), imagetest.SNPQEMU(t)} {
		for name, m := range qemuModels(t, qemu, predict.CPUModels()) {
			known++
			got, err := predict.Signature(name)
			if err != nil {
				t.Error(err)
				continue
			}
			family := got>>8&0xf + got>>20&0xff
			model, stepping := got>>4&0xf|got>>16&0xf<<4, got&0xf
			if want := ([3]uint32{family, model, stepping}); m != want {
				t.Errorf("%s: %d/%d/%d, QEMU has %v", name, family, model, stepping, m)
			}
		}
	}
	if known < 10 {
		t.Errorf("QEMU knows %d of the models: too few to say anything", known)
	}
}

// The whole of a real firmware that measures kernels: what is hashed first is
// the same as its end with the hash of its pages, and a firmware without the
// table is refused.
func TestRealFirmware(t *testing.T) {
	fw, err := os.ReadFile(imagetest.SEVFirmware(t))
	if err != nil {
		t.Fatal(err)
	}
	img := predict.Image{Kernel: []byte("kernel"), Initrd: []byte("initrd"), Cmdline: "quiet"}
	for _, n := range []int{1, 4} {
		p, err := predict.SNP(img, predict.Params{VCPUs: n, CPU: "EPYC-v4", Firmware: fw})
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]int{}
		for _, e := range p.Registers[0].Events {
			kinds[e.Type]++
		}
		if kinds["VMSA page"] != n || kinds["normal pages"] != 2 || kinds["secrets page"] != 1 || kinds["CPUID page"] != 1 || kinds["entry of the hashes table"] != 3 || kinds["zero pages"] == 0 {
			t.Errorf("%d vCPUs: events %v", n, kinds)
		}
	}
	_, vars := imagetest.Firmware(t)
	plain, err := os.ReadFile(vars)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := predict.SNP(img, predict.Params{VCPUs: 1, CPU: "EPYC-v4", Firmware: plain}); err == nil {
		t.Errorf("a firmware that measures no kernel: %x", p.Measurement)
	}
}
