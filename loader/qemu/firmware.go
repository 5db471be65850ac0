// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"fmt"
	"os"
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// Firmware is UEFI firmware (OVMF) of the host.
type Firmware struct {
	// Code is the firmware's image. On snp and tdx it is all of it, and its
	// measurement is the platform's first.
	Code string
	// Variables is the empty store that goes with Code on vtpm. Each Keep has
	// a copy that ends with it.
	Variables string
	// SMM says that Code keeps Variables behind system management mode, as
	// OVMF with Secure Boot does (Debian: OVMF_CODE_4M.secboot.fd): it does not
	// start on a machine without. Secure Boot is on if Variables holds keys;
	// it then starts an image only if its disk was signed under one of them.
	SMM bool
}

// firmwares are where distributions put what a platform needs.
var firmwares = map[string][]Firmware{
	attest.PlatformVTPM: {
		{Code: "/usr/share/OVMF/OVMF_CODE_4M.fd", Variables: "/usr/share/OVMF/OVMF_VARS_4M.fd"},
		{Code: "/usr/share/OVMF/OVMF_CODE.fd", Variables: "/usr/share/OVMF/OVMF_VARS.fd"},
		{Code: "/usr/share/edk2/ovmf/OVMF_CODE.fd", Variables: "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
		{Code: "/usr/share/edk2/x64/OVMF_CODE.4m.fd", Variables: "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
	},
	// Kernel hashes need firmware that was built for them.
	attest.PlatformSNP: {{Code: "/usr/share/ovmf/OVMF.amdsev.fd"}, {Code: "/usr/share/edk2/ovmf/OVMF.amdsev.fd"}},
	attest.PlatformTDX: {{Code: "/usr/share/ovmf/OVMF.inteltdx.fd"}, {Code: "/usr/share/ovmf/OVMF.inteltdx.ms.fd"},
		{Code: "/usr/share/edk2/ovmf/OVMF.inteltdx.fd"}},
}

var firmwarePackages = map[string]string{
	attest.PlatformVTPM: "ovmf", attest.PlatformSNP: "ovmf-amdsev (Debian sid or later)", attest.PlatformTDX: "ovmf-inteltdx (Debian sid or later)",
}

// firmware finds the firmware of the loader's platform.
func (l *Loader) firmware() (Firmware, error) {
	if l.o.Firmware.Code != "" {
		return l.o.Firmware, nil
	}
	var names []string
	for _, f := range firmwares[l.o.Platform] {
		names = append(names, f.Code)
		if regular(f.Code) && (f.Variables == "" || regular(f.Variables)) {
			return f, nil
		}
	}
	return Firmware{}, fmt.Errorf("no UEFI firmware for %s (none of %s): install the package %s",
		l.o.Platform, strings.Join(names, ", "), firmwarePackages[l.o.Platform])
}

func regular(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
