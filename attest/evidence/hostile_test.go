// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/enarx/enarx-go/attest"
)

// allocated says how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// everything does all that this package does with a file.
func everything(b []byte) {
	_, _ = FindBinding(b)
	_, _ = DescribeWrapper(b)
	if f, err := Find(b); err == nil {
		for _, p := range f.Pieces {
			_, _ = Describe(p)
		}
	}
	if col, err := FindCollateral(b); err == nil {
		for _, e := range col {
			_, _ = DescribeCollateral(e)
		}
	}
}

// TestInvariant4HostileInputIsBounded_TooLarge: a file beyond the limit is
// refused for its size, before anything is allocated for it.
func TestInvariant4HostileInputIsBounded_TooLarge(t *testing.T) {
	for _, first := range []byte{0, '{', '[', '0', 'A', 0x30, 0x84, 3} {
		big := bytes.Repeat([]byte{first}, MaxFile+1)
		for name, f := range map[string]func([]byte) error{
			"Find":           func(b []byte) error { _, err := Find(b); return err },
			"FindCollateral": func(b []byte) error { _, err := FindCollateral(b); return err },
			"FindBinding":    func(b []byte) error { _, err := FindBinding(b); return err },
		} {
			var err error
			n := allocated(func() { err = f(big) })
			var e *Error
			if !errors.As(err, &e) || e.Reason != attest.ReasonTooLarge || !strings.Contains(err.Error(), "16777216") {
				t.Errorf("%s: %v, expected an error that names the limit", name, err)
			}
			if n > 64<<10 {
				t.Errorf("%s allocated %d bytes for a file that is too large", name, n)
			}
		}
	}
}

