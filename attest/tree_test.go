// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"testing"
)

func TestTreeEveryPathOfEverySize(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 100} {
		leaves := testLeaves(n)
		tree, err := NewTree(leaves)
		if err != nil {
			t.Fatal(err)
		}
		root := tree.Root()
		for i := range n {
			p, err := tree.Path(i)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := RootFromPath(leaves[i], uint32(i), uint32(n), p); err != nil || got != root {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			attackPath(t, leaves[i], uint32(i), uint32(n), p, root)
		}
	}
}

// attackPath changes one thing about a good path at a time.
func attackPath(t *testing.T, leaf [64]byte, i, n uint32, p [][64]byte, root [64]byte) {
	t.Helper()
	same := func(what string, leaf [64]byte, i, n uint32, p [][64]byte) {
		t.Helper()
		if got, err := RootFromPath(leaf, i, n, p); err == nil && got == root {
			t.Fatalf("leaf %d of %d: %s leads to the same root", i, n, what)
		}
	}
	other := leaf
	other[0] ^= 1
	same("another leaf", other, i, n, p)
	for j := range n {
		if j != i {
			same("another index", leaf, j, n, p)
		}
	}
	same("index beyond the end", leaf, n, n, p)
	for k := range p {
		q := append([][64]byte(nil), p...)
		q[k][63] ^= 1
		same("a changed node", leaf, i, n, q)
	}
	if len(p) > 0 {
		if _, err := RootFromPath(leaf, i, n, p[:len(p)-1]); err == nil {
			t.Fatalf("leaf %d of %d: a short path was taken", i, n)
		}
	}
	if _, err := RootFromPath(leaf, i, n, append(p[:len(p):len(p)], [64]byte{})); err == nil {
		t.Fatalf("leaf %d of %d: a long path was taken", i, n)
	}
}

func TestInvariant4HostileInputIsBounded_Trees(t *testing.T) {
	for _, n := range []int{0, MaxLeaves + 1} {
		if _, err := NewTree(make([][64]byte, n)); err == nil {
			t.Errorf("tree of %d leaves", n)
		}
	}
	tree, err := NewTree(testLeaves(MaxLeaves))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{-1, MaxLeaves} {
		if _, err := tree.Path(i); err == nil {
			t.Errorf("path of leaf %d", i)
		}
	}
	if p, err := tree.Path(0); err != nil || len(p) != maxPath {
		t.Errorf("path of %d nodes, %v", len(p), err)
	}
	for _, x := range [][2]uint32{{0, 0}, {1, 1}, {0, MaxLeaves + 1}, {^uint32(0), ^uint32(0)}} {
		if _, err := RootFromPath([64]byte{}, x[0], x[1], nil); err == nil {
			t.Errorf("leaf %d of %d taken", x[0], x[1])
		}
	}
}

// A count that is not bound would let the same root stand for two trees.
func TestReportDataBindsTheCount(t *testing.T) {
	leaves := testLeaves(3)
	one, err := NewTree(leaves[:1])
	if err != nil {
		t.Fatal(err)
	}
	if one.Root() != leaves[0] {
		t.Error("the root of one leaf is not the leaf")
	}
	seen := map[[64]byte]bool{}
	for n := uint32(0); n < 5; n++ {
		rd := ReportData(n, leaves[0])
		if seen[rd] {
			t.Errorf("count %d gives report data of another count", n)
		}
		seen[rd] = true
	}
}
