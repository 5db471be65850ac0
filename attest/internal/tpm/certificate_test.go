// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if block, rest := pem.Decode(b); block != nil {
		if len(bytes.TrimSpace(rest)) != 0 {
			t.Fatalf("%s holds more than one certificate", name)
		}
		return block.Bytes
	}
	return b
}

// Every vector has an origin, and is what its origin has.
func TestOriginOfVectors(t *testing.T) {
	table, err := os.ReadFile("testdata/ORIGIN.tsv")
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		f := strings.Split(line, "\t")
		b, err := os.ReadFile(filepath.Join("testdata", f[0]))
		sum := sha256.Sum256(b)
		if err != nil || len(f) != 7 || f[3] == "" || f[2] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s was changed, or has no origin: %v", f[0], err)
		}
		listed++
	}
	entries, err := os.ReadDir("testdata")
	if err != nil || len(entries) != listed+1 {
		t.Fatalf("%d files, %d listed: %v", len(entries), listed, err)
	}
}

// certVectors are certificates of keys of real TPMs with what is published of
// them.
var certVectors = []struct {
	name, issuer string
	endorsement  bool
	from, to     string // days of their validity
	padding      int
	critical     bool // the subject alternative name is critical, the subject empty
	device       string
	neither      bool // for no key that is taken: decrypts, and does not say that it is an endorsement key's
}{
	{"gce-pca-ecc-sign.pem", "gcp_ek_ak_ca_intermediate_v3.crt", false, "2022-11-23", "2052-11-15", 0, false, "", false},
	{"gce-pca-rsa-sign.pem", "gcp_ek_ak_ca_intermediate_v3.crt", false, "2022-11-23", "2052-11-15", 0, false, "", false},
	{"gce-pca-ecc-enc.pem", "gcp_ek_ak_ca_intermediate_v3.crt", false, "2022-11-23", "2052-11-15", 0, false, "", true},
	{"gce-pca-rsa-enc.pem", "gcp_ek_ak_ca_intermediate_v3.crt", false, "2022-11-23", "2052-11-15", 0, false, "", true},
	{"gce-uca-ecc-sign.pem", "tpm_ek_intermediate_3.crt", false, "2022-10-07", "2052-09-29", 0, true, "", false},
	{"gce-uca-rsa-enc.pem", "tpm_ek_intermediate_3.crt", true, "2022-10-07", "2052-09-29", 0, true, "", false},
	{"gcp-cos85-nonce.ak.der", "tpm_ek_intermediate_2.crt", false, "2021-08-31", "2051-08-24", 0, true, "GOOG vTPM, version id:20160511", false},
	{"st33-rsa-ek-padded.der", "stm-rsa-ek-intermediate-05.pem", true, "2018-07-11", "2028-07-11", 431, true, "STM ST33HTPHAHB4, version id:00490004", false},
	{"st33-ecc-ek.der", "stm-ecc-ek-intermediate-01.pem", true, "2018-07-26", "2028-07-26", 0, true, "STM ST33HTPHAHB4, version id:00490004", false},
}

func root(t testing.TB, name string) []*x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(file(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return []*x509.Certificate{c}
}

// Certificates of real TPMs verify under their issuers, on the days on which
// they are valid, and under nobody else. Some have an empty subject and name
// the TPM in a critical extension, which package x509 alone refuses.
func TestChainOfRealTPMs(t *testing.T) {
	day := func(s string, hours int) time.Time {
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return at.Add(time.Duration(hours) * time.Hour)
	}
	for _, x := range certVectors {
		c, padding, err := ParseCertificate(file(t, x.name))
		if err != nil || padding != x.padding {
			t.Errorf("%s: %d bytes of padding, expected %d: %v", x.name, padding, x.padding, err)
			continue
		}
		if got := len(c.UnhandledCriticalExtensions) == 1 && c.Subject.String() == ""; got != x.critical {
			t.Errorf("%s: subject %q and %d critical extensions that package x509 does not read", x.name, c.Subject, len(c.UnhandledCriticalExtensions))
		}
		roots, at := root(t, x.issuer), day(x.from, 48)
		if x.neither {
			for _, endorsement := range []bool{false, true} {
				if _, err := Chain(c, roots, nil, endorsement, at); fault.Reason(err, "") != attest.ReasonKey {
					t.Errorf("%s, as an endorsement key %v: %v", x.name, endorsement, err)
				}
			}
			continue
		}
		chain, err := Chain(c, roots, nil, x.endorsement, at)
		if err != nil || len(chain) != 2 || chain[0] != c || !chain[1].Equal(roots[0]) {
			t.Errorf("%s: chain of %d: %v", x.name, len(chain), err)
		}
		if d, err := DeviceOf(c); err != nil || x.device != "" && d.String() != x.device {
			t.Errorf("%s: device %v: %v", x.name, d, err)
		}
		for _, y := range certVectors {
			if y.issuer == x.issuer {
				continue
			}
			if _, err := Chain(c, root(t, y.issuer), nil, x.endorsement, at); fault.Reason(err, "") != attest.ReasonRoot {
				t.Errorf("%s under %s: %v", x.name, y.issuer, err)
			}
		}
		if _, err := Chain(c, nil, roots, x.endorsement, at); fault.Reason(err, "") != attest.ReasonRoot {
			t.Errorf("%s with its issuer, but not as a root: %v", x.name, err)
		}
		if _, err := Chain(c, roots, nil, x.endorsement, day(x.from, -1)); fault.Reason(err, "") != attest.ReasonCertNotYetValid {
			t.Errorf("%s too early: %v", x.name, err)
		}
		if _, err := Chain(c, roots, nil, x.endorsement, day(x.to, 24)); fault.Reason(err, "") != attest.ReasonCertExpired {
			t.Errorf("%s too late: %v", x.name, err)
		}
		if c.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) == 0 {
			if _, err := Chain(c, roots, nil, true, at); fault.Reason(err, "") != attest.ReasonKey {
				t.Errorf("%s of a key that signs, as an endorsement key: %v", x.name, err)
			}
		} else if _, err := Chain(c, roots, nil, false, at); fault.Reason(err, "") != attest.ReasonKey {
			t.Errorf("%s of a key that decrypts, as an attestation key: %v", x.name, err)
		}
	}
}

