// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/internal/tpmquote"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/vtpm"
)

// issue makes a certificate of key below issuer.
func issue(t testing.TB, key any, issuer *x509.Certificate, by *ecdsa.PrivateKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(77), NotBefore: madeAt.AddDate(0, -1, 0), NotAfter: madeAt.AddDate(1, 0, 0), BasicConstraintsValid: true,
	}
	change(tmpl)
	if issuer == nil {
		issuer = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, key, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	usageEK = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	usageAK = asn1.ObjectIdentifier{2, 23, 133, 8, 3}
)

func asEK(c *x509.Certificate) {
	c.UnknownExtKeyUsage, c.KeyUsage = []asn1.ObjectIdentifier{usageEK}, x509.KeyUsageKeyEncipherment
}

func asCA(c *x509.Certificate) {
	c.Subject = pkix.Name{CommonName: "an authority"}
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
}

// An endorsement certificate is one by its maker's own word, and leads to a root
// that was named through authorities alone.
func TestInvariant1NoSilentDowngrade_EndorsementCertificate(t *testing.T) {
	m, other := newMaker(t), newMaker(t)
	ek, key := m.ek.Public(), ecKey(t)
	leaf := func(change func(*x509.Certificate)) *x509.Certificate {
		return issue(t, ek, m.issuer, m.issuerKey, func(c *x509.Certificate) { asEK(c); change(c) })
	}
	// below makes an issuer below the root, and a leaf below that.
	below := func(change func(*x509.Certificate)) (*x509.Certificate, *x509.Certificate) {
		ca := issue(t, key.Public(), m.root, m.rootKey, func(c *x509.Certificate) { asCA(c); change(c) })
		return issue(t, ek, ca, key, asEK), ca
	}
	type chain struct {
		leaf   *x509.Certificate
		hints  []*x509.Certificate
		roots  []*x509.Certificate
		reason attest.Reason // none: accepted
		words  string
	}
	roots, hints := []*x509.Certificate{m.root}, []*x509.Certificate{m.issuer}
	chains := map[string]chain{
		"good":                     {leaf(func(*x509.Certificate) {}), hints, roots, "", ""},
		"good, its issuer named":   {leaf(func(*x509.Certificate) {}), nil, hints, "", ""},
		"unknown root":             {leaf(func(*x509.Certificate) {}), hints, []*x509.Certificate{other.root}, attest.ReasonRoot, "none of the roots"},
		"root of the same name":    {issue(t, ek, other.issuer, other.issuerKey, asEK), []*x509.Certificate{other.issuer, m.issuer}, roots, attest.ReasonRoot, "none of the roots"},
		"the root among the hints": {leaf(func(*x509.Certificate) {}), []*x509.Certificate{m.issuer, m.root}, []*x509.Certificate{other.root}, attest.ReasonRoot, "none of the roots"},
		"signed by itself":         {issue(t, key.Public(), nil, key, asEK), hints, roots, attest.ReasonKey, "not the one of its certificate"},
		"without usage":            {leaf(func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }), hints, roots, attest.ReasonKey, "2.23.133.8.1 is missing"},
		"for an attestation key":   {leaf(func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{usageAK} }), hints, roots, attest.ReasonKey, "2.23.133.8.1 is missing"},
		"for a server": {leaf(func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), hints, roots, attest.ReasonKey, "2.23.133.8.1 is missing"},
		"for any use": {leaf(func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		}), hints, roots, attest.ReasonKey, "2.23.133.8.1 is missing"},
		"for signatures":     {leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), hints, roots, attest.ReasonKey, "not for encryption"},
		"of an authority":    {leaf(func(c *x509.Certificate) { c.IsCA = true }), hints, roots, attest.ReasonKey, "certification authority"},
		"ended":              {leaf(func(c *x509.Certificate) { c.NotAfter = madeAt.AddDate(0, 0, -1) }), hints, roots, attest.ReasonCertExpired, "ended on"},
		"root that is a key": {leaf(func(*x509.Certificate) {}), hints, []*x509.Certificate{leaf(func(*x509.Certificate) {}), m.root}, attest.ReasonRoot, "no certification authority"},
	}
	itself := leaf(func(*x509.Certificate) {})
	chains["root that is itself"] = chain{itself, hints, []*x509.Certificate{itself}, attest.ReasonRoot, "no certification authority"}
	with := func(name string, reason attest.Reason, words string, change func(*x509.Certificate)) {
		l, ca := below(change)
		chains[name] = chain{l, []*x509.Certificate{ca}, roots, reason, words}
	}
	with("another issuer", "", "", func(*x509.Certificate) {})
	with("issuer that is no authority", attest.ReasonRoot, "none of the roots", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	with("issuer that may not issue", attest.ReasonRoot, "none of the roots", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	with("issuer that has ended", attest.ReasonCertExpired, "ended on", func(c *x509.Certificate) { c.NotAfter = madeAt.AddDate(0, 0, -1) })
	with("issuer of tomorrow", attest.ReasonCertNotYetValid, "begins on", func(c *x509.Certificate) { c.NotBefore = madeAt.AddDate(0, 0, 1) })
	with("issuer with a critical extension", attest.ReasonChain, "", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
	})
	// Path length: an issuer with none below it, and one below it all the same.
	first := issue(t, key.Public(), m.root, m.rootKey, func(c *x509.Certificate) { asCA(c); c.MaxPathLenZero = true })
	second := issue(t, key.Public(), first, key, func(c *x509.Certificate) { asCA(c); c.Subject.CommonName = "the second" })
	chains["path too long"] = chain{issue(t, ek, second, key, asEK), []*x509.Certificate{first, second}, roots, attest.ReasonChain, ""}
	chains["path long enough"] = chain{issue(t, ek, first, key, asEK), []*x509.Certificate{first}, roots, "", ""}
	for name, x := range chains {
		p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
		p.Certificate = x.leaf.Raw
		var col attest.Collateral
		for _, c := range x.hints {
			col = append(col, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: c.Raw})
		}
		ev := evidenceOf(t, p)
		s := vtpm.NewSession(vtpm.Options{Roots: x.roots}, col, madeAt, rand.Reader)
		challenge, done, err := s.Next(ev)
		if err != nil {
			t.Fatal(err)
		}
		if x.reason != "" {
			if !done || len(challenge.Value) != 0 {
				t.Errorf("%s: a credential is made for such a key", name)
			}
			c, v := s.Verify(ev, col, expected(p), madeAt)
			refused(t, name, c, v, "chain", x.reason, x.words)
			continue
		}
		answer, err := p.Respond(challenge)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Next(answer); err != nil {
			t.Fatal(err)
		}
		if _, v := s.Verify(ev, col, expected(p), madeAt); v.Err() != nil {
			t.Errorf("%s: %v", name, v.Err())
		}
	}
}

