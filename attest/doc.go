// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package attest turns evidence into claims, and ties both to one TLS
// connection.
//
// # The Keep's side
//
// After a complete TLS 1.3 handshake the Keep takes the [Binding] of the
// connection, fills in a [Leaf] per waiting session, makes a [Tree] of their
// hashes and asks the hardware to sign [Tree.ReportData]. Each session gets an
// [EvidenceMessage] with its place in the tree.
//
// # The verifying side
//
//	binding, err := attest.Binding(&cs, attest.KeepServer) // of its own connection
//	channelKey, err := attest.PeerKey(&cs)                 // of its own handshake
//	m, err := attest.DecodeEvidenceMessage(received)
//	reportData, err := m.ReportDataFor(binding, channelKey, attest.KeepServer, attest.Known{
//		OwnerKeyHash: &owner, BundleDigest: &digest, // of its own deployment; none for an empty Keep
//	})
//	claims, verdict := verifier.Verify(m.Evidence, collateral, attest.Expected{
//		ReportData:   reportData,
//		HostData:     m.StartConfigDigest,
//		Measurements: references,
//	}, now)
//
// A [Verifier] checks the evidence of one platform up to its vendor's root; the
// verifiers are packages below this one. Claims come out of a verifier only,
// and package policy takes nothing else, so a path that skips verification does
// not compile. After good claims the fields of m (state, identity key) and the
// digests that went into the report data are as true as the measured Keep runtime; before, they are a stranger's words.
//
// Every verdict is a list of rows: what was checked, seen and expected, where
// the expected value came from, and what to do. [Verdict.Text] and JSON show
// them; [TrustStatement] says layer by layer what has been verified, excluded,
// assumed or exposed.
//
// # Promises
//
// The package is pure: no network, no file, no clock; the time is an argument.
// Everything from outside is bounded before it is allocated (limits.go) and
// parsed strictly: one encoding per value, nothing unknown, nothing trailing.
// SPEC.md holds the rules and testdata the vectors, made by a second
// implementation.
//
// # Not promised
//
// Evidence tells what was true when it was made. It does not tell who operates
// the machine or where it stands, and a platform's own weaknesses remain.
package attest
