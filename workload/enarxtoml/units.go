// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseSize reads an amount of memory as limits.memory and --memory take it: a
// whole number and one of the units B, KiB, MiB and GiB, as in "64MiB". The
// result is in bytes and never 0. Units whose meaning is disputed (k, MB, G)
// are refused.
func ParseSize(s string) (uint64, error) {
	digits := strings.TrimRight(s, "BKMGTi")
	shift, ok := map[string]uint{"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case !ok || err != nil || digits[0] == '+':
		return 0, fmt.Errorf("%q is not an amount of memory; expected a whole number and B, KiB, MiB or GiB, as in \"64MiB\"", clip(s))
	case n == 0:
		return 0, fmt.Errorf("%q is no memory at all; leave it out for the default", s)
	case n > math.MaxUint64>>shift:
		return 0, fmt.Errorf("%q is more than any machine has", clip(s))
	}
	return n << shift, nil
}

// ParseTimeout reads a wall time as limits.timeout and --timeout take it: "30s",
// "1h30m", "500ms" (the notation of Go's time.ParseDuration). The result is in
// milliseconds and never 0; parts of a millisecond are refused.
func ParseTimeout(s string) (uint64, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a time span; expected a number and ms, s, m or h, as in \"30s\"", clip(s))
	case d <= 0:
		return 0, fmt.Errorf("%q is not positive; leave it out for no timeout", clip(s))
	case d%time.Millisecond != 0:
		return 0, fmt.Errorf("%q is not a whole number of milliseconds", clip(s))
	}
	return uint64(d / time.Millisecond), nil
}
