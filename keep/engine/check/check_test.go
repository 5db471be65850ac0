// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"math/rand/v2"
	"testing"
)

// TestInvariant4HostileInputIsBounded_FastPath holds the fast way through code
// to the careful one, on random code of the instructions that it knows and some
// that it does not: it stops between instructions, skips none that is to be
// bounded, and none that the careful one would refuse.
func TestInvariant4HostileInputIsBounded_FastPath(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	skipped := map[byte]int{}
	for range 20_000 {
		b := make([]byte, 64)
		for i := range b {
			// Long numbers and high opcodes are rare enough to get far.
			one, two := random.UintN(256), random.UintN(256)
			b[i] = byte(one & two)
			if random.UintN(8) == 0 {
				b[i] |= 0x80
			}
		}
		end := len(b) - len(skipPlain(b))
		r := &reader{b: b}
		for len(b)-len(r.b) < end {
			op := r.byte()
			switch op {
			case 0x02, 0x03, 0x04, 0x0b, 0x0e, 0x1c:
				t.Fatalf("%x: instruction %#x was skipped", b, op)
			}
			if !r.immediates(op) || r.bad {
				t.Fatalf("%x: instruction %#x was skipped and is refused by the careful loop", b, op)
			}
			skipped[op]++
		}
		if len(b)-len(r.b) != end {
			t.Fatalf("%x: stopped at %d, inside an instruction", b, end)
		}
	}
	for op, n := range numbers {
		if n > 0 && skipped[byte(op)] == 0 {
			t.Errorf("instruction %#x was never tried", op)
		}
	}
}
