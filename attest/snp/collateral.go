// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"slices"

	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// Lines are the product lines that are built in, for the package that keeps
// collateral: it must know whose list it has before it puts one in the place of
// another. The type is internal, and with it what could be done to a root.
func Lines() ([]snpreport.Line, error) {
	ls, err := lines()
	return slices.Clone(ls), err
}
