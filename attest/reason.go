// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

// Reason says for programs what is wrong with a failed row. The words of a row
// may change from one version to the next; a reason keeps its meaning.
type Reason string

// The reasons. Each failed row has exactly one.
const (
	// ReasonUnspecified is what a verdict that gives no reason stands for.
	ReasonUnspecified Reason = "unspecified"

	// The evidence itself.
	ReasonFormat        Reason = "format"         // cannot be read as what it should be
	ReasonTooLarge      Reason = "too-large"      // beyond the limit of its kind
	ReasonTrailingBytes Reason = "trailing-bytes" // something that nobody signed follows it
	ReasonPlatform      Reason = "wrong-platform" // evidence of another platform than asked for

	// Who signed it.
	ReasonRoot            Reason = "untrusted-root"            // leads to no root of the vendor's
	ReasonChain           Reason = "broken-chain"              // a certificate is missing, unreadable or not issued by the next
	ReasonCertExpired     Reason = "certificate-expired"       // a certificate of the chain
	ReasonCertNotYetValid Reason = "certificate-not-yet-valid" // a certificate of the chain
	ReasonRevoked         Reason = "revoked"                   // a certificate of the chain
	ReasonSignature       Reason = "bad-signature"             // of the evidence, or of a link between it and the leaf
	ReasonKey             Reason = "wrong-key"                 // the leaf is of another chip, provider, kind or product line

	// Revocation lists.
	ReasonListMissing     Reason = "revocation-list-missing"
	ReasonListFormat      Reason = "revocation-list-format" // unreadable, or says what is not understood
	ReasonListExpired     Reason = "revocation-list-expired"
	ReasonListNotYetValid Reason = "revocation-list-not-yet-valid"
	ReasonListForeign     Reason = "revocation-list-foreign" // of another issuer, or not signed by this one

	// Signed documents of the vendor: TCB info and QE identity.
	ReasonCollateralMissing     Reason = "collateral-missing"
	ReasonCollateralFormat      Reason = "collateral-format"
	ReasonCollateralSignature   Reason = "collateral-signature"
	ReasonCollateralExpired     Reason = "collateral-expired"
	ReasonCollateralNotYetValid Reason = "collateral-not-yet-valid"
	ReasonCollateralForeign     Reason = "collateral-foreign" // of another platform model or TEE (FMSPC, PCEID, id)
	ReasonQuotingEnclave        Reason = "quoting-enclave"    // the report's signer is not the vendor's

	// The firmware level. The vendor's word on it, in the vendor's terms.
	ReasonTCBMismatch      Reason = "tcb-mismatch"    // the report's level is not its certificate's
	ReasonTCBFloor         Reason = "tcb-below-floor" // lower than the relying party accepts
	ReasonTCBOutOfDate     Reason = "tcb-out-of-date"
	ReasonTCBConfiguration Reason = "tcb-configuration-needed"
	ReasonTCBSWHardening   Reason = "tcb-sw-hardening-needed"
	// ReasonTCBConfigurationAndSW is ConfigurationAndSWHardeningNeeded.
	ReasonTCBConfigurationAndSW Reason = "tcb-configuration-and-sw-hardening-needed"
	// ReasonTCBOutOfDateConfiguration is OutOfDateConfigurationNeeded.
	ReasonTCBOutOfDateConfiguration Reason = "tcb-out-of-date-configuration-needed"
	ReasonTCBRelaunch               Reason = "tcb-relaunch-advised" // either of the two
	ReasonTCBRevoked                Reason = "tcb-revoked"
	ReasonTCBUnknown                Reason = "tcb-not-supported" // below every level that the vendor lists
	ReasonAdvisory                  Reason = "advisory-not-accepted"

	// What the guest is.
	ReasonDebug       Reason = "debug"
	ReasonMigration   Reason = "migration"
	ReasonVMPL        Reason = "vmpl"
	ReasonGuestPolicy Reason = "guest-policy" // another property of policy, attributes or platform
	ReasonMeasurement Reason = "measurement"
	ReasonSigner      Reason = "signer" // of the enclave, the ID block, the TDX module or the image
	ReasonHostData    Reason = "host-data"
	ReasonReportData  Reason = "report-data"
	ReasonEventLog    Reason = "event-log" // does not replay to the registers

	// Around it.
	ReasonBinding   Reason = "wrapper-binding"    // the certificate, request or message around the evidence is not what it speaks of
	ReasonChip      Reason = "chip-not-allowed"   // not on the relying party's list
	ReasonPolicy    Reason = "policy"             // another rule of the relying party
	ReasonUnchecked Reason = "not-checked"        // a check that must be made could not be
	ReasonTime      Reason = "inconsistent-dates" // the evidence's own time contradicts its certificates
)
