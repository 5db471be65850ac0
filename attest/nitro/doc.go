// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package nitro verifies attestation documents of the AWS Nitro hypervisor:
// those of Nitro Enclaves and those of EC2 instances with a NitroTPM.
//
//	v := nitro.New(nitro.Options{Cache: nitro.NewCache(1024)})
//	claims, verdict := v.Verify(evidence, collateral, expected, at)
//
// Evidence is the document as the hypervisor gave it ([attest.MediaTypeNitro]):
// COSE_Sign1 without CBOR tag and without framing. It brings its own chain;
// collateral may hold revocation lists ([attest.MediaTypeCRL]).
//
// # What it is worth
//
// AWS's hypervisor signs and isolates. An enclave keeps its parent instance and
// AWS's customers out; it does not keep AWS out, whose hypervisor can read it and
// whose word is all there is. So package policy does not count platform nitro
// among the confidential ones: a relying party that trusts AWS must name it.
// A NitroTPM document says less: what an instance booted, not that anybody is
// kept out of it.
//
// # What is checked
//
//   - format: one document, one encoding, nothing after it, sizes and counts
//     within AWS's limits;
//   - chain: from the root G1, which is part of this package, over every
//     certificate of the bundle to the document's: names, signatures on P-384,
//     authority, path lengths, key usage;
//   - dates: all of them valid at the time of the appraisal;
//   - revocation: by the lists that came along, see below;
//   - signature: of the document, by its certificate;
//   - time: the document's own time lies within its certificate's validity, and
//     is not after the time of the appraisal (three seconds of skew);
//   - debug: PCR0, PCR1 and PCR2 of an enclave are not all zero;
//   - measurement: [MeasurementEnclave] or [MeasurementTPM] is a reference
//     value; the row shows the plain registers;
//   - pcrN: registers that [Options] demand;
//   - host-data: nonce is Expected.HostData, 32 bytes. The platform has no field
//     that the host fills in, so this is the Keep's own word, as true as the Keep
//     runtime that was measured;
//   - report-data: user_data is Expected.ReportData, 64 bytes.
//
// Rows that read "skipped" name what was not demanded: module id, PCR3, PCR4,
// PCR8 and others that are not zero, public key, and the firmware level, of which
// a document says nothing: a demand for one fails.
//
// # Saved documents, and revocation
//
// The document's certificate lasts three hours, the instance's a day, the
// zone's a week, the region's three. A saved document is therefore checked at the
// time it was made, and a fresh one at the present.
//
// Region and zone name revocation lists. Lists in the collateral are enforced:
// of an issuer of the chain, signed, current, naming nothing of the chain. By
// default none is required, for a reason: the key that a revocation would stop
// ends by itself within three hours, and few have a way to get the lists, which
// lie at addresses that change with region and zone. The row then says NOT
// CHECKED; [Options] can demand them.
//
// # Purity
//
// No network, no file, no clock: the time is an argument. A [Cache] holds nothing
// but which signatures were found good.
package nitro
