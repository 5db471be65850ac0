// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import "github.com/enarx/enarx-go/attest/evidence"

// Limits on what comes from outside. Sizes are in bytes.
const (
	// MaxFile bounds the file with the evidence.
	MaxFile = evidence.MaxFile
	// MaxCollateral bounds the entries of collateral of one request: that of
	// a fleet of many hundred platforms. A verifier gets only those that its
	// evidence needs.
	MaxCollateral = 4096
	// maxEntry bounds one entry that is looked into. The largest seen is an
	// event log of 60 KiB; a revocation list grows by 40 bytes per entry.
	maxEntry = 256 << 10
	// maxPieces bounds the pieces of evidence in one file. Two are known, in
	// the certificates of Gramine.
	maxPieces = 16
	// maxChosen bounds the certificates of authorities that a verifier gets.
	maxChosen = 12
	// maxLists bounds the revocation lists of one product line that a
	// verifier of snp gets; each costs an RSA check.
	maxLists = 4
)
