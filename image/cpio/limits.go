// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cpio

const (
	// maxName bounds a name; the longest of ours has some 40 bytes.
	maxName = 255
	// maxData bounds a file: the Keep runtime, the largest, has some 12 MiB.
	maxData = 256 << 20
	// maxEntries bounds an archive; ours has some 20.
	maxEntries = 4096
)
