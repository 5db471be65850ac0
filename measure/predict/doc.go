// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package predict computes what a platform will measure when it starts an
// image, from the image's files and the firmware alone: on any machine, without
// the hardware.
//
//	p, err := predict.TPM(img, predict.BootUKI, params)   // PCRs 4, 8, 9, 11, 12, 13
//	p, err := predict.SNP(img, params)                    // launch digest
//	p, err := predict.TDX(img, params)                    // MRTD, RTMR0 to RTMR3
//
// A [Prediction] has the registers, and for each register every event that
// makes it: what is measured, its digest, and which part of the image it comes
// from. [Diff] compares two and names the parts that differ.
//
// # What is predicted, and how far it was checked
//
//   - SEV, SEV-ES and SEV-SNP launch digests (SEV Secure Nested Paging Firmware
//     ABI, document 56860, section 8.17; QEMU's target/i386/sev.c): against all
//     published vectors of the virtee project. No hardware has confirmed them.
//   - PCRs of a boot under OVMF (TCG PC Client Platform Firmware Profile;
//     systemd-stub; Linux EFI stub): against real boots with swtpm.
//   - TDX: MRTD, and what of RTMR0 to RTMR2 the image and the firmware decide
//     (Intel TDX Virtual Firmware Design Guide). See [TDX] for what it needs
//     from outside.
//
// Everything here is a pure function of bytes: no file, no clock, no network.
// Inputs may be hostile; sizes and counts are bounded in limits.go.
package predict
