// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snpreport

// Limits on what comes from outside. Sizes are in bytes, key sizes in bits.
const (
	// maxReport bounds what is still looked at as a report with something
	// after it; beyond, nothing of it is read.
	maxReport = 64 << 10
	// maxCertificate bounds one certificate; AMD's largest (an ARK with a
	// 4,096-bit key) has 1,639.
	maxCertificate = 8 << 10
	// maxList bounds one revocation list; AMD's have less than 1 KiB.
	maxList = 64 << 10
	// maxCollateral bounds the entries that are looked at; a chain has three
	// certificates and, with a second generation stapled, six.
	maxCollateral = 32
	// maxAuthorities and maxLists bound the entries that cost an RSA check
	// each: AMD has replaced one intermediate once, and a root has one list,
	// of which two generations may be at hand for two product lines.
	maxAuthorities = 4
	maxLists       = 8
	// maxShown bounds text from certificates in a row.
	maxShown = 96
	// minRSABits and maxRSABits bound CA keys: AMD's have 4,096 bits, the
	// throw-away root 3,072. Larger ones only cost us time.
	minRSABits = 3072
	maxRSABits = 4096
)
