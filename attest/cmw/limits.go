// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cmw

// Limits on what comes from outside. Sizes are in bytes.
const (
	// MaxSize bounds one encoded wrapper. The largest known is an evidence
	// bundle of this project: event logs and signed reference values of a
	// megabyte each fit several times over.
	MaxSize = 16 << 20
	// MaxDepth bounds nesting of collections (the RFC allows a limit): a
	// composite device in a rack in a bundle needs three.
	MaxDepth = 4
	// MaxNodes bounds all records and collections of one wrapper together.
	MaxNodes = 1024
	// MaxLabel bounds a text label.
	MaxLabel = 256
	// MaxType bounds a media type with its parameters; an EAT profile in one
	// is a URI.
	MaxType = 512
	// MaxCollectionType bounds "__cmwc_t", a URI or an object identifier.
	MaxCollectionType = 512
)
