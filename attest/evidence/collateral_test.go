// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// TestFindCollateral looks at one file of each kind.
func TestFindCollateral(t *testing.T) {
	const intelRoot = "certificate of Intel SGX Root CA"
	for file, want := range map[string]string{
		"snp/milan-v2-aci.thim.json":                                "certificate of SEV-VCEK, certificate of SEV-Milan, certificate of ARK-Milan",
		"snp/milan-v2-aci.vcek.pem":                                 "certificate of SEV-VCEK",
		"snp/milan-vcek-chain.pem":                                  "certificate of SEV-Milan, certificate of ARK-Milan",
		"snp/turin-v5.vcek.der":                                     "certificate of SEV-VCEK",
		"snp/genoa-2024-10-23.crl.der":                              "revocation list of ARK-Genoa",
		"tdx/collateral/90c06f000000-2026-06/tcbinfo.json":          "TCB info",
		"tdx/collateral/90c06f000000-2026-06/qeidentity.json":       "QE identity",
		"tdx/collateral/90c06f000000-2026-06/tcb-signing-chain.pem": "certificate of Intel SGX TCB Signing, " + intelRoot,
		"tdx/collateral/90c06f000000-2026-06/pck-platform.crl.der":  "revocation list of Intel SGX PCK Platform CA",
		"tdx/tcb-evaluation-data-numbers-2025-10.json":              "TCB evaluation data numbers",
		"sgx/collateral/00906ea10000-2020/tcbinfo-v2.fortanix.json": "TCB info, certificate of Intel SGX TCB Signing, " + intelRoot,
		"sgx/collateral/00906ea10000-2020/qeidentity.fortanix.json": "QE identity, certificate of Intel SGX TCB Signing, " + intelRoot,
		"tpm/eventlogs/debian-10.bin":                               "event log",
		"tpm/eventlogs/crypto-agile-eventlog.bin":                   "event log",
	} {
		raw := vector(t, file)
		for how, b := range map[string][]byte{"": raw, " in hex": []byte(hex.EncodeToString(raw)), " in base64": []byte(base64.StdEncoding.EncodeToString(raw))} {
			col, err := FindCollateral(b)
			if got := kinds(col); err != nil || got != want {
				t.Errorf("%s%s: %q, %v, expected %q", file, how, got, err, want)
			}
		}
	}
}