// What follows a certificate in a TPM's memory is padding of one kind, and
// nothing is hidden in it.
func TestParseCertificatePadding(t *testing.T) {
	b := file(t, "st33-rsa-ek-padded.der")
	der := b[:len(b)-431]
	for name, x := range map[string]struct {
		b    []byte
		want int // -1 refuses
	}{
		"none":                 {der, 0},
		"0xff":                 {b, 431},
		"zeros":                {append(bytes.Clone(der), make([]byte, 7)...), 7},
		"another byte":         {append(bytes.Clone(der), 1), -1},
		"both kinds":           {append(bytes.Clone(der), 0, 0xff), -1},
		"a second certificate": {append(bytes.Clone(der), der...), -1},
		"a byte at the end":    {append(bytes.Clone(b[:len(b)-1]), 0xfe), -1},
		"beyond the limit":     {append(bytes.Clone(der), bytes.Repeat([]byte{0xff}, attest.MaxTPMCertificate-len(der)+1)...), -1},
		"cut":                  {der[:len(der)-1], -1},
		"padding alone":        {bytes.Repeat([]byte{0xff}, 32), -1},
		"nothing":              {nil, -1},
	} {
		c, padding, err := ParseCertificate(x.b)
		if x.want < 0 {
			if err == nil || c != nil {
				t.Errorf("%s: taken", name)
			}
		} else if err != nil || padding != x.want || !bytes.Equal(c.Raw, der) {
			t.Errorf("%s: %d bytes of padding: %v", name, padding, err)
		}
	}
}

// san is a subject alternative name with directory names.
func san(t testing.TB, names ...pkix.RDNSequence) []byte {
	t.Helper()
	var list []asn1.RawValue
	for _, n := range names {
		der, err := asn1.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: der})
	}
	b, err := asn1.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Only the subject alternative name is read here: any other critical extension
// that package x509 does not know refuses, beside it or alone, and so does a
// name that cannot be read.
func TestChainRefusesOtherCriticalExtensions(t *testing.T) {
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(template, issuer *x509.Certificate) *x509.Certificate {
		t.Helper()
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(7), at.AddDate(0, 0, -1), at.AddDate(0, 0, 1)
		if issuer == nil {
			issuer = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ca := issue(&x509.Certificate{Subject: pkix.Name{CommonName: "maker"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	device := pkix.RDNSequence{{{Type: oidManufacturer, Value: "id:53544D20"}}, {{Type: oidModel, Value: "M"}}, {{Type: oidVersion, Value: "id:1"}}}
	twice := append(pkix.RDNSequence{{{Type: oidModel, Value: "N"}}}, device...)
	private := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: []byte{5, 0}}
	critical := private
	critical.Critical = true
	named := pkix.Extension{Id: oidSAN, Critical: true, Value: san(t, device)}
	for name, x := range map[string]struct {
		extensions []pkix.Extension
		reason     attest.Reason
	}{
		"the name alone":                 {[]pkix.Extension{named}, ""},
		"another that is not critical":   {[]pkix.Extension{named, private}, ""},
		"another that is critical":       {[]pkix.Extension{named, critical}, attest.ReasonChain},
		"another alone":                  {[]pkix.Extension{critical}, attest.ReasonChain},
		"two directory names":            {[]pkix.Extension{{Id: oidSAN, Critical: true, Value: san(t, device, device)}}, attest.ReasonChain},
		"a model twice":                  {[]pkix.Extension{{Id: oidSAN, Critical: true, Value: san(t, twice)}}, attest.ReasonChain},
		"bytes after the directory name": {[]pkix.Extension{{Id: oidSAN, Critical: true, Value: append(san(t, device), 0)}}, attest.ReasonChain},
	} {
		t.Run(name, func(t *testing.T) {
			template := &x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidEKU}, KeyUsage: x509.KeyUsageKeyAgreement, ExtraExtensions: x.extensions}
			c := issue(template, ca)
			before := len(c.UnhandledCriticalExtensions)
			_, err := Chain(c, []*x509.Certificate{ca}, nil, true, at)
			if got := fault.Reason(err, ""); got != x.reason || (err == nil) != (x.reason == "") {
				t.Errorf("%q: %v", got, err)
			}
			if len(c.UnhandledCriticalExtensions) != before {
				t.Error("the certificate was changed")
			}
		})
	}
	// The same of an issuer: its critical extensions are nobody's to read.
	mid := issue(&x509.Certificate{Subject: pkix.Name{CommonName: "mid"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, ExtraExtensions: []pkix.Extension{named}}, ca)
	leaf := issue(&x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidEKU}, KeyUsage: x509.KeyUsageKeyAgreement, ExtraExtensions: []pkix.Extension{named}}, mid)
	if _, err := Chain(leaf, []*x509.Certificate{ca}, []*x509.Certificate{mid}, true, at); fault.Reason(err, "") != attest.ReasonChain {
		t.Errorf("an issuer with a critical name that is not read: %v", err)
	}
}
