// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/hostprobe"
)

var visible = map[string]string{
	attest.PlatformSNP:  "nobody but the CPU and its firmware can see inside",
	attest.PlatformTDX:  "nobody but the CPU and its firmware can see inside",
	attest.PlatformVTPM: "the host can see inside; a TPM proves what was booted",
	attest.PlatformVM:   "the host can see inside",
}

// optional marks a row without which the platform works, only less well.
const optional = " (optional)"

// Probe implements loader.Loader.
func (l *Loader) Probe(ctx context.Context) loader.Report {
	r := loader.Report{Platform: l.Platform(), Visible: visible[l.Platform()]}
	host := hostprobe.This()
	switch l.o.Platform {
	case attest.PlatformSNP:
		r.Checks = host.SNP()
	case attest.PlatformTDX:
		r.Checks = host.TDX()
	case attest.PlatformVTPM:
		r.Checks = host.SoftwareTPM()
	}
	r.Checks = append(r.Checks, l.qemuCheck())
	if l.o.Platform != attest.PlatformVM {
		r.Checks = append(r.Checks, l.firmwareCheck())
	}
	r.Checks = append(r.Checks, l.imageCheck(ctx))
	if !confidential(l.o.Platform) {
		r.Checks = append(r.Checks, l.kvmCheck())
	}
	r.Checks = append(r.Checks, l.groupCheck())
	r.Usable = true
	for _, c := range r.Checks {
		r.Usable = r.Usable && (c.OK || strings.HasSuffix(c.Name, optional))
	}
	return r
}

func (l *Loader) qemuCheck() loader.Check {
	c := loader.Check{Name: "QEMU"}
	p := l.program()
	v, limited := least[l.o.Platform]
	switch {
	case p.err != nil:
		c.Seen, c.Remedy = p.err.Error(), "install QEMU: apt-get install qemu-system-x86"
	case limited && p.version.less(v.Major, v.Minor):
		c.Seen = fmt.Sprintf("%s is version %v", p.path, p.version)
		c.Remedy = fmt.Sprintf("install QEMU %v or later, the first that launches %s", v, l.o.Platform)
	default:
		c.OK, c.Seen = true, fmt.Sprintf("%s, version %v", p.path, p.version)
	}
	return c
}

func (l *Loader) firmwareCheck() loader.Check {
	c := loader.Check{Name: "UEFI firmware"}
	f, err := l.firmware()
	if err == nil && l.o.Platform == attest.PlatformSNP {
		err = kernelHashes(f.Code)
	}
	if err != nil {
		c.Seen, c.Remedy = err.Error(), "install the package "+firmwarePackages[l.o.Platform]
		return c
	}
	c.OK, c.Seen = true, f.Code
	return c
}

// kernelHashes says whether firmware takes the digests of kernel, initrd and
// command line at launch: the table of its footer has an entry for them, with
// an address (OVMF, SEV_HASH_TABLE_RV_GUID; entries end with length and GUID).
func kernelHashes(path string) error {
	b, err := readLimited(path)
	if err != nil {
		return err
	}
	guid := []byte{0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54}
	const entry = 4 + 4 + 2 // address, size, length
	i := bytes.LastIndex(b, guid)
	if i < entry || binary.LittleEndian.Uint32(b[i-entry:]) == 0 {
		return fmt.Errorf("%s does not take kernel hashes", path)
	}
	return nil
}

func (l *Loader) imageCheck(ctx context.Context) loader.Check {
	c := loader.Check{Name: "Keep image", Remedy: "build one: enarx image build"}
	if l.o.Image == "" {
		c.Seen = "none was named"
		return c
	}
	i, err := image.Open(ctx, l.o.Image, image.FileCmdline)
	if err != nil {
		c.Seen = err.Error()
		return c
	}
	kernel, _ := i.Manifest.Input(image.InputKernel)
	c.OK, c.Remedy, c.Seen = true, "", fmt.Sprintf("%s: release %s, kernel %s", l.o.Image, i.Manifest.Release, kernel.Version)
	if i.Manifest.Debug {
		c.Seen += ", DEBUG"
	}
	return c
}

func (l *Loader) kvmCheck() loader.Check {
	c := loader.Check{Name: "KVM" + optional}
	accel, why := l.accel()
	c.OK, c.Seen = accel == AccelKVM, why
	if !c.OK {
		c.Remedy = "use a machine with virtualisation enabled and the kvm module loaded; without KVM a Keep is emulated, many times slower"
	}
	return c
}

func (l *Loader) groupCheck() loader.Check {
	c := loader.Check{Name: "control groups" + optional}
	var names []string
	for _, h := range l.groups {
		names = append(names, h.Controllers...)
	}
	c.OK, c.Seen = len(names) > 0, strings.Join(names, ", ")
	if !c.OK {
		c.Seen = "none writable"
		c.Remedy = "run the agent from its systemd unit (Delegate=yes), or as root; without them the memory of QEMU itself is not bounded"
	}
	return c
}
