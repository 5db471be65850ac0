// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package ear words the result of an appraisal as an EAT Attestation Result
// (EAR, draft-ietf-rats-ear-04), so that other relying parties can read it:
// JSON claims with the trustworthiness vector of AR4SI (draft-ietf-rats-ar4si).
//
//	claims, err := ear.Encode(res, ear.Options{Build: "enarx 1.2.3"})
//	token, err := earjwt.Sign(claims, key) // application/eat+jwt
//
// # What the vector says
//
// There is one submodule per piece of evidence, named by its platform ("tdx";
// of several, "1.sgx", "2.sgx"). Its claims come from the rows of the verdict:
//
//	claim              from the rows                                 value
//	instance-identity  chip-list passed                              2 recognised
//	                   chip not on the list, evidence or wrapping
//	                   made for another session                      97 unrecognised
//	                   a certificate of the chain is revoked         96 untrustworthy
//	configuration      debug, migration and what else was checked
//	                   of guest and platform passed, and host-data   2 approved
//	                   the same without host-data                    3 nothing known against it
//	                   one of them is a warning                      32 unsafe
//	                   one of them failed                            96 unsupportable
//	executables        measurement passed                            3 approved at boot
//	                   measurement, signer or event log failed       96 contraindicated
//	hardware           chain, dates, revocation, signatures, level   2 genuine
//	                   one of them is a warning                      32 unsafe
//	                   firmware level refused                        96 contraindicated
//	                   endorsements missing, expired or foreign      97 unrecognised
//	runtime-opaque     snp, tdx, sgx: hardware and debug passed      2 encrypted memory
//	                   nitro: likewise                               32 isolated memory
//	                   debug or migration failed, or simulated       96 visible
//	                   vtpm: always                                  96 visible
//	file-system, storage-opaque, sourced-data                        0: nothing here checks them
//
// A TPM says what was booted, on the word of its machine's firmware, and nothing
// of the machine itself. So the rows of vtpm mean less, and none of them counts
// unless the TPM is proven to be one (chain, activation, signature, pcrs), which
// saved evidence of a Keep never is:
//
//	runtime-opaque     whoever runs the machine can read its memory          96 visible
//	executables        event-log and measurement passed, and it is no
//	                   debug image                                           3 approved at boot
//	hardware           the firmware's register (pcr0) is the one demanded    2 genuine, as far as
//	                                                                         the named root says
//	                   nobody demanded any                                   0
//	configuration      how the machine is set up is not in the evidence      36 unavailable
//	                   Secure Boot, registers, claim or host data failed     96 unsupportable
//	instance-identity  as above, by the TPM's key
//
// The status of a machine with measured boot is therefore "contraindicated",
// whatever has passed. Of a quote by a key that other evidence in the file
// vouches for, the claims of that other evidence say who sees the memory; its
// own makes no claim of it (0).
//
// A check that was skipped makes no claim (0): status "affirming" with
// executables 0 is genuine hardware that runs nobody knows what. A signature or
// chain that is bad sets every claim to 99 (cryptographic validation failed),
// evidence that cannot be read every claim to 1 (unexpected evidence). What
// counts of a failed row is its reason; reasons.go has the table. Simulated
// evidence never affirms anything: hardware 97, runtime-opaque 96, the rest 0.
//
// The status of a submodule is the tier of its worst claim, as the draft
// demands, and never "affirming" or "warning" for evidence that was refused.
//
// # Other claims
//
// iat is the time that the evidence was appraised for, not a clock reading: a
// result is the same whenever it is made. ear.appraisal-policy-id is "sha-256:"
// and the digest of the policy file. ear.raw-evidence is left out, since
// evidence names machines; the extension ear.enarx.appraisal holds its digest,
// the rows, the reason, and what was not checked.
//
// The package is pure; signing needs randomness and is in package earjwt.
package ear
