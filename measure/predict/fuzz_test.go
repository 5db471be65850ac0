// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"reflect"
	"testing"
)

func FuzzFirmware(f *testing.F) {
	f.Add(testFile(f, "ovmf_AmdSev_suffix.bin"), uint16(1), true)
	f.Add(testFile(f, "ovmf_OvmfX64_suffix.bin"), uint16(4), false)
	f.Fuzz(func(t *testing.T, b []byte, vcpus uint16, kernel bool) {
		p := Params{VCPUs: int(vcpus), CPU: "EPYC", Firmware: b}
		if fw, err := ParseFirmware(b); err == nil {
			// Metadata of many pages is valid and slow; bounds are for other tests.
			sections, _ := fw.SNP()
			size := uint64(0)
			for _, s := range sections {
				size += s.Size
			}
			if size > 1<<22 || vcpus > 64 || len(b) > 1<<16 {
				return
			}
		}
		for _, m := range []SEVMode{ModeSEV, ModeSEVES, ModeSNP} {
			o := SEVOptions{Mode: m, WithoutKernel: !kernel}
			x, err := SEV(Image{}, p, o)
			y, err2 := SEV(Image{}, p, o)
			if (err == nil) != (x != nil) || (err == nil) != (err2 == nil) || !reflect.DeepEqual(x, y) {
				t.Fatalf("%s: %v %v", m, err, err2)
			}
		}
	})
}

func FuzzUKI(f *testing.F) {
	k := madeKernel("6.12.1 test")
	f.Add(madeUKI(257, k, []byte("initrd"), "quiet"))
	f.Add(madeUKI(252, k, []byte("initrd"), "quiet"))
	f.Add(k)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, boot := range []Boot{BootUKI, BootDirect} {
			img := Image{UKI: b, Kernel: b, Initrd: []byte("x")}
			p := Params{VCPUs: 1, MemoryMiB: 64, Boot: boot, PatchedKernel: true}
			x, err := TPM(img, p)
			if (err == nil) != (x != nil) {
				t.Fatalf("%v and %v", x, err)
			}
			if err == nil && (len(x.Registers) != len(TPMRegisters) || len(x.Components()) < len(TPMRegisters)) {
				t.Fatalf("%+v", x)
			}
		}
	})
}
