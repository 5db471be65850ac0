// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

// Hash domains: fixed 32 bytes, ASCII padded with zeroes, so that no input of
// one can be the input of another (SPEC.md, rules R1 and W1).
var (
	reportDomain   = domain("enarx-attest-report-data-v1")
	workloadDomain = domain("enarx-attest-workload-data-v1")
)

func domain(s string) (d [32]byte) {
	copy(d[:], s)
	return d
}

// Tree is a batch of leaves that one quote answers for: a Merkle tree of the
// shape of RFC 9162, section 2.1.1, with SHA-512, node prefix 0x01.
type Tree struct {
	leaves [][64]byte
}

// NewTree makes a tree of 1 to [MaxLeaves] leaf hashes (see [Leaf.Hash]), in
// the order given.
func NewTree(leaves [][64]byte) (*Tree, error) {
	if n := len(leaves); n == 0 || n > MaxLeaves {
		return nil, fmt.Errorf("attest: tree of %d leaves, expected 1 to %d", n, MaxLeaves)
	}
	return &Tree{leaves: append([][64]byte(nil), leaves...)}, nil
}

// Count is the number of leaves.
func (t *Tree) Count() uint32 { return uint32(len(t.leaves)) }

// Root is the tree's root hash; that of a single leaf is the leaf.
func (t *Tree) Root() [64]byte { return subtree(t.leaves) }

// ReportData is what goes into the hardware's report-data field for this
// batch, also when it holds a single leaf.
func (t *Tree) ReportData() [64]byte { return ReportData(t.Count(), t.Root()) }

// Path is the inclusion path of leaf i, from the leaf upwards.
func (t *Tree) Path(i int) ([][64]byte, error) {
	if i < 0 || i >= len(t.leaves) {
		return nil, fmt.Errorf("attest: tree: leaf %d, expected 0 to %d", i, len(t.leaves)-1)
	}
	return path(t.leaves, i), nil
}

func subtree(l [][64]byte) [64]byte {
	if len(l) == 1 {
		return l[0]
	}
	k := split(len(l))
	return node(subtree(l[:k]), subtree(l[k:]))
}

func path(l [][64]byte, i int) [][64]byte {
	if len(l) == 1 {
		return nil
	}
	k := split(len(l))
	if i < k {
		return append(path(l[:k], i), subtree(l[k:]))
	}
	return append(path(l[k:], i-k), subtree(l[:k]))
}

// split is the largest power of two below n, for n > 1.
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

func node(left, right [64]byte) [64]byte {
	var b [129]byte
	b[0] = 0x01
	copy(b[1:], left[:])
	copy(b[65:], right[:])
	return sha512.Sum512(b[:])
}

// RootFromPath computes the root of a tree of count leaves from one leaf, its
// index and its path (RFC 9162, section 2.1.3.2). A path of any length but the
// one that index and count call for is refused.
func RootFromPath(leaf [64]byte, index, count uint32, path [][64]byte) ([64]byte, error) {
	if count == 0 || count > MaxLeaves {
		return [64]byte{}, fmt.Errorf("attest: path: %d leaves, expected 1 to %d", count, MaxLeaves)
	}
	if index >= count {
		return [64]byte{}, fmt.Errorf("attest: path: leaf %d of %d", index, count)
	}
	r, fn, sn := leaf, index, count-1
	for _, p := range path {
		if sn == 0 {
			return [64]byte{}, fmt.Errorf("attest: path of %d nodes is too long for leaf %d of %d", len(path), index, count)
		}
		if fn&1 == 1 || fn == sn {
			r = node(p, r)
			for fn&1 == 0 && fn != 0 {
				fn >>= 1
				sn >>= 1
			}
		} else {
			r = node(r, p)
		}
		fn >>= 1
		sn >>= 1
	}
	if sn != 0 {
		return [64]byte{}, fmt.Errorf("attest: path of %d nodes is too short for leaf %d of %d", len(path), index, count)
	}
	return r, nil
}

// ReportData is SHA-512(domain ‖ count ‖ root) with count as 4 bytes
// big-endian (SPEC.md, rule R1): 64 bytes for the hardware to sign.
func ReportData(count uint32, root [64]byte) [64]byte {
	b := make([]byte, 0, 32+4+64)
	b = append(b, reportDomain[:]...)
	b = binary.BigEndian.AppendUint32(b, count)
	b = append(b, root[:]...)
	return sha512.Sum512(b)
}

// QualifyingData is what a TPM quote carries in place of report data, for
// which it has no room: SHA-256 of the report data.
func QualifyingData(reportData [64]byte) [32]byte { return sha256.Sum256(reportData[:]) }
