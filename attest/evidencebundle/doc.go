// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package evidencebundle reads and writes evidence bundles: one file with a
// piece of evidence and everything that its appraisal used, so that anybody can
// appraise it again later, without the internet, at the time of the first one.
//
//	b, err := evidencebundle.Open(file)
//	file, err := b.Encode()
//
// In it are the evidence as it came, the certificates, revocation lists, TCB
// documents and event logs beside it, the signed files of reference values,
// proofs of transparency logs, the policy file, what was asked, and the verdict
// that was given. SPEC.md beside this file has the rules and an example, and
// testdata/vectors.py a second implementation of them.
//
// # What is in it proves nothing
//
// A bundle is a stranger's file. Its digest finds damage and not forgery:
// whoever changes a bundle can compute it anew. Nothing in it is a root, a key
// of reference values that counts, or a decision: package replay, which appraises
// a bundle again, takes roots and keys from its own caller, and holds the
// recorded verdict against its own and against nothing else.
//
// # One encoding
//
// The file is a CMW collection (RFC 9999) in deterministic CBOR. [Open] takes
// exactly what [Bundle.Encode] makes: what it does not know, it refuses, because
// a part that one reader weighs and another passes over is how two readers come
// to differ. New parts come with a new version of the type.
//
// The package is pure: no network, no file, no clock. The file and each part of
// it are bounded (limits.go).
package evidencebundle
