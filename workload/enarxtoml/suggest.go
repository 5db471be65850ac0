// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import "strings"

// suggest gives the allowed key that was probably meant by key, or "".
func suggest(key string, allowed []string) string {
	if len(key) > maxKeyLen {
		return ""
	}
	best, least := "", 3
	for _, a := range allowed {
		// Two edits in a key of four letters make any key of any other.
		if d := distance(strings.ToLower(key), a); d < least && d*2 < len(a) {
			best, least = a, d
		}
	}
	return best
}

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	two, one := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one = one, row
	}
	return one[len(b)]
}
