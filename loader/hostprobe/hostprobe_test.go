// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostprobe

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/enarx/enarx-go/loader"
)

// machine is a Host made of files, openable devices and programs.
func machine(files map[string]string, devices map[string]error, programs ...string) Host {
	m := fstest.MapFS{}
	for name, data := range files {
		m[name] = &fstest.MapFile{Data: []byte(data), Mode: 0o444}
	}
	return Host{
		FS:   m,
		Arch: "amd64",
		TryOpen: func(path string) error {
			err, ok := devices[path]
			if !ok {
				return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return err
		},
		LookPath: func(name string) (string, error) {
			for _, p := range programs {
				if p == name {
					return "/usr/bin/" + name, nil
				}
			}
			return "", errors.New("not found")
		},
	}
}

// all are the checks of every platform.
func all(h Host) map[string][]loader.Check {
	return map[string][]loader.Check{"snp": h.SNP(), "tdx": h.TDX(), "vtpm": h.SoftwareTPM(), "sgx": h.Reports()[0].Checks}
}

func TestACompleteSNPHostLacksNothing(t *testing.T) {
	h := machine(map[string]string{
		"proc/cpuinfo":                          "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu svm sev sev_es sev_snp\n\nprocessor\t: 1\n",
		"sys/module/kvm_amd/parameters/sev_snp": "Y\n",
	}, map[string]error{"/dev/sev": nil, "/dev/kvm": nil})
	for _, c := range h.SNP() {
		if !c.OK || c.Remedy != "" {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
}

func TestInvariant1NoReportPromisesAPlatform_WithoutALoader(t *testing.T) {
	for _, r := range This().Reports() {
		if r.Usable || r.Visible == "" || r.Checks[0].OK || r.Checks[0].Name != "loader" {
			t.Errorf("%+v: usable, or its first check is not the missing loader", r)
		}
	}
}

// Whatever a machine looks like, every failed check says what to do.
func TestInvariant4HostileInputIsBounded_EveryFailureHasARemedy(t *testing.T) {
	denied := &fs.PathError{Op: "open", Err: fs.ErrPermission}
	for name, h := range map[string]Host{
		"nothing":   machine(nil, nil),
		"garbage":   machine(map[string]string{"proc/cpuinfo": strings.Repeat("\xff:flags:", 30000)}, nil),
		"one line":  machine(map[string]string{"proc/cpuinfo": strings.Repeat("flags : sgx ", 30000)}, nil),
		"forbidden": machine(nil, map[string]error{"/dev/kvm": denied, "/dev/sev": denied, "/dev/sgx_enclave": denied, "/dev/sgx_provision": denied}),
		"odd value": machine(map[string]string{"sys/module/kvm_amd/parameters/sev_snp": strings.Repeat("N", 1<<16)}, nil),
		"this one":  This(),
	} {
		for platform, checks := range all(h) {
			for _, c := range checks {
				if c.Seen == "" || c.Name == "" || len(c.Seen) > 400 {
					t.Errorf("%s: %s: %+v says too little or too much", name, platform, c)
				}
				if c.OK == (c.Remedy != "") {
					t.Errorf("%s: %s: %s: ok %v with remedy %q", name, platform, c.Name, c.OK, c.Remedy)
				}
			}
		}
	}
}

func TestSeenSaysWhatIsWrong(t *testing.T) {
	h := machine(map[string]string{
		"proc/cpuinfo":                          "vendor_id : GenuineIntel\nflags : fpu hypervisor\n",
		"sys/module/kvm_amd/parameters/sev_snp": "N\n",
	}, map[string]error{"/dev/kvm": &fs.PathError{Op: "open", Err: fs.ErrPermission}}, "swtpm")
	want := map[string]map[string]string{
		"snp": {"CPU vendor": `"GenuineIntel"`, "CPU flag sev_snp": "not in /proc/cpuinfo; this machine is itself a virtual machine",
			"kernel kvm_amd/parameters/sev_snp": `"N"`, "device /dev/sev": "does not exist", "device /dev/kvm": "no permission to open it"},
		"tdx":  {"CPU vendor": "GenuineIntel", "kernel kvm_intel/parameters/tdx": "/sys/module/kvm_intel/parameters/tdx does not exist"},
		"vtpm": {"program swtpm": "/usr/bin/swtpm", "program swtpm_setup": "not found"},
	}
	for platform, checks := range want {
		got := map[string]string{}
		for _, c := range all(h)[platform] {
			got[c.Name] = c.Seen
		}
		for name, seen := range checks {
			if got[name] != seen {
				t.Errorf("%s: %s: seen %q, want %q", platform, name, got[name], seen)
			}
		}
	}
	h.Arch = "arm64"
	if c := h.SNP()[0]; c.Seen != "architecture arm64" {
		t.Errorf("on arm64: %+v", c)
	}
}
