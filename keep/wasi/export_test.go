// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import "bytes"

// FillScratch puts files into a scratch tree, as a guest would have.
func FillScratch(tree FS, files []BundleFile) error {
	for _, f := range files {
		f.Data = bytes.Clone(f.Data)
		if err := tree.(*memFS).addFile(&f); err != nil {
			return err
		}
	}
	return nil
}
