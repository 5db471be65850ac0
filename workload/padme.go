// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"math"
	"math/bits"
)

// PadmeSize is the size, in bytes, that n bytes are padded to before they
// travel, so that a length tells an observer only its order of magnitude and a
// few leading bits: O(log log n) bits instead of log n, at a cost of at most
// 12 % (and less the larger n is).
//
// Source: K. Nikitin and others, "Reducing Metadata Leakage from Encrypted
// Files and Communication with PURBs", PoPETs 2019 (4), section 4, algorithm
// Padmé. The result is never below n; PadmeSize(PadmeSize(n)) is PadmeSize(n).
// Sizes so close to 2^64 that padding would overflow give 2^64-1.
func PadmeSize(n uint64) uint64 {
	if n < 2 {
		return n
	}
	exp := bits.Len64(n) - 1        // floor(log2 n)
	keep := bits.Len64(uint64(exp)) // floor(log2 exp) + 1, the bits that stay
	if exp < keep {
		return n
	}
	mask := uint64(1)<<(exp-keep) - 1
	if n > math.MaxUint64-mask {
		return math.MaxUint64
	}
	return (n + mask) &^ mask
}