// TestInvariant4HostileInputIsBounded_Bombs: files that are made to cost more
// than they are long.
func TestInvariant4HostileInputIsBounded_Bombs(t *testing.T) {
	const size = 4 << 20
	nested := []byte("AAAA")
	for len(nested) < size {
		nested = []byte(base64.StdEncoding.EncodeToString(nested))
	}
	report := vector(t, "snp/turin-v5.report.bin")
	quote := vector(t, "tdx/v5-90c06f-td15.quote.bin")
	block := pem.EncodeToMemory(&pem.Block{Type: "REPORT", Bytes: report})
	fill := func(unit string) []byte { return bytes.Repeat([]byte(unit), size/len(unit)) }
	for name, b := range map[string][]byte{
		"base64 within base64":    nested,
		"arrays within arrays":    fill("["),
		"objects within objects":  fill(`{"a":`),
		"many members":            []byte("{" + string(fill(`"a":1,`)) + `"b":2}`),
		"an array of numbers":     []byte(`{"attestation_report":{"report_data":[` + string(fill("1,")) + `1]}}`),
		"many blocks":             bytes.Repeat(block, size/len(block)),
		"sequences in sequences":  fill("\x30\x84"),
		"CBOR arrays in arrays":   fill("\x81"),
		"a large CBOR array":      append([]byte{0x9a, 0xff, 0xff, 0xff, 0xff}, fill("\x00")...),
		"a large CBOR string":     append([]byte{0x84, 0x5a, 0xff, 0xff, 0xff, 0xff}, moduleID...),
		"zeroes":                  make([]byte, size),
		"events of nothing":       append(make([]byte, size), 1),
		"a table without end":     fill("\x01"),
		"a quote and much more":   append(bytes.Clone(quote), fill("\x00")...),
		"a report and much more":  append(bytes.Clone(report), fill("\x01")...),
		"digits":                  fill("0"),
		"letters":                 fill("A"),
		"dashes":                  fill("-----BEGIN "),
		"serialised collateral":   append([]byte{0, 3, 0, 1, 0, 0, 0, 0}, bytes.Repeat([]byte{0xff}, size)...),
		"a signature of protobuf": fill("\x0a\x01"),
	} {
		start := time.Now()
		n := allocated(func() { everything(b) })
		if limit := uint64(64*len(b) + 1<<20); n > limit {
			t.Errorf("%s: %d bytes allocated for %d, expected at most %d", name, n, len(b), limit)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

// TestInvariant4HostileInputIsBounded_AllocationsFollowTheInput: no length in
// any file makes this package allocate beyond what the file's size justifies.
func TestInvariant4HostileInputIsBounded_AllocationsFollowTheInput(t *testing.T) {
	for name, b := range allVectors(t) {
		if len(b) > 64<<10 {
			continue
		}
		variants := [][]byte{b, b[:len(b)/2]}
		for _, at := range []int{0, 4, 8, len(b) / 3, 2 * len(b) / 3} {
			if at+4 <= len(b) {
				v := bytes.Clone(b)
				copy(v[at:], []byte{0xff, 0xff, 0xff, 0x7f})
				variants = append(variants, v)
			}
		}
		for i, v := range variants {
			if n, limit := allocated(func() { everything(v) }), uint64(256*len(v)+2<<20); n > limit {
				t.Errorf("%s, variant %d: %d bytes allocated for %d, expected at most %d", name, i, n, len(v), limit)
			}
		}
	}
}

// ratls makes a RA-TLS certificate, self-signed, with these extensions.
func ratls(t *testing.T, key *ecdsa.PrivateKey, extensions ...pkix.Extension) []byte {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, ExtraExtensions: extensions,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t *testing.T) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, spki
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tagged makes the extension of tagged evidence.
func tagged(t *testing.T, tag uint64, evidence, claims []byte) pkix.Extension {
	return pkix.Extension{Id: oidTaggedEvidence, Value: marshal(t, cbor.Tag{Number: tag, Content: []any{evidence, claims}})}
}

func keyClaims(t *testing.T, spki []byte) []byte {
	d := sha256.Sum256(spki)
	return marshal(t, map[string]any{"pubkey-hash": marshal(t, []any{1, d[:]})})
}

// TestWrappersOfOthers: evidence put into a certificate for another key is
// taken out, and a row fails or the expectation is one that it cannot meet.
func TestWrappersOfOthers(t *testing.T) {
	key, spki := newKey(t)
	_, otherSPKI := newKey(t)
	quote := vector(t, "sgx/v3-00a067-phala.quote.bin")
	good := ratls(t, key, tagged(t, tagIntelQuote, quote, keyClaims(t, spki)))
	if f, err := Find(good); err != nil || !f.Rows.OK() || f.Rows.Reason() != "" {
		t.Fatalf("a good one: %v, %v", f, err)
	}
	// The claims speak of another key.
	f, err := Find(ratls(t, key, tagged(t, tagIntelQuote, quote, keyClaims(t, otherSPKI))))
	if err != nil || f.Rows.Reason() != attest.ReasonBinding {
		t.Errorf("claims of another key: %v, reason %q", err, f.Rows.Reason())
	}
	// The legacy form has no claims: the expectation is of this key.
	f, err = Find(ratls(t, key, pkix.Extension{Id: oidGramineMeant, Value: quote}))
	want := sha256.Sum256(spki)
	if err != nil || f.Pieces[0].ReportData == nil || !bytes.Equal(f.Pieces[0].ReportData[:32], want[:]) || !zero(f.Pieces[0].ReportData[32:]) {
		t.Errorf("legacy form: %v", err)
	}
	// Somebody has changed the certificate after it was signed.
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	if f, err := Find(bad); err == nil && f.Rows.Reason() != attest.ReasonBinding {
		t.Errorf("changed signature: reason %q", f.Rows.Reason())
	}
	at := bytes.Index(good, quote)
	bad = bytes.Clone(good)
	bad[at+400] ^= 1
	if f, err := Find(bad); err == nil && f.Rows.Reason() != attest.ReasonBinding {
		t.Errorf("changed quote: reason %q", f.Rows.Reason())
	}
	// A fourth element, which nobody has signed.
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(good, &outer); err != nil {
		t.Fatal(err)
	}
	outer.FullBytes, outer.Bytes = nil, append(outer.Bytes, 5, 0)
	if more, err := asn1.Marshal(outer); err != nil {
		t.Fatal(err)
	} else if f, err := Find(more); err == nil {
		t.Errorf("a fourth element: taken as %s", f.Format)
	}
	for name, ext := range map[string]pkix.Extension{
		"a report of the same machine": tagged(t, tagIntelReport, make([]byte, 1024), keyClaims(t, spki)),
		"no claims":                    tagged(t, tagIntelQuote, quote, nil),
		"claims without a key":         tagged(t, tagIntelQuote, quote, marshal(t, map[string]any{"a": 1})),
		"an unknown hash":              tagged(t, tagIntelQuote, quote, marshal(t, map[string]any{"pubkey-hash": marshal(t, []any{2, []byte{1}})})),
		"another tag":                  tagged(t, 60010, quote, keyClaims(t, spki)),
		"no quote":                     {Id: oidGramine, Value: []byte("quote")},
	} {
		if f, err := Find(ratls(t, key, ext)); err == nil {
			t.Errorf("%s: taken as %s", name, f.Format)
		}
	}
}

// TestRequestsOfOthers: requests of the original Enarx that were changed, or
// come from a Keep without a TEE.
func TestRequestsOfOthers(t *testing.T) {
	for _, file := range []string{"snp/milan-v2-enarx.csr.der", "sgx/v3-00606a-enarx-xeon.csr.der"} {
		good := vector(t, file)
		bad := bytes.Clone(good)
		bad[len(bad)-1] ^= 1
		if f, err := Find(bad); err == nil && f.Rows.Reason() != attest.ReasonBinding {
			t.Errorf("%s with another signature: reason %q", file, f.Rows.Reason())
		}
		// Every byte of the evidence is under the request's signature.
		f, err := Find(good)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(good, f.Pieces[0].Evidence.Value)
		bad = bytes.Clone(good)
		bad[at+0x50] ^= 1
		if f, err := Find(bad); err == nil && f.Rows.Reason() != attest.ReasonBinding {
			t.Errorf("%s with other evidence: reason %q", file, f.Rows.Reason())
		}
	}
	key, _ := newKey(t)
	request := func(id asn1.ObjectIdentifier, value []byte) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: id, Value: value}}}, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for name, b := range map[string][]byte{
		"KVM":            request(oidEnarxKVM, nil),
		"nothing":        request(asn1.ObjectIdentifier{1, 2, 3}, nil),
		"the standard's": request(oidAttestation, []byte{0x30, 0}),
	} {
		if _, err := Find(b); !errors.Is(err, ErrUnsupported) {
			t.Errorf("request with %s: %v, expected ErrUnsupported", name, err)
		}
	}
	for _, id := range []asn1.ObjectIdentifier{oidEnarxSNP, oidEnarxSGX} {
		for _, v := range [][]byte{{}, {0x30, 0}, {0x30, 3, 4, 1, 0}, {0x30, 4, 0x30, 0, 0x30, 0}} {
			var e *Error
			if _, err := Find(request(id, v)); !errors.As(err, &e) || errors.Is(err, ErrUnsupported) {
				t.Errorf("request with %v %x: %v, expected an error", id, v, err)
			}
		}
	}
}

