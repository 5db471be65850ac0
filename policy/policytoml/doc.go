// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package policytoml reads a relying party's policy file: what it asks of
// evidence beyond what every verifier insists on, and what it excuses for a
// while.
//
//	p, err := policytoml.Parse("policy.toml", text)
//	res, err := appraisal.Appraise(appraisal.Request{File: file, Policy: p, At: now})
//
// docs/policy.md describes every key. The file is strict TOML: a key that is
// not known, a component that a platform does not have, or a status that nobody
// may accept is an error with its line, because a rule that was silently passed
// over is one that does not protect. An empty list accepts nothing; a key that
// is left out demands nothing.
//
// The package is on the client's side: verifiers never see TOML.
package policytoml
