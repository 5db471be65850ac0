// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// The files of testdata were made by real hardware and by Intel, and published
// by others; ORIGIN.tsv says where, with the licence.

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every vector has an origin, and is what its origin has.
func TestOriginOfVectors(t *testing.T) {
	listed := map[string]string{}
	for _, line := range strings.Split(string(file(t, "ORIGIN.tsv")), "\n")[1:] {
		if f := strings.Split(line, "\t"); len(f) == 7 && f[2] != "" && f[5] != "" {
			listed[f[0]] = f[1]
		}
	}
	found := 0
	for _, dir := range []string{"tdx", "sgx"} {
		err := filepath.WalkDir(filepath.Join("testdata", dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			found++
			b, err := os.ReadFile(path)
			name, _ := filepath.Rel("testdata", path)
			if sum := sha256.Sum256(b); listed[filepath.ToSlash(name)] != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: not in ORIGIN.tsv, or changed", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 100 || found != len(listed) {
		t.Errorf("%d files, %d in ORIGIN.tsv", found, len(listed))
	}
}

// folder gives the collateral of one folder of testdata.
func folder(t testing.TB, name string) attest.Collateral {
	t.Helper()
	var col attest.Collateral
	for _, f := range []struct{ glob, mediaType string }{
		{"tcb-signing-chain.pem", attest.MediaTypePEMChain},
		{"pck-*-ca-chain.pem", attest.MediaTypePEMChain},
		{"root.crl.der", attest.MediaTypeCRL},
		{"pck-*.crl.der", attest.MediaTypeCRL},
		{"tcbinfo.json", attest.MediaTypeIntelTCBInfo},
		{"qeidentity.json", attest.MediaTypeIntelQEIdentity},
	} {
		names, err := filepath.Glob(filepath.Join("testdata", name, f.glob))
		if err != nil || len(names) > 1 {
			t.Fatalf("%s in %s: %v, %v", f.glob, name, names, err)
		}
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				t.Fatal(err)
			}
			col = append(col, attest.Evidence{MediaType: f.mediaType, Value: b})
		}
	}
	if len(col) < 5 {
		t.Fatalf("%d entries of collateral in %s", len(col), name)
	}
	return col
}

func params(tee TEE) Params {
	if tee == TDX {
		return Params{Platform: "tdx", TEE: TDX, MediaType: attest.MediaTypeTDX, Root: IntelRoot()}
	}
	return Params{Platform: "sgx", TEE: SGX, MediaType: attest.MediaTypeSGX, Root: IntelRoot()}
}

// appraise runs the core alone. Claims of it say nothing about what runs in
// the TEE: that is for the public verifiers.
func appraise(p Params, quote []byte, col attest.Collateral, at time.Time) (bool, attest.Verdict) {
	return appraiseUnder(p, attest.TCBPolicy{}, quote, col, at)
}

func appraiseUnder(p Params, policy attest.TCBPolicy, quote []byte, col attest.Collateral, at time.Time) (bool, attest.Verdict) {
	c, v := Appraise(p, attest.Evidence{MediaType: p.MediaType, Value: quote}, col, policy, at).Finish(attest.Claims{})
	for _, r := range v { // cheap enough for every call; verdicttest says what is wrong
		if (r.Outcome == attest.Fail) != (r.Reason != "") {
			return c != nil, append(v, attest.Row{Check: "test.reason", Seen: "row " + r.Check + " for " + string(r.Reason), Outcome: attest.Fail, Reason: "test"})
		}
	}
	return c != nil, v
}

// accept is a policy with one acceptance that has no end.
func accept(statuses []Status, advisories ...string) attest.TCBPolicy {
	a := attest.TCBAcceptance{Advisories: advisories}
	for _, s := range statuses {
		a.Statuses = append(a.Statuses, string(s))
	}
	return attest.TCBPolicy{Accept: []attest.TCBAcceptance{a}}
}

