// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

// Limits on what comes from outside. Sizes are in bytes.
const (
	// MaxLeaves bounds one batch: a Keep serves at most this many waiting
	// sessions with one quote, and a path is then at most 10 nodes long.
	MaxLeaves = 1024
	// maxPath is the height of a tree of MaxLeaves leaves.
	maxPath = 10

	// MaxMessage bounds one encoded [EvidenceMessage]: the largest evidence
	// plus a full set of stapled certificates, with room to spare.
	MaxMessage = 512 << 10
	// MaxEvidence bounds one piece of evidence. A TPM quote with its event
	// log is the largest known, below 128 KiB; an SNP report has 1,184.
	MaxEvidence = 256 << 10
	// MaxHints bounds the stapled entries: three chains of three
	// certificates with their revocation lists fit many times over.
	MaxHints = 32
	// MaxHint bounds one stapled entry. The largest seen is a PCK platform
	// revocation list of a few KiB.
	MaxHint = 64 << 10
	// workloadOverhead is more than what surrounds the value of one record of
	// a workload's evidence, its media type and the names of the collection
	// included.
	workloadOverhead = 256
	// MaxMediaType bounds a media type's text (RFC 6838, section 4.2, allows
	// 127 characters on each side of the slash; none in use is near that).
	MaxMediaType = 128

	// MaxKey bounds a public key in SubjectPublicKeyInfo form: ML-DSA-87
	// needs 2,614, the curves in use about 100.
	MaxKey = 4096
	// MaxRuntimeVersion bounds the Keep runtime's version text.
	MaxRuntimeVersion = 64

	// MaxChallengeRounds bounds the rounds of an exchange for platforms that
	// need one: TPM credential activation takes one, a second quote after it
	// another; the rest is room for platforms to come.
	MaxChallengeRounds = 4
)
