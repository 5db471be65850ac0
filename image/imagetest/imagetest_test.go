// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"os/exec"
	"strings"
	"testing"

	"os"
)

func TestNewestByNumber(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"linux-6.12.9+deb12_1_amd64.deb", "linux-6.12.117+deb12_1_amd64.deb", "linux-6.12.20+deb12_1_amd64.deb"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := newest(t, dir, "linux-6.12.*"); !strings.Contains(got, "6.12.117") {
		t.Errorf("newest is %s", got)
	}
	if got := newest(t, dir, "linux-7*"); got != "" {
		t.Errorf("found %s", got)
	}
}

// TestToolsOfOtherSuites holds that what is unpacked is what it is taken for.
func TestToolsOfOtherSuites(t *testing.T) {
	b, err := os.ReadFile(SEVFirmware(t))
	if err != nil || len(b) < 1<<20 {
		t.Errorf("firmware of %d bytes: %v", len(b), err)
	}
	QEMU(t) // its libraries
	out, err := exec.Command(SNPQEMU(t), "-object", "help").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "sev-snp-guest") {
		t.Errorf("%v: %s", err, out)
	}
}
