// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package tdx verifies evidence of Intel TDX: TD quotes of version 4 and 5
// (TD reports 1.0 and 1.5).
//
//	v := tdx.New(tdx.Options{})
//	claims, verdict := v.Verify(evidence, collateral, expected, now)
//
// # What is checked
//
// Chain (quote ← attestation key ← quoting enclave ← PCK certificate ←
// intermediate ← the key of Intel's root, which is part of this package),
// revocation, the identity of the quoting enclave and of the TDX module, the
// TCB level of platform, module and quoting enclave by Intel's rules, the dates
// of all of it, and then what the TD is:
//
//   - measurement: [Measurement] of MRTD and RTMR0 to RTMR2 is a reference value;
//   - event-log: a log that came along replays to the registers;
//   - debug: no debugging or profiling by the host;
//   - migration: not migratable, and no service TD bound;
//   - sept-ve: SEPT_VE_DISABLE is set;
//   - attributes: no attribute that is unknown;
//   - host-data: MRCONFIGID, 48 bytes, is Expected.HostData, 32 bytes, and
//     zeroes after it;
//   - report-data: as the session demands.
//
// A missing expectation fails unless Options.Waive names it.
//
// Rows that read "skipped" name what nobody demanded; each can be demanded with
// [Options]: single registers, MRSEAM (a module counts by its signer and its
// level, as Intel has it), MROWNER, MROWNERCONFIG, XFAM, and attributes that must
// be off.
//
// # Collateral
//
// Entries in any order, all of them hostile: the revocation lists of the root
// and of the PCK's issuer ([attest.MediaTypeCRL]), TCB info and TD QE identity
// ([attest.MediaTypeIntelTCBInfo], [attest.MediaTypeIntelQEIdentity]), and
// certificates one by one ([attest.MediaTypeCertificate]) or as chains in PEM
// ([attest.MediaTypePEMChain]): the TCB signer's always, the PCK's if the quote
// does not carry them. Every certificate must lead to Intel's root; of
// several lists of one issuer every one revokes, and of several TCB infos or
// identities the valid one of the highest evaluation counts.
//
// A log of events ([attest.MediaTypeEventLog], [attest.MediaTypeDstackLog]) is
// no endorsement but the guest's own account; it is replayed against RTMR0 to
// RTMR3, and the registers that it accounts for must come out exactly. A register
// that is not zero and has no event is named; it is proven by the quote all the
// same, and what it means is for the reference value to say.
//
// # Components of the TCB
//
// Claims.TCB and the floors of Expected.TCB know "sgx01" to "sgx16", "pcesvn" (from the
// PCK certificate), "tdx01" to "tdx16" (TEE_TCB_SVN from index 0 on; compare
// "tdx01" only among modules of one version, which "tdx02" names), "qesvn", and
// "evaluation", the lower of the evaluation numbers of TCB info and identity: a
// floor for it refuses collateral that is valid but not the newest.
// Claims.ChipID is the PPID, 16 bytes.
//
// The package is pure: no network, no file, and the time is an argument.
package tdx
