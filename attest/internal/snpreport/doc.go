// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package snpreport reads and checks evidence of the shape that AMD SEV-SNP
// makes: a 1,184-byte ATTESTATION_REPORT signed by a VCEK, and the certificate
// chain VCEK ← ASK ← ARK.
//
// It is the common core of the public verifiers and internal because it has no
// opinion of its own about roots: whoever calls [Verify] says in [Params] which
// root counts and as which platform. Package attest/sim calls it with a
// throw-away root of the user's; nothing else may. The split is what keeps a
// sim root from ever being one for hardware.
//
// Layout and rules are those of AMD's "SEV Secure Nested Paging Firmware ABI
// Specification" (document 56860, revisions 1.55 to 1.58: the tables of the
// guest policy, the TCB version, the ATTESTATION_REPORT structure and the
// signature format) and "Versioned Chip Endorsement Key (VCEK) Certificate and
// KDS Interface Specification" (document 57230: the table of X.509v3
// extensions). Integers are little-endian.
//
// [Parse] accepts report versions 2 to 5 and refuses reserved bits that are
// set; PLATFORM_INFO is left alone, for the reason given there. It proves
// nothing. [Verify] does everything else and returns claims or a failed
// row; it is pure: no network, no file, and the time is an argument.
//
// Collateral is one X.509 certificate per entry (media type application/pkix-cert,
// DER), in any order; whoever reads the certificate table of an SNP extended
// guest request takes it apart into such entries.
//
// Not here yet: VLEK chains (signing key 1) are parsed but refused; revocation
// lists are not looked at, which fails for every root but a throw-away one.
package snpreport
