// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidencebundle

// Limits on what comes from outside. Sizes are in bytes.
const (
	// MaxSize bounds a bundle. Those of the test vectors have less than
	// 100 KiB; a boot's event log or a long revocation list adds to it.
	MaxSize = 4 << 20
	// MaxEvidence bounds the file with the evidence, in whatever wrapping.
	MaxEvidence = 1 << 20
	// MaxCollateral bounds the entries of collateral: those of the largest
	// set, for evidence of several TEEs, fit many times over.
	MaxCollateral = 64
	// maxEntry bounds one entry of collateral; see package appraisal.
	maxEntry = 256 << 10
	// MaxReferences bounds the signed files of reference values.
	MaxReferences = 8
	// maxReference bounds one of them, as package measure does.
	maxReference = 1 << 20
	// MaxKeys bounds the digests of keys that they may be signed with.
	MaxKeys = 64
	// MaxLogProofs bounds the proofs of transparency logs.
	MaxLogProofs = 16
	// maxLogProof bounds one: 63 hashes and some ten cosignatures of
	// ML-DSA-44 in base64 fit.
	maxLogProof = 64 << 10
	// maxPolicy bounds the policy file.
	maxPolicy = 256 << 10
	// maxVerdict bounds the recorded verdict: a result has some forty rows
	// of a few hundred bytes.
	maxVerdict = 1 << 20
	// maxRequest bounds the encoded request: the keys are most of it.
	maxRequest = 4 << 10
	// MaxMaker bounds the name of the program that made the bundle.
	MaxMaker = 128
)
