// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// files gives the contents of all files of testdata that match, and fails if
// there are fewer than expected: without seeds a fuzz target shows nothing.
func files(t testing.TB, least int, patterns ...string) [][]byte {
	t.Helper()
	var list [][]byte
	for _, p := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", p))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			rel, err := filepath.Rel("testdata", n)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, file(t, rel))
		}
	}
	if len(list) < least {
		t.Fatalf("%d files match %v, expected %d or more", len(list), patterns, least)
	}
	return list
}

// FuzzQuote: what is taken can be written again, byte for byte.
func FuzzQuote(f *testing.F) {
	for _, b := range files(f, 20, "*/*.quote*.bin") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ParseQuote(b)
		if err != nil {
			if q != nil {
				t.Fatal("a quote and an error")
			}
			return
		}
		if !bytes.Equal(rebuild(q), b) || (q.TD == nil) == (q.Enclave == nil) {
			t.Fatal("not the same bytes again")
		}
		_ = q.QE()
	})
}

// FuzzPEM: what is taken, encoding/pem takes too and reads the same in it.
func FuzzPEM(f *testing.F) {
	for _, b := range files(f, 20, "*/collateral/*/*.pem", "tdx/*.pem") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ders, err := splitPEM(b)
		if err != nil {
			return
		}
		// encoding/pem wants each block on lines of its own.
		rest := bytes.ReplaceAll(b, pemBegin, append([]byte("\n"), pemBegin...))
		for i, der := range ders {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block != nil && !bytes.Equal(block.Bytes, der) {
				t.Fatalf("certificate %d differs", i)
			}
		}
	})
}

// FuzzDocuments goes past the signatures: bodies of TCB info and QE identity,
// and the frame around them.
func FuzzDocuments(f *testing.F) {
	for _, b := range files(f, 20, "*/collateral/*/tcbinfo.json", "*/collateral/*/qeidentity*.json") {
		f.Add(b)
		for _, name := range []string{"tcbInfo", "enclaveIdentity"} {
			if d, err := splitDocument(b, name); err == nil {
				f.Add(d.body)
			}
		}
	}
	for _, e := range fortanix(f) {
		if d, err := splitDocument(e.Value, "tcbInfo"); err == nil {
			f.Add(d.body)
		}
	}
	td := &TDReport{V15: true, TEETCBSVN: [16]byte{5, 1, 6}, TEETCBSVN2: [16]byte{6, 3, 6}}
	have := &platform{components: [16]uint8{3, 3, 2, 2, 4, 1, 0, 5}, pceSVN: 13}
	f.Fuzz(func(t *testing.T, b []byte) {
		sameAsEncodingJSON(t, b)
		for _, tee := range []TEE{SGX, TDX} {
			if info, err := parseTCBInfo(b, tee); err == nil {
				report := td
				if tee == SGX {
					report = nil
				}
				s := info.evaluate(have, report, UpToDate)
				if !levelStatus(s.status) && s.status != NotSupported && s.status != TDRelaunchAdvised && s.status != TDRelaunchAdvisedConfigurationNeeded {
					t.Fatalf("status %q", s.status)
				}
			}
			if id, err := parseQEIdentity(b, tee); err == nil {
				_ = id.match(&EnclaveReport{})
				_, _ = level(id.Levels, 7)
			}
		}
		for _, name := range []string{"tcbInfo", "enclaveIdentity"} {
			d, err := splitDocument(b, name)
			if err != nil {
				continue
			}
			// Line ends may follow, and nothing else may be another way.
			if again := fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, name, d.body, d.signature); len(d.body) == 0 || !bytes.Equal(again, bytes.TrimRight(b, "\r\n")) {
				t.Fatal("not the same bytes again")
			}
		}
	})
}

// FuzzCertificate throws bytes at everything that reads a certificate or list.
func FuzzCertificate(f *testing.F) {
	seeds := 0
	for _, b := range files(f, 15, "*/collateral/*/*.pem", "tdx/*.pem") {
		ders, err := splitPEM(b)
		if err != nil {
			f.Fatal(err)
		}
		for _, der := range ders {
			f.Add(der)
			seeds++
		}
	}
	for _, r := range reals {
		q := clonedQuote(f, file(f, r.name+".quote.bin"))
		ders, err := splitPEM(q.certData)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ders[0])
		if c, err := x509.ParseCertificate(ders[0]); err == nil {
			for _, e := range c.Extensions {
				f.Add(e.Value)
			}
		}
	}
	for _, b := range files(f, 15, "*/collateral/*/*.crl.der") {
		f.Add(b)
	}
	if seeds < 30 {
		f.Fatalf("%d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &pool{}
		if p.add(b) == nil && len(p.pcks) == 1 {
			_, _ = parsePlatform(p.pcks[0])
		}
		_, _ = attributes(b, oidSGX)
		_ = (&platform{}).parseTCB(b)
		if l, err := parseCRL(b); err == nil && l.NextUpdate.IsZero() {
			t.Fatal("a list without an end")
		}
	})
}

// FuzzAppraise throws bytes at the whole: nothing but what Intel's platforms
// signed is accepted.
func FuzzAppraise(f *testing.F) {
	genuine := map[string]bool{}
	cache := NewCache(1000)
	kinds := []string{attest.MediaTypePEMChain, attest.MediaTypePEMChain, attest.MediaTypeCRL, attest.MediaTypeCRL, attest.MediaTypeIntelTCBInfo, attest.MediaTypeIntelQEIdentity}
	for _, r := range append(accepted(), acceptedByName(f)...) {
		_, quote, col, at := r.load(f)
		genuine[string(clonedQuote(f, quote).signed)] = true
		if len(col) != len(kinds) {
			f.Fatalf("%d entries", len(col))
		}
		f.Add(quote, col[0].Value, col[1].Value, col[2].Value, col[3].Value, col[4].Value, col[5].Value, at.Unix())
	}
	if len(genuine) < 10 {
		f.Fatalf("%d seeds", len(genuine))
	}
	f.Fuzz(func(t *testing.T, quote, c0, c1, c2, c3, c4, c5 []byte, at int64) {
		var col attest.Collateral
		for i, b := range [][]byte{c0, c1, c2, c3, c4, c5} {
			col = append(col, attest.Evidence{MediaType: kinds[i], Value: b})
		}
		for _, tee := range []TEE{SGX, TDX} {
			p := params(tee)
			p.Cache = cache
			ok, v := appraiseUnder(p, lenient, quote, col, time.Unix(at, 0))
			if ok != v.OK() || len(v) == 0 {
				t.Fatalf("claims %v, verdict %v", ok, v)
			}
			if ok && !genuine[string(clonedQuote(t, quote).signed)] {
				t.Fatal("a quote that no platform made was accepted")
			}
		}
	})
}
