// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package qemu

// encryptionBits: only AMD's processors have them.
func encryptionBits() (position, reduced int) { return 0, 0 }
