// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// azureTDX puts what a TD on Azure gave into the JSON of Trustee's attester.
func azureTDX(t testing.TB, change func(quote map[string]any), more ...func(file map[string]any)) []byte {
	t.Helper()
	const local = "../evidence/testdata/tdx/v4-90c06f-azure-vtpm."
	var byIndex map[string]string
	if err := json.Unmarshal(read(t, local+"tpm-pcrs-sha256.json"), &byIndex); err != nil || len(byIndex) != 24 {
		t.Fatalf("%d registers: %v", len(byIndex), err)
	}
	pcrs := make([]any, 24)
	for i := range pcrs {
		pcrs[i] = byIndex[fmt.Sprint(i)]
	}
	quote := map[string]any{
		"message": hex.EncodeToString(read(t, local+"tpm-quote.bin")), "signature": hex.EncodeToString(read(t, local+"tpm-sig.bin")), "pcrs": pcrs,
	}
	change(quote)
	file := map[string]any{
		"version": "1", "tpm_quote": quote,
		"hcl_report": base64.RawURLEncoding.EncodeToString(read(t, local+"hcl.bin")),
		"td_quote":   base64.RawURLEncoding.EncodeToString(read(t, dcapData+"tdx/v4-90c06f-azure-vtpm.quote.bin")),
	}
	for _, change := range more {
		change(file)
	}
	b, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTPMOfAzureTD: the quote of a TD on Azure vouches for the key of the
// virtual TPM beside it, and for no other TPM's, registers or session.
func TestTPMOfAzureTD(t *testing.T) {
	same := func(map[string]any) {}
	flip := func(key string) func(map[string]any) {
		return func(q map[string]any) {
			s := q[key].(string)
			q[key] = s[:len(s)-1] + map[bool]string{true: "1", false: "0"}[s[len(s)-1] == '0']
		}
	}
	var milan map[string]any
	if err := json.Unmarshal(read(t, tpmData+"azure-snp-milan-vtpm.json"), &milan); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		change func(map[string]any)
		at     string
		nonce  string
		fails  string // a failed row; empty expects acceptance
	}{
		"as it is": {same, "2026-06-20", "", ""},
		// The TPM was given 32 zeros for a nonce: what anybody could have
		// asked shows no session, and is not taken for one.
		"its nonce of zeros":     {same, "2026-06-20", strings.Repeat("00", 32), "2.vtpm.report-data"},
		"another nonce":          {same, "2026-06-20", strings.Repeat("01", 32), "2.vtpm.report-data"},
		"collateral of the past": {same, "2026-09-20", "", "2.vtpm.chain"},
		"another statement":      {flip("message"), "2026-06-20", "", "2.vtpm.signature"},
		"another signature":      {flip("signature"), "2026-06-20", "", "2.vtpm.signature"},
		"another register":       {func(q map[string]any) { q["pcrs"].([]any)[4] = strings.Repeat("22", 32) }, "2026-06-20", "", "2.vtpm.pcrs"},
		"the quote of an SNP guest": {func(q map[string]any) {
			for k, v := range milan["tpm_quote"].(map[string]any) {
				q[k] = v
			}
		}, "2026-06-20", "", "2.vtpm.signature"},
	} {
		t.Run(name, func(t *testing.T) {
			r := tpmRequest(t, azureTDX(t, x.change), "", x.at, x.nonce)
			r.Collateral = folder(t, "tdx/collateral/90c06f000000-2026-06")
			res, err := Appraise(r)
			if err != nil {
				t.Fatal(err)
			}
			if x.fails != "" {
				if res.Accepted || rowOf(res.Rows, x.fails).Outcome != attest.Fail {
					t.Errorf("accepted %v: %+v", res.Accepted, rowOf(res.Rows, x.fails))
				}
				return
			}
			if !res.Accepted || len(res.Pieces) != 2 {
				t.Fatalf("refused: %v", res.Rows.Err())
			}
			for _, check := range strings.Fields("1.tdx.signature 1.tdx.report-data 2.vtpm.chain 2.vtpm.signature 2.vtpm.pcrs") {
				if row := rowOf(res.Rows, check); row.Outcome != attest.Pass {
					t.Errorf("%s: %+v", check, row)
				}
			}
		})
	}
}

// oneQuote leaves only the quote at position n in the message of go-tpm-tools:
// each top-level field there is bytes.
func oneQuote(t testing.TB, b []byte, n int) []byte {
	t.Helper()
	var out []byte
	quotes := 0
	for at := 0; at < len(b); {
		size, used := binary.Uvarint(b[at+1:])
		if b[at]&7 != 2 || used <= 0 || size > uint64(len(b)) {
			t.Fatalf("byte %d is no field of bytes", at)
		}
		end := at + 1 + used + int(size)
		if b[at]>>3 == 2 {
			quotes++
		}
		if b[at]>>3 != 2 || quotes == n+1 {
			out = append(out, b[at:end]...)
		}
		at = end
	}
	if quotes != 3 {
		t.Fatalf("%d quotes", quotes)
	}
	return out
}

// TestTPMBanks: of a TPM's three quotes that of SHA-256 is taken; SHA-384
// alone is as good and said; SHA-1 alone is refused for that.
func TestTPMBanks(t *testing.T) {
	whole := read(t, tpmData+"gcp-cos85-nonce.pb")
	for _, x := range []struct {
		file     []byte
		bank     string
		accepted bool
	}{
		{whole, "SHA-256", true},
		{oneQuote(t, whole, 0), "SHA-1", false},
		{oneQuote(t, whole, 1), "SHA-256", true},
		{oneQuote(t, whole, 2), "SHA-384", true},
	} {
		res, err := Appraise(tpmRequest(t, x.file, "tpm_ek_intermediate_2.crt", "2021-09-15", "9009"))
		if err != nil {
			t.Fatal(err)
		}
		row := rowOf(res.Rows, "vtpm.pcrs")
		if res.Accepted != x.accepted || (row.Outcome == attest.Pass) != x.accepted || !strings.Contains(row.Seen+" "+row.Expected, x.bank) {
			t.Errorf("%s: accepted %v, %+v: %v", x.bank, res.Accepted, row, res.Rows.Err())
		}
		if !x.accepted && (row.Reason != attest.ReasonSignature || res.Claims != nil) {
			t.Errorf("%s: %+v", x.bank, row)
		}
	}
}
