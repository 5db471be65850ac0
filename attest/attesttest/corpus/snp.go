// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

const snpDir = "attest/internal/snpreport/testdata/"

// The newest list of each line that evidence was published with. None of the
// Turin root was.
const (
	milanList = "milan-2025-05-06.crl"
	genoaList = "genoa-2024-10-23.crl"
)

var (
	missing = Options{AcceptMissingCRL: true}
	vmpl1   = Options{VMPL: 1}
)

// snpRows are the reports. Files are named without ".report.bin" and ".der".
var snpRows = []row{
	{file: "milan-v2-azure", at: "2025-06-01", collateral: "milan-v2-azure.vcek " + milanList},
	{file: "milan-v2-aci", at: "2025-06-01", collateral: "milan-v2-aci.vcek " + milanList},
	{file: "milan-v2-enarx", at: "2025-06-01", collateral: "milan-v2-enarx.vcek " + milanList},
	{file: "milan-v2-virtee", at: "2025-06-01", collateral: "milan-v2-virtee.vcek " + milanList},
	{file: "milan-v3-oak", at: "2025-06-01", collateral: "milan-v3-oak.vcek " + milanList},
	{file: "milan-v3-aws-vlek", at: "2025-06-01", collateral: "milan-v3-aws-vlek.vlek " + milanList, o: vmpl1},
	{file: "genoa-v3-azure", at: "2025-07-01", collateral: "genoa-v3-azure.vcek " + genoaList},
	{file: "genoa-v5", at: "2025-09-01", collateral: "genoa-v5.vcek " + genoaList},
	{file: "siena-a0-v3", at: "2025-09-01", collateral: "siena-a0-v3.vcek " + genoaList},
	{file: "turin-v5", at: "2025-09-01", collateral: "turin-v5.vcek", o: missing},

	// The same, where something else is to be said.
	{file: "milan-v2-enarx", note: "lists of its own time", ignored: true, at: "2022-12-01", collateral: "milan-v2-enarx.vcek genoa-2022-10-31.crl milan-2022-05-09.crl"},
	{file: "milan-v2-enarx", note: "list of its own time", at: "2022-12-01", collateral: "milan-v2-enarx.vcek milan-2022-05-09.crl"},
	{file: "milan-v2-azure", note: "two lists", ignored: true, at: "2025-06-01", collateral: "milan-v2-azure.vcek milan-2022-05-09.crl " + milanList},
	{file: "milan-v2-azure", note: "lists of two lines", ignored: true, at: "2025-06-01", collateral: "milan-v2-azure.vcek " + genoaList + " " + milanList},
	{file: "milan-v2-azure", note: "foreign intermediate beside", ignored: true, at: "2025-06-01", collateral: "milan-v2-azure.vcek genoa-ask-20001-revoked " + milanList},
	{file: "milan-v2-azure", note: "old list excused", ignored: true, at: "2025-06-01", collateral: "milan-v2-azure.vcek milan-2022-05-09.crl", o: missing},
	{file: "turin-v5", note: "list demanded", at: "2025-09-01", collateral: "turin-v5.vcek", fails: "revocation", reasons: "revocation-list-missing"},
	{file: "milan-v3-aws-vlek", note: "level 0 demanded", at: "2025-06-01", collateral: "milan-v3-aws-vlek.vlek " + milanList, fails: "vmpl", reasons: "vmpl"},
	{file: "milan-v3-aws-vlek", note: "after its year", at: "2026-01-15", collateral: "milan-v3-aws-vlek.vlek " + milanList, o: vmpl1, fails: "dates", reasons: "certificate-expired"},
	{file: "milan-v2-debugpolicy", at: "2025-06-01", collateral: "milan-v2-debugpolicy.vcek " + milanList, fails: "debug", reasons: "debug"},
	{file: "milan-v2-azure", note: "no list", at: "2025-06-01", collateral: "milan-v2-azure.vcek", fails: "revocation", reasons: "revocation-list-missing"},
	{file: "milan-v2-azure", note: "old list", at: "2025-06-01", collateral: "milan-v2-azure.vcek milan-2022-05-09.crl", fails: "revocation", reasons: "revocation-list-expired"},
	{file: "milan-v2-azure", note: "list of another line", ignored: true, at: "2025-06-01", collateral: "milan-v2-azure.vcek " + genoaList, fails: "revocation", reasons: "revocation-list-foreign"},
	{file: "milan-v2-azure", note: "list that is not yet", at: "2025-01-01", collateral: "milan-v2-azure.vcek " + milanList, fails: "revocation", reasons: "revocation-list-not-yet-valid"},
	{file: "milan-v2-azure", note: "list has ended", at: "2026-06-01", collateral: "milan-v2-azure.vcek " + milanList, fails: "revocation", reasons: "revocation-list-expired"},
	{file: "genoa-v3-azure", note: "before its certificate", at: "2025-06-11", collateral: "genoa-v3-azure.vcek", o: missing, fails: "dates", reasons: "certificate-not-yet-valid"},
	{file: "genoa-v5", note: "list has ended", at: "2025-12-01", collateral: "genoa-v5.vcek " + genoaList, fails: "revocation", reasons: "revocation-list-expired"},

	// An intermediate that AMD has revoked.
	{file: "genoa-v5", note: "revoked intermediate", at: "2025-09-01", collateral: "genoa-v5.vcek genoa-ask-20001-revoked " + genoaList, fails: "revocation", reasons: "revoked"},
	{file: "genoa-v5", note: "intermediate revoked in 2022", at: "2025-09-01", collateral: "genoa-v5.vcek genoa-ask-20001-revoked genoa-2022-10-31.crl", o: missing, fails: "revocation", reasons: "revoked"},
	{file: "genoa-v5", note: "revoked intermediate, no list", at: "2025-09-01", collateral: "genoa-v5.vcek genoa-ask-20001-revoked", o: missing, fails: "revocation", reasons: "revocation-list-missing"},

	// Certificates that are not this report's, or nobody's.
	{file: "milan-v2-azure", note: "VCEK that AMD never signed", at: "2025-06-01", collateral: "milan-v2-azure.vcek-bad-legacy " + milanList, fails: "chain signature", reasons: "broken-chain not-checked"},
	{file: "milan-v2-azure", note: "another one", at: "2025-06-01", collateral: "milan-v2-azure.vcek-bad-new " + milanList, fails: "chain signature", reasons: "broken-chain not-checked"},
	{file: "milan-v2-azure", note: "VCEK of another machine", at: "2025-06-01", collateral: "milan-v2-virtee.vcek " + milanList, fails: "signature chip", reasons: "bad-signature wrong-key"},
	{file: "milan-v2-azure", note: "VCEK of another level", at: "2025-06-01", collateral: "milan-vcek-only " + milanList, fails: "signature chip tcb", reasons: "bad-signature wrong-key tcb-mismatch"},
	{file: "milan-v2-azure", note: "VCEK of another line", at: "2025-06-01", collateral: "turin-vcek-only " + milanList, fails: "signature chip tcb revocation", reasons: "bad-signature wrong-key format revocation-list-foreign"},
	{file: "milan-v4-gcp-novcek", at: "2025-06-01", collateral: milanList, fails: "chain signature", reasons: "broken-chain not-checked"},
	{file: "milan-v5-novcek", at: "2025-06-01", fails: "chain signature", reasons: "broken-chain not-checked"},
	{file: "milan-v2-lit-novcek", at: "2025-06-01", fails: "chain signature", reasons: "broken-chain not-checked"},

	// Damaged by who published them.
	{file: "milan-v2-lit-novcek.report-badsig.bin", at: "2025-06-01", collateral: milanList, fails: "format", reasons: "trailing-bytes"},
	{file: "milan-v2-lit-novcek.report-truncated.bin", at: "2025-06-01", collateral: milanList, fails: "format", reasons: "format"},
}

func snpVectors(t testing.TB, root string) (out []Vector) {
	t.Helper()
	for _, r := range snpRows {
		v := r.vector(t, attest.PlatformSNP)
		v.File = strings.TrimSuffix(r.file, ".bin")
		name := r.file
		if !strings.HasSuffix(name, ".bin") {
			name += ".report.bin"
		}
		v.Parts = append(v.Parts, Part{snpDir + name, attest.MediaTypeSNP, read(t, root, snpDir+name)})
		for _, c := range strings.Fields(r.collateral) {
			mediaType := attest.MediaTypeCertificate
			if strings.HasSuffix(c, ".crl") {
				mediaType = attest.MediaTypeCRL
			}
			v.Parts = append(v.Parts, Part{snpDir + c + ".der", mediaType, read(t, root, snpDir+c+".der")})
		}
		out = append(out, v)
	}
	return out
}
