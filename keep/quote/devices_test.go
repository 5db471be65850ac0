// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"net"
	"os"
	"slices"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

func TestDevicesAreNamedInOrder(t *testing.T) {
	f := os.Stdin
	for _, c := range []struct {
		tpm, log, tsm *os.File
		arg           string
	}{
		{nil, nil, nil, "none"}, {f, nil, nil, "tpm"}, {f, f, nil, "tpm,eventlog"}, {nil, nil, f, "tsm"}, {f, f, f, "tpm,eventlog,tsm"},
	} {
		arg, files := HandOver(c.tpm, c.log, c.tsm)
		n := 0
		for _, d := range []*os.File{c.tpm, c.log, c.tsm} {
			if d != nil {
				n++
			}
		}
		if arg != c.arg || len(files) != n {
			t.Errorf("%q with %d files, expected %q with %d", arg, len(files), c.arg, n)
		}
	}
}

func TestInvariant4HostileInputIsBounded_DeviceNames(t *testing.T) {
	for _, arg := range []string{"", "tpm,tpm", "eventlog,tpm", "none,tpm", "gpu", "tpm,", "TPM"} {
		if d, err := Inherited(arg); err == nil {
			t.Errorf("%q: taken as %+v", arg, d)
		}
	}
	if d, err := Inherited("none"); err != nil || d != (Devices{}) {
		t.Errorf("none: %+v, %v", d, err)
	}
}

func TestPlatformsFollowTheDevices(t *testing.T) {
	tsm := func(provider string) Devices {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		go ServeReports(b, &configfs{provider: provider})
		return Devices{TSM: a}
	}
	var tpm net.Conn
	tpm, _ = net.Pipe()
	for name, c := range map[string]struct {
		d    Devices
		want []string
	}{
		"nothing":      {Devices{}, []string{attest.PlatformVM, attest.PlatformSim}},
		"a TPM":        {Devices{TPM: tpm}, []string{attest.PlatformVTPM, attest.PlatformVM, attest.PlatformSim}},
		"SEV-SNP":      {tsm("sev_guest"), []string{attest.PlatformSNP, attest.PlatformSim}},
		"a TD":         {tsm("tdx_guest"), []string{attest.PlatformTDX, attest.PlatformSim}},
		"another kind": {tsm("arm_cca_guest"), nil},
	} {
		got, err := c.d.Platforms()
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %q, %v; expected %q", name, got, err, c.want)
		}
	}
}
