// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package uki

const (
	// maxProgram bounds a program, in the file and in memory: a kernel of 64
	// MiB and an initial RAM file system of 192 MiB fit.
	maxProgram = 256 << 20
	// maxSections bounds the sections; stubs have some 8, images some 13.
	maxSections = 96
)