// TestCollateralIsExact: a document that is served whole, in two pieces or with
// its signature in DER comes out as the same bytes, which are what was signed.
func TestCollateralIsExact(t *testing.T) {
	for _, dir := range []string{"tdx/collateral/90c06f000000-2026-06/", "sgx/collateral/00606a000000-2025-08/"} {
		info, identity := vector(t, dir+"tcbinfo.json"), vector(t, dir+"qeidentity.json")
		b := qvlForm(t, dir, info, identity)
		col, err := FindCollateral(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []attest.Evidence{{MediaType: attest.MediaTypeIntelTCBInfo, Value: info}, {MediaType: attest.MediaTypeIntelQEIdentity, Value: identity},
			{MediaType: attest.MediaTypeCRL, Value: vector(t, dir+"root.crl.der")}, {MediaType: attest.MediaTypeCRL, Value: vector(t, dir+"pck-platform.crl.der")}} {
			if !contains(col, want) {
				t.Errorf("%s: no %s with these bytes", dir, Kind(want))
			}
		}
	}
	for _, x := range [][2]string{{"tcbinfo-v2.fortanix.json", "tcbInfo"}, {"qeidentity.fortanix.json", "enclaveIdentity"}} {
		col, err := FindCollateral(vector(t, "sgx/collateral/00906ea10000-2020/"+x[0]))
		if err != nil {
			t.Fatal(err)
		}
		checkDocument(t, x[0], col[0].Value, x[1], col[1].Value)
	}
}

// checkDocument checks the signature of a document in the form of the PCS.
func checkDocument(t *testing.T, name string, doc []byte, body string, signer []byte) {
	t.Helper()
	c, err := x509.ParseCertificate(signer)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	signed, digits, found := bytes.Cut(doc, []byte(`,"signature":"`))
	signed, prefixed := bytes.CutPrefix(signed, []byte(`{"`+body+`":`))
	sig, err := hex.DecodeString(strings.TrimSuffix(string(digits), `"}`))
	if !ok || !found || !prefixed || err != nil || len(sig) != 64 {
		t.Fatalf("%s: not in the form of the PCS: %v", name, err)
	}
	d := sha256.Sum256(signed)
	if !ecdsa.Verify(key, d[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Errorf("%s: the signature is not of these bytes", name)
	}
}

func contains(col attest.Collateral, want attest.Evidence) bool {
	for _, e := range col {
		if e.MediaType == want.MediaType && bytes.Equal(e.Value, want.Value) {
			return true
		}
	}
	return false
}

// qvlForm puts collateral into the form of dcap-qvl.
func qvlForm(t *testing.T, dir string, info, identity []byte) []byte {
	t.Helper()
	split := func(doc []byte, name string) (body, sig string) {
		s, digits, ok := strings.Cut(strings.TrimPrefix(string(doc), `{"`+name+`":`), `,"signature":"`)
		if !ok {
			t.Fatal("no signature")
		}
		return s, strings.TrimSuffix(digits, `"}`)
	}
	infoBody, infoSig := split(info, "tcbInfo")
	idBody, idSig := split(identity, "enclaveIdentity")
	b, err := json.Marshal(map[string]string{
		"pck_crl_issuer_chain":     string(vector(t, dir+"pck-platform-ca-chain.pem")),
		"root_ca_crl":              hex.EncodeToString(vector(t, dir+"root.crl.der")),
		"pck_crl":                  hex.EncodeToString(vector(t, dir+"pck-platform.crl.der")),
		"tcb_info_issuer_chain":    string(vector(t, dir+"tcb-signing-chain.pem")),
		"tcb_info":                 infoBody,
		"tcb_info_signature":       infoSig,
		"qe_identity_issuer_chain": string(vector(t, dir+"tcb-signing-chain.pem")),
		"qe_identity":              idBody,
		"qe_identity_signature":    idSig,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCollateralIsNotIgnored: what is not understood to the last byte is an
// error, and so is evidence where collateral was to be.
func TestCollateralIsNotIgnored(t *testing.T) {
	der, list := vector(t, "snp/turin-v5.vcek.der"), vector(t, "snp/genoa-2024-10-23.crl.der")
	chain := string(vector(t, "snp/milan-vcek-chain.pem"))
	for name, b := range map[string][]byte{
		"nothing":                        {},
		"a report":                       vector(t, "snp/turin-v5.report.bin"),
		"a quote":                        vector(t, "tdx/v5-90c06f-td15.quote.bin"),
		"a RA-TLS certificate":           vector(t, "sgx/ratls-gramine.cert.pem"),
		"a TPM quote":                    vector(t, "tpm/gcp-amd-ecc.quote.bin"),
		"the table CCEL":                 vector(t, "tdx/v4-00806f-gcp-cos113.ccel-table.bin"),
		"a signed reference value":       vector(t, "snp/milan-v2-aci.uvm-endorsement.cose"),
		"a certificate and a byte":       append(bytes.Clone(der), 0),
		"a certificate, cut":             der[:len(der)-1],
		"a certificate and a list":       append(bytes.Clone(der), list...),
		"a list and a byte":              append(bytes.Clone(list), 0),
		"a chain with text":              []byte("hello\n" + chain),
		"a chain with a key":             append([]byte(chain), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 0}})...),
		"another JSON object":            []byte(`{"a":1}`),
		"TCB info twice":                 []byte(`{"tcbInfo":{},"tcbInfo":{},"signature":""}`),
		"THIM with more":                 []byte(`{"vcekCert":"","certificateChain":"","other":1}`),
		"THIM with no certificate":       []byte(`{"vcekCert":"x","certificateChain":"y"}`),
		"fortanix with a bad signature":  []byte(`{"raw_tcb_info":"{}","signature":[48,1],"ca_chain":[]}`),
		"fortanix with a large number":   []byte(`{"raw_tcb_info":"{}","signature":[256],"ca_chain":[]}`),
		"a log of two kinds":             []byte(`[{"imr":0,"digest":"00"},{"a":1}]`),
		"a log that begins as one":       []byte(`[{"imr":0}]`),
		"serialised collateral, cut":     {0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1},
		"serialised collateral, nothing": {0, 3, 0, 1},
	} {
		if col, err := FindCollateral(b); err == nil {
			t.Errorf("%s: taken as %s", name, kinds(col))
		}
	}
}

// table makes a certificate table as a host gives it to a guest.
func table(pages bool, entries ...[]byte) []byte {
	guids := []string{guidVCEK, guidASK, guidARK, guidCRL}
	b := make([]byte, tableEntry*(len(entries)+1))
	for i, e := range entries {
		id, _ := hex.DecodeString(guids[i])
		copy(b[i*tableEntry:], id)
		binary.LittleEndian.PutUint32(b[i*tableEntry+16:], uint32(len(b)))
		binary.LittleEndian.PutUint32(b[i*tableEntry+20:], uint32(len(e)))
		b = append(b, e...)
	}
	if pages {
		b = append(b, make([]byte, 4096-len(b)%4096)...)
	}
	return b
}

// TestExtendedReport takes a report with its certificate table, and refuses a
// table that is not exactly one.
func TestExtendedReport(t *testing.T) {
	report, vcek := vector(t, "snp/genoa-v5.report.bin"), vector(t, "snp/genoa-v5.vcek.der")
	chain, err := FindCollateral(vector(t, "snp/genoa-vcek-chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	good := table(true, vcek, chain[0].Value, chain[1].Value, vector(t, "snp/genoa-2024-10-23.crl.der"))
	f, err := Find(append(bytes.Clone(report), good...))
	if err != nil {
		t.Fatal(err)
	}
	const want = "certificate of SEV-VCEK, certificate of SEV-Genoa, certificate of ARK-Genoa, revocation list of ARK-Genoa"
	if f.Format != "snp-extended-report" || !bytes.Equal(f.Pieces[0].Evidence.Value, report) || kinds(f.Pieces[0].Collateral) != want {
		t.Errorf("%s with %s", f.Format, kinds(f.Pieces[0].Collateral))
	}
	if col, err := FindCollateral(good); err != nil || kinds(col) != want {
		t.Errorf("the table alone: %s, %v", kinds(col), err)
	}
	change := func(at int, v byte) []byte { b := bytes.Clone(good); b[at] ^= v; return b }
	for name, b := range map[string][]byte{
		"a byte in the padding":      change(len(good)-1, 1),
		"an entry beyond the end":    change(tableEntry+23, 1),
		"an entry over the header":   append(bytes.Clone(good[:16]), append([]byte{0, 0, 0, 0}, good[20:]...)...),
		"no end":                     good[:tableEntry],
		"an entry that does not fit": change(20, 1),
	} {
		f, err := Find(append(bytes.Clone(report), b...))
		if err == nil && len(f.Pieces[0].Evidence.Value) == len(report) {
			t.Errorf("%s: taken as a table", name)
		}
		if _, err := FindCollateral(b); err == nil {
			t.Errorf("%s: taken as collateral", name)
		}
	}
	// A certificate that is none is an error, not left out.
	var e *Error
	if _, err := Find(append(bytes.Clone(report), table(false, vcek[:100])...)); !errors.As(err, &e) {
		t.Errorf("a cut certificate in the table: %v", err)
	}
}
