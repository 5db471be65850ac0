// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package disk

// maxProgram bounds the program on the disk; a unified kernel image has some
// 25 MiB.
const maxProgram = 256 << 20
