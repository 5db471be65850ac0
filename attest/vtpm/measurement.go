// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm

import (
	"crypto/sha256"

	"github.com/enarx/enarx-go/attest"
)

// measurementDomain keeps this measurement apart from every hash that a TPM or
// a firmware computes.
const measurementDomain = "enarx-vtpm-measurement-v1"

var measuredPCRs = [...]int{4, 8, 9, 11, 12, 13}

// MeasuredPCRs are the PCRs that [Measurement] is made of, in order: those that
// an image decides. PCR 4 has the boot loader or UKI, 8 and 9 what is read after
// it, 11 the sections of a UKI, 12 and 13 what systemd-stub was given beside it.
func MeasuredPCRs() []int { return append([]int(nil), measuredPCRs[:]...) }

// Measurement is the launch measurement of platform vtpm (SPEC.md, M1) of the
// PCRs of the SHA-256 bank.
func Measurement(pcrs *[attest.TPMPCRs][32]byte) [32]byte {
	all := make([][]byte, len(pcrs))
	for i := range pcrs {
		all[i] = pcrs[i][:]
	}
	return [32]byte(measure(all))
}

// measure is Measurement for PCRs of any bank.
func measure(pcrs [][]byte) []byte {
	b := make([]byte, 32, 32+64*len(measuredPCRs))
	copy(b, measurementDomain)
	for _, i := range measuredPCRs {
		b = append(b, pcrs[i]...)
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
