// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package snpreport reads and checks evidence of the shape that AMD SEV-SNP
// makes: a 1,184-byte ATTESTATION_REPORT signed by a VCEK or a VLEK, and the
// certificate chain VCEK ← ASK ← ARK or VLEK ← ASVK ← ARK.
//
// It is the common core of the public verifiers and internal because it has no
// opinion of its own about roots: whoever calls [Verify] says in [Params] which
// product lines count, with which roots, and as which platform. Package
// attest/snp calls it with AMD's roots, package attest/sim with a throw-away
// root of the user's; nothing else may. The split is what keeps a sim root
// from ever being one for hardware.
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
// Collateral is one X.509 certificate (media type application/pkix-cert) or
// revocation list (application/pkix-crl) per entry, DER, in any order; whoever
// reads the certificate table of an SNP extended guest request takes it apart
// into such entries. All of it is hostile: an entry that does not parse, or an
// authority that no accepted root signed, fails the verification even if the
// chain could do without it.
//
// In order: report.go, tcb.go and signature.go read the report, cert.go and
// chain.go the certificates, revocation.go the lists, demands.go checks what
// the relying party asks for, and verify.go puts it together.
package snpreport