// The endorsement key is the certificate's, one that receives secrets and never
// leaves its TPM, and strong enough.
func TestInvariant1NoSilentDowngrade_EndorsementKey(t *testing.T) {
	m := newMaker(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	area := func(key any, a tpm.Attributes) []byte {
		b, err := softtpm.Public(key, a)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := area(m.ek.Public(), softtpm.AttributesEK)
	exponent := func(e uint32) []byte {
		b := bytes.Clone(good)
		be.PutUint32(b[len(b)-256-2-4:], e)
		return b
	}
	for name, x := range map[string]struct {
		key    any
		public []byte
		words  string
	}{
		"of another TPM":     {m.ek.Public(), area(ecKey(t).Public(), softtpm.AttributesEK), "not the one of its certificate"},
		"the AK itself":      {m.ek.Public(), area(ecKey(t).Public(), softtpm.AttributesAK), "without decrypt"},
		"RSA of 1024 bits":   {small.Public(), area(small.Public(), softtpm.AttributesEK), "RSA key of 1024 bits"},
		"exponent 3":         {m.ek.Public(), exponent(3), "exponent 3"},
		"exponent 1":         {m.ek.Public(), exponent(1), "exponent 1"},
		"exponent 65536":     {m.ek.Public(), exponent(65536), "exponent 65536"},
		"may leave":          {m.ek.Public(), area(m.ek.Public(), softtpm.AttributesEK&^tpm.FixedTPM), "without fixedTPM"},
		"may be moved":       {m.ek.Public(), area(m.ek.Public(), softtpm.AttributesEK&^tpm.FixedParent), "without fixedParent"},
		"imported":           {m.ek.Public(), area(m.ek.Public(), softtpm.AttributesEK&^tpm.SensitiveDataOrigin), "without sensitiveDataOrigin"},
		"decrypts anything":  {m.ek.Public(), area(m.ek.Public(), softtpm.AttributesEK&^tpm.Restricted), "without restricted"},
		"signs":              {m.ek.Public(), area(m.ek.Public(), softtpm.AttributesEK|tpm.Sign), "signs"},
		"a byte after it":    {m.ek.Public(), append(bytes.Clone(good), 0), "1 bytes after its end"},
		"one byte too short": {m.ek.Public(), good[:len(good)-1], "modulus of 256 bytes, of which 255"},
	} {
		p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
		p.Certificate = issue(t, x.key, m.issuer, m.issuerKey, asEK).Raw
		e, err := p.Evidence(reportData)
		if err != nil {
			t.Fatal(err)
		}
		e.Endorsements[0].Public = x.public
		ev := encoded(t, e)
		s := vtpm.NewSession(m.options(), m.collateral(), madeAt, rand.Reader)
		if challenge, done, err := s.Next(ev); !done || err != nil || len(challenge.Value) != 0 {
			t.Errorf("%s: a credential is made for such a key: %v, %v", name, done, err)
		}
		c, v := s.Verify(ev, m.collateral(), expected(p), madeAt)
		refused(t, name, c, v, "chain", attest.ReasonKey, x.words)
	}
}

// What proves a key is the answer to this session's own credential.
func TestInvariant1NoSilentDowngrade_AnswerOfAnotherSession(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	ev := evidenceOf(t, p)
	open := func() (*vtpm.Session, attest.Evidence) {
		s := vtpm.NewSession(m.options(), m.collateral(), madeAt, rand.Reader)
		challenge, done, err := s.Next(ev)
		if done || err != nil {
			t.Fatal(done, err)
		}
		return s, challenge
	}
	respond := func(challenge attest.Evidence) attest.Evidence {
		answer, err := p.Respond(challenge)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	first, one := open()
	second, two := open()
	if bytes.Equal(one.Value, two.Value) || bytes.Equal(respond(one).Value, respond(two).Value) {
		t.Fatal("two sessions send the same secret")
	}
	for name, x := range map[string]struct {
		s      *vtpm.Session
		answer attest.Evidence
		good   bool
	}{"the answer to the second": {first, respond(two), false}, "the right answer": {second, respond(two), true}} {
		if _, done, err := x.s.Next(x.answer); !done || err != nil {
			t.Fatal(done, err)
		}
		c, v := x.s.Verify(ev, m.collateral(), expected(p), madeAt)
		if x.good != (c != nil) {
			t.Errorf("%s: %v", name, v.Err())
		}
		if !x.good {
			refused(t, name, c, v, "activation", attest.ReasonKey, "another secret")
		}
	}
	// Nobody guesses on: after one answer the conversation is over.
	if _, _, err := first.Next(respond(one)); err == nil {
		t.Error("a second answer is taken")
	}
	if c, _ := first.Verify(ev, m.collateral(), expected(p), madeAt); c != nil {
		t.Error("accepted after a second answer")
	}
	// The conversation is about the keys of the evidence, each of them.
	for name, change := range map[string]func(*attest.TPMEvidence){
		"another endorsement key more": func(e *attest.TPMEvidence) { e.Endorsements = append(e.Endorsements, e.Endorsements[0]) },
		"the certificate with padding": func(e *attest.TPMEvidence) {
			e.Endorsements[0].Certificate = append(bytes.Clone(e.Endorsements[0].Certificate), 0)
		},
		"another attribute of the key":   func(e *attest.TPMEvidence) { e.AK = flipBit(e.AK, 6, 2) },
		"another policy of the EK's":     func(e *attest.TPMEvidence) { e.Endorsements[0].Public = flip(e.Endorsements[0].Public, 12) },
		"its attestation key on its own": func(e *attest.TPMEvidence) { e.AK = m.booted(t, vector(t, "ovmf-uki.eventlog.bin")).AKPublic },
	} {
		e, err := attest.DecodeTPMEvidence(ev.Value)
		if err != nil {
			t.Fatal(err)
		}
		change(e)
		c, v := second.Verify(encoded(t, e), m.collateral(), expected(p), madeAt)
		if c != nil || outcome(v, "activation") != attest.Fail {
			t.Errorf("%s: row activation reads %q", name, outcome(v, "activation"))
		}
	}
}

// A quote of yesterday, of another session or of another Keep says so in what it
// was asked for.
func TestInvariant1NoSilentDowngrade_ReplayedQuote(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	judge := func(name string, extra []byte) {
		t.Helper()
		e := says(t, p, func(s *statement) { s.extra = extra })
		c, v := m.judge(t, m.options(), p, encoded(t, e), expected(p))
		refused(t, name, c, v, "report-data", attest.ReasonReportData, "qualifying data")
	}
	digest := sum(reportData[:])
	for i := range digest {
		judge("another byte", flip(digest[:], i))
	}
	judge("none", nil)
	judge("zeros", make([]byte, 32))
	judge("half", digest[:16])
	judge("a byte less", digest[:31])
	judge("a byte more", append(bytes.Clone(digest[:]), 0))
	judge("the report data themselves", reportData[:])
	judge("their first half", reportData[:32])
	judge("twice", append(bytes.Clone(digest[:]), digest[:]...))
}

// A Keep's session takes a Keep's evidence. A quote of another kind needs no
// conversation, and would pass for one that was held.
func TestInvariant1NoSilentDowngrade_QuoteInPlaceOfAKeeps(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	quote, sig, err := p.Quote(reportData[:])
	if err != nil {
		t.Fatal(err)
	}
	var pcrs []byte
	for _, v := range p.PCRs {
		pcrs = append(pcrs, v[:]...)
	}
	b, err := (&tpmquote.Foreign{Public: p.AKPublic, Quote: quote, Signature: sig, Bank: 0x0b, PCRs: pcrs, EventLog: p.Log}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	o := m.options()
	o.VouchedKey, o.VouchedBy = p.AK.Public(), "the test"
	o.Waive = attest.WaiveHostData
	ev, exp := attest.Evidence{MediaType: attest.MediaTypeTPMQuote, Value: b}, expected(p)
	exp.HostData = [32]byte{}
	if _, v := vtpm.New(o).Verify(ev, m.collateral(), exp, madeAt); v.Err() != nil {
		t.Fatal(v.Err()) // it is good for what it is
	}
	for _, step := range []bool{false, true} {
		s := vtpm.NewSession(o, m.collateral(), madeAt, rand.Reader)
		if step {
			if challenge, done, err := s.Next(ev); !done || err != nil || len(challenge.Value) != 0 {
				t.Errorf("a credential for it: %v, %v", done, err)
			}
		}
		c, v := s.Verify(ev, m.collateral(), exp, madeAt)
		refused(t, "a quote of another kind", c, v, "format", attest.ReasonPlatform, "not a Keep's")
	}
}

// A root of simulated hardware is for platform sim alone: as the root of a TPM's
// maker it is not taken, and what leads to it is refused.
func TestInvariant1NoSilentDowngrade_RootOfSimulatedHardware(t *testing.T) {
	m := newMaker(t)
	for name, subject := range map[string]pkix.Name{
		"by its name":         {CommonName: sim.Marker + " - TPM"},
		"by its organisation": {CommonName: "TPM maker", Organization: []string{sim.Marker}},
	} {
		key := ecKey(t)
		root := issue(t, key.Public(), nil, key, func(c *x509.Certificate) { asCA(c); c.Subject = subject })
		if roots, err := vtpm.ParseRoots(root.Raw); err == nil || roots != nil {
			t.Errorf("%s: taken as a root", name)
		}
		p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
		p.Certificate = issue(t, m.ek.Public(), root, key, asEK).Raw
		for what, roots := range map[string][]*x509.Certificate{"alone": {root}, "beside another": {root, m.root}} {
			s := vtpm.NewSession(vtpm.Options{Roots: roots}, nil, madeAt, rand.Reader)
			ev := evidenceOf(t, p)
			if _, done, err := s.Next(ev); !done || err != nil {
				t.Errorf("%s, %s: a credential is made: %v", name, what, err)
			}
			c, v := s.Verify(ev, nil, expected(p), madeAt)
			refused(t, name+", "+what, c, v, "chain", attest.ReasonRoot, "root")
		}
	}
}
