// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"bytes"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// Advisories of the platforms and modules below.
const (
	gcpAdvisories = "INTEL-SA-01010, INTEL-SA-01036, INTEL-SA-01076, INTEL-SA-01079, INTEL-SA-01099, INTEL-SA-01103, INTEL-SA-01111"
	oldAdvisories = "INTEL-SA-00960, INTEL-SA-00982, INTEL-SA-00986"
)

const upToDate = "UpToDate: platform UpToDate"

// Everything that a relying party can excuse, so that what is left to fail is
// what nobody can.
var (
	statuses = []string{"SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
		"OutOfDateConfigurationNeeded", "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"}
	excused = Options{Statuses: statuses, Advisories: []string{
		"INTEL-SA-00219", "INTEL-SA-00289", "INTEL-SA-00334", "INTEL-SA-00586", "INTEL-SA-00614", "INTEL-SA-00615", "INTEL-SA-00657",
		"INTEL-SA-00730", "INTEL-SA-00738", "INTEL-SA-00767", "INTEL-SA-00828", "INTEL-SA-00837", "INTEL-SA-00960", "INTEL-SA-00982",
		"INTEL-SA-00986", "INTEL-SA-01010", "INTEL-SA-01036", "INTEL-SA-01076", "INTEL-SA-01079", "INTEL-SA-01099", "INTEL-SA-01103", "INTEL-SA-01111"}}
)

