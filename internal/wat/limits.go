// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

// The limits keep an odd or hostile file from making us take all memory. A
// program beyond them is better assembled by a tool made for that size.
const (
	// maxSource is the longest accepted text in bytes.
	maxSource = 32 << 20
	// maxNodes bounds the syntax tree (about 100 bytes per node in memory).
	maxNodes = 4 << 20
	// maxDepth bounds the nesting of parentheses, and with it our recursion.
	maxDepth = 10_000
	// maxName bounds how much of the source an error repeats.
	maxName = 60
)
