// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "sync"

// shared is a map for stories, which run in parallel.
type shared[V any] struct {
	mu sync.Mutex
	m  map[string]V
}

func newShared[V any]() *shared[V] { return &shared[V]{m: map[string]V{}} }

func (s *shared[V]) set(k string, v V) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[k] = v
}

func (s *shared[V]) take(k string) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.m[k]
	delete(s.m, k)
	return v, ok
}
