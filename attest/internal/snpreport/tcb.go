// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

import (
	"fmt"
	"strconv"
)

// TCBBytes is a TCB_VERSION as it stands in a report, 8 bytes. What the bytes
// mean depends on the CPU generation (document 56860, "TCB Version"), which
// only the certificate says reliably.
type TCBBytes [8]byte

// TCB is a firmware level by component.
type TCB struct {
	FMC, Bootloader, TEE, SNP, Microcode uint8
	hasFMC                               bool // Turin and later
}

// decode reads b in the layout of the certificate's structure version: with
// FMC (Turin) or without (Milan, Genoa and their kin).
func (b TCBBytes) decode(hasFMC bool) (TCB, error) {
	if hasFMC {
		if b[4]|b[5]|b[6] != 0 {
			return TCB{}, fmt.Errorf("TCB version %x: reserved bytes set", b[:])
		}
		return TCB{FMC: b[0], Bootloader: b[1], TEE: b[2], SNP: b[3], Microcode: b[7], hasFMC: true}, nil
	}
	if b[2]|b[3]|b[4]|b[5] != 0 {
		return TCB{}, fmt.Errorf("TCB version %x: reserved bytes set", b[:])
	}
	return TCB{Bootloader: b[0], TEE: b[1], SNP: b[6], Microcode: b[7]}, nil
}

// Map gives the level under the names of attest.Claims.TCB.
func (t TCB) Map() map[string]uint64 {
	m := map[string]uint64{
		"bootloader": uint64(t.Bootloader),
		"tee":        uint64(t.TEE),
		"snp":        uint64(t.SNP),
		"microcode":  uint64(t.Microcode),
	}
	if t.hasFMC {
		m["fmc"] = uint64(t.FMC)
	}
	return m
}

// atMost says whether no component of t is higher than o's.
func (t TCB) atMost(o TCB) bool {
	return t.FMC <= o.FMC && t.Bootloader <= o.Bootloader && t.TEE <= o.TEE && t.SNP <= o.SNP && t.Microcode <= o.Microcode
}

// String words the level as tcbpolicy.Text does.
func (t TCB) String() string {
	b := make([]byte, 0, 64)
	add := func(name string, n uint8) {
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendUint(append(append(b, name...), ' '), uint64(n), 10)
	}
	add("bootloader", t.Bootloader)
	if t.hasFMC {
		add("fmc", t.FMC)
	}
	add("microcode", t.Microcode)
	add("snp", t.SNP)
	add("tee", t.TEE)
	return string(b)
}
