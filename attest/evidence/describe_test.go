// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// describeFile describes the first piece of a vector.
func describeFile(t testing.TB, name string) *Description {
	t.Helper()
	f, err := Find(vector(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	d, err := Describe(f.Pieces[0])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

func values(d *Description) map[string]string {
	m := map[string]string{}
	d.Parts(func(path string, f *Field) { m[path] = f.Value })
	return m
}

// TestDescribeTellsTheFacts: fields that are published with the vectors.
func TestDescribeTellsTheFacts(t *testing.T) {
	for _, x := range []struct{ file, path, value string }{
		{"snp/turin-v5.report.bin", "VERSION", "5"},
		{"snp/turin-v5.report.bin", "REPORTED_TCB / FMC", "0"},
		{"snp/turin-v5.report.bin", "REPORTED_TCB / boot loader", "1"},
		{"snp/turin-v5.report.bin", "REPORTED_TCB / SNP", "2"},
		{"snp/turin-v5.report.bin", "REPORTED_TCB / microcode", "71"},
		{"snp/turin-v5.report.bin", "PLATFORM_INFO", "0x67"},
		{"snp/turin-v5.report.bin", "PLATFORM_INFO / bit 6", "set"},
		{"snp/genoa-v5.report.bin", "LAUNCH_MIT_VECTOR", "0x1"},
		{"snp/milan-v5-novcek.report.bin", "CURRENT_MIT_VECTOR", "0xb"},
		{"snp/siena-a0-v3.report.bin", "CPUID", "family 19h, model a0h, stepping 2"},
		{"snp/milan-v2-debugpolicy.report.bin", "POLICY / bit 19 DEBUG", "set"},
		{"snp/milan-v2-enarx.report.bin", "POLICY / ABI", "1.51"},
		{"snp/milan-v2-enarx.report.bin", "KEY_INFO / bit 0 AUTHOR_KEY_EN", "set"},
		{"snp/milan-v2-azure.report.bin", "REPORTED_TCB / microcode", "115"},
		{"snp/milan-v2-azure.report.bin", "CURRENT_TCB / microcode", "206"},
		{"snp/milan-v3-aws-vlek.report.bin", "VMPL", "1"},
		{"snp/milan-v3-aws-vlek.report.bin", "KEY_INFO / SIGNING_KEY", "1 (VLEK)"},
		{"tdx/v4-50806f-debug.quote.bin", "TD report / TDATTRIBUTES / bit 0 DEBUG", "set"},
		{"tdx/v5-90c06f-relaunch.quote.bin", "body type", "3"},
		{"tdx/v5-90c06f-relaunch.quote.bin", "TD report / TEE_TCB_SVN / module SVN", "4"},
		{"tdx/v5-90c06f-relaunch.quote.bin", "TD report / TEE_TCB_SVN2 / module SVN", "7"},
		{"tdx/v4-00a06d-gnr.quote.bin", "certification data / certificate 1 / FMSPC", "00a06d080000"},
		{"tdx/v4-00a06d-gnr.quote.bin", "certification data / certificate 1 / SGX type", "2"},
		{"tdx/v4-00a06d-gnr.quote.bin", "certification data / certificate 1 / TCB / PCESVN", "11"},
		{"tdx/v4-00a06d-gnr.quote.bin", "certification data / certificate 1 / TCB", "2 2 7 7 4 1 0 2 0 0 0 0 0 0 0 0"},
		{"sgx/v3-00606a-occlum-debug.quote.bin", "enclave report / ATTRIBUTES / bit 1 DEBUG", "set"},
		{"sgx/v3-00606a-occlum-debug.quote.bin", "enclave report / ATTRIBUTES / bit 7 KSS", "clear"},
		{"sgx/v3-00606a-occlum-debug.quote.bin", "enclave report / REPORTDATA / as text", "test"},
		{"sgx/v3-00606a-occlum-debug.quote.bin", "QE report / ISVSVN", "8"},
		{"sgx/v3-00606a-ravl-debug.quote.bin", "enclave report / ISVPRODID", "1"},
		{"sgx/v3-ppid-certdata-debug.quote.bin", "certification data type", "3"},
		{"tpm/aws-nitrotpm-ecc.json", "payload / module_id", "i-01cfb383223e42522-tpm0000000000000000"},
		{"tpm/aws-nitrotpm-ecc.json", "payload / timestamp", "1770113522437 (2026-02-03T10:12:02Z)"},
		{"tpm/aws-nitrotpm-ecc.json", "payload / nitrotpm_pcrs", "24 registers"},
	} {
		if got, ok := values(describeFile(t, x.file))[x.path]; !ok || got != x.value {
			t.Errorf("%s: %s is %q (there: %v), expected %q", x.file, x.path, got, ok, x.value)
		}
	}
}

// TestDescribeUsesTheCertificate: a report of version 2 does not say how its
// firmware level is laid out, its certificate does.
func TestDescribeUsesTheCertificate(t *testing.T) {
	report := bytes.Clone(vector(t, "snp/milan-v2-aci.report.bin"))
	copy(report[0x180:], []byte{0, 1, 0, 2, 0, 0, 0, 71})
	p := Piece{Evidence: attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report}}
	for _, x := range []struct{ cert, path, value string }{
		{"", "REPORTED_TCB / boot loader", "0"},
		{"snp/milan-v2-aci.vcek.der", "REPORTED_TCB / boot loader", "0"},
		{"snp/turin-v5.vcek.der", "REPORTED_TCB / boot loader", "1"},
	} {
		p.Collateral = nil
		if x.cert != "" {
			p.Collateral = attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: vector(t, x.cert)}}
		}
		d, err := Describe(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := values(d)[x.path]; got != x.value {
			t.Errorf("with certificate %q: %s is %q, expected %q", x.cert, x.path, got, x.value)
		}
	}
}

// TestDescribeHidesNothing: fields stand where they say, each has a name of its
// own, and every byte that is not zero belongs to one, or a note tells of it.
func TestDescribeHidesNothing(t *testing.T) {
	described := 0
	for name, b := range rawEvidence(t) {
		f, err := Find(b)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Describe(f.Pieces[0])
		if err != nil {
			if !strings.Contains(name, "truncated") && !strings.Contains(name, "bad-") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		described++
		seen, covered := map[string]bool{}, make([]bool, len(b))
		d.Parts(func(path string, f *Field) {
			if seen[path] {
				t.Errorf("%s: two fields %s", name, path)
			}
			seen[path] = true
			if f.Offset < 0 || f.Size < 0 || f.Offset+f.Size > len(b) {
				t.Fatalf("%s: %s at %d+%d of %d bytes", name, path, f.Offset, f.Size, len(b))
			}
			part := b[f.Offset : f.Offset+f.Size]
			if raw, err := hex.DecodeString(f.Value); err == nil && f.Size > 8 && len(raw) == f.Size && !bytes.Equal(raw, part) {
				t.Errorf("%s: %s is not what stands at %d", name, path, f.Offset)
			}
			for i := range part {
				covered[f.Offset+i] = true
			}
		})
		for i, x := range b {
			if x != 0 && !covered[i] && len(d.Notes) == 0 && f.Pieces[0].Platform != attest.PlatformNitro {
				t.Errorf("%s: byte %d is in no field", name, i)
				break
			}
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if described < 30 {
		t.Errorf("only %d pieces described", described)
	}
}

// TestDescribeObjects: what a verifier refuses is noted, and described as far
// as it goes.
func TestDescribeObjects(t *testing.T) {
	report := bytes.Clone(vector(t, "snp/milan-v2-aci.report.bin"))
	report[0x4c] = 1
	quote := vector(t, "tdx/v4-50806f-trailing.quote.bin")
	for name, p := range map[string]Piece{
		"reserved byte":  {Evidence: attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report}},
		"bytes after it": {Evidence: attest.Evidence{MediaType: attest.MediaTypeTDX, Value: quote}},
		"cut":            {Evidence: attest.Evidence{MediaType: attest.MediaTypeTDX, Value: quote[:3000]}},
		"cut early":      {Evidence: attest.Evidence{MediaType: attest.MediaTypeTDX, Value: quote[:60]}},
	} {
		d, err := Describe(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if notes := strings.Join(d.Notes, " "); !strings.Contains(notes, "refuse") {
			t.Errorf("%s: notes %q, expected that a verifier will refuse it", name, notes)
		}
	}
	for name, ev := range map[string]attest.Evidence{
		"short report":   {MediaType: attest.MediaTypeSNP, Value: report[:793]},
		"no quote":       {MediaType: attest.MediaTypeSGX, Value: report},
		"no document":    {MediaType: attest.MediaTypeNitro, Value: report},
		"another type":   {MediaType: attest.MediaTypeCRL, Value: report},
		"much too large": {MediaType: attest.MediaTypeSNP, Value: make([]byte, attest.MaxEvidence+1)},
	} {
		if _, err := Describe(Piece{Evidence: ev}); err == nil {
			t.Errorf("%s: described", name)
		}
	}
}

// TestDescribeCollateral: facts of the collateral, as published.
func TestDescribeCollateral(t *testing.T) {
	for _, x := range []struct{ file, path, value string }{
		{"tdx/collateral/90c06f000000-2026-06/tcbinfo.json", "tcbEvaluationDataNumber", "19"},
		{"tdx/collateral/90c06f000000-2026-06/tcbinfo.json", "fmspc", "90c06f000000"},
		{"tdx/collateral/90c06f000000-2026-06/tcbinfo.json", "tcbLevels", "3 levels"},
		{"tdx/collateral/90c06f000000-2026-06/tcbinfo.json", "tcbLevels / SGX 3 3 2 2 4 1 0 5, TDX 5 0 3, PCE 13", "UpToDate"},
		{"tdx/collateral/90c06f000000-2026-06/tcbinfo.json", "tdxModuleIdentities / TDX_01 / SVN 4", "OutOfDate"},
		{"tdx/collateral/90c06f000000-2026-06/qeidentity.json", "isvprodid", "2"},
		{"tdx/collateral/90c06f000000-2026-06/pck-platform.crl.der", "revoked", "57"},
		{"tdx/tcb-evaluation-data-numbers-2025-10.json", "tcbEvalNumbers", "8 evaluations"},
		{"sgx/collateral/00906ea10000-2020/tcbinfo-v2.fortanix.json", "version", "2"},
		{"sgx/collateral/00906ea10000-2020/tcbinfo-v2.fortanix.json", "tcbLevels / SGX 14 14 2 4 1 128 7, PCE 10", "SWHardeningNeeded"},
		{"snp/turin-v5.vcek.der", "FMC", "0"},
		{"snp/turin-v5.vcek.der", "hardware id", "3b42092f69c656d3"},
		{"snp/milan-v3-aws-vlek.vlek.der", "provider", "CN=cc-us-east-2.amazonaws.com"},
		{"snp/genoa-2024-10-23.crl.der", "revoked / serial 20001", "2022-10-31T12:00:00Z"},
	} {
		col, err := FindCollateral(vector(t, x.file))
		if err != nil {
			t.Errorf("%s: %v", x.file, err)
			continue
		}
		d, err := DescribeCollateral(col[0])
		if err != nil {
			t.Errorf("%s: %v", x.file, err)
			continue
		}
		if got, ok := values(d)[x.path]; !ok || got != x.value {
			t.Errorf("%s: %s is %q (there: %v), expected %q", x.file, x.path, got, ok, x.value)
		}
	}
}

// TestDiff says in words what has changed, and nothing else.
func TestDiff(t *testing.T) {
	col := func(name string) []*Description {
		c, err := FindCollateral(vector(t, name))
		if err != nil {
			t.Fatal(err)
		}
		var ds []*Description
		for _, e := range c {
			d, err := DescribeCollateral(e)
			if err != nil {
				t.Fatal(err)
			}
			ds = append(ds, d)
		}
		return ds
	}
	ev := func(name string) []*Description { return []*Description{describeFile(t, name)} }
	has := func(cs []Change, field, old, new string) bool {
		for _, c := range cs {
			if c.Field == field && c.Old == old && c.New == new {
				return true
			}
		}
		return false
	}
	for name := range rawEvidence(t) {
		if f, err := Find(rawEvidence(t)[name]); err == nil {
			if d, err := Describe(f.Pieces[0]); err == nil && len(Diff([]*Description{d}, []*Description{d})) != 0 {
				t.Errorf("%s differs from itself", name)
			}
		}
	}
	infos := Diff(col("tdx/collateral/00806f050000-2025-01/tcbinfo.json"), col("tdx/collateral/00806f050000-2026-01/tcbinfo.json"))
	for _, x := range [][3]string{
		{"tcbEvaluationDataNumber", "17", "18"},
		{"tcbLevels / SGX 7 7 2 2 3 1 0 3, TDX 5 0 7, PCE 11", "UpToDate", "OutOfDate"},
		{"tcbLevels / SGX 8 8 2 2 4 1 0 6, TDX 5 0 8, PCE 11", "", "UpToDate"},
		{"tdxModuleIdentities / TDX_01 / SVN 4", "UpToDate", "OutOfDate"},
	} {
		if !has(infos, x[0], x[1], x[2]) {
			t.Errorf("TCB infos: no change of %s from %q to %q in %v", x[0], x[1], x[2], infos)
		}
	}
	if has(infos, "fmspc", "00806f050000", "00806F050000") {
		t.Error("the case of an FMSPC is no change")
	}
	reports := Diff(ev("snp/milan-v3-oak.report.bin"), ev("snp/genoa-v5.report.bin"))
	if !has(reports, "REPORTED_TCB / microcode", "219", "84") || !has(reports, "LAUNCH_MIT_VECTOR", "", "0x1") {
		t.Errorf("reports: %v", reports)
	}
	for _, c := range reports {
		if c.Field == "REPORTED_TCB" {
			t.Error("the bytes of a firmware level are repeated beside its parts")
		}
	}
	policies := Diff(ev("snp/milan-v2-debugpolicy.report.bin"), ev("snp/milan-v2-aci.report.bin"))
	if !has(policies, "POLICY / bit 19 DEBUG", "set", "clear") {
		t.Errorf("policies: %v", policies)
	}
	chains := Diff(col("snp/milan-vcek-chain.pem"), col("snp/genoa-vcek-chain.pem"))
	if len(chains) != 4 || chains[0].Field != "" || chains[0].Old != "there" || chains[3].New != "there" {
		t.Errorf("certificates of other subjects are compared with each other: %v", chains)
	}
}

// TestDescribeWrapper: what has no verifier is decoded all the same.
func TestDescribeWrapper(t *testing.T) {
	for _, x := range []struct{ file, path, value string }{
		{"snp/genoa-v3-azure.hcl.bin", "version", "2"},
		{"snp/genoa-v3-azure.hcl.bin", "report type", "2"},
		{"snp/genoa-v3-azure.hcl.bin", "variable data size", "1200"},
		{"tdx/v4-90c06f-azure-vtpm.hcl.bin", "TD report / ATTRIBUTES / bit 0 DEBUG", "clear"},
		{"tdx/v4-90c06f-azure-vtpm.hcl.bin", "TD report / MRTD",
			"ff450b138c5ee6734a43dc35afb437abfa24ef743bc9e9484ef4af365fcd89a6c50913248ed7fcb92a7d42b1ba7da984"},
		{"tpm/gcp-amd-ecc.quote.bin", "extraData", "8a543108a653b4a1162232744cc9b945017a449dea4fbb0ca62f42d3ef145562"},
		{"tpm/gcp-amd-ecc.quote.bin", "firmwareVersion", "2016051100162800"},
		{"tpm/gcp-windows-sha1.ak-creation.attest.bin", "type", "0x801a"},
	} {
		d, err := DescribeWrapper(vector(t, x.file))
		if err != nil {
			t.Errorf("%s: %v", x.file, err)
			continue
		}
		if got, ok := values(d)[x.path]; !ok || got != x.value || len(d.Notes) != 0 {
			t.Errorf("%s: %s is %q (there: %v), notes %v, expected %q", x.file, x.path, got, ok, d.Notes, x.value)
		}
	}
	quote := vector(t, "tpm/gcp-amd-ecc.quote.bin")
	for n := 4; n < len(quote); n++ {
		d, err := DescribeWrapper(quote[:n])
		if err != nil || len(d.Notes) != 1 {
			t.Fatalf("cut to %d bytes: %v, %v", n, d, err)
		}
	}
	if _, err := DescribeWrapper(vector(t, "snp/turin-v5.report.bin")); err == nil {
		t.Error("a report is no wrapping")
	}
}

// TestDescribeLog names events and what they are about.
func TestDescribeLog(t *testing.T) {
	for _, x := range []struct{ file, path, value string }{
		{"tdx/v4-00806f-gcp-cos113.ccel-data.bin", "events", "43"},
		{"tdx/v4-00806f-gcp-cos113.ccel-data.bin", "events / register 1, event 3 / about", "variable SecureBoot"},
		{"tdx/v4-90c06f-dstack.eventlog.json", "events", "28"},
		{"tdx/v4-90c06f-dstack.eventlog.json", "events / register 1, event 1", "EV_EFI_HANDOFF_TABLES2"},
		{"tpm/eventlogs/debian-10.bin", "events", "25"},
	} {
		col, err := FindCollateral(vector(t, x.file))
		if err != nil {
			t.Fatal(err)
		}
		d, err := DescribeCollateral(col[0])
		if err != nil {
			t.Errorf("%s: %v", x.file, err)
			continue
		}
		if got := values(d)[x.path]; got != x.value {
			t.Errorf("%s: %s is %q, expected %q", x.file, x.path, got, x.value)
		}
	}
}
