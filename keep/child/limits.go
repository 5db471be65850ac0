// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package child

const (
	// maxMessage bounds a message on the control socket. Both ends use it;
	// to the parent every byte from the child is hostile.
	maxMessage = 64 << 10
	// fdsPerMessage is below Linux's limit of 253 (SCM_MAX_FD).
	fdsPerMessage = 64
	// MaxFDs bounds the descriptors handed to a child in all.
	MaxFDs = 1024
	// maxText bounds a text from the child; a guest chooses part of it.
	maxText = 16 << 10
	// clipText is where an honest child cuts a text.
	clipText = 2 << 10
	// maxEngine bounds the engine's name and version.
	maxEngine = 256
	// maxAsk bounds a question of a workload: askData bytes and the names of
	// the fields.
	maxAsk = 1 << 10
	// askData is how many bytes evidence is made over; a test holds it to
	// attest.WorkloadDataSize.
	askData = 64
	// maxContent bounds what comes as an answer: the largest evidence with
	// what the host stapled, twice.
	maxContent = 1 << 20
	// maxSecrets is what the secret values take at most; the session that
	// carries them has the same limit.
	maxSecrets = 1 << 20
	// firstGC is how much memory the process may take before it collects
	// garbage for the first time: what loading a Go or Rust program takes,
	// and half of what a Keep has beside the guest's memory.
	firstGC = 64 << 20
)
