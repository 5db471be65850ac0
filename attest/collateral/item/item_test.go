// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package item

import (
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// The vectors lie with the parsers; see ORIGIN there.
const (
	amd   = "../../internal/snpreport/testdata/"
	intel = "../../internal/dcap/testdata/"
)

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func part(mediaType string, value []byte) attest.Collateral {
	return attest.Collateral{{MediaType: mediaType, Value: value}}
}

func cert(t testing.TB, path string) attest.Collateral {
	return part(attest.MediaTypeCertificate, read(t, path))
}

// chain takes a chain in PEM apart.
func chain(t testing.TB, path string) attest.Collateral {
	t.Helper()
	var c attest.Collateral
	for block, rest := pem.Decode(read(t, path)); block != nil; block, rest = pem.Decode(rest) {
		c = append(c, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: block.Bytes})
	}
	return c
}

func list(t testing.TB, path string) attest.Collateral {
	return part(attest.MediaTypeCRL, read(t, path))
}

// signed is a document or list of Intel's with its chain.
func signed(t testing.TB, mediaType, dir, file, chain string) attest.Collateral {
	t.Helper()
	return append(part(mediaType, read(t, intel+dir+"/"+file)), part(attest.MediaTypePEMChain, read(t, intel+dir+"/"+chain))...)
}

func vcek(t testing.TB, line, report string) Item {
	t.Helper()
	r := read(t, amd+report)
	chip := r[0x1a0:0x1e0]
	if line == "Turin" {
		chip = chip[:8]
	}
	return Item{Kind: VCEK, Line: line, Chip: hex.EncodeToString(chip), TCB: hex.EncodeToString(r[0x180:0x188])}
}

// genuine are real items with their parts.
func genuine(t testing.TB) map[string]struct {
	it    Item
	parts attest.Collateral
} {
	const (
		gnr  = "tdx/collateral/00a06d080000-2025-10"
		sgx  = "sgx/collateral/00a067110000-2025-06"
		tcbs = "tcb-signing-chain.pem"
	)
	return map[string]struct {
		it    Item
		parts attest.Collateral
	}{
		"Milan VCEK":     {vcek(t, "Milan", "milan-v3-oak.report.bin"), cert(t, amd+"milan-v3-oak.vcek.der")},
		"Genoa VCEK":     {vcek(t, "Genoa", "genoa-v5.report.bin"), cert(t, amd+"genoa-v5.vcek.der")},
		"Siena VCEK":     {vcek(t, "Genoa", "siena-a0-v3.report.bin"), cert(t, amd+"siena-a0-v3.vcek.der")},
		"Turin VCEK":     {vcek(t, "Turin", "turin-v5.report.bin"), cert(t, amd+"turin-v5.vcek.der")},
		"Milan chain":    {Item{Kind: AMDChain, Line: "Milan", Key: "vcek"}, chain(t, amd+"milan-vcek-chain.pem")},
		"VLEK chain":     {Item{Kind: AMDChain, Line: "Milan", Key: "vlek"}, chain(t, amd+"milan-vlek-chain.pem")},
		"Turin chain":    {Item{Kind: AMDChain, Line: "Turin", Key: "vcek"}, chain(t, amd+"turin-vcek-chain.pem")},
		"Milan list":     {Item{Kind: AMDList, Line: "Milan"}, list(t, amd+"milan-2025-05-06.crl.der")},
		"Genoa list":     {Item{Kind: AMDList, Line: "Genoa"}, list(t, amd+"genoa-2024-10-23.crl.der")},
		"VLEK":           {Item{Kind: VLEK, Line: "Milan", TCB: hex.EncodeToString(read(t, amd+"milan-v3-aws-vlek.report.bin")[0x180:0x188])}, cert(t, amd+"milan-v3-aws-vlek.vlek.der")},
		"TDX TCB info":   {Item{Kind: TCBInfo, TEE: "tdx", FMSPC: "00a06d080000"}, signed(t, attest.MediaTypeIntelTCBInfo, gnr, "tcbinfo.json", tcbs)},
		"TDX identity":   {Item{Kind: QEIdentity, TEE: "tdx"}, signed(t, attest.MediaTypeIntelQEIdentity, gnr, "qeidentity.json", tcbs)},
		"SGX TCB info":   {Item{Kind: TCBInfo, TEE: "sgx", FMSPC: "00a067110000"}, signed(t, attest.MediaTypeIntelTCBInfo, sgx, "tcbinfo.json", tcbs)},
		"SGX identity":   {Item{Kind: QEIdentity, TEE: "sgx"}, signed(t, attest.MediaTypeIntelQEIdentity, sgx, "qeidentity.json", tcbs)},
		"platform list":  {Item{Kind: PCKList, CA: "platform"}, signed(t, attest.MediaTypeCRL, gnr, "pck-platform.crl.der", "pck-platform-ca-chain.pem")},
		"processor list": {Item{Kind: PCKList, CA: "processor"}, signed(t, attest.MediaTypeCRL, sgx, "pck-processor.crl.der", "pck-processor-ca-chain.pem")},
		"root list":      {Item{Kind: RootList}, list(t, intel+gnr+"/root.crl.der")},
	}
}

