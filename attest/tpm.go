// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import "crypto/sha256"

const (
	// MediaTypeTPM is evidence of a Keep on platform vtpm: a TPM quote with
	// all that belongs to it (attest/vtpm/SPEC.md), deterministic CBOR.
	MediaTypeTPM = "application/vnd.enarx.tpm-evidence+cbor"
	// MediaTypeTPMChallenge is a TPM credential (TPM2_MakeCredential) that
	// the verifying side made for the keys of the evidence, and
	// MediaTypeTPMAnswer the secret in it.
	MediaTypeTPMChallenge = "application/vnd.enarx.tpm-credential+cbor"
	MediaTypeTPMAnswer    = "application/vnd.enarx.tpm-credential-secret"
)

// PCRs that a Keep on platform vtpm extends itself, SHA-256 bank, with the
// SHA-256 digest of an event.
const (
	// PCRStart holds [StartEvent], extended once before the Keep makes its
	// keys: what on snp the field HOST_DATA says.
	PCRStart = 14
	// PCRClaim holds [ClaimEvent], extended when the Keep is claimed. On tdx
	// this is RTMR3, with the event's SHA-384 digest.
	PCRClaim = 15
)

// StartEvent is the event that binds a start configuration to the platform
// where no field is set at launch.
func StartEvent(startConfigDigest [32]byte) []byte {
	return append([]byte("enarx-start-configuration-v1\x00"), startConfigDigest[:]...)
}

// ClaimEvent is the event of a claim: the owner's key hash and the SHA-256
// digest of the Keep's channel key (SubjectPublicKeyInfo, DER). Since no
// register can be taken back, a Keep that was claimed and emptied out cannot
// pass for one that never was.
func ClaimEvent(ownerKeyHash [32]byte, channelKey []byte) []byte {
	key := sha256.Sum256(channelKey)
	b := append([]byte("enarx-claim-v1\x00"), ownerKeyHash[:]...)
	return append(b, key[:]...)
}
