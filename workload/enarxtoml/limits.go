// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

// Limits of Enarx.toml. Those of the bundle (package workload) apply as well.
const (
	// MaxSize bounds the text, in bytes, as in the original.
	MaxSize = 1_000_000
	// MaxKeys bounds the keys and table headers: the TOML library looks for
	// duplicates in a time that grows with the square of their number.
	MaxKeys = 10_000
	// MaxMounts bounds the number of mounts.
	MaxMounts = 256

	// maxErrors bounds how many errors of one file are shown: a file of
	// another format would otherwise fill the screen.
	maxErrors = 20
	// maxRecorded bounds how many are looked up at all.
	maxRecorded = 200
	// maxDepth bounds how deep positions are recorded. No key of Enarx.toml
	// is deeper than three levels, and recording all of a deeply nested
	// file would take memory with the square of its depth.
	maxDepth = 6
	// maxKeyLen bounds the keys that a suggestion is looked for, in bytes.
	maxKeyLen = 40
)
