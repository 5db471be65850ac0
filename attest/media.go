// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

// Media types of evidence and logs beside those of snp, tdx and sgx. The names
// under vnd.enarx are this project's own.
const (
	// MediaTypeNitro is an attestation document of an AWS Nitro Enclave or
	// of a NitroTPM: COSE_Sign1 without tag, ES384 (AWS Nitro Enclaves
	// "Verifying the root of trust").
	MediaTypeNitro = "application/vnd.enarx.aws-nitro-document+cose"
	// MediaTypeTPMQuote is a quote of a TPM that is not a Keep's, as package
	// evidence puts its parts together (attest/vtpm/SPEC.md, "Quotes of
	// others"). Certificates of its attestation key are collateral.
	MediaTypeTPMQuote = "application/vnd.enarx.tpm-quote+cbor"
	// MediaTypeEventLog is a TCG event log, crypto-agile or TCG 1.2 form
	// (TCG PC Client Platform Firmware Profile), as the firmware keeps it;
	// of a TD, as the CCEL table points to (MR index 1 to 4 is RTMR0 to 3).
	MediaTypeEventLog = "application/vnd.enarx.tcg-event-log"
	// MediaTypeDstackLog is the event log of dstack: JSON, one object per
	// event with "imr" and "digest" (SHA-384, hexadecimal).
	MediaTypeDstackLog = "application/vnd.enarx.dstack-event-log+json"
)
