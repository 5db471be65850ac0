// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package dcap reads and checks Intel's ECDSA quotes: the common core of the
// verifiers of tdx and sgx.
//
// It is internal because it has no opinion of its own about roots: whoever
// calls [Appraise] says in [Params] which root counts and as which platform.
// The public verifiers pass [IntelRoot] and offer no other; tests and simulators
// pass a root of their own with [NewRoot], out of reach of other modules.
//
// # Order of trust
//
//	root key ── root CRL, TCB signer ── TCB info, QE identity
//	    └─ intermediate ── PCK CRL
//	         └─ PCK ── QE report ── attestation key ── quote
//
// [Appraise] makes one row per link and goes on after a failure where the next
// row can still say something true; claims come out of [Appraisal.Finish] only,
// and only if every one of the rows it knows has passed.
//
// # Formats and rules
//
// Quotes: Intel SGX ECDSA Quote Library Reference (version 3) and Intel TDX DCAP
// Quoting Library API (versions 4 and 5), appendix A of each; integers are
// little-endian, ECDSA numbers and points big-endian. Certificates and lists:
// Intel SGX PCK Certificate and CRL Profile Specification. TCB info, QE identity
// and the matching of levels: Intel's PCS API, versions 3 and 4, and, where the
// text leaves room, what Intel's quote verification library does: the first
// level whose SGX components, PCESVN and TDX components the platform reaches;
// TDX components count from index 2 on if index 1, the module's version, is not
// zero; module and quoting enclave can only make a status worse; a TD of report
// version 1.5 that is out of date for its start-up module alone is advised to
// relaunch.
//
// Stricter than that library: a quote may be followed by zeroes only, PEM and the
// frame around signed JSON have one accepted form, every certificate offered must
// lead to the root, and issue dates count as much as ends.
//
// Time is an argument, everything is bounded before it is allocated (limits.go),
// and there is no file and no network.
package dcap
