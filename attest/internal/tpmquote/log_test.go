// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpmquote

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/enarx/enarx-go/attest/internal/eventlog"
)

const logs = "../eventlog/testdata/"

func logOf(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(logs, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// realLogs are those of real machines, with what is known of their Secure Boot:
// by the names that their publishers gave them, or by what their other events
// say (an authority is measured where a signature was checked).
var realLogs = map[string]struct{ on, sha1 bool }{
	"arch-linux-workstation.bin":     {false, false},
	"cos-101-amd-sev.bin":            {true, false},
	"crypto-agile-eventlog.bin":      {false, false},
	"debian-10.bin":                  {true, true},
	"ebs-event-missing-eventlog.bin": {false, true},
	"eventlogwithsp800155.bin":       {true, false},
	"gcp-cos85-nonce.eventlog.bin":   {true, false},
	"gcp-windows-sha1.eventlog.bin":  {true, true},
	"gdc-host.bin":                   {false, false},
	"glinux-alex.bin":                {false, false},
	"option-rom-eventlog.bin":        {true, true},
	"rhel8-uefi.bin":                 {true, false},
	"sb-cert-eventlog.bin":           {true, false},
	"ubuntu-2404-amd-sevsnp.bin":     {false, false},
}

// No log of a real machine is refused for data that are not what its events'
// digests are of, and each says whether Secure Boot was on.
func TestLogsOfRealMachines(t *testing.T) {
	for name, x := range realLogs {
		alg := eventlog.SHA256
		if x.sha1 {
			alg = eventlog.SHA1
		}
		l, err := readLog(logOf(t, name), alg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e, found := l.unproven(); found {
			t.Errorf("%s: the data of %s are not what its digest is of", name, e.name())
		}
		if on, err := l.secureBoot(); on != x.on || err != nil {
			t.Errorf("%s: Secure Boot is on: %v, %v", name, on, err)
		}
	}
}
