// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package workload is what a tenant wants to run: configuration, module and
// files, packed into one canonical bundle whose digest is its identity.
//
// The client makes a [Package] (package enarxtoml does it from Enarx.toml and
// the file system), [Pack] turns it into the bytes of a bundle, and the Keep
// reads nothing but those bytes, with [Parse]. SPEC.md beside this file
// defines the format for other implementations.
//
// # What is promised
//
//   - Same input, same bytes: neither the order of maps and files nor the
//     clock nor the machine has a say in what Pack returns.
//   - One encoding: whatever Parse accepts is exactly what Pack makes of the
//     values it contains. There is no second form of the same workload.
//   - Everything is covered: two bundles with the same [Digest] have the same
//     configuration, module, files, roots and secret names. Precompiled code
//     is the only exception; it has a [PrecompiledDigest] of its own.
//   - Hostile input is bounded: every length is checked before anything is
//     allocated for it (limits.go), and no input makes Parse panic.
//   - No copies: the module, the files and the roots that a [Bundle] returns
//     are parts of the bytes that were parsed.
//
// # What is not
//
// The package does not look into the module: whether it is valid WebAssembly
// is for the engine to say ([CheckModule] only tells the kinds of files apart,
// for people). It does not parse the certificates of CA roots beyond their PEM
// form. It knows nothing of Enarx.toml, files or networks, because the Keep
// runtime imports it.
//
// A bundle is not a secret by itself and not encrypted by this package; its
// size shows, which is why it travels padded to [PadmeSize].
package workload
