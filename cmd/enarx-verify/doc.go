// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Enarx-verify is the verifier alone, with nothing of a Keep, for places where
// enarx itself does not go. It is the code of enarx verify and enarx evidence
// replay, and gives the same bytes.
//
// Built for a browser or Node (GOOS=js GOARCH=wasm) it offers one function,
//
//	enarxVerify(evidence, options)  // a Uint8Array; returns JSON as a string
//
// where options may have at (RFC 3339), replay (true), policy (a Uint8Array),
// collateral, references, referenceKeys and tpmRoots (arrays of Uint8Array),
// reportData and hostData (hexadecimal): the fields of package call.
//
// Built for WASI (GOOS=wasip1 GOARCH=wasm) or natively it reads standard input
// to its end: an evidence bundle, which it replays, or a request of package call
// in JSON. It writes the answer to standard output and ends with code 0 for a
// yes, 125 for a no and 121 for a request that it cannot answer. Run in a Keep,
// that is a verifier that nobody on its machine can bend:
//
//	enarx run enarx-verify.wasm < machine.bundle
//
// It has no network, no files and no clock, and asks for none.
package main
