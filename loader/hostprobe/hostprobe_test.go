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

func report(t *testing.T, h Host, platform string) loader.Report {
	t.Helper()
	for _, r := range h.Reports() {
		if r.Platform == platform {
			return r
		}
	}
	t.Fatalf("no report for %s", platform)
	return loader.Report{}
}

func TestACompleteSNPHostLacksOnlyTheLoader(t *testing.T) {
	h := machine(map[string]string{
		"proc/cpuinfo":                          "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu svm sev sev_es sev_snp\n\nprocessor\t: 1\n",
		"sys/module/kvm_amd/parameters/sev_snp": "Y\n",
	}, map[string]error{"/dev/sev": nil, "/dev/kvm": nil}, "qemu-system-x86_64")
	r := report(t, h, "snp")
	if r.Usable {
		t.Error("a platform without a loader must never be usable")
	}
	for _, c := range r.Checks[1:] {
		if !c.OK || c.Remedy != "" {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	if c := r.Checks[0]; c.OK || c.Name != "loader" {
		t.Errorf("first check = %+v, want the missing loader", c)
	}
}

// Whatever a machine looks like, no report claims a platform that this build
// cannot start, and every failed check says what to do.
func TestInvariant1NoReportPromisesAPlatform_EveryFailureHasARemedy(t *testing.T) {
	denied := &fs.PathError{Op: "open", Err: fs.ErrPermission}
	for name, h := range map[string]Host{
		"nothing":   machine(nil, nil),
		"garbage":   machine(map[string]string{"proc/cpuinfo": strings.Repeat("\xff:flags:", 30000)}, nil),
		"one line":  machine(map[string]string{"proc/cpuinfo": strings.Repeat("flags : sgx ", 30000)}, nil),
		"forbidden": machine(nil, map[string]error{"/dev/kvm": denied, "/dev/sev": denied, "/dev/sgx_enclave": denied, "/dev/sgx_provision": denied}),
		"odd value": machine(map[string]string{"sys/module/kvm_amd/parameters/sev_snp": strings.Repeat("N", 1<<16)}, nil),
		"this one":  This(),
	} {
		reports := h.Reports()
		if len(reports) != 5 {
			t.Fatalf("%s: %d reports, want 5", name, len(reports))
		}
		for _, r := range reports {
			if r.Usable || r.Visible == "" {
				t.Errorf("%s: %s: usable %v, visible %q", name, r.Platform, r.Usable, r.Visible)
			}
			for _, c := range r.Checks {
				if c.Seen == "" || c.Name == "" || len(c.Seen) > 400 {
					t.Errorf("%s: %s: %+v says too little or too much", name, r.Platform, c)
				}
				if c.OK == (c.Remedy != "") {
					t.Errorf("%s: %s: %s: ok %v with remedy %q", name, r.Platform, c.Name, c.OK, c.Remedy)
				}
			}
		}
	}
}

func TestSeenSaysWhatIsWrong(t *testing.T) {
	h := machine(map[string]string{
		"proc/cpuinfo":                          "vendor_id : GenuineIntel\nflags : fpu hypervisor\n",
		"sys/module/kvm_amd/parameters/sev_snp": "N\n",
		"usr/share/OVMF/OVMF_CODE_4M.fd":        "x",
	}, map[string]error{"/dev/kvm": &fs.PathError{Op: "open", Err: fs.ErrPermission}}, "swtpm")
	want := map[string]map[string]string{
		"snp": {"CPU vendor": `"GenuineIntel"`, "CPU flag sev_snp": "not in /proc/cpuinfo; this machine is itself a virtual machine",
			"kernel kvm_amd/parameters/sev_snp": `"N"`, "device /dev/sev": "does not exist", "device /dev/kvm": "no permission to open it"},
		"tdx": {"CPU vendor": "GenuineIntel", "kernel kvm_intel/parameters/tdx": "/sys/module/kvm_intel/parameters/tdx does not exist"},
		"vtpm": {"program swtpm": "/usr/bin/swtpm", "UEFI firmware": "/usr/share/OVMF/OVMF_CODE_4M.fd",
			"device /dev/kvm (optional)": "no permission to open it", "program qemu-system-x86_64": "not found"},
	}
	for platform, checks := range want {
		got := map[string]string{}
		for _, c := range report(t, h, platform).Checks {
			got[c.Name] = c.Seen
		}
		for name, seen := range checks {
			if got[name] != seen {
				t.Errorf("%s: %s: seen %q, want %q", platform, name, got[name], seen)
			}
		}
	}
	h.Arch = "arm64"
	if c := report(t, h, "snp").Checks[1]; c.Seen != "architecture arm64" {
		t.Errorf("on arm64: %+v", c)
	}
}
