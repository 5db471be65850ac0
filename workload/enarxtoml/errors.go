// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong with an Enarx.toml.
type Error struct {
	File string
	Line int // from 1
	Col  int // from 1, in characters
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg) }

// Errors is everything that is wrong with an Enarx.toml, in the order of its
// lines.
type Errors []*Error

// Error gives one line per error, and says how many it leaves out if there are
// too many.
func (e Errors) Error() string {
	var lines []string
	for i, x := range e {
		if i == maxErrors {
			lines = append(lines, fmt.Sprintf("%s: %d more errors", x.File, len(e)-i))
			break
		}
		lines = append(lines, x.Error())
	}
	return strings.Join(lines, "\n")
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}