// failures are the names of the failed rows, without the platform.
func failures(v attest.Verdict) string {
	var names []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			_, name, _ := strings.Cut(r.Check, ".")
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func row(v attest.Verdict, name string) attest.Row {
	for _, r := range v {
		if strings.HasSuffix(r.Check, "."+name) {
			return r
		}
	}
	return attest.Row{}
}

func day(s string) time.Time {
	t, err := time.Parse("2006-01-02", s)
	if err != nil {
		panic(err)
	}
	return t
}

// real is one published quote with what is known of it.
type real struct {
	name       string // below testdata, without .quote.bin
	collateral string
	at         string
	fails      string // the rows that must fail, exactly
	tcb        string // how the row of the TCB must begin
	module     string // the TDX module's status, if known
	advisories string
	body       string // how MRTD or MRENCLAVE begins
}

const gcpAdvisories = "INTEL-SA-01010, INTEL-SA-01036, INTEL-SA-01076, INTEL-SA-01079, INTEL-SA-01099, INTEL-SA-01103, INTEL-SA-01111"
const iceAdvisories = "INTEL-SA-00586, INTEL-SA-00614, INTEL-SA-00615, INTEL-SA-00657, INTEL-SA-00730, INTEL-SA-00738, INTEL-SA-00767, INTEL-SA-00828, INTEL-SA-00837, INTEL-SA-00960"

var reals = []real{
	{"tdx/v4-50806f-trailing", "tdx/collateral/50806f000000-2023-06", "2023-06-25", "format tcb", "NotSupported: platform NotSupported", "", "", "6363b8043668a3ad"},
	{"tdx/v4-50806f-debug", "tdx/collateral/50806f000000-2023-06", "2023-06-25", "", "UpToDate: platform UpToDate", "", "", "705ee9381b8633a9"},
	{"tdx/v4-00806f-gcp-cos113", "tdx/collateral/00806f050000-2025-01", "2025-02-05", "", "UpToDate: platform UpToDate", "UpToDate", "", "dae67181d3d65e07"},
	{"tdx/v4-00806f-gcp-cos113", "tdx/collateral/00806f050000-2026-01", "2026-02-10", "tcb", "OutOfDate: platform OutOfDate", "OutOfDate", gcpAdvisories, "dae67181d3d65e07"},
	{"tdx/v4-00806f-flashbots", "tdx/collateral/00806f050000-2026-01", "2026-02-10", "", "UpToDate: platform UpToDate", "UpToDate", "", "a5844e88897b70c3"},
	{"tdx/v4-00806f-oldplatform", "tdx/collateral/00806f050000-2025-01", "2025-02-05", "tcb", "OutOfDate: platform OutOfDate", "UpToDate", "INTEL-SA-00960, INTEL-SA-00982, INTEL-SA-00986", "935be7742dd89c6a"},
	{"tdx/v4-00806f-oldplatform", "tdx/collateral/00806f050000-2026-01", "2026-02-10", "tcb", "OutOfDate: platform OutOfDate", "OutOfDate", "INTEL-SA-00960, INTEL-SA-00982, INTEL-SA-00986, " + gcpAdvisories, "935be7742dd89c6a"},
	{"tdx/v4-00a06d-gnr", "tdx/collateral/00a06d080000-2025-10", "2025-11-01", "tcb", "OutOfDate: platform OutOfDate", "UpToDate", "", "21e8dead92d6c69d"},
	{"tdx/v4-b0c06f-phala", "tdx/collateral/b0c06f000000-2025-06", "2025-06-25", "", "UpToDate: platform UpToDate", "UpToDate", "", "91eb2b44d141d4ec"},
	{"tdx/v4-20a06f-near", "tdx/collateral/20a06f000000-2025-09", "2025-09-15", "", "UpToDate: platform UpToDate", "UpToDate", "", "f06dfda6dce1cf90"},
	{"tdx/v4-90c06f-dstack", "tdx/collateral/90c06f000000-2026-02", "2026-03-01", "", "UpToDate: platform UpToDate", "UpToDate", "", "b24d3b24e9e3c160"},
	{"tdx/v4-90c06f-dstack", "tdx/collateral/90c06f000000-2026-06", "2026-06-20", "", "UpToDate: platform UpToDate", "UpToDate", "", "b24d3b24e9e3c160"},
	{"tdx/v4-90c06f-azure-vtpm", "tdx/collateral/90c06f000000-2026-06", "2026-06-20", "", "UpToDate: platform UpToDate", "UpToDate", "", "ff450b138c5ee673"},
	{"tdx/v5-90c06f-td15", "tdx/collateral/90c06f000000-2026-02", "2026-03-01", "", "UpToDate: platform UpToDate", "UpToDate", "", "7348651a34b2d2d3"},
	{"tdx/v5-90c06f-td15", "tdx/collateral/90c06f000000-2026-06", "2026-06-20", "", "UpToDate: platform UpToDate", "UpToDate", "", "7348651a34b2d2d3"},
	{"tdx/v5-90c06f-servicetd", "tdx/collateral/90c06f000000-2026-02", "2026-03-01", "tcb", "NotSupported: platform NotSupported", "", "", "dfba221b48a22af8"},
	{"tdx/v5-90c06f-azure-tcbunsupported", "tdx/collateral/90c06f000000-2026-02", "2026-03-01", "tcb", "NotSupported: platform NotSupported", "", "", "273828c46252fcbd"},
	{"tdx/v5-90c06f-relaunch", "tdx/collateral/90c06f000000-2025-02", "2025-03-10", "tcb", "TDRelaunchAdvised: platform UpToDate", "OutOfDate", "", "ece51dc95034ed0e"},
	{"tdx/v5-90c06f-relaunch", "tdx/collateral/90c06f000000-2026-02", "2026-03-01", "tcb", "TDRelaunchAdvised: platform UpToDate", "OutOfDate", "", "ece51dc95034ed0e"},
	{"tdx/v4-preproduction-root", "tdx/collateral/00806f050000-2025-01", "2025-02-05", "chain revocation qe-signature signature qe-identity tcb-info dates tcb", "no TCB info", "", "", "f196de066c69e2f9"},

	{"sgx/v3-00a067-phala", "sgx/collateral/00a067110000-2025-06", "2025-06-25", "tcb", "ConfigurationAndSWHardeningNeeded: platform ConfigurationAndSWHardeningNeeded", "", "INTEL-SA-00289, INTEL-SA-00615", "33d8736db756ed49"},
	{"sgx/v3-00606a-occlum-debug", "sgx/collateral/00606a000000-2025-08", "2025-09-01", "tcb", "OutOfDate: platform OutOfDate", "", iceAdvisories, "8f173e4613ff05c5"},
	{"sgx/v3-00606a-enarx-xeon", "sgx/collateral/00606a000000-2025-08", "2025-09-01", "tcb", "OutOfDate: platform OutOfDate", "", iceAdvisories, "4046ea255f045513"},
	{"sgx/v3-00606a-enarx-xeon", "sgx/collateral/00606a000000-2023-01", "2023-02-01", "qe-identity tcb", "OutOfDate: platform OutOfDate", "", "", "4046ea255f045513"},
	{"sgx/v3-00606a-ravl-debug", "sgx/collateral/00606a000000-2025-08", "2025-09-01", "tcb", "OutOfDate: platform OutOfDate", "", iceAdvisories, "dd723980d7534e75"},
	{"sgx/v3-00906e-mobilecoin", "sgx/collateral/00906ed50000-2025-01", "2025-02-05", "tcb", "OutOfDate: platform OutOfDate", "", "INTEL-SA-00219, INTEL-SA-00289, INTEL-SA-00334, INTEL-SA-00615, INTEL-SA-00828", "840d61b0585dc8b4"},
}

func (r real) tee() TEE {
	if strings.HasPrefix(r.name, "tdx/") {
		return TDX
	}
	return SGX
}

func (r real) load(t testing.TB) (Params, []byte, attest.Collateral, time.Time) {
	t.Helper()
	return params(r.tee()), file(t, r.name+".quote.bin"), folder(t, r.collateral), day(r.at)
}

// accepted are the vectors whose platform is good at their time.
func accepted() []real {
	var list []real
	for _, r := range reals {
		if r.fails == "" {
			list = append(list, r)
		}
	}
	return list
}

func TestRealHardware(t *testing.T) {
	for _, r := range reals {
		p, quote, col, at := r.load(t)
		ok, v := appraise(p, quote, col, at)
		if failures(v) != r.fails || ok != (r.fails == "") {
			t.Errorf("%s with %s: failed rows %q, expected %q: %v", r.name, r.collateral, failures(v), r.fails, v.Err())
		}
		tcb := row(v, "tcb").Seen
		if !strings.HasPrefix(tcb, r.tcb) || !strings.Contains(tcb, "TDX module "+r.module) && r.module != "" {
			t.Errorf("%s with %s: TCB %q, expected %q and module %q", r.name, r.collateral, tcb, r.tcb, r.module)
		}
		if r.advisories != "" && !strings.HasSuffix(tcb, "; advisories "+sorted(r.advisories)) {
			t.Errorf("%s with %s: TCB %q, expected advisories %q", r.name, r.collateral, tcb, r.advisories)
		}
		if r.tee() == TDX && r.fails == "" && strings.Contains(tcb, "advisories") {
			t.Errorf("%s with %s: advisories for an up-to-date platform: %s", r.name, r.collateral, tcb)
		}
		q, err := ParseQuote(quote)
		if err != nil {
			t.Fatal(err)
		}
		body := ""
		if q.TD != nil {
			body = hex.EncodeToString(q.TD.MRTD[:8])
		} else {
			body = hex.EncodeToString(q.Enclave.MREnclave[:8])
		}
		if body != r.body {
			t.Errorf("%s: measurement %s, expected %s", r.name, body, r.body)
		}
	}
}

func sorted(list string) string {
	names := strings.Split(list, ", ")
	// The same order as in the rows.
	for i := range names {
		for j := i + 1; j < len(names); j++ {
			if names[j] < names[i] {
				names[i], names[j] = names[j], names[i]
			}
		}
	}
	return strings.Join(names, ", ")
}

// What a policy would have to name, and that nothing less does.
func TestRealHardwareAcceptedByName(t *testing.T) {
	phala := []string{"INTEL-SA-00289", "INTEL-SA-00615"}
	for name, x := range map[string]struct {
		r      string
		policy attest.TCBPolicy
		want   bool
	}{
		"relaunch":                    {"tdx/v5-90c06f-relaunch", accept([]Status{TDRelaunchAdvised}, "INTEL-SA-01036", "INTEL-SA-01099"), true},
		"another status":              {"tdx/v5-90c06f-relaunch", accept([]Status{OutOfDate, SWHardeningNeeded}), false},
		"below every level":           {"tdx/v5-90c06f-servicetd", accept([]Status{NotSupported, Revoked}), false},
		"status and advisories":       {"sgx/v3-00a067-phala", accept([]Status{ConfigurationAndSWHardeningNeeded}, phala...), true},
		"status without advisories":   {"sgx/v3-00a067-phala", accept([]Status{ConfigurationAndSWHardeningNeeded}), false},
		"one advisory is missing":     {"sgx/v3-00a067-phala", accept([]Status{ConfigurationAndSWHardeningNeeded}, phala[:1]...), false},
		"advisories without a status": {"sgx/v3-00a067-phala", accept(nil, phala...), false},
		"trailing text stays refused": {"tdx/v4-50806f-trailing", accept([]Status{NotSupported, OutOfDate}), false},
	} {
		for _, r := range reals {
			if r.name != x.r {
				continue
			}
			p, quote, col, at := r.load(t)
			ok, v := appraiseUnder(p, x.policy, quote, col, at)
			if ok != x.want {
				t.Errorf("%s: accepted %v, expected %v: %v", name, ok, x.want, v.Err())
			}
			if ok && row(v, "tcb").Outcome != attest.Warn {
				t.Errorf("%s: outcome %s, expected a warning", name, row(v, "tcb").Outcome)
			}
		}
	}
}

// Quotes of 2020 and before, for which not all collateral has survived.
func TestRealHardwareWithoutAllCollateral(t *testing.T) {
	old := fortanix(t)
	for _, x := range []struct {
		name  string
		col   attest.Collateral
		at    string
		fails string
		tcb   string
	}{
		{"sgx/v3-00906e-oldroot-debug.quote.bin", old, "2020-06-01", "revocation tcb", "SWHardeningNeeded: platform SWHardeningNeeded (level of 2019-12-11), quoting enclave UpToDate"},
		{"sgx/v3-00906e-chain-order-debug.quote.bin", old, "2020-06-01", "revocation tcb", "OutOfDate: platform OutOfDate"},
		{"sgx/v3-00906e-chain-order-debug.quote-corrupted.bin", old, "2020-06-01", "revocation signature tcb", "OutOfDate: platform OutOfDate"},
		{"sgx/v3-ppid-certdata-debug.quote.bin", old, "2020-06-01", "chain revocation qe-signature signature qe-identity tcb-info dates tcb", "no TCB info"},
		{"sgx/v3-00906e-oldroot-debug.quote.bin", swap(old, attest.MediaTypeIntelQEIdentity, file(t, "sgx/collateral/00906ea10000-2020/qeidentity.json")), "2020-06-01", "revocation tcb", "SWHardeningNeeded"},
		{"sgx/v3-00906e-oldroot-debug.quote.bin", swap(old, attest.MediaTypeIntelQEIdentity, file(t, "sgx/collateral/00906ea10000-2020/qeidentity-corrupt.json")), "2020-06-01", "revocation qe-identity tcb", "SWHardeningNeeded"},
	} {
		ok, v := appraise(params(SGX), file(t, x.name), x.col, day(x.at))
		if ok || failures(v) != x.fails || !strings.HasPrefix(row(v, "tcb").Seen, x.tcb) {
			t.Errorf("%s: failed rows %q, expected %q; TCB %q: %v", x.name, failures(v), x.fails, row(v, "tcb").Seen, v.Err())
		}
	}
}

// fortanix puts the collateral of 2020 into the form of the PCS: the origin
// keeps body, signature (DER, as a list of numbers) and chain apart.
func fortanix(t testing.TB) attest.Collateral {
	t.Helper()
	var col attest.Collateral
	for _, x := range []struct{ file, field, name, mediaType string }{
		{"tcbinfo-v2", "raw_tcb_info", "tcbInfo", attest.MediaTypeIntelTCBInfo},
		{"qeidentity", "raw_enclave_identity", "enclaveIdentity", attest.MediaTypeIntelQEIdentity},
	} {
		var m map[string]json.RawMessage
		var body string
		var der []int
		var chain []string
		if err := json.Unmarshal(file(t, "sgx/collateral/00906ea10000-2020/"+x.file+".fortanix.json"), &m); err != nil {
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
		col = append(col,
			attest.Evidence{MediaType: x.mediaType, Value: fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, x.name, body, raw)},
			attest.Evidence{MediaType: attest.MediaTypePEMChain, Value: []byte(strings.Join(chain, ""))})
	}
	return col
}

// swap replaces the entries of one media type, or drops them if value is nil.
func swap(col attest.Collateral, mediaType string, value []byte) attest.Collateral {
	var out attest.Collateral
	for _, e := range col {
		if e.MediaType != mediaType {
			out = append(out, e)
		}
	}
	if value != nil {
		out = append(out, attest.Evidence{MediaType: mediaType, Value: value})
	}
	return out
}

// Endorsements as they were collected with a quote: TCB info of 2021 and lists
// of 2022. There is no time at which all of them are valid.
func TestRealHardwareMixedDates(t *testing.T) {
	var att struct{ Endorsements string }
	if err := json.Unmarshal(file(t, "sgx/v3-00606a-ravl-debug.att.json"), &att); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(att.Endorsements)
	if err != nil {
		t.Fatal(err)
	}
	var col attest.Collateral
	for _, name := range []string{"tcbInfo", "enclaveIdentity"} {
		i := bytes.Index(raw, []byte(`{"`+name+`":`))
		n := bytes.Index(raw[i:], []byte(`"}`+"\x00"))
		if i < 0 || n < 0 {
			t.Fatalf("no %s", name)
		}
		mediaType := map[string]string{"tcbInfo": attest.MediaTypeIntelTCBInfo, "enclaveIdentity": attest.MediaTypeIntelQEIdentity}[name]
		col = append(col, attest.Evidence{MediaType: mediaType, Value: raw[i : i+n+2]})
	}
	for rest := raw; ; {
		// Binary stands between the blocks, so none but the first begins a line.
		i := bytes.Index(rest, []byte("-----BEGIN"))
		if i < 0 {
			break
		}
		block, after := pem.Decode(rest[i:])
		if block == nil {
			t.Fatal("no PEM where PEM begins")
		}
		mediaType := map[string]string{"CERTIFICATE": attest.MediaTypeCertificate, "X509 CRL": attest.MediaTypeCRL}[block.Type]
		col, rest = append(col, attest.Evidence{MediaType: mediaType, Value: block.Bytes}), after
	}
	for _, at := range []string{"2021-05-01", "2021-08-01", "2022-08-20", "2022-09-01"} {
		ok, v := appraise(params(SGX), file(t, "sgx/v3-00606a-ravl-debug.quote.bin"), col, day(at))
		if ok || !strings.Contains(failures(v), "dates") || row(v, "revocation").Outcome != attest.Pass || row(v, "qe-identity").Outcome != attest.Pass {
			t.Errorf("%s: failed rows %q, expected the dates among them: %v", at, failures(v), v)
		}
	}
}

// Quotes carried in RA-TLS certificates.
func TestRealHardwareInCertificates(t *testing.T) {
	found := 0
	for _, name := range []string{"sgx/ratls-gramine.cert.pem", "sgx/ratls-ratstls.cert.pem"} {
		block, _ := pem.Decode(file(t, name))
		if block == nil {
			t.Fatal("no certificate")
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
			found++
			// The quote's own length ends it; what follows is the wrapping's.
			quote := e.Value[i:]
			n := headerSize + enclaveReportSize + 4 + int(quote[432]) + int(quote[433])<<8
			if n > len(quote) {
				t.Fatalf("%s: quote of %d bytes in %d", name, n, len(quote))
			}
			ok, v := appraise(params(SGX), quote[:n], folder(t, "sgx/collateral/00606a000000-2025-08"), day("2025-09-01"))
			if ok || failures(v) != "tcb" || !strings.HasPrefix(row(v, "tcb").Seen, "OutOfDate") {
				t.Errorf("%s, extension %v: failed rows %q: %v", name, e.Id, failures(v), v.Err())
			}
		}
	}
	if found != 3 {
		t.Errorf("%d quotes found, expected 3", found)
	}
}
