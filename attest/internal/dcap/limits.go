// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

// Limits on what comes from outside. Sizes are in bytes.
const (
	// maxQuote bounds a quote with its padding. Real ones have 4,600 to 5,026
	// bytes; Google Cloud hands out buffers of 8,000.
	maxQuote = 16 << 10
	// maxEntries bounds the entries of collateral; a full set has eight.
	maxEntries = 32
	// maxEntry bounds one entry. The largest seen is a TCB info of 9 KB; the
	// list of revoked platforms grows by 40 bytes for each.
	maxEntry = 64 << 10
	// maxCertificate bounds one certificate in DER; a PCK certificate has
	// about 1,300 bytes.
	maxCertificate = 8 << 10
	// maxCertificates bounds the different certificates of one appraisal:
	// leaf, two authorities, two editions of root and TCB signer, and room.
	// Each costs one signature check before anything is known of it.
	maxCertificates = 16
	// maxLevels bounds the TCB levels of one list, and maxModules the TDX
	// modules; Intel has published up to 19 and 2.
	maxLevels  = 256
	maxModules = 64
	// maxAdvisories bounds the advisories of one level; 40 have been seen.
	maxAdvisories = 256
	// maxExtension bounds the SGX extension of a PCK certificate; 554 bytes
	// with all its fields.
	maxExtension = 2 << 10
	// maxShown bounds text from outside in a row.
	maxShown = 96
	// MaxCacheEntries bounds a [Cache]: 64 bytes each, so a few MiB.
	MaxCacheEntries = 1 << 16
)
