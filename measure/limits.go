// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package measure

// Limits on what comes from outside. Sizes are in bytes.
const (
	// maxFile bounds a signed file: 1,024 entries of the largest size, in
	// base64, stay below it.
	maxFile = 1 << 20
	// maxEntries bounds one file: releases times platforms times engines,
	// many years of them.
	maxEntries = 1024
	// maxText bounds release and engine names.
	maxText = 64
	// maxKeyFile bounds a key file; an Ed25519 key in PEM has some 120.
	maxKeyFile = 16 << 10
	// maxKeys bounds the public keys of one file.
	maxKeys = 16
)
