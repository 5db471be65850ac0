// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/internal/tpmquote"
	"github.com/enarx/enarx-go/attest/vtpm"
)

// quoteOf is a quote of p that is not a Keep's.
func quoteOf(t testing.TB, p *softtpm.TPM) *tpmquote.Foreign {
	t.Helper()
	quote, sig, err := p.Quote(reportData[:])
	if err != nil {
		t.Fatal(err)
	}
	f := &tpmquote.Foreign{Public: p.AKPublic, Quote: quote, Signature: sig, Bank: 0x0b, EventLog: p.Log}
	for _, v := range p.PCRs {
		f.PCRs = append(f.PCRs, v[:]...)
	}
	return f
}

// judgeQuote verifies f with the certificate of its key.
func (m *maker) judgeQuote(t testing.TB, f *tpmquote.Foreign, o vtpm.Options, exp attest.Expected, certs ...*x509.Certificate) (*attest.Claims, attest.Verdict) {
	t.Helper()
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	col := m.collateral()
	for _, c := range certs {
		col = append(col, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: c.Raw})
	}
	o.Waive, exp.HostData = attest.WaiveHostData, [32]byte{}
	return vtpm.New(o).Verify(attest.Evidence{MediaType: attest.MediaTypeTPMQuote, Value: b}, col, exp, madeAt)
}

// A certificate binds a quote to a maker's TPM if it is for a key that signs, and
// for a TPM's. Issuers of such certificates have others, too.
func TestInvariant1NoSilentDowngrade_CertificateOfTheAttestationKey(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	type edit = func(*x509.Certificate)
	usage := func(ids ...asn1.ObjectIdentifier) edit {
		return func(c *x509.Certificate) { c.UnknownExtKeyUsage, c.KeyUsage = ids, x509.KeyUsageDigitalSignature }
	}
	for name, x := range map[string]struct {
		edit   edit
		reason attest.Reason
		words  string
	}{
		"of an attestation key":               {usage(usageAK), "", ""},
		"without a usage, as Google has them": {usage(), "", ""},
		"of Google's keys that sign":          {usage(usageEK), "", ""},
		"an endorsement key's":                {asEK, attest.ReasonKey, "not for signatures"},
		"without any key usage":               {func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{usageAK} }, attest.ReasonKey, "not for signatures"},
		"a server's": {func(c *x509.Certificate) {
			c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, attest.ReasonKey, "not for a TPM's key"},
		"a client's":      {usage(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 99}), attest.ReasonKey, "not for a TPM's key"},
		"an authority's":  {func(c *x509.Certificate) { asCA(c); c.KeyUsage |= x509.KeyUsageDigitalSignature }, attest.ReasonKey, "certification authority"},
		"ended":           {func(c *x509.Certificate) { usage(usageAK)(c); c.NotAfter = madeAt.AddDate(0, 0, -1) }, attest.ReasonCertExpired, "ended on"},
		"of tomorrow":     {func(c *x509.Certificate) { usage(usageAK)(c); c.NotBefore = madeAt.AddDate(0, 0, 1) }, attest.ReasonCertNotYetValid, "begins on"},
		"of another root": {nil, attest.ReasonRoot, "none of the roots"},
	} {
		var cert *x509.Certificate
		if x.edit == nil {
			key := ecKey(t)
			cert = issue(t, p.AK.Public(), issue(t, key.Public(), nil, key, asCA), key, usage(usageAK))
		} else {
			cert = issue(t, p.AK.Public(), m.issuer, m.issuerKey, x.edit)
		}
		c, v := m.judgeQuote(t, quoteOf(t, p), m.options(), expected(p), cert)
		if x.reason == "" {
			if c == nil || outcome(v, "activation") != attest.Pass {
				t.Errorf("%s: %v", name, v.Err())
			}
			continue
		}
		refused(t, name, c, v, "chain", x.reason, x.words)
		if outcome(v, "activation") == attest.Pass {
			t.Errorf("%s: the key is bound to it", name)
		}
	}
	// The certificate of another TPM's key binds that key, and none at all binds
	// nothing.
	other := issue(t, ecKey(t).Public(), m.issuer, m.issuerKey, usage(usageAK))
	c, v := m.judgeQuote(t, quoteOf(t, p), m.options(), expected(p), other)
	refused(t, "another key's certificate", c, v, "chain", attest.ReasonChain, "no certificate of the attestation key")
	c, v = m.judgeQuote(t, quoteOf(t, p), m.options(), expected(p))
	refused(t, "no certificate", c, v, "chain", attest.ReasonChain, "no certificate of the attestation key")
	o := m.options()
	o.VouchedKey, o.VouchedBy = ecKey(t).Public(), "the test"
	c, v = m.judgeQuote(t, quoteOf(t, p), o, expected(p), issue(t, p.AK.Public(), m.issuer, m.issuerKey, usage(usageAK)))
	refused(t, "another key is vouched for", c, v, "chain", attest.ReasonKey, "ECC P-256")
	o.VouchedKey = "no key"
	c, v = m.judgeQuote(t, quoteOf(t, p), o, expected(p))
	refused(t, "something is vouched for", c, v, "chain", attest.ReasonKey, "ECC P-256")
}