func TestGenuineItemsAreTaken(t *testing.T) {
	names := map[string]bool{}
	for name, g := range genuine(t) {
		info, err := Check(g.it, g.parts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !info.From.Before(info.Until) {
			t.Errorf("%s: valid from %v to %v", name, info.From, info.Until)
		}
		if older, why := info.Older(info); older {
			t.Errorf("%s is older than itself: %s", name, why)
		}
		if n := g.it.Name(); names[n] || n != strings.ToLower(n) || filepath.Base(n) != n {
			t.Errorf("%s: name %q", name, n)
		}
		names[g.it.Name()] = true
		if files := g.it.FileNames(len(g.parts)); len(files) != len(g.parts) {
			t.Errorf("%s: file names %q for %d parts", name, files, len(g.parts))
		}
	}
}

// TestInvariant4HostileInputIsBounded_NothingTakesAnothersPlace gives each item
// the parts of every other: all are refused.
func TestInvariant4HostileInputIsBounded_NothingTakesAnothersPlace(t *testing.T) {
	all := genuine(t)
	refused := 0
	for name, g := range all {
		for other, o := range all {
			if name == other {
				continue
			}
			_, err := Check(g.it, o.parts)
			var r *RefusedError
			if !errors.As(err, &r) || r.Item != g.it || r.Rule != RuleForm && r.Rule != RuleProof && r.Rule != RuleSubject {
				t.Errorf("%s in the place of %s: %v", other, name, err)
			}
			refused++
		}
	}
	if refused != len(all)*(len(all)-1) {
		t.Errorf("%d tried", refused)
	}
}

// The rule says what was wrong: genuine but swapped is not forged.
func TestTheRuleIsNamed(t *testing.T) {
	all := genuine(t)
	forged := bytes.Clone(all["Milan list"].parts[0].Value)
	forged[len(forged)-1] ^= 1
	badInfo := attest.Collateral{
		{MediaType: attest.MediaTypeIntelTCBInfo, Value: bytes.Replace(all["TDX TCB info"].parts[0].Value, []byte(`"UpToDate"`), []byte(`"OutOfDat"`), 1)},
		all["TDX TCB info"].parts[1],
	}
	for name, c := range map[string]struct {
		it    Item
		parts attest.Collateral
		rule  Rule
	}{
		"list of Genoa for Milan":          {all["Milan list"].it, all["Genoa list"].parts, RuleSubject},
		"chain of Turin for Milan":         {all["Milan chain"].it, all["Turin chain"].parts, RuleSubject},
		"VLEK chain for VCEK":              {all["Milan chain"].it, all["VLEK chain"].parts, RuleProof},
		"VCEK of another chip":             {all["Genoa VCEK"].it, all["Siena VCEK"].parts, RuleSubject},
		"TCB info of SGX for TDX":          {Item{Kind: TCBInfo, TEE: "tdx", FMSPC: "00a067110000"}, all["SGX TCB info"].parts, RuleSubject},
		"identity of TDX for SGX":          {all["SGX identity"].it, all["TDX identity"].parts, RuleSubject},
		"TCB info of another model":        {Item{Kind: TCBInfo, TEE: "tdx", FMSPC: "b0c06f000000"}, all["TDX TCB info"].parts, RuleSubject},
		"TCB info of another evaluation":   {Item{Kind: TCBInfo, TEE: "tdx", FMSPC: "00a06d080000", Evaluation: "3"}, all["TDX TCB info"].parts, RuleSubject},
		"list of the processor CA":         {all["platform list"].it, all["processor list"].parts, RuleSubject},
		"one bit of a list":                {all["Milan list"].it, part(attest.MediaTypeCRL, forged), RuleProof},
		"a status of a TCB info":           {all["TDX TCB info"].it, badInfo, RuleProof},
		"lookalike root":                   {all["root list"].it, list(t, intel+"tdx/bad-lookalike-root.crl.der"), RuleProof},
		"a page":                           {all["Milan list"].it, part(attest.MediaTypeCRL, []byte("<html>busy</html>")), RuleProof},
		"nothing":                          {all["Milan list"].it, nil, RuleForm},
		"empty":                            {all["Milan list"].it, part(attest.MediaTypeCRL, nil), RuleForm},
		"too large":                        {all["Milan list"].it, part(attest.MediaTypeCRL, make([]byte, MaxPart+1)), RuleForm},
		"of another type":                  {all["Milan list"].it, part(attest.MediaTypeCertificate, all["Milan list"].parts[0].Value), RuleForm},
		"without its chain":                {all["TDX TCB info"].it, all["TDX TCB info"].parts[:1], RuleForm},
		"VCEK that its publisher says bad": {vcek(t, "Milan", "milan-v2-azure.report.bin"), cert(t, amd+"milan-v2-azure.vcek-bad-new.der"), RuleProof},
		"item that is none":                {Item{Kind: AMDList, Line: "../../x"}, all["Milan list"].parts, RuleForm},
	} {
		_, err := Check(c.it, c.parts)
		var r *RefusedError
		if !errors.As(err, &r) {
			t.Errorf("%s: %v", name, err)
		} else if r.Rule != c.rule {
			t.Errorf("%s: rule %s, want %s: %v", name, r.Rule, c.rule, err)
		}
	}
}

// An older copy of each kind is known as one.
func TestOlderIsKnown(t *testing.T) {
	info := func(dir string) attest.Collateral {
		return signed(t, attest.MediaTypeIntelTCBInfo, "tdx/collateral/"+dir, "tcbinfo.json", "tcb-signing-chain.pem")
	}
	model := Item{Kind: TCBInfo, TEE: "tdx", FMSPC: "90c06f000000"}
	genoa := Item{Kind: AMDChain, Line: "Genoa", Key: "vcek"}
	for name, c := range map[string]struct {
		it       Item
		old, new attest.Collateral
	}{
		"list of Milan":                     {Item{Kind: AMDList, Line: "Milan"}, list(t, amd+"milan-2022-05-09.crl.der"), list(t, amd+"milan-2025-05-06.crl.der")},
		"list of Genoa":                     {Item{Kind: AMDList, Line: "Genoa"}, list(t, amd+"genoa-2022-10-31.crl.der"), list(t, amd+"genoa-2024-10-23.crl.der")},
		"TCB info":                          {model, info("90c06f000000-2025-02"), info("90c06f000000-2026-02")},
		"TCB info, too":                     {model, info("90c06f000000-2026-02"), info("90c06f000000-2026-06")},
		"root list":                         {Item{Kind: RootList}, list(t, intel+"tdx/collateral/50806f000000-2023-06/root.crl.der"), list(t, intel+"tdx/collateral/90c06f000000-2026-06/root.crl.der")},
		"the revoked intermediate of Genoa": {genoa, cert(t, amd+"genoa-ask-20001-revoked.der"), chain(t, amd+"genoa-vcek-chain.pem")},
	} {
		before, err := Check(c.it, append(c.old, c.new[len(c.old):]...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		after, err := Check(c.it, c.new)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if older, why := before.Older(after); !older || why == "" {
			t.Errorf("%s: the old one is not older: %+v, %+v", name, before, after)
		}
		if older, why := after.Older(before); older {
			t.Errorf("%s: the new one is older: %s", name, why)
		}
	}
}

func TestItemsHaveOneForm(t *testing.T) {
	good := vcek(t, "Milan", "milan-v3-oak.report.bin")
	for name, it := range map[string]Item{
		"upper case":       {Kind: VCEK, Line: good.Line, Chip: strings.ToUpper(good.Chip), TCB: good.TCB},
		"short chip":       {Kind: VCEK, Line: good.Line, Chip: good.Chip[:30], TCB: good.TCB},
		"path as a line":   {Kind: AMDList, Line: "../Milan"},
		"query as a line":  {Kind: AMDList, Line: "Milan?x"},
		"no kind":          {},
		"unknown kind":     {Kind: "amd-gift"},
		"foreign field":    {Kind: RootList, Line: "Milan"},
		"bad evaluation":   {Kind: QEIdentity, TEE: "tdx", Evaluation: "17&fmspc=1"},
		"zero evaluation":  {Kind: QEIdentity, TEE: "tdx", Evaluation: "017"},
		"bad TEE":          {Kind: QEIdentity, TEE: "snp"},
		"short FMSPC":      {Kind: TCBInfo, TEE: "tdx", FMSPC: "00"},
		"bad intermediate": {Kind: PCKList, CA: "root"},
		"bad key":          {Kind: AMDChain, Line: "Milan", Key: "ark"},
	} {
		if err := it.Valid(); err == nil {
			t.Errorf("%s: %+v is taken", name, it)
		}
	}
	if err := good.Valid(); err != nil {
		t.Error(err)
	}
}
