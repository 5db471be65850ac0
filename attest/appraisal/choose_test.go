// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
)

func vector(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile("../internal/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Lists of other vendors, as a directory of a whole fleet has them, do not get
// in the way of a Nitro document.
func TestNitroAmongAFleet(t *testing.T) {
	var fleet attest.Collateral
	for _, f := range []string{
		"snpreport/testdata/milan-2025-05-06.crl.der", "snpreport/testdata/genoa-2024-10-23.crl.der",
		"dcap/testdata/tdx/collateral/90c06f000000-2026-02/root.crl.der", "dcap/testdata/tdx/collateral/90c06f000000-2026-02/pck-platform.crl.der",
	} {
		fleet = append(fleet, attest.Evidence{MediaType: attest.MediaTypeCRL, Value: vector(t, f)})
	}
	r := appraisal.Request{File: vector(t, "nitrodoc/testdata/enclave-2025-12.cbor"), At: time.Date(2025, 12, 25, 13, 15, 40, 0, time.UTC)}
	alone, err := appraisal.Appraise(r)
	if err != nil || !alone.Accepted {
		t.Fatalf("%v, %+v", err, alone)
	}
	r.Collateral = fleet
	among, err := appraisal.Appraise(r)
	if err != nil || !among.Accepted {
		t.Fatalf("%v, %v", err, among.Rows.Err())
	}
	said := false
	for _, row := range among.Rows {
		said = said || row.Check == "nitro.collateral" && strings.Contains(row.Seen, "4 entries of collateral left out")
	}
	if !said {
		t.Errorf("what was left out is not said: %+v", among.Rows)
	}
}

// Where the key that signed a report is missing, the verdict says where it is.
func TestTheMissingKeyIsNamed(t *testing.T) {
	for file, want := range map[string][]string{
		"milan-v3-oak": {"https://kdsintf.amd.com/vcek/v1/Milan/a3fdc2c64dc299ab", "?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219 and add it", "enarx collateral fetch"},
		"turin-v5":     {"https://kdsintf.amd.com/vcek/v1/Turin/", "?fmcSPL=00&blSPL=01&teeSPL=00&snpSPL=02&ucodeSPL=71 and add it"},
		"siena-a0-v3":  {"https://kdsintf.amd.com/vcek/v1/Genoa/"},
		// Version 2 does not say the product line.
		"milan-v2-azure":    {"https://kdsintf.amd.com/vcek/v1/Milan/", " or https://kdsintf.amd.com/vcek/v1/Genoa/"},
		"milan-v3-aws-vlek": {"the VLEK is missing: take it from the host", "AMD's key service gives out none"},
	} {
		res, err := appraisal.Appraise(appraisal.Request{File: vector(t, "snpreport/testdata/"+file+".report.bin"), At: time.Date(2025, 8, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil || res.Accepted {
			t.Fatalf("%s: %v, %+v", file, err, res)
		}
		todo := ""
		for _, row := range res.Rows {
			if row.Check == "snp.chain" {
				todo = row.Todo
			}
		}
		for _, w := range want {
			if !strings.Contains(todo, w) {
				t.Errorf("%s: %q does not say %q", file, todo, w)
			}
		}
	}
}
