// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/enarx/enarx-go/image/imagetest"
)

// tpm starts a software TPM, empty, and gives the arguments that put it into a
// machine.
func tpm(t *testing.T) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := filepath.Join(dir, "s")
	cmd := exec.Command(imagetest.Tool(t, "swtpm"), "socket", "--tpm2", "--tpmstate", "dir="+dir, "--ctrl", "type=unixio,path="+sock, "--flags", "startup-clear", "--terminate")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(bootTime); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(sock); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("swtpm does not open its socket")
		}
	}
	return []string{"-chardev", "socket,id=ct,path=" + sock, "-tpmdev", "emulator,id=t0,chardev=ct", "-device", "tpm-crb,tpmdev=t0"}
}
