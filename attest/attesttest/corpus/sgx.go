// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

const (
	sgxDir        = intelDir + "sgx/"
	iceAdvisories = "INTEL-SA-00586, INTEL-SA-00614, INTEL-SA-00615, INTEL-SA-00657, INTEL-SA-00730, INTEL-SA-00738, INTEL-SA-00767, INTEL-SA-00828, INTEL-SA-00837, INTEL-SA-00960"
	outOfDate     = "OutOfDate: platform OutOfDate"
	hardening     = "ConfigurationAndSWHardeningNeeded: platform ConfigurationAndSWHardeningNeeded"
	lakeAdvisory  = "INTEL-SA-00219, INTEL-SA-00289, INTEL-SA-00334, INTEL-SA-00615, INTEL-SA-00828"
)

// sgxRows are the quotes of enclaves. "2020" is the set of collateral of that
// year, see [set2020]; no revocation list of its time was published.
var sgxRows = []row{
	{file: "v3-00a067-phala", at: "2025-06-25", collateral: "00a067110000-2025-06", fails: "tcb", reasons: "tcb-configuration-and-sw-hardening-needed", tcb: hardening, advisories: "INTEL-SA-00289, INTEL-SA-00615"},
	{file: "v3-00a067-phala", note: "excused", at: "2025-06-25", collateral: "00a067110000-2025-06", o: excused, tcb: hardening, advisories: "INTEL-SA-00289, INTEL-SA-00615"},
	{file: "v3-00606a-occlum-debug", at: "2025-09-01", collateral: "00606a000000-2025-08", fails: "tcb debug", reasons: "tcb-out-of-date debug", tcb: outOfDate, advisories: iceAdvisories},
	{file: "v3-00606a-occlum-debug", note: "excused", at: "2025-09-01", collateral: "00606a000000-2025-08", o: excused, fails: "debug", reasons: "debug", tcb: outOfDate, advisories: iceAdvisories},
	{file: "v3-00606a-enarx-xeon", at: "2025-09-01", collateral: "00606a000000-2025-08", fails: "tcb", reasons: "tcb-out-of-date", tcb: outOfDate, advisories: iceAdvisories},
	{file: "v3-00606a-enarx-xeon", note: "excused", at: "2025-09-01", collateral: "00606a000000-2025-08", o: excused, tcb: outOfDate, advisories: iceAdvisories},
	{file: "v3-00606a-enarx-xeon", at: "2023-02-01", collateral: "00606a000000-2023-01", fails: "qe-identity tcb", reasons: "collateral-missing tcb-out-of-date", tcb: outOfDate},
	{file: "v3-00606a-ravl-debug", at: "2025-09-01", collateral: "00606a000000-2025-08", fails: "tcb debug", reasons: "tcb-out-of-date debug", tcb: outOfDate, advisories: iceAdvisories},
	{file: "v3-00606a-ravl-debug", note: "excused", at: "2025-09-01", collateral: "00606a000000-2025-08", o: excused, fails: "debug", reasons: "debug", tcb: outOfDate, advisories: iceAdvisories},
	{file: "v3-00906e-mobilecoin", at: "2025-02-05", collateral: "00906ed50000-2025-01", fails: "tcb", reasons: "tcb-out-of-date", tcb: outOfDate, advisories: lakeAdvisory},
	{file: "v3-00906e-mobilecoin", note: "excused", at: "2025-02-05", collateral: "00906ed50000-2025-01", o: excused, tcb: outOfDate, advisories: lakeAdvisory},
	{file: "v3-00906e-mobilecoin", note: "TCB info of another model", at: "2025-02-05", collateral: "00906ed50000-2025-01 sgx/collateral/00a067110000-2025-06/tcbinfo.json", fails: "tcb-info tcb", reasons: "collateral-foreign not-checked"},

	// Of 2020 and before.
	{file: "v3-00906e-oldroot-debug", at: "2020-06-01", collateral: "2020", fails: "revocation tcb debug", reasons: "revocation-list-missing tcb-sw-hardening-needed debug", tcb: "SWHardeningNeeded: platform SWHardeningNeeded (level of 2019-12-11), quoting enclave UpToDate"},
	{file: "v3-00906e-oldroot-debug", note: "identity as the service gave it", at: "2020-06-01", collateral: "2020 sgx/collateral/00906ea10000-2020/qeidentity.json", fails: "revocation tcb debug", reasons: "revocation-list-missing tcb-sw-hardening-needed debug", tcb: "SWHardeningNeeded"},
	{file: "v3-00906e-oldroot-debug", note: "corrupt identity", at: "2020-06-01", collateral: "2020 sgx/collateral/00906ea10000-2020/qeidentity-corrupt.json", fails: "revocation qe-identity tcb debug", reasons: "revocation-list-missing collateral-signature tcb-sw-hardening-needed debug", tcb: "SWHardeningNeeded"},
	{file: "v3-00906e-chain-order-debug", at: "2020-06-01", collateral: "2020", fails: "revocation tcb debug", reasons: "revocation-list-missing tcb-out-of-date debug", tcb: outOfDate},
	{file: "v3-00906e-chain-order-debug.quote-corrupted.bin", at: "2020-06-01", collateral: "2020", fails: "revocation signature tcb debug", reasons: "revocation-list-missing bad-signature tcb-out-of-date debug", tcb: outOfDate},
	{file: "v3-ppid-certdata-debug", at: "2020-06-01", collateral: "2020", fails: "chain revocation qe-signature signature qe-identity tcb-info dates tcb debug", reasons: "broken-chain not-checked not-checked not-checked not-checked not-checked not-checked not-checked debug"},
}

