// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import "os"

// exchangeSlowly swaps directories a and b where the system has no step for it.
// A crash in between leaves both whole, one of them under another name.
func exchangeSlowly(a, b string) error {
	old := a + "-old"
	if err := os.Rename(b, old); err != nil {
		return err
	}
	if err := os.Rename(a, b); err != nil {
		os.Rename(old, b)
		return err
	}
	return os.Rename(old, a)
}
