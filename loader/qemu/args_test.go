// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// base is a machine with everything that every platform has.
func base(platform, accel string) Machine {
	return Machine{
		Platform: platform, Accel: accel, QEMU: Version{7, 2}, VCPUs: 2, Memory: 256 << 20, Sallyport: 3, Words: 4, Monitor: 5,
		Kernel: "/k", Initrd: "/i", Cmdline: "panic=-1 quiet", Firmware: "/f", Variables: "/dev/fdset/2", TPM: 6, Sandbox: true,
	}
}

// after gives the argument that follows one.
func after(t *testing.T, args []string, name string) string {
	t.Helper()
	i := slices.Index(args, name)
	if i < 0 || i+1 == len(args) {
		t.Fatalf("no %s in %q", name, args)
	}
	return args[i+1]
}

// TestMachinesHaveNoDeviceToSpare holds every machine to the devices that a Keep
// uses: none has a network, a display or a console.
func TestMachinesHaveNoDeviceToSpare(t *testing.T) {
	for platform, extra := range map[string][]string{
		attest.PlatformVM: {"pvpanic-pci"}, attest.PlatformVTPM: {"pvpanic-pci", "tpm-crb"}, attest.PlatformSNP: nil, attest.PlatformTDX: nil,
	} {
		args := base(platform, AccelTCG).Args()
		want := append([]string{"virtio-serial-pci", "virtserialport", "virtserialport"}, extra...)
		var got []string
		for i, a := range args {
			if a == "-device" {
				name, _, _ := strings.Cut(args[i+1], ",")
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has devices %v, expected %v", platform, got, want)
		}
		for _, demanded := range []string{"-nodefaults", "-no-user-config", "-no-reboot", "-S"} {
			if !slices.Contains(args, demanded) {
				t.Errorf("%s: no %s", platform, demanded)
			}
		}
		for _, refused := range []string{"-netdev", "-net", "-nic", "-serial", "-monitor", "-vga", "-vnc"} {
			if slices.Contains(args, refused) {
				t.Errorf("%s has %s", platform, refused)
			}
		}
		if after(t, args, "-sandbox") != sandboxRules || after(t, args, "-display") != "none" {
			t.Errorf("%s: %q", platform, args)
		}
	}
}

func TestConfidentialGuestsCarryTheStartConfiguration(t *testing.T) {
	digest := [32]byte{0xde, 0xad, 31: 0xff}
	for platform, c := range map[string]struct {
		option string
		size   int
	}{attest.PlatformSNP: {"host-data=", 32}, attest.PlatformTDX: {`"mrconfigid":"`, 48}} {
		m := base(platform, AccelKVM)
		m.HostData, m.CBitPos, m.ReducedPhysBits = digest, 51, 5
		all := strings.Join(m.Args(), " ")
		_, text, _ := strings.Cut(all, c.option)
		text = strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune("\", ", c) })[0]
		got, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(got) != c.size || [32]byte(got) != digest || strings.Trim(string(got[32:]), "\x00") != "" {
			t.Errorf("%s: %s%s is %x, %v", platform, c.option, text, got, err)
		}
		// What a missing option would silently allow.
		demanded := []string{"confidential-guest-support=tee", "memory-backend=memory", "-bios /f"}
		if platform == attest.PlatformSNP {
			demanded = append(demanded, "kernel-hashes=on", "policy=0x30000", "cbitpos=51,reduced-phys-bits=5", "-cpu EPYC-v4")
		}
		if platform == attest.PlatformTDX {
			demanded = append(demanded, `"quote-generation-socket":{"type":"vsock"`)
		}
		for _, d := range demanded {
			if !strings.Contains(all, d) {
				t.Errorf("%s: no %s in %s", platform, d, all)
			}
		}
	}
}

func TestMachineAndCPUFollowTheAccelerator(t *testing.T) {
	for _, c := range []struct {
		platform, accel string
		v               Version
		machine, cpu    string
	}{
		{attest.PlatformVM, AccelKVM, Version{7, 2}, "microvm,", "host"},
		{attest.PlatformVM, AccelTCG, Version{7, 2}, "q35,", "max,cx16=off"},
		{attest.PlatformVM, AccelTCG, Version{10, 0}, "q35,", "max"},
		{attest.PlatformVTPM, AccelKVM, Version{10, 0}, "q35,", "host"},
		{attest.PlatformTDX, AccelKVM, Version{10, 1}, "q35,", "host"},
		{attest.PlatformSNP, AccelKVM, Version{10, 1}, "q35,", "EPYC-v4"},
	} {
		m := base(c.platform, c.accel)
		m.QEMU, m.Micro = c.v, strings.HasPrefix(c.machine, "microvm")
		args := m.Args()
		if got := after(t, args, "-machine"); !strings.HasPrefix(got, c.machine) {
			t.Errorf("%+v: machine %s", c, got)
		}
		if got := after(t, args, "-cpu"); got != c.cpu {
			t.Errorf("%+v: CPU %s", c, got)
		}
	}
	m := base(attest.PlatformVM, AccelTCG)
	m.Console = 7
	if got := after(t, m.Args(), "-serial"); got != "chardev:console" {
		t.Errorf("a debug image's console goes to %s", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"no platform": {}, "another platform": {Platform: attest.PlatformProcess},
		"accelerator": {Platform: attest.PlatformVM, Accel: "xen"}, "emulated SNP": {Platform: attest.PlatformSNP, Accel: AccelTCG},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: a loader was made", name)
		}
	}
}

// TestDirectoriesDoNotDependOnWhereSomebodyStands: the tool that certifies TPMs
// runs elsewhere, and with a relative path would make an authority of its own.
func TestDirectoriesDoNotDependOnWhereSomebodyStands(t *testing.T) {
	l, err := New(Options{Platform: attest.PlatformVTPM, Image: "image", TPMAuthority: "state/authority"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(l.o.Image, "/") || !strings.HasPrefix(l.o.TPMAuthority, "/") {
		t.Errorf("image %s, authority %s", l.o.Image, l.o.TPMAuthority)
	}
}

func TestKernelHashesAreSeenInFirmware(t *testing.T) {
	guid := "\x1f\x37\x55\x72\x3b\x3a\x04\x4b\x92\x7b\x1d\xa6\xef\xa8\xd4\x54"
	for text, want := range map[string]bool{
		"xx\x00\x0c\x81\x00\x00\x04\x00\x00\x1a\x00" + guid + "footer": true,
		"xx\x00\x00\x00\x00\x00\x04\x00\x00\x1a\x00" + guid + "footer": false, // the entry without an address
		guid: false, "": false, "no table": false,
	} {
		path := t.TempDir() + "/fw"
		writeFile(t, path, text)
		if err := kernelHashes(path); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
