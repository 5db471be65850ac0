// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// VMM is the virtual machine monitor, which decides the registers with which a
// processor starts.
type VMM string

// The monitors whose launches are known.
const (
	QEMU VMM = "qemu"
	EC2  VMM = "ec2"
	GCE  VMM = "gce"
)

// cpuSignature is CPUID Fn0000_0001_EAX for a family, model and stepping (AMD
// APM volume 3, appendix E.3.2).
func cpuSignature(family, model, stepping uint32) uint32 {
	low, high := family, uint32(0)
	if family > 0xf {
		low, high = 0xf, family-0xf
	}
	return high<<20 | model>>4<<16 | low<<8 | model&0xf<<4 | stepping&0xf
}

// cpuModels are the AMD models of QEMU (target/i386/cpu.c, builtin_x86_defs)
// that a guest with encrypted state can have.
var cpuModels = []struct {
	name                    string
	versions                int
	family, model, stepping uint32
}{
	{"EPYC", 5, 23, 1, 2},
	{"EPYC-Rome", 5, 23, 49, 0},
	{"EPYC-Milan", 3, 25, 1, 1},
	{"EPYC-Genoa", 2, 25, 17, 0},
	{"EPYC-Turin", 1, 26, 0, 0},
}

// Signature is the CPUID signature of a CPU model in QEMU's words. An unknown
// model is an error that names those that there are.
func Signature(model string) (uint32, error) {
	for _, m := range cpuModels {
		sig := cpuSignature(m.family, m.model, m.stepping)
		if model == m.name || model == "EPYC-IBPB" && m.name == "EPYC" {
			return sig, nil
		}
		for v := 1; v <= m.versions; v++ {
			if model == fmt.Sprintf("%s-v%d", m.name, v) {
				return sig, nil
			}
		}
	}
	return 0, fmt.Errorf("CPU model %.40q is not known, expected one of %s", model, strings.Join(CPUModels(), ", "))
}

// CPUModels are the names that [Signature] knows.
func CPUModels() []string {
	var names []string
	for _, m := range cpuModels {
		names = append(names, m.name)
		for v := 1; v <= m.versions; v++ {
			names = append(names, fmt.Sprintf("%s-v%d", m.name, v))
		}
	}
	names = append(names, "EPYC-IBPB")
	slices.Sort(names)
	return names
}

// bootEIP is where the first processor starts: the reset vector.
const bootEIP = 0xfffffff0

// Offsets in the save area (AMD APM volume 2, table B-4).
const (
	vmsaES, vmsaCS, vmsaSS, vmsaDS = 0x000, 0x010, 0x020, 0x030
	vmsaFS, vmsaGS                 = 0x040, 0x050
	vmsaGDTR, vmsaLDTR             = 0x060, 0x070
	vmsaIDTR, vmsaTR               = 0x080, 0x090
	vmsaEFER                       = 0x0d0
	vmsaCR4, vmsaCR0               = 0x148, 0x158
	vmsaDR7, vmsaDR6               = 0x160, 0x168
	vmsaRFLAGS, vmsaRIP            = 0x170, 0x178
	vmsaGPAT                       = 0x268
	vmsaRDX                        = 0x310
	vmsaSEVFeatures                = 0x3b0
	vmsaXCR0                       = 0x3e8
	vmsaMXCSR, vmsaFCW             = 0x408, 0x410
)

// startState is what monitors do differently.
type startState struct {
	cs, ss, tr uint16 // attributes
	rdx        uint32
	mxcsr      uint32
	fcw        uint16
	pat        uint64
}

func (v VMM) startState(eip, signature uint32) startState {
	s := startState{cs: 0x9b, ss: 0x93, tr: 0x8b, rdx: signature, mxcsr: 0x1f80, fcw: 0x37f, pat: 0x0007040600070406}
	switch v {
	case EC2:
		if eip == bootEIP {
			s.cs = 0x9a
		}
		s.ss, s.tr, s.rdx, s.mxcsr, s.fcw = 0x92, 0x83, 0x600, 0, 0
	case GCE:
		s.rdx, s.pat, s.mxcsr, s.fcw = 0x600, 0x00070106, 0, 0
	}
	return s
}

// vmsa is the page with which a processor starts at eip. Values that are not
// named by a monitor are those of a reset (QEMU, x86_cpu_reset_hold) as KVM
// saves them: EFER.SVME and CR4.MCE are KVM's.
func vmsa(v VMM, eip, signature uint32, features uint64) []byte {
	b := make([]byte, pageSize)
	le := binary.LittleEndian
	seg := func(at int, selector, attrib uint16, limit uint32, base uint64) {
		le.PutUint16(b[at:], selector)
		le.PutUint16(b[at+2:], attrib)
		le.PutUint32(b[at+4:], limit)
		le.PutUint64(b[at+8:], base)
	}
	s := v.startState(eip, signature)
	for _, at := range []int{vmsaES, vmsaDS, vmsaFS, vmsaGS} {
		seg(at, 0, 0x93, 0xffff, 0)
	}
	seg(vmsaCS, 0xf000, s.cs, 0xffff, uint64(eip&0xffff0000))
	seg(vmsaSS, 0, s.ss, 0xffff, 0)
	seg(vmsaGDTR, 0, 0, 0xffff, 0)
	seg(vmsaIDTR, 0, 0, 0xffff, 0)
	seg(vmsaLDTR, 0, 0x82, 0xffff, 0)
	seg(vmsaTR, 0, s.tr, 0xffff, 0)
	for at, x := range map[int]uint64{
		vmsaEFER: 0x1000, vmsaCR4: 0x40, vmsaCR0: 0x10, vmsaDR7: 0x400, vmsaDR6: 0xffff0ff0, vmsaRFLAGS: 2,
		vmsaRIP: uint64(eip & 0xffff), vmsaGPAT: s.pat, vmsaRDX: uint64(s.rdx), vmsaSEVFeatures: features, vmsaXCR0: 1,
	} {
		le.PutUint64(b[at:], x)
	}
	le.PutUint32(b[vmsaMXCSR:], s.mxcsr)
	le.PutUint16(b[vmsaFCW:], s.fcw)
	return b
}
