// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package collateral

import (
	"context"
	"errors"
)

// lockFile has no lock to take: two processes could replace newer data with
// older, so none may.
func lockFile(context.Context, string) (unlock func(), err error) {
	return nil, errors.New("this system has no file locks that enarx knows: use a directory of exported collateral instead of a cache")
}
