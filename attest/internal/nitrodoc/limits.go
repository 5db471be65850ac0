// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc

import "time"

// Limits on what comes from outside. Sizes are in bytes; those marked AWS are
// of AWS's documents on validation.
const (
	// maxPayload bounds what is signed (AWS). Real ones have 4,366 to 4,856.
	maxPayload = 16 << 10
	// maxDocument is a payload of that size with the frame around it.
	maxDocument = maxPayload + 256
	// maxCertificate bounds one certificate of the document (AWS).
	maxCertificate = 1024
	// maxBundle bounds the certificates of the bundle, each of which costs a
	// signature check. AWS has four: root, region, zone and instance.
	maxBundle = 8
	// maxPCRs bounds the registers (AWS); their indexes are below it.
	maxPCRs = 32
	// maxPublicKey and maxField bound what the enclave puts in (AWS).
	maxPublicKey = 1024
	maxField     = 512
	// maxModuleID bounds the module's name, which AWS leaves open; real ones
	// have about 40.
	maxModuleID = 256
	// maxCollateral, maxLists and maxList bound what comes along: a region's
	// and a zone's issuer have a list each.
	maxCollateral = 32
	maxLists      = 8
	maxList       = 512 << 10
	// maxShown bounds text from outside in a row.
	maxShown = 96
	// MaxCacheEntries bounds a [Cache]: some 100 bytes each.
	MaxCacheEntries = 1 << 16
)

// Skew is how far the time of the appraisal may lie before the document's own
// timestamp: AWS's certificates begin three seconds before it, and times of
// appraisal are often kept in whole seconds.
const Skew = 3 * time.Second
