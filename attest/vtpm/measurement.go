// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package vtpm verifies the evidence of a Keep in a virtual machine with a TPM
// 2.0 (SPEC.md).
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
	b := make([]byte, 32, 32*(1+len(measuredPCRs)))
	copy(b, measurementDomain)
	for _, i := range measuredPCRs {
		b = append(b, pcrs[i][:]...)
	}
	return sha256.Sum256(b)
}
