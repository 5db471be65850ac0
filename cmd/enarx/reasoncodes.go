// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// reasonTable gives every reason why evidence is refused its exit code, and
// what it says in a few words. Codes are never given to another reason; new
// reasons take free ones. They lie below those of enarx itself (120 to 127).
var reasonTable = []struct {
	reason attest.Reason
	code   int
	text   string
}{
	{attest.ReasonUnspecified, 10, "refused, and no reason was given"},
	{attest.ReasonFormat, 11, "the evidence cannot be read"},
	{attest.ReasonTooLarge, 12, "the file is too large"},
	{attest.ReasonTrailingBytes, 13, "something that nobody signed follows the evidence"},
	{attest.ReasonPlatform, 14, "evidence of another platform, or of one without a verifier"},

	{attest.ReasonRoot, 20, "the chain leads to no root of the vendor's"},
	{attest.ReasonChain, 21, "a certificate is missing, unreadable or not issued by the next"},
	{attest.ReasonCertExpired, 22, "a certificate has expired"},
	{attest.ReasonCertNotYetValid, 23, "a certificate is not yet valid"},
	{attest.ReasonRevoked, 24, "a certificate is revoked"},
	{attest.ReasonSignature, 25, "a signature is bad"},
	{attest.ReasonKey, 26, "the certificate is of another chip, provider or product line"},

	{attest.ReasonListMissing, 30, "a revocation list is missing"},
	{attest.ReasonListExpired, 31, "a revocation list is out of date"},
	{attest.ReasonListNotYetValid, 32, "a revocation list is not yet valid"},
	{attest.ReasonListForeign, 33, "a revocation list is of another issuer, or forged"},
	{attest.ReasonListFormat, 34, "a revocation list cannot be read"},
	{attest.ReasonCollateralMissing, 35, "TCB info or QE identity is missing"},
	{attest.ReasonCollateralFormat, 36, "TCB info or QE identity cannot be read"},
	{attest.ReasonCollateralSignature, 37, "the signature of TCB info or QE identity is bad"},
	{attest.ReasonCollateralExpired, 38, "TCB info or QE identity is out of date"},
	{attest.ReasonCollateralNotYetValid, 39, "TCB info or QE identity is not yet valid"},
	{attest.ReasonCollateralForeign, 40, "TCB info or QE identity is of another platform model"},
	{attest.ReasonQuotingEnclave, 41, "the quoting enclave is not the vendor's"},

	{attest.ReasonTCBMismatch, 42, "the reported firmware level is not the certificate's"},
	{attest.ReasonTCBFloor, 43, "the firmware level is below the floor of the policy"},
	{attest.ReasonTCBOutOfDate, 44, "TCB status OutOfDate"},
	{attest.ReasonTCBConfiguration, 45, "TCB status ConfigurationNeeded"},
	{attest.ReasonTCBSWHardening, 46, "TCB status SWHardeningNeeded"},
	{attest.ReasonTCBConfigurationAndSW, 47, "TCB status ConfigurationAndSWHardeningNeeded"},
	{attest.ReasonTCBOutOfDateConfiguration, 48, "TCB status OutOfDateConfigurationNeeded"},
	{attest.ReasonTCBRelaunch, 49, "TCB status TDRelaunchAdvised, with or without ConfigurationNeeded"},
	{attest.ReasonTCBRevoked, 50, "TCB status Revoked"},
	{attest.ReasonTCBUnknown, 51, "below every TCB level that the vendor lists"},
	{attest.ReasonAdvisory, 52, "a security advisory applies that the policy does not accept"},

	{attest.ReasonDebug, 53, "the host may debug the guest"},
	{attest.ReasonMigration, 54, "the guest may be migrated"},
	{attest.ReasonVMPL, 55, "the report was made at another privilege level"},
	{attest.ReasonGuestPolicy, 56, "another property of guest or platform is not as demanded"},
	{attest.ReasonMeasurement, 57, "the measurement is not an accepted one"},
	{attest.ReasonSigner, 58, "the enclave or guest is of another signer"},
	{attest.ReasonHostData, 59, "the host data is not as demanded"},
	{attest.ReasonReportData, 60, "the report data is not as demanded"},
	{attest.ReasonEventLog, 61, "the event log does not lead to the measured registers"},

	{attest.ReasonBinding, 62, "the file around the evidence is not what the evidence speaks of"},
	{attest.ReasonChip, 63, "the chip is not on the list of the policy"},
	{attest.ReasonPolicy, 64, "another rule of the policy says no"},
	{attest.ReasonUnchecked, 65, "a check that must be made could not be"},
	{attest.ReasonTime, 66, "the dates of the evidence contradict those of its certificates"},
}

// exitForecast is the code of a forecast in which something will be refused.
const exitForecast = 70

// reasonCode is the exit code of a verdict with this reason; 0 is for none. A
// reason that is not in the table, which a test rules out, is never success.
func reasonCode(r attest.Reason) int {
	if r == "" {
		return exitOK
	}
	for _, e := range reasonTable {
		if e.reason == r {
			return e.code
		}
	}
	return reasonTable[0].code
}

// verifyExitHelp is the paragraph on exit codes in the help of verify.
func verifyExitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes (0 is accepted, also with warnings; enarx evidence and docs/exit-codes.md\nname the same reasons):\n")
	for _, e := range reasonTable {
		fmt.Fprintf(&b, "  %d  %s\n", e.code, e.text)
	}
	fmt.Fprintf(&b, "  %d  the command line is wrong, or a file of it cannot be used", exitUsage)
	return b.String()
}
