// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// forgedNitro is AWS's file with the quote made anew by a key of our own: the
// document in it is genuine, and somebody else's.
func forgedNitro(t *testing.T, wrap func(document []byte) string) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(read(t, tpmData+"aws-nitrotpm-ecc.json"), &m); err != nil {
		t.Fatal(err)
	}
	att := m["attestation"].(map[string]any)
	nitro, quote := att["nitro"].(map[string]any), att["tpm"].(map[string]any)["ecc_p256"].(map[string]any)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	m["ak_pubkeys"] = map[string]any{"ecc_p256": map[string]any{"x": hex.EncodeToString(raw[1:33]), "y": hex.EncodeToString(raw[33:])}}
	unhex := func(x any) []byte {
		b, err := hex.DecodeString(x.(string))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	digest := sha256.Sum256(unhex(quote["attest_data"]))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	quote["signature"] = hex.EncodeToString(signature)
	nitro["document"] = wrap(unhex(nitro["document"]))
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A genuine document vouches for the key that it names, however it is wrapped:
// not for the key of a quote that somebody has put beside it.
func TestInvariant1NoSilentDowngrade_QuoteBesideAGenuineDocument(t *testing.T) {
	hexed, taken := hex.EncodeToString, 0
	for name, wrap := range map[string]func([]byte) string{
		"as it is":       hexed,
		"in hexadecimal": func(b []byte) string { return hexed([]byte(hexed(b))) },
		"in base64":      func(b []byte) string { return hexed([]byte(base64.StdEncoding.EncodeToString(b))) },
		"in JSON": func(b []byte) string {
			return hexed([]byte(`{"evidence":"` + base64.StdEncoding.EncodeToString(b) + `"}`))
		},
		"in a CMW record": func(b []byte) string {
			return hexed([]byte(`["` + attest.MediaTypeNitro + `","` + base64.RawURLEncoding.EncodeToString(b) + `"]`))
		},
		"with a byte beside": func(b []byte) string { return hexed(append(slices.Clone(b), 0)) },
	} {
		res, err := Appraise(tpmRequest(t, forgedNitro(t, wrap), "", "2026-02-03T10:12:02Z", ""))
		if err != nil {
			continue // not read at all
		}
		taken++
		if res.Accepted || res.Claims != nil || res.Rows.OK() {
			t.Errorf("%s: accepted", name)
		}
		for _, p := range res.Pieces {
			if p.Platform == attest.PlatformVTPM && p.Claims != nil {
				t.Errorf("%s: the quote by itself is accepted: %v", name, p.Rows.Err())
			}
		}
	}
	if taken < 5 {
		t.Errorf("%d files were read: the others prove nothing", taken)
	}
}

// What vouches for a TPM on Azure is the report whose own runtime data name the
// key, or the quote of a TD: nothing in a wrapping, and no evidence of another
// kind, in which anybody can put any digest.
func TestInvariant1NoSilentDowngrade_AzureTPMBesideOtherEvidence(t *testing.T) {
	edit := func(change func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(read(t, tpmData+"azure-snp-milan-vtpm.json"), &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hcl := read(t, tpmData+"azure-snp-milan-vtpm.hcl.bin")
	text := base64.RawURLEncoding.EncodeToString
	set := func(key string, value any) []byte { return edit(func(m map[string]any) { m[key] = value }) }
	tdx := func(quote []byte) []byte {
		return azureTDX(t, func(map[string]any) {}, func(m map[string]any) { m["td_quote"] = text(quote) })
	}
	other := slices.Clone(hcl)
	copy(other[strings.Index(string(other), "HCLAkPub"):], "HCLXkPub")
	for name, b := range map[string][]byte{
		"the report in hexadecimal":        set("hcl_report", text([]byte(hex.EncodeToString(hcl)))),
		"the report in JSON":               set("hcl_report", text([]byte(`{"evidence":"`+text(hcl)+`"}`))),
		"a report without runtime data":    set("hcl_report", text(hcl[32:32+1184])),
		"runtime data with another name":   set("hcl_report", text(other)),
		"a Nitro document for a TD quote":  tdx(read(t, "../internal/nitrodoc/testdata/nitrotpm-2026-02.cbor")),
		"an SNP report for a TD quote":     tdx(hcl[32 : 32+1184]),
		"an HCL report for a TD quote":     tdx(hcl),
		"a quote of SGX for a TD quote":    tdx(read(t, dcapData+"sgx/v3-00606a-enarx-xeon.quote.bin")),
		"the TD quote of another TD":       tdx(read(t, dcapData+"tdx/v4-00806f-gcp-cos113.quote.bin")),
		"a TD report in Azure's SNP shape": set("hcl_report", text(read(t, "../evidence/testdata/tdx/v4-90c06f-azure-vtpm.hcl.bin"))),
	} {
		r := tpmRequest(t, b, "", "2026-06-20", "")
		r.Collateral = append(r.Collateral, folder(t, "tdx/collateral/90c06f000000-2026-06")...)
		res, err := Appraise(r)
		if err != nil {
			continue // not read at all
		}
		if res.Accepted || res.Claims != nil {
			t.Errorf("%s: accepted", name)
		}
		for _, p := range res.Pieces {
			if p.Platform == attest.PlatformVTPM && p.Claims != nil {
				t.Errorf("%s: the TPM's quote by itself is accepted", name)
			}
		}
	}
}
