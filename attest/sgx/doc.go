// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package sgx verifies evidence of Intel SGX: ECDSA quotes of version 3, and
// enclave reports in quotes of version 4 and 5.
//
//	v := sgx.New(sgx.Options{})
//	claims, verdict := v.Verify(evidence, collateral, expected, now)
//
// # What is checked
//
// Chain (quote ← attestation key ← quoting enclave ← PCK certificate ←
// intermediate ← the key of Intel's root, which is part of this package),
// revocation, the identity of the quoting enclave, the TCB level of platform
// and quoting enclave by Intel's rules, the dates of all of it, and then what
// the enclave is:
//
//   - measurement: MRENCLAVE, 32 bytes, is a reference value;
//   - signer: MRSIGNER, ISVPRODID and a lowest ISVSVN, if [Options] demand them;
//   - debug: no debugging by the host;
//   - attributes: initialised, 64-bit, and no attribute that is unknown;
//   - kss: key separation and sharing, without which an enclave has no CONFIGID
//     (skipped with a waived host-data);
//   - host-data: CONFIGID, 64 bytes, is Expected.HostData, 32 bytes, and zeroes
//     after it;
//   - report-data: as the session demands.
//
// A missing expectation fails unless Options.Waive names it. To look at an
// enclave whose signer is known and whose measurement is not, waive the
// measurement and demand the signer.
//
// Rows that read "skipped" name what nobody demanded; each can be demanded with
// [Options]: MRSIGNER, MISCSELECT, XFRM, ISVEXTPRODID, ISVFAMILYID and CONFIGSVN.
//
// # Collateral
//
// Entries in any order, all of them hostile: the revocation lists of the root
// and of the PCK's issuer ([attest.MediaTypeCRL]), TCB info and QE identity
// ([attest.MediaTypeIntelTCBInfo], [attest.MediaTypeIntelQEIdentity]; TCB info
// of version 2 or 3), and certificates one by one ([attest.MediaTypeCertificate])
// or as chains in PEM ([attest.MediaTypePEMChain]): the TCB signer's always, the
// PCK's if the quote does not carry them (certification data of types 1 to 3 and
// 7). Every certificate must lead to Intel's root; of several
// lists of one issuer every one revokes, and of several TCB infos or identities
// the valid one of the highest evaluation counts.
//
// # Components of the TCB
//
// Claims.TCB and the floors of Expected.TCB know "sgx01" to "sgx16" and "pcesvn" (from the
// PCK certificate), "qesvn", and "evaluation", the lower of the evaluation
// numbers of TCB info and identity. Claims.ChipID is the PPID, 16 bytes.
//
// The package is pure: no network, no file, and the time is an argument.
package sgx
