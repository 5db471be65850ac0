// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package replay makes evidence bundles and appraises them again.
//
//	b, res, err := replay.Make(replay.Source{File: file, Collateral: saved, At: now, Maker: "enarx 0.1.0"})
//	file, err := b.Encode()
//
//	b, err := evidencebundle.Open(file)
//	out, err := replay.Run(b, replay.Options{})
//	if !out.Same { … out.Changes … }
//	if !out.Result.Accepted { … }
//
// [Run] gives the verdict that was recorded, byte for byte, or says what
// changed: another version of the verifier judges differently, roots or keys
// are others, the bundle was altered, or the time is another one.
//
// # What it takes from the bundle and what not
//
// From the bundle come the evidence, its collateral, the time (unless the
// caller names another) and the demands: policy, report data and host data.
// They are the word of whoever made it; a "yes" that is reproduced says that
// those demands were met. Roots are the caller's: those of the vendors built in,
// those of TPMs in [Options], or the verifiers there. Evidence of platform vtpm
// is a "no" unless the caller names roots, even if it was a "yes" for whoever
// made the bundle; so is evidence of a Keep on it whose policy takes somebody's
// word for the TPM's activation, unless the caller says that this policy is his
// own. Reference values in the bundle count only if a
// key that the caller names has signed them. If the bundle has reference values
// and none counts, none is accepted and the verdict is "no", so that a replay
// without a key never says yes to less than was asked. The recorded verdict is
// compared with and decides nothing.
//
// Whoever wants demands of his own appraises the file itself: package evidence
// finds the evidence in a bundle, and package appraisal takes it like any other.
//
// The package is pure: no network, no file, no clock.
package replay
