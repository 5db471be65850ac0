// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package fault ties an error to the reason that a row of a verdict gives for
// it, where the two are made far apart: a parser knows what is wrong, and the
// check that needed its result makes the row.
package fault

import (
	"errors"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

type fault struct {
	reason attest.Reason
	err    error
}

func (f *fault) Error() string { return f.err.Error() }

func (f *fault) Unwrap() error { return f.err }

// New makes an error that stands for reason. The format is that of
// [fmt.Errorf], %w included; the outermost reason counts.
func New(reason attest.Reason, format string, args ...any) error {
	return &fault{reason, fmt.Errorf(format, args...)}
}

// Reason is the reason that err stands for, or otherwise if it names none.
func Reason(err error, otherwise attest.Reason) attest.Reason {
	var f *fault
	if errors.As(err, &f) {
		return f.reason
	}
	return otherwise
}