// signedBy is the quote of p, signed by a key without a TPM's structure.
func signedBy(t testing.TB, p *softtpm.TPM, key crypto.Signer) *tpmquote.Foreign {
	t.Helper()
	f := quoteOf(t, p)
	digest := sha256.Sum256(f.Quote)
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	s := tpm.Signature{Alg: tpm.AlgRSASSA, Hash: tpm.AlgSHA256, RSA: sig}
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		s.Alg = tpm.AlgECDSA
		var n struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &n); err != nil {
			t.Fatal(err)
		}
		s.RSA, s.R, s.S = nil, n.R, n.S
	}
	f.Signature, f.Public = s.Encode(), nil
	if f.Key, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		t.Fatal(err)
	}
	return f
}

// Where only the key is known, it is one that would be taken with its structure.
func TestInvariant1NoSilentDowngrade_KeyWithoutStructure(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		key   crypto.Signer
		words string
	}{
		"RSA 2048": {m.ek, ""}, "P-256": {ec(elliptic.P256()), ""}, "P-384": {ec(elliptic.P384()), ""}, "P-521": {ec(elliptic.P521()), ""},
		"P-224": {ec(elliptic.P224()), "ECC key on P-224"}, "RSA 1024": {small, "RSA key of 1024 bits"},
	} {
		o := m.options()
		o.VouchedKey, o.VouchedBy = x.key.Public(), "the test"
		f := signedBy(t, p, x.key)
		c, v := m.judgeQuote(t, f, o, expected(p))
		if x.words != "" {
			refused(t, name, c, v, "format", attest.ReasonFormat, x.words)
			continue
		}
		if c == nil {
			t.Errorf("%s: %v", name, v.Err())
		}
		// The structure and the key at once: two keys, of which one is looked at.
		both := *f
		both.Public = p.AKPublic
		c, v = m.judgeQuote(t, &both, o, expected(p))
		refused(t, name+", given twice", c, v, "format", attest.ReasonFormat, "given twice")
	}
	// An exponent of 3, which nobody's TPM has.
	three := *m.ek
	three.E = 3
	f := signedBy(t, p, m.ek)
	if f.Key, err = x509.MarshalPKIXPublicKey(&three.PublicKey); err != nil {
		t.Fatal(err)
	}
	o := m.options()
	o.VouchedKey, o.VouchedBy = &three.PublicKey, "the test"
	c, v := m.judgeQuote(t, f, o, expected(p))
	refused(t, "exponent 3", c, v, "format", attest.ReasonFormat, "exponent 3")
	for name, key := range map[string][]byte{"no key": []byte("none"), "a byte more": append(bytes.Clone(signedBy(t, p, m.ek).Key), 0), "nothing": nil} {
		f := signedBy(t, p, m.ek)
		f.Key = key
		c, v := m.judgeQuote(t, f, o, expected(p))
		refused(t, name, c, v, "format", attest.ReasonFormat, "attestation key")
	}
}

// The banks that a quote of others can be over, and what goes with each.
func TestInvariant1NoSilentDowngrade_BanksOfOthers(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	cert := issue(t, p.AK.Public(), m.issuer, m.issuerKey, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	quote := func(alg uint16, size int, sel []byte) *tpmquote.Foreign {
		f := quoteOf(t, p)
		f.Bank, f.PCRs, f.EventLog = alg, bytes.Repeat([]byte{1}, 24*size), nil
		s := of(t, p)
		digest := sha256.Sum256(f.PCRs)
		s.extra, s.selection, s.digest = reportData[:], sel, digest[:]
		f.Quote = s.encode()
		var err error
		if f.Signature, err = p.Sign(f.Quote); err != nil {
			t.Fatal(err)
		}
		return f
	}
	const sha1, sha256, sha384, sha512 = 4, 0x0b, 0x0c, 0x0d
	for _, x := range []struct {
		name  string
		f     *tpmquote.Foreign
		check string // none: only the measurement is unknown
		words string
	}{
		{"SHA-256", quote(sha256, 32, selection(bank{sha256, all})), "", ""},
		{"SHA-384", quote(sha384, 48, selection(bank{sha384, all})), "", ""},
		{"SHA-512", quote(sha512, 64, selection(bank{sha512, all})), "", ""},
		{"SHA-1", quote(sha1, 20, selection(bank{sha1, all})), "pcrs", "SHA-1"},
		{"SHA-384 that is SHA-256", quote(sha384, 48, selection(bank{sha256, all})), "pcrs", "not of all PCRs"},
		{"SHA-256 that is SHA-1", quote(sha256, 32, selection(bank{sha1, all})), "pcrs", "not of all PCRs"},
		{"two banks", quote(sha256, 32, selection(bank{sha256, all}, bank{sha384, all})), "pcrs", "2 banks"},
		{"SHA-1 beside it", quote(sha256, 32, selection(bank{sha1, all}, bank{sha256, all})), "pcrs", "2 banks"},
		{"values of another size", quote(sha256, 48, selection(bank{sha256, all})), "format", "1152 bytes of SHA-256 PCRs"},
		{"no bank", quote(0, 32, selection(bank{sha256, all})), "format", "PCRs"},
		{"SM3", quote(0x12, 32, selection(bank{0x12, all})), "format", "algorithm 0x12"},
	} {
		exp := expected(p)
		c, v := m.judgeQuote(t, x.f, m.options(), exp, cert)
		if c != nil {
			t.Errorf("%s: accepted with registers of no release", x.name)
		}
		row := v.Lead()
		if x.check == "" {
			x.check = "measurement"
		}
		if row == nil || row.Check != "vtpm."+x.check || !strings.Contains(row.Seen, x.words) {
			t.Errorf("%s: %+v", x.name, row)
		}
	}
}