// mixedDates are times at which the endorsements that were collected with a
// quote might be taken for good: there is none at which all of them are valid.
var mixedDates = []struct{ at, reason string }{
	{"2021-05-01", "certificate-not-yet-valid"}, {"2021-08-01", "certificate-not-yet-valid"},
	{"2022-08-20", "collateral-expired"}, {"2022-09-01", "collateral-expired"},
}

func sgxVectors(t testing.TB, root string) (out []Vector) {
	t.Helper()
	for _, r := range sgxRows {
		out = append(out, intelVector(t, root, r, attest.PlatformSGX, attest.MediaTypeSGX))
	}
	for _, x := range mixedDates {
		r := row{file: "v3-00606a-ravl-debug", note: "endorsements of mixed dates", at: x.at, fails: "dates debug", reasons: x.reason + " debug"}
		v := intelVector(t, root, r, attest.PlatformSGX, attest.MediaTypeSGX)
		v.Parts = append(v.Parts, mixedParts(t, root)...)
		out = append(out, v)
	}
	return append(out, certificateVectors(t, root)...)
}

// set2020 puts the collateral of 2020 into the form of Intel's service: its
// origin keeps body, signature (DER, as a list of numbers) and chain apart.
func set2020(t testing.TB, root string) (parts []Part) {
	t.Helper()
	for _, x := range []struct{ file, field, name, mediaType string }{
		{"tcbinfo-v2", "raw_tcb_info", "tcbInfo", attest.MediaTypeIntelTCBInfo},
		{"qeidentity", "raw_enclave_identity", "enclaveIdentity", attest.MediaTypeIntelQEIdentity},
	} {
		file := sgxDir + "collateral/00906ea10000-2020/" + x.file + ".fortanix.json"
		var m map[string]json.RawMessage
		var body string
		var der []int
		var chain []string
		if err := json.Unmarshal(read(t, root, file), &m); err != nil {
			t.Fatal(err)
		}
		for field, to := range map[string]any{x.field: &body, "signature": &der, "ca_chain": &chain} {
			if err := json.Unmarshal(m[field], to); err != nil {
				t.Fatal(err)
			}
		}
		sig := make([]byte, len(der))
		for i, n := range der {
			sig[i] = byte(n)
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &rs); err != nil {
			t.Fatal(err)
		}
		raw := append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
		parts = append(parts,
			Part{file, x.mediaType, fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, x.name, body, raw)},
			Part{file, attest.MediaTypePEMChain, []byte(strings.Join(chain, ""))})
	}
	return parts
}

// mixedParts takes the endorsements apart that an SDK collected with a quote:
// documents and PEM blocks with binary between them.
func mixedParts(t testing.TB, root string) (parts []Part) {
	t.Helper()
	const file = sgxDir + "v3-00606a-ravl-debug.att.json"
	var att struct{ Endorsements string }
	if err := json.Unmarshal(read(t, root, file), &att); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(att.Endorsements)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ name, mediaType string }{
		{"tcbInfo", attest.MediaTypeIntelTCBInfo}, {"enclaveIdentity", attest.MediaTypeIntelQEIdentity},
	} {
		_, doc, _ := bytes.Cut(raw, []byte(`{"`+x.name+`":`))
		doc, _, ok := bytes.Cut(doc, []byte("\x00"))
		if !ok {
			t.Fatalf("no %s", x.name)
		}
		parts = append(parts, Part{file, x.mediaType, append([]byte(`{"`+x.name+`":`), doc...)})
	}
	for rest := raw; ; {
		// Binary stands between the blocks, so none but the first begins a line.
		i := bytes.Index(rest, []byte("-----BEGIN"))
		if i < 0 {
			return parts
		}
		block, after := pem.Decode(rest[i:])
		if block == nil {
			t.Fatal("no PEM where PEM begins")
		}
		mediaType := map[string]string{"CERTIFICATE": attest.MediaTypeCertificate, "X509 CRL": attest.MediaTypeCRL}[block.Type]
		parts, rest = append(parts, Part{file, mediaType, block.Bytes}), after
	}
}

// certificateVectors are the quotes in extensions of RA-TLS certificates.
func certificateVectors(t testing.TB, root string) (out []Vector) {
	t.Helper()
	for _, file := range []string{"ratls-gramine", "ratls-ratstls"} {
		name := sgxDir + file + ".cert.pem"
		block, _ := pem.Decode(read(t, root, name))
		if block == nil {
			t.Fatalf("%s: no certificate", name)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Extensions {
			i := bytes.Index(e.Value, []byte{3, 0, 2, 0, 0, 0, 0, 0})
			if i < 0 {
				continue
			}
			// The quote's own length ends it; what follows is the wrapping's.
			quote := e.Value[i:]
			n := 432 + 4 + int(binary.LittleEndian.Uint32(quote[432:436]))
			if n > len(quote) {
				t.Fatalf("%s: quote of %d bytes in %d", name, n, len(quote))
			}
			for _, o := range []Options{{}, excused} {
				r := row{file: file, note: "in extension " + e.Id.String(), at: "2025-09-01", o: o, fails: "tcb debug", reasons: "tcb-out-of-date debug", tcb: outOfDate, advisories: iceAdvisories}
				if o.Statuses != nil {
					r.note, r.fails, r.reasons = r.note+", excused", "debug", "debug"
				}
				v := r.vector(t, attest.PlatformSGX)
				v.File += " " + e.Id.String()
				v.Parts = append([]Part{{name, attest.MediaTypeSGX, bytes.Clone(quote[:n])}}, folder(t, root, sgxDir+"collateral/00606a000000-2025-08")...)
				out = append(out, v)
			}
		}
	}
	if len(out) != 6 {
		t.Fatalf("%d vectors of quotes in certificates, expected 6", len(out))
	}
	return out
}