// TestHCLIsStrict changes what stands around the report and the runtime data.
func TestHCLIsStrict(t *testing.T) {
	good := vector(t, "snp/genoa-v3-azure.hcl.bin")
	for name, at := range map[string]int{"status": 16, "reserved": 31, "data version": 1220, "version": 4, "size": 8, "data size": 1216, "type": 1224, "hash": 1228, "runtime size": 1232, "padding": len(good) - 1} {
		for _, v := range []byte{1, 0x40, 0x80} {
			bad := bytes.Clone(good)
			bad[at] ^= v
			f, err := Find(bad)
			if err == nil && *f.Pieces[0].ReportData == *mustFind(t, good).Pieces[0].ReportData {
				t.Errorf("changed %s: taken as if nothing were changed", name)
			}
		}
	}
	// The hash that the header names is the one that is computed.
	bad := bytes.Clone(good)
	bad[1228] = 3
	if f, err := Find(bad); err != nil || !strings.HasPrefix(f.Pieces[0].ReportDataSource, "SHA-512") {
		t.Errorf("hash type 3: %v", err)
	}
	if _, err := Find(good[:1236]); err == nil {
		t.Error("cut before the runtime data: taken")
	}
}

func mustFind(t *testing.T, b []byte) *Found {
	t.Helper()
	f, err := Find(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTrusteeIsExact: a report in JSON whose members do not give back the bytes
// is refused.
func TestTrusteeIsExact(t *testing.T) {
	good := string(vector(t, "snp/siena-a0-v3.evidence.json"))
	for name, b := range map[string]string{
		"an unknown member":     strings.Replace(good, `"guest_svn"`, `"new":1,"guest_svn"`, 1),
		"a member less":         strings.Replace(good, `"guest_svn":0,`, ``, 1),
		"a member twice":        strings.Replace(good, `"guest_svn":0,`, `"guest_svn":0,"guest_svn":1,`, 1),
		"a level with more":     strings.Replace(good, `"bootloader":10`, `"bootloader":10,"x":1`, 1),
		"a level beyond a byte": strings.Replace(good, `"bootloader":10`, `"bootloader":256`, 1),
		"a number below zero":   strings.Replace(good, `"vmpl":0`, `"vmpl":-1`, 1),
		"a short array":         strings.Replace(good, `"family_id":[0,`, `"family_id":[`, 1),
		"a long array":          strings.Replace(good, `"family_id":[0,`, `"family_id":[0,0,`, 1),
		"a string":              strings.Replace(good, `"family_id":[0,`, `"family_id":["0",`, 1),
		"an unknown chain":      strings.Replace(good, `"cert_type":"VCEK"`, `"cert_type":"VCEK","y":1`, 1),
	} {
		if b == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := Find([]byte(b)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	changed := mustFind(t, []byte(strings.Replace(good, `"policy":196608`, `"policy":196609`, 1)))
	if bytes.Equal(changed.Pieces[0].Evidence.Value, vector(t, "snp/siena-a0-v3.report.bin")) {
		t.Error("another policy gives the same report")
	}
}
