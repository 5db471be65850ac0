// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"
)

// times are the durations of one thing over all rounds.
type times []time.Duration

func (t times) median() time.Duration { return t.quantile(0.5) }

// quantile picks by nearest rank; q is from 0 to 1.
func (t times) quantile(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(t))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func (t times) String() string {
	return fmt.Sprintf("%7.1f ms (%.1f)", ms(t.median()), ms(t.quantile(0)))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// goal words whether a goal was reached.
func goal(met bool, text string) string {
	if met {
		return "goal met: " + text
	}
	return "goal MISSED: " + text
}

// steps collects the durations of named steps, in the order in which they were
// first seen.
type steps struct {
	names []string
	of    map[string]times
}

func (s *steps) add(name string, d time.Duration) {
	if s.of == nil {
		s.of = map[string]times{}
	}
	if _, ok := s.of[name]; !ok {
		s.names = append(s.names, name)
	}
	s.of[name] = append(s.of[name], d)
}

func (s *steps) print() {
	for _, n := range s.names {
		fmt.Printf("    %-34s %v\n", n, s.of[n])
	}
}
