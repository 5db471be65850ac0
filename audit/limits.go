// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package audit

// Limits on what comes from outside. Sizes are in bytes.
const (
	// MaxReceipt bounds a signed receipt: two messages of the attested
	// channel at their limit with collateral, twice in base64, fit.
	MaxReceipt = 8 << 20
	// maxRows bounds the recorded rows of one appraisal; a verifier makes
	// some twenty.
	maxRows = 256
	// maxLayers bounds the recorded trust statement, which has seven.
	maxLayers = 16
	// maxReasons bounds the recorded reasons of a decision.
	maxReasons = 64
	// maxCollateral bounds the client's own certificates and lists, as many
	// as a verifier looks at.
	maxCollateral = 32
	// sealKeySize is the size of the owner's sealing key, MLKEM768-X25519.
	sealKeySize = 1184 + 32
)
