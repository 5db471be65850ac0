// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package nitrodoc reads and checks attestation documents of the AWS Nitro
// hypervisor: those of Nitro Enclaves and those of a NitroTPM.
//
// It is the core of the public verifier and internal because it has no opinion
// of its own about roots: whoever calls [Verify] says in [Params] which root
// counts and as which platform. Package attest/nitro calls it with AWS's root,
// package attest/sim with a throw-away root of the user's; nothing else may.
//
// # The document
//
// COSE_Sign1 (RFC 9052, section 4.2) without tag, [protected, unprotected,
// payload, signature], of which this package accepts one encoding: the
// protected header is the four bytes of {1: -35} (ES384), the unprotected one is
// the empty map, lengths take their shortest form, and nothing follows. All that
// is not the signature itself is therefore either signed or a constant. (That
// an ECDSA signature has a twin, the same r with the other s, is the nature of
// ECDSA; it says nothing else.)
//
// The payload is signed as it stands. AWS writes its map in two forms, with its
// length first and (since 2025) with a break at the end; an absent optional
// field is left out in some and null in others. Keys, types and sizes are those of
// AWS's "Nitro Enclaves User Guide", Verifying the root of trust, and of the
// "EC2 User Guide", Validate a NitroTPM Attestation Document; an unknown key, a
// second value of a key, or a tag refuses the document.
//
// # The chain
//
// The bundle in the document runs from the root to the issuer of the document's
// certificate. Its first certificate must be the root of [Params], byte for byte.
// Each further one must be issued and signed (ECDSA P-384, SHA-384) by the one
// before it, be valid at the time of the appraisal, be allowed to sign
// certificates, and stand no deeper than the path lengths above it allow. The
// document's certificate must be no authority and be allowed to sign.
//
// In order: document.go reads, chain.go and revocation.go check certificates
// and lists, rows.go has the rows of what the document says, and verify.go
// puts it together. It is pure: no network, no file, the time is an argument,
// and every length is checked before it is used (limits.go).
package nitrodoc
