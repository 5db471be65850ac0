// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

// Limits on what comes from outside. Sizes are in bytes.
const (
	// MaxFile bounds a file. Real ones have less than 100 KiB; a collection
	// with event logs and certificates may have a few MiB as JSON.
	MaxFile = 16 << 20
	// maxDepth bounds wrappings within wrappings, such as a quote in a
	// certificate in PEM: more than four have not been seen.
	maxDepth = 8
	// maxPieces bounds the pieces of evidence of one file. Each is the start
	// of an appraisal of its own.
	maxPieces = 16
	// maxCollateral bounds the entries that one file may bring; the largest
	// set has eight and a directory is read file by file.
	maxCollateral = 64
	// maxX509 bounds one certificate or request: one with two quotes has
	// 10 KiB, a request of the original Enarx with its collateral 13 KiB.
	maxX509 = 256 << 10
	// maxBlocks bounds the blocks of one PEM text, and the certificates of a
	// chain in DER.
	maxBlocks = 64
	// maxKeys bounds the members of one JSON object that is read here.
	maxKeys = 256
	// maxTable bounds the entries of an SNP certificate table; AMD defines
	// five kinds.
	maxTable = 16
	// maxClaims bounds the claims of a RA-TLS certificate.
	maxClaims = 64
	// maxShown bounds text from outside in an error or a row.
	maxShown = 96
	// maxText bounds text from outside in a description, where whole names
	// are wanted.
	maxText = 512
)
