// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package snp verifies the evidence of AMD SEV-SNP: attestation reports of
// version 2 to 5 from Milan, Genoa (with Bergamo and Siena) and Turin, signed
// by a VCEK (the key of one chip) or a VLEK (the key of a cloud provider).
//
//	v := snp.New(snp.Options{Cache: snp.NewCache(1024)})
//	claims, verdict := v.Verify(evidence, collateral, expected, at)
//
// Evidence is the raw report of 1,184 bytes ([attest.MediaTypeSNP]). Collateral
// is, in any order and DER, the VCEK or VLEK, the revocation list of the
// product line's root, and, if they are at hand, intermediate and root.
//
// # What is checked, always
//
//   - the report's layout, with every reserved byte zero;
//   - the chain VCEK ← ASK ← ARK or VLEK ← ASVK ← ARK, with the ARK of each
//     product line built in; certificates of the collateral never become roots;
//   - the dates of every certificate, and the revocation list: of this root,
//     signed, current, naming nothing of the chain;
//   - the report's signature, and that the signing key it names is the
//     certificate's kind;
//   - that certificate and report (from version 3) speak of one product line;
//   - that the VCEK is the reporting chip's, and that the firmware level in the
//     certificate is the report's, byte by byte in the line's own layout;
//   - the guest policy: no debugging, no migration agent; the privilege level;
//   - measurement, host data and report data against [attest.Expected].
//
// Everything else is a demand in [Options]. What is not demanded is named in
// the verdict as skipped, with what the report says of it.
//
// # What is not checked
//
// AMD publishes no revocation list for keys of chips: such a key belongs to one
// firmware level, and what fences off an old level is a floor
// ([attest.Expected] or [Options]). Without a floor the verdict warns. A
// revocation list that is current but not the newest cannot be told from the
// newest. PLATFORM_INFO is looked at only where a demand asks for it.
//
// # Purity
//
// No network, no file, no clock: the time is an argument, and fetching is for
// whoever fills the collateral. A [Cache] holds nothing but which signatures of
// certificates and lists were found good; dates, revocation and demands are
// evaluated on every call.
//
// attest/DISAGREEMENTS.md lists where the verdict differs from that of other
// verifiers, with the document that settles each.
package snp