// tdxRows are the TD quotes. Files are named without ".quote.bin", sets of
// collateral by their folder.
var tdxRows = []row{
	{file: "v4-50806f-trailing", at: "2023-06-25", collateral: "50806f000000-2023-06", fails: "format tcb sept-ve", reasons: "trailing-bytes tcb-not-supported guest-policy", tcb: "NotSupported: platform NotSupported"},
	{file: "v4-50806f-debug", at: "2023-06-25", collateral: "50806f000000-2023-06", fails: "debug", reasons: "debug", tcb: upToDate},
	{file: "v4-00806f-gcp-cos113", at: "2025-02-05", collateral: "00806f050000-2025-01", tcb: upToDate},
	{file: "v4-00806f-gcp-cos113", at: "2026-02-10", collateral: "00806f050000-2026-01", fails: "tcb", reasons: "tcb-out-of-date", tcb: "OutOfDate: platform OutOfDate", advisories: gcpAdvisories},
	{file: "v4-00806f-gcp-cos113", note: "excused", at: "2026-02-10", collateral: "00806f050000-2026-01", o: excused, tcb: "OutOfDate: platform OutOfDate", advisories: gcpAdvisories},
	{file: "v4-00806f-flashbots", at: "2026-02-10", collateral: "00806f050000-2026-01", tcb: upToDate},
	{file: "v4-00806f-oldplatform", at: "2025-02-05", collateral: "00806f050000-2025-01", fails: "tcb", reasons: "tcb-out-of-date", tcb: "OutOfDate: platform OutOfDate", advisories: oldAdvisories},
	{file: "v4-00806f-oldplatform", at: "2026-02-10", collateral: "00806f050000-2026-01", fails: "tcb", reasons: "tcb-out-of-date", tcb: "OutOfDate: platform OutOfDate", advisories: oldAdvisories + ", " + gcpAdvisories},
	{file: "v4-00806f-oldplatform", note: "excused", at: "2026-02-10", collateral: "00806f050000-2026-01", o: excused, tcb: "OutOfDate: platform OutOfDate", advisories: oldAdvisories + ", " + gcpAdvisories},
	{file: "v4-00a06d-gnr", at: "2025-11-01", collateral: "00a06d080000-2025-10", fails: "tcb", reasons: "tcb-out-of-date", tcb: "OutOfDate: platform OutOfDate"},
	{file: "v4-00a06d-gnr", note: "excused", at: "2025-11-01", collateral: "00a06d080000-2025-10", o: excused, tcb: "OutOfDate: platform OutOfDate"},
	{file: "v4-b0c06f-phala", at: "2025-06-25", collateral: "b0c06f000000-2025-06", tcb: upToDate},
	{file: "v4-20a06f-near", at: "2025-09-15", collateral: "20a06f000000-2025-09", tcb: upToDate},
	{file: "v4-90c06f-dstack", at: "2026-03-01", collateral: "90c06f000000-2026-02", tcb: upToDate},
	{file: "v4-90c06f-dstack", at: "2026-06-20", collateral: "90c06f000000-2026-06", tcb: upToDate},
	{file: "v4-90c06f-azure-vtpm", at: "2026-06-20", collateral: "90c06f000000-2026-06", tcb: upToDate},
	{file: "v5-90c06f-td15", at: "2026-03-01", collateral: "90c06f000000-2026-02", tcb: upToDate},
	{file: "v5-90c06f-td15", at: "2026-06-20", collateral: "90c06f000000-2026-06", tcb: upToDate},
	{file: "v5-90c06f-servicetd", at: "2026-03-01", collateral: "90c06f000000-2026-02", fails: "tcb migration", reasons: "tcb-not-supported migration", tcb: "NotSupported: platform NotSupported"},
	{file: "v5-90c06f-azure-tcbunsupported", at: "2026-03-01", collateral: "90c06f000000-2026-02", fails: "tcb", reasons: "tcb-not-supported", tcb: "NotSupported: platform NotSupported"},
	{file: "v5-90c06f-azure-tcbunsupported", note: "not to be excused", at: "2026-03-01", collateral: "90c06f000000-2026-02", o: excused, fails: "tcb", reasons: "tcb-not-supported", tcb: "NotSupported: platform NotSupported"},
	{file: "v5-90c06f-relaunch", at: "2025-03-10", collateral: "90c06f000000-2025-02", fails: "tcb", reasons: "tcb-relaunch-advised", tcb: "TDRelaunchAdvised: platform UpToDate", advisories: "INTEL-SA-01036, INTEL-SA-01099"},
	{file: "v5-90c06f-relaunch", at: "2026-03-01", collateral: "90c06f000000-2026-02", fails: "tcb", reasons: "tcb-relaunch-advised", tcb: "TDRelaunchAdvised: platform UpToDate", advisories: "INTEL-SA-01036, INTEL-SA-01099"},
	{file: "v5-90c06f-relaunch", note: "excused", at: "2026-03-01", collateral: "90c06f000000-2026-02", o: excused, tcb: "TDRelaunchAdvised: platform UpToDate", advisories: "INTEL-SA-01036, INTEL-SA-01099"},
	{file: "v4-preproduction-root", at: "2025-02-05", collateral: "00806f050000-2025-01",
		fails: "chain revocation qe-signature signature qe-identity tcb-info dates tcb", reasons: "untrusted-root not-checked not-checked not-checked not-checked not-checked not-checked not-checked"},

	// Collateral that is not to be taken, beside or in the place of the good.
	{file: "v4-b0c06f-phala", note: "lookalike list", at: "2025-06-25", collateral: "b0c06f000000-2025-06 tdx/bad-lookalike-root.crl.der", fails: "revocation", reasons: "revocation-list-foreign", tcb: upToDate},
	{file: "v4-b0c06f-phala", note: "lookalike list beside", at: "2025-06-25", collateral: "b0c06f000000-2025-06 +tdx/bad-lookalike-root.crl.der", fails: "revocation", reasons: "revocation-list-foreign", tcb: upToDate},
	{file: "v4-b0c06f-phala", note: "lookalike root", at: "2025-06-25", collateral: "b0c06f000000-2025-06 +tdx/bad-lookalike-root.pem",
		fails: "chain revocation qe-signature signature qe-identity tcb-info dates tcb", reasons: "untrusted-root not-checked not-checked not-checked not-checked not-checked not-checked not-checked"},
	{file: "v4-b0c06f-phala", note: "no root list", at: "2025-06-25", collateral: "b0c06f000000-2025-06 -root.crl.der", fails: "revocation", reasons: "revocation-list-missing", tcb: upToDate},
	{file: "v4-b0c06f-phala", note: "no list of the PCK's issuer", at: "2025-06-25", collateral: "b0c06f000000-2025-06 -pck-platform.crl.der", fails: "revocation", reasons: "revocation-list-missing", tcb: upToDate},
	{file: "v4-b0c06f-phala", note: "no identity", at: "2025-06-25", collateral: "b0c06f000000-2025-06 -qeidentity.json", fails: "qe-identity tcb", reasons: "collateral-missing not-checked"},
	{file: "v4-b0c06f-phala", note: "no TCB info", at: "2025-06-25", collateral: "b0c06f000000-2025-06 -tcbinfo.json", fails: "tcb-info tcb", reasons: "collateral-missing not-checked"},
	{file: "v4-b0c06f-phala", note: "identity of SGX", at: "2025-06-25", collateral: "b0c06f000000-2025-06 sgx/collateral/00a067110000-2025-06/qeidentity.json", fails: "qe-identity tcb", reasons: "collateral-foreign not-checked"},
	{file: "v4-b0c06f-phala", note: "TCB info of another model", at: "2025-06-25", collateral: "b0c06f000000-2025-06 tdx/collateral/20a06f000000-2025-09/tcbinfo.json", fails: "tcb-info tcb", reasons: "collateral-foreign not-checked"},
	{file: "v4-b0c06f-phala", note: "another signed document", at: "2025-06-25", collateral: "b0c06f000000-2025-06 tdx/tcb-evaluation-data-numbers-2025-10.json", fails: "tcb-info tcb", reasons: "collateral-format not-checked"},
	{file: "v4-b0c06f-phala", note: "before the collateral", at: "2025-06-18", collateral: "b0c06f000000-2025-06", fails: "dates", reasons: "revocation-list-not-yet-valid"},
	{file: "v4-b0c06f-phala", note: "after the collateral", at: "2025-07-20", collateral: "b0c06f000000-2025-06", fails: "dates", reasons: "revocation-list-expired"},
}

func tdxVectors(t testing.TB, root string) (out []Vector) {
	t.Helper()
	for _, r := range tdxRows {
		v := intelVector(t, root, r, attest.PlatformTDX, attest.MediaTypeTDX)
		for i, p := range v.Parts {
			// In the frame of a TCB info; the signature covers the
			// body only and still verifies.
			v.Parts[i].Value = bytes.Replace(p.Value, []byte(`{"tcbEvaluationDataNumbers"`), []byte(`{"tcbInfo"`), 1)
		}
		out = append(out, v)
	}
	return out
}
