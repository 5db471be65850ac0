// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

// Media types of Intel's evidence and of the collateral that checks it. Names
// under vnd.enarx are this project's own: none is registered for these formats.
const (
	// MediaTypeTDX is a raw TD quote (version 4 or 5), as a quoting enclave
	// made it; zero bytes may follow it, as some hosts pad the buffer.
	MediaTypeTDX = "application/vnd.enarx.intel-tdx-quote"
	// MediaTypeSGX is a raw SGX ECDSA quote (version 3, 4 or 5), padded or not.
	MediaTypeSGX = "application/vnd.enarx.intel-sgx-quote"
	// MediaTypePEMChain is a chain of certificates in PEM (RFC 8555, section
	// 9.1), as Intel's provisioning certification service (PCS) puts it,
	// percent-decoded, into the headers of its answers.
	MediaTypePEMChain = "application/pem-certificate-chain"
	// MediaTypeIntelTCBInfo is the body of the PCS answer to "get TCB info",
	// byte for byte: {"tcbInfo":{...},"signature":"..."}.
	MediaTypeIntelTCBInfo = "application/vnd.enarx.intel-tcb-info+json"
	// MediaTypeIntelQEIdentity is the body of the PCS answer to "get (TD)
	// quoting enclave identity", byte for byte:
	// {"enclaveIdentity":{...},"signature":"..."}.
	MediaTypeIntelQEIdentity = "application/vnd.enarx.intel-qe-identity+json"
	// MediaTypeIntelTCBEvaluation is the body of the PCS answer to "get TCB
	// evaluation data numbers", byte for byte:
	// {"tcbEvaluationDataNumbers":{...},"signature":"..."}. No verifier needs it.
	MediaTypeIntelTCBEvaluation = "application/vnd.enarx.intel-tcb-evaluation-numbers+json"
)
