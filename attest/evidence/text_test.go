// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/cmw"
)

// wrapLines breaks s into lines of n characters.
func wrapLines(s string, n int, end string) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(s[:n] + end)
		s = s[n:]
	}
	return b.String() + s + end
}

// encodings are the ways in which people hand evidence around.
func encodings(t testing.TB, mediaType string, b []byte) map[string][]byte {
	t.Helper()
	h, std := hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b)
	record := &cmw.Node{Record: &cmw.Record{Type: cmw.MediaType(mediaType), Value: b, Ind: cmw.Evidence}}
	collection := &cmw.Node{Collection: &cmw.Collection{Entries: []cmw.Entry{{Label: cmw.Text("cpu"), Node: *record}}}}
	m := map[string][]byte{
		"hex":                []byte(h),
		"upper-case hex":     []byte(strings.ToUpper(h)),
		"0x hex":             []byte("0x" + h + "\n"),
		"hex in lines":       []byte(wrapLines(h, 64, "\n")),
		"base64":             []byte(std),
		"base64 in lines":    []byte(wrapLines(std, 76, "\r\n")),
		"base64 unpadded":    []byte(base64.RawStdEncoding.EncodeToString(b)),
		"base64url":          []byte(base64.URLEncoding.EncodeToString(b)),
		"base64url unpadded": []byte(base64.RawURLEncoding.EncodeToString(b)),
		"PEM":                pem.EncodeToMemory(&pem.Block{Type: "ATTESTATION REPORT", Bytes: b}),
		"JSON":               []byte(`{"quote":"` + std + `","user_data":null}`),
		"base64 of hex":      []byte(base64.StdEncoding.EncodeToString([]byte(h))),
	}
	for name, n := range map[string]*cmw.Node{"CMW record": record, "CMW collection": collection} {
		var err error
		if m[name+" in CBOR"], err = n.CBOR(); err != nil {
			t.Fatal(err)
		}
		if m[name+" in JSON"], err = n.JSON(); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestTextIsTheSameEvidence: whatever way raw evidence is written down, the
// same bytes come out.
func TestTextIsTheSameEvidence(t *testing.T) {
	for name, raw := range rawEvidence(t) {
		plain, err := Find(raw)
		if err != nil {
			t.Fatal(err)
		}
		for how, b := range encodings(t, plain.Pieces[0].Evidence.MediaType, raw) {
			f, err := Find(b)
			if err != nil {
				t.Errorf("%s as %s: %v", name, how, err)
				continue
			}
			p := f.Pieces[0]
			if len(f.Pieces) != 1 || !bytes.Equal(p.Evidence.Value, raw) || p.Platform != plain.Pieces[0].Platform || p.Evidence.MediaType != plain.Pieces[0].Evidence.MediaType {
				t.Errorf("%s as %s: %s is other evidence", name, how, f.Format)
			}
		}
	}
}

// TestTextIsStrict: what is not exactly one of the encodings is not evidence.
func TestTextIsStrict(t *testing.T) {
	raw := vector(t, "snp/milan-v2-aci.report.bin")
	std := base64.StdEncoding.EncodeToString(raw)
	block := pem.EncodeToMemory(&pem.Block{Type: "REPORT", Bytes: raw})
	last := std[len(std)-3 : len(std)-2] // the last character with bits of its own before "=="
	for name, b := range map[string]string{
		"stray bits in base64": std[:len(std)-3] + string(last[0]+1) + "==",
		"text after base64":    std + "!",
		"odd hex":              hex.EncodeToString(raw)[1:],
		"text before PEM":      "my report:\n" + string(block),
		"text after PEM":       string(block) + "thanks\n",
		"PEM without an end":   string(block[:len(block)-30]),
		"PEM with another end": strings.Replace(string(block), "END REPORT", "END QUOTE", 1),
		"PEM with headers":     strings.Replace(string(block), "REPORT-----\n", "REPORT-----\nA: b\n\n", 1),
		"JSON with it twice":   `{"quote":"` + std + `","quote":"` + std + `"}`,
		"JSON and more":        `{"quote":"` + std + `"}{}`,
		"JSON with a number":   `{"quote":5}`,
		"empty":                "",
		"white space":          " \n",
		"a token":              "eyJhbGciOiJub25lIn0.e30.",
		"CMW of another type":  `["` + attest.MediaTypeTDX + `","` + base64.RawURLEncoding.EncodeToString(raw) + `",4]`,
		"CMW with nothing":     `["application/eat+cwt","AAAA",4]`,
		"CMW of results":       `["` + attest.MediaTypeSNP + `","` + base64.RawURLEncoding.EncodeToString(raw) + `",8]`,
	} {
		if f, err := Find([]byte(b)); err == nil {
			t.Errorf("%s: taken as %s", name, f.Format)
		}
	}
}

// TestEveryErrorIsTyped: a file is either unknown or known and refused for a
// reason that programs can read.
func TestEveryErrorIsTyped(t *testing.T) {
	for name, b := range allVectors(t) {
		for _, n := range []int{0, 1, 3, len(b) / 2, len(b) - 1} {
			if n < 0 || n > len(b) {
				continue
			}
			_, err := Find(b[:n])
			var e *Error
			if err != nil && !errors.Is(err, ErrUnknown) && (!errors.As(err, &e) || e.Reason == "" || e.Format == "") {
				t.Errorf("%s cut to %d bytes: untyped error %v", name, n, err)
			}
		}
	}
}

// allVectors are all files that are anything to this package.
func allVectors(t testing.TB) map[string][]byte {
	return files(t, 200, "testdata/*/*.*", "../internal/snpreport/testdata/*.*", "../internal/dcap/testdata/*/*.*",
		"../internal/dcap/testdata/*/collateral/*/*.*", "../internal/nitrodoc/testdata/*.*", "../internal/eventlog/testdata/*.*")
}
