// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package codecache

import "time"

const (
	// DefaultMaxBytes bounds all entries together: a dozen interpreters
	// (CPython is about 60 MB of native code) or hundreds of programs.
	DefaultMaxBytes = 1 << 30
	// maxEntryBytes bounds one entry. The largest module measured, Ruby
	// with its library, gives 75 MB.
	maxEntryBytes = 512 << 20
	// maxNameBytes bounds the relative name of the engine's file, which is
	// about 100 bytes long.
	maxNameBytes = 256
	// maxNameParts bounds its depth: the engine's directory and the file.
	maxNameParts = 2
	// maxFiles bounds what Collect looks at in a directory that a hostile
	// program may have filled.
	maxFiles = 16
	// keyBytes is the length of the user's key: that of the digest, as RFC
	// 2104, section 3, recommends.
	keyBytes = 32
	// staleAfter is when a temporary file of a run that was killed is
	// removed.
	staleAfter = time.Hour
	// settleTime is how long ago a file must have changed for its times to
	// tell a later change: far above the steps of any kernel's clock (10 ms)
	// and of any file system's times (2 s on FAT).
	settleTime = 3 * time.Second
	// tempSuffix ends the names of files that are being written.
	tempSuffix = ".tmp"
	// copyBytes is the size of the copy buffer: small enough to stay in the
	// processor's cache between reading, hashing and writing.
	copyBytes = 128 << 10
)
