// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/attesttest/nitrotest"
)

// made is the throw-away AWS with the verifier under its root.
type made struct{ *nitrotest.Vendor }

var proper = nitrotest.Spec{}

func newMade(t testing.TB) made { return made{nitrotest.New(t)} }

func (m made) under(o Options) attest.Verifier { return newVerifier(o, m.Root.Cert, "the test") }

func expected() attest.Expected {
	return nitrotest.Expected(MeasurementEnclave(nitrotest.PCR[0], nitrotest.PCR[1], nitrotest.PCR[2]))
}

func (m made) verify(o Options, doc []byte, col ...attest.Evidence) (*attest.Claims, attest.Verdict) {
	return m.under(o).Verify(document(doc), col, expected(), nitrotest.Made)
}

func TestVerifierSuite(t *testing.T) {
	m, other := newMade(t), newMade(t)
	o := Options{RequireCRL: true, Cache: NewCache(64)} // as in production; the cache must not help the attacker
	bad := func(name, check string, s nitrotest.Spec) attesttest.Case {
		return attesttest.Case{Name: name, Check: check, Evidence: document(m.Document(s)), Collateral: m.Lists(), Expected: expected(), At: nitrotest.Made}
	}
	s := attesttest.Subject{
		Verifier: m.under(o), Foreign: other.under(o), Good: bad("Good", "", proper),
		NotBefore: nitrotest.Made, NotAfter: nitrotest.Made.Add(nitrotest.LeafLife), Pass: attest.Pass,
		WithoutCollateral: "revocation",
		Bad: []attesttest.Case{
			bad("OtherKey", "signature", nitrotest.Spec{Sign: m.Key()}),
			bad("SignedByInstance", "signature", nitrotest.Spec{Sign: m.Instance.Key}),
			bad("Debug", "debug", nitrotest.Spec{Fields: map[string]any{"pcrs": map[uint][]byte{0: make([]byte, 48), 1: make([]byte, 48), 2: make([]byte, 48)}}}),
			bad("OtherUserData", "report-data", nitrotest.Spec{Fields: map[string]any{"user_data": nitrotest.ReportData[:63]}}),
			bad("NoUserData", "report-data", nitrotest.Spec{Fields: map[string]any{"user_data": nil}}),
			bad("NoNonce", "host-data", nitrotest.Spec{Fields: map[string]any{"nonce": nil}}),
			bad("LongNonce", "host-data", nitrotest.Spec{Fields: map[string]any{"nonce": append(nitrotest.HostData[:], 0)}}),
		},
	}
	attesttest.RunVerifierSuite(t, s)
}

// Each rule of the chain has a certificate that breaks it alone.
func TestInvariant4HostileInputIsBounded_Chain(t *testing.T) {
	m, other := newMade(t), newMade(t)
	if c, v := m.verify(Options{}, m.Document(proper)); c == nil {
		t.Fatal(v.Err())
	}
	// instance and leaf make a document whose instance or leaf is edited.
	instance := func(edit func(*x509.Certificate)) nitrotest.Spec {
		a := m.Issue(m.Zone, "an instance", func(c *x509.Certificate) { c.MaxPathLenZero = true; edit(c) })
		return nitrotest.Spec{Bundle: []nitrotest.Authority{m.Root, m.Region, m.Zone, a}}
	}
	leaf := func(edit func(*x509.Certificate)) nitrotest.Spec {
		l := m.Leaf(m.Instance, edit)
		return nitrotest.Spec{Leaf: &l}
	}
	below := func(a ...nitrotest.Authority) nitrotest.Spec { return nitrotest.Spec{Bundle: a} }
	p256 := m.IssueKey(m.Zone, "on P-256", m.KeyOn(elliptic.P256()), nil)
	p521 := m.IssueKey(m.Zone, "on P-521", m.KeyOn(elliptic.P521()), nil)
	p256leaf := m.IssueKey(m.Instance, "leaf", m.KeyOn(elliptic.P256()), func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	under256 := m.Leaf(p256, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA384 })
	under521 := m.Leaf(p521, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA384 })
	deep := m.Issue(m.Instance, "below the instance", nil)
	nine := []nitrotest.Authority{m.Root}
	for len(nine) < 9 {
		nine = append(nine, m.Issue(nine[len(nine)-1], "one more", nil))
	}
	const rest = " dates revocation signature time"
	for _, x := range []struct {
		name, fails string
		reason      attest.Reason
		s           nitrotest.Spec
	}{
		{"foreign root", "chain" + rest, attest.ReasonRoot, below(other.Root, other.Region, other.Zone, other.Instance)},
		{"root missing", "chain" + rest, attest.ReasonRoot, below(m.Region, m.Zone, m.Instance)},
		{"region missing", "chain" + rest, attest.ReasonChain, below(m.Root, m.Zone, m.Instance)},
		{"foreign region", "chain" + rest, attest.ReasonSignature, below(m.Root, other.Region, other.Zone, other.Instance)},
		{"forged zone", "chain" + rest, attest.ReasonSignature, below(m.Root, m.Region, other.Zone, other.Instance)},
		{"reversed", "chain" + rest, attest.ReasonRoot, below(m.Instance, m.Zone, m.Region, m.Root)},
		{"swapped", "chain" + rest, attest.ReasonChain, below(m.Root, m.Zone, m.Region, m.Instance)},
		{"path length", "chain" + rest, attest.ReasonChain, below(m.Root, m.Region, m.Zone, m.Instance, deep)},
		{"signed by the root", "", "", below(m.Root)},
		{"too many", "format", attest.ReasonFormat, below(nine...)},
		{"instance is no authority", "chain" + rest, attest.ReasonChain, instance(func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false })},
		{"instance may not sign certificates", "chain" + rest, attest.ReasonChain, instance(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })},
		{"instance without basic constraints", "chain" + rest, attest.ReasonChain, instance(func(c *x509.Certificate) { c.BasicConstraintsValid = false })},
		{"instance signed with SHA-256", "chain" + rest, attest.ReasonChain, instance(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA256 })},
		{"unknown critical extension", "chain" + rest, attest.ReasonChain, instance(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		})},
		{"instance on P-256", "chain" + rest, attest.ReasonChain, nitrotest.Spec{Bundle: []nitrotest.Authority{m.Root, m.Region, m.Zone, p256}, Leaf: &under256}},
		{"instance on P-521", "chain" + rest, attest.ReasonChain, nitrotest.Spec{Bundle: []nitrotest.Authority{m.Root, m.Region, m.Zone, p521}, Leaf: &under521}},
		{"leaf on P-256", "chain" + rest, attest.ReasonChain, nitrotest.Spec{Leaf: &p256leaf, Sign: m.Key()}},
		{"leaf is an authority", "chain" + rest, attest.ReasonChain, leaf(func(c *x509.Certificate) { c.IsCA = true })},
		{"leaf may not sign", "chain" + rest, attest.ReasonChain, leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })},
		{"instance has ended", "dates", attest.ReasonCertExpired, instance(func(c *x509.Certificate) { c.NotAfter = nitrotest.Made.Add(-time.Second) })},
		{"instance ends now", "", "", instance(func(c *x509.Certificate) { c.NotAfter = nitrotest.Made })},
		{"instance begins later", "dates", attest.ReasonCertNotYetValid, instance(func(c *x509.Certificate) { c.NotBefore = nitrotest.Made.Add(time.Second) })},
		{"leaf began after the document", "dates time", attest.ReasonCertNotYetValid, leaf(func(c *x509.Certificate) { c.NotBefore = nitrotest.Made.Add(time.Second) })},
	} {
		c, v := m.verify(Options{}, m.Document(x.s))
		if failures(v) != x.fails || (c != nil) != (x.fails == "") || v.Reason() != x.reason {
			t.Errorf("%s: failed rows %q (%s), expected %q (%s): %v", x.name, failures(v), v.Reason(), x.fails, x.reason, v.Err())
		}
	}
	// Bytes inside the outer structure of a certificate that nobody signed.
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(m.Instance.Cert.Raw, &outer); err != nil {
		t.Fatal(err)
	}
	outer.Bytes, outer.FullBytes = append(outer.Bytes, 5, 0), nil
	longer, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	_, v := m.verify(Options{}, m.Document(nitrotest.Spec{Fields: map[string]any{"cabundle": [][]byte{m.Root.Cert.Raw, m.Region.Cert.Raw, m.Zone.Cert.Raw, longer}}}))
	if v.Reason() != attest.ReasonChain {
		t.Errorf("unsigned bytes in a certificate: %v", v.Err())
	}
}

// The document's own time.
func TestTime(t *testing.T) {
	m := newMade(t)
	stamped := func(d time.Duration) nitrotest.Spec {
		return nitrotest.Spec{Fields: map[string]any{"timestamp": uint64(nitrotest.Made.Add(d).UnixMilli())}}
	}
	for _, x := range []struct {
		name      string
		d, at     time.Duration
		fails     string
		withCache bool
	}{
		{"first", 0, 0, "", false},
		{"before its certificate", -time.Millisecond, 0, "time", false},
		{"skew", 3 * time.Second, 0, "", true},
		{"beyond the skew", 3*time.Second + time.Millisecond, 0, "time", true},
		{"last", nitrotest.LeafLife, nitrotest.LeafLife, "", false},
		{"after its certificate", nitrotest.LeafLife + time.Millisecond, nitrotest.LeafLife, "time", false},
	} {
		o := Options{}
		if x.withCache {
			o.Cache = NewCache(8)
		}
		c, v := m.under(o).Verify(document(m.Document(stamped(x.d))), nil, expected(), nitrotest.Made.Add(x.at))
		if failures(v) != x.fails || (c != nil) != (x.fails == "") || x.fails != "" && v.Reason() != attest.ReasonTime {
			t.Errorf("%s: %q: %v", x.name, failures(v), v.Err())
		}
	}
}

func TestRevocation(t *testing.T) {
	m, other := newMade(t), newMade(t)
	root, region := m.List(m.Root, nil), m.List(m.Region, nil)
	point := func(url string, more ...byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			v := append([]byte{0x86, byte(len(url))}, url...)
			v = append([]byte{0xa0, byte(len(v))}, v...)
			v = append([]byte{0xa0, byte(len(v))}, v...)
			v = append(v, more...)
			v = append([]byte{0x30, byte(len(v))}, v...)
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: v}}
		}
	}
	from := func(d time.Duration) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ThisUpdate = nitrotest.Made.Add(d) }
	}
	until := func(d time.Duration) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.NextUpdate = nitrotest.Made.Add(d) }
	}
	tampered := attest.Evidence{MediaType: attest.MediaTypeCRL, Value: bytes.Clone(root.Value)}
	tampered.Value[len(tampered.Value)-1] ^= 1
	for _, x := range []struct {
		name     string
		reason   attest.Reason
		optional attest.Reason // where no list is required
		col      []attest.Evidence
	}{
		{"both", "", "", []attest.Evidence{root, region}},
		{"none", attest.ReasonListMissing, "", nil},
		{"root's only", attest.ReasonListMissing, "", []attest.Evidence{root}},
		{"region's only", attest.ReasonListMissing, "", []attest.Evidence{region}},
		{"with their addresses", "", "", []attest.Evidence{m.List(m.Root, point(nitrotest.RootListURL)), m.List(m.Region, point(nitrotest.RegionListURL))}},
		{"of another address", attest.ReasonListForeign, attest.ReasonListForeign, []attest.Evidence{m.List(m.Root, point("http://lists.test/other.crl")), region}},
		{"of some certificates", attest.ReasonListFormat, attest.ReasonListFormat, []attest.Evidence{m.List(m.Root, point(nitrotest.RootListURL, 0x81, 1, 0xff)), region}},
		{"region revoked", attest.ReasonRevoked, attest.ReasonRevoked, []attest.Evidence{m.List(m.Root, nil, m.Region.Cert), region}},
		{"zone revoked", attest.ReasonRevoked, attest.ReasonRevoked, []attest.Evidence{root, m.List(m.Region, nil, m.Zone.Cert)}},
		{"instance revoked", attest.ReasonRevoked, attest.ReasonRevoked, []attest.Evidence{root, region, m.List(m.Zone, nil, m.Instance.Cert)}},
		{"revoked by a list that has ended", attest.ReasonRevoked, attest.ReasonRevoked, []attest.Evidence{m.List(m.Root, until(-time.Second), m.Region.Cert), region}},
		{"others revoked", "", "", []attest.Evidence{m.List(m.Root, nil, m.Zone.Cert, m.Instance.Cert, other.Region.Cert), region}},
		{"ended", attest.ReasonListExpired, attest.ReasonListExpired, []attest.Evidence{m.List(m.Root, until(-time.Second)), region}},
		{"ends now", "", "", []attest.Evidence{m.List(m.Root, until(0)), region}},
		{"begins now", "", "", []attest.Evidence{m.List(m.Root, from(0)), region}},
		{"not yet current", attest.ReasonListNotYetValid, attest.ReasonListNotYetValid, []attest.Evidence{root, m.List(m.Region, from(time.Second))}},
		{"another vendor's", attest.ReasonListForeign, attest.ReasonListForeign, []attest.Evidence{other.List(other.Root, nil), region}},
		{"an outsider's", attest.ReasonListForeign, attest.ReasonListForeign, []attest.Evidence{root, region, m.List(m.Issue(m.Root, "an outsider", nil), nil)}},
		{"tampered", attest.ReasonListForeign, attest.ReasonListForeign, []attest.Evidence{tampered, region}},
		{"signed with SHA-512", attest.ReasonListFormat, attest.ReasonListFormat, []attest.Evidence{m.List(m.Root, func(l *x509.RevocationList) { l.SignatureAlgorithm = x509.ECDSAWithSHA512 }), region}},
		{"a list of changes", attest.ReasonListFormat, attest.ReasonListFormat, []attest.Evidence{m.List(m.Root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
		}), region}},
		{"too many", attest.ReasonTooLarge, attest.ReasonTooLarge, []attest.Evidence{root, root, root, root, root, root, root, root, root}},
	} {
		for _, required := range []bool{true, false} {
			want := x.reason
			if !required {
				want = x.optional
			}
			c, v := m.verify(Options{RequireCRL: required, Cache: NewCache(32)}, m.Document(proper), x.col...)
			if (c != nil) != (want == "") || v.Reason() != want {
				t.Errorf("%s, required %v: %q, expected %q: %v", x.name, required, v.Reason(), want, v.Err())
			}
			if loud := row(v, "revocation").Outcome == attest.Skipped; !required && want == "" && loud != (x.reason != "") {
				t.Errorf("%s: row %+v", x.name, row(v, "revocation"))
			}
		}
	}
}

// Everything that AWS's limits say of the payload, one step beyond each.
func TestInvariant4HostileInputIsBounded_Payload(t *testing.T) {
	m := newMade(t)
	zero := make([]byte, 48)
	pcrs := func(edit func(map[any]any)) map[string]any {
		p := map[any]any{0: nitrotest.PCR[0][:], 1: nitrotest.PCR[1][:], 2: nitrotest.PCR[2][:]}
		edit(p)
		return map[string]any{"pcrs": p}
	}
	many := func(n int) map[string]any {
		return pcrs(func(p map[any]any) {
			for i := 3; i < n; i++ {
				p[i] = zero
			}
		})
	}
	one := func(name string, v any) map[string]any { return map[string]any{name: v} }
	indefinite := func(p []byte) []byte { return append(append([]byte{0xbf}, p[1:]...), 0xff) }
	twice := func(p []byte) []byte { return append(append([]byte{p[0] + 1}, p[1:]...), "\x65nonce\x41x"...) }
	for _, x := range []struct {
		name string
		ok   bool
		s    nitrotest.Spec
	}{
		{"proper", true, proper},
		{"map with a break", true, nitrotest.Spec{Payload: indefinite}},
		{"no public key", true, nitrotest.Spec{Fields: one("public_key", nil)}},
		{"null public key", true, nitrotest.Spec{Fields: one("public_key", (*int)(nil))}},
		{"public key of 1024", true, nitrotest.Spec{Fields: one("public_key", make([]byte, 1024))}},
		{"all registers", true, nitrotest.Spec{Fields: many(32)}},
		{"registers of 32 and 64", true, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p[5], p[6] = zero[:32], make([]byte, 64) })}},

		{"key twice", false, nitrotest.Spec{Payload: twice}},
		{"something after the map", false, nitrotest.Spec{Payload: func(p []byte) []byte { return append(p, 0) }}},
		{"a tag", false, nitrotest.Spec{Payload: func(p []byte) []byte { return append([]byte{0xc1}, p...) }}},
		{"an array", false, nitrotest.Spec{Payload: func([]byte) []byte { return bytes.Repeat([]byte{0x81}, 64) }}},
		{"unknown key", false, nitrotest.Spec{Fields: one("more", 1)}},
		{"key in capitals", false, nitrotest.Spec{Fields: one("Nonce", []byte{1})}},
		{"no module", false, nitrotest.Spec{Fields: one("module_id", nil)}},
		{"empty module", false, nitrotest.Spec{Fields: one("module_id", "")}},
		{"module as bytes", false, nitrotest.Spec{Fields: one("module_id", []byte("i-0"))}},
		{"long module", false, nitrotest.Spec{Fields: one("module_id", string(bytes.Repeat([]byte{'a'}, 257)))}},
		{"no digest", false, nitrotest.Spec{Fields: one("digest", nil)}},
		{"other digest", false, nitrotest.Spec{Fields: one("digest", "SHA512")}},
		{"no timestamp", false, nitrotest.Spec{Fields: one("timestamp", nil)}},
		{"timestamp 0", false, nitrotest.Spec{Fields: one("timestamp", 0)}},
		{"negative timestamp", false, nitrotest.Spec{Fields: one("timestamp", -1)}},
		{"endless timestamp", false, nitrotest.Spec{Fields: one("timestamp", ^uint64(0))}},
		{"large timestamp", false, nitrotest.Spec{Fields: one("timestamp", new(big.Int).Lsh(big.NewInt(1), 70))}},
		{"no registers", false, nitrotest.Spec{Fields: one("pcrs", nil)}},
		{"empty registers", false, nitrotest.Spec{Fields: one("pcrs", map[int][]byte{})}},
		{"both kinds of registers", false, nitrotest.Spec{Fields: one("nitrotpm_pcrs", map[int][]byte{4: zero, 7: zero, 12: zero})}},
		{"33 registers", false, nitrotest.Spec{Fields: many(33)}},
		{"register 32", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p[32] = zero })}},
		{"register -1", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p[-1] = zero })}},
		{"register by name", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p["3"] = zero })}},
		{"register of 47", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p[3] = zero[:47] })}},
		{"register of 0", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p[3] = []byte{} })}},
		{"register as text", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p[3] = string(zero) })}},
		{"register as array", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p[3] = make([]int, 32) })}},
		{"register 0 of 32", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { p[0] = zero[:32] })}},
		{"register 2 missing", false, nitrotest.Spec{Fields: pcrs(func(p map[any]any) { delete(p, 2) })}},
		{"no certificate", false, nitrotest.Spec{Fields: one("certificate", nil)}},
		{"certificate of 1025", false, nitrotest.Spec{Fields: one("certificate", make([]byte, 1025))}},
		{"no bundle", false, nitrotest.Spec{Fields: one("cabundle", nil)}},
		{"empty bundle", false, nitrotest.Spec{Fields: one("cabundle", [][]byte{})}},
		{"empty certificate in the bundle", false, nitrotest.Spec{Fields: one("cabundle", [][]byte{m.Root.Cert.Raw, {}})}},
		{"bundle of 17", false, nitrotest.Spec{Fields: one("cabundle", make([][]byte, 17))}},
		{"empty public key", false, nitrotest.Spec{Fields: one("public_key", []byte{})}},
		{"public key of 1025", false, nitrotest.Spec{Fields: one("public_key", make([]byte, 1025))}},
		{"user data of 513", false, nitrotest.Spec{Fields: one("user_data", make([]byte, 513))}},
		{"user data as text", false, nitrotest.Spec{Fields: one("user_data", "x")}},
		{"nonce of 513", false, nitrotest.Spec{Fields: one("nonce", make([]byte, 513))}},
		{"payload beyond 16384", false, nitrotest.Spec{Payload: func(p []byte) []byte { return append(p, make([]byte, 16385-len(p))...) }}},
	} {
		c, v := m.verify(Options{}, m.Document(x.s))
		if want := map[bool]string{false: "format"}[x.ok]; failures(v) != want || (c != nil) != x.ok {
			t.Errorf("%s: failed rows %q: %v", x.name, failures(v), v.Err())
		}
	}
}

// The frame around the payload: nothing in it can be written another way.
func TestInvariant4HostileInputIsBounded_Frame(t *testing.T) {
	m := newMade(t)
	good := m.Document(proper)
	edit := func(from, to int, b ...byte) []byte {
		return append(append(bytes.Clone(good[:from]), b...), good[to:]...)
	}
	for name, x := range map[string]struct {
		b      []byte
		reason attest.Reason
	}{
		"tag 18":                    {append([]byte{0xd2}, good...), attest.ReasonFormat},
		"array without length":      {append(edit(0, 1, 0x9f), 0xff), attest.ReasonFormat},
		"array with long length":    {edit(0, 1, 0x98, 4), attest.ReasonFormat},
		"header with long length":   {edit(1, 2, 0x58, 4), attest.ReasonFormat},
		"algorithm ES256":           {edit(1, 6, 0x43, 0xa1, 0x01, 0x26), attest.ReasonFormat},
		"algorithm in long form":    {edit(1, 6, 0x45, 0xa1, 0x01, 0x39, 0, 0x22), attest.ReasonFormat},
		"a second header":           {edit(1, 6, 0x46, 0xa2, 0x01, 0x38, 0x22, 0x03, 0), attest.ReasonFormat},
		"an unprotected header":     {edit(6, 7, 0xa1, 0x04, 0x40), attest.ReasonFormat},
		"payload with long length":  {edit(7, 8, 0x5a, 0, 0), attest.ReasonFormat},
		"payload of eight-byte len": {edit(7, 10, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), attest.ReasonFormat},
		"payload without length":    {edit(7, 8, 0x5f, 0x59), attest.ReasonFormat},
		"payload beyond the end":    {edit(8, 10, 0x3f, 0xff), attest.ReasonFormat},
		"empty payload":             {edit(7, 10, 0x40), attest.ReasonFormat},
		"signature of 95":           {good[:len(good)-1], attest.ReasonFormat},
		"one byte more":             {append(bytes.Clone(good), 0), attest.ReasonTrailingBytes},
		"twice":                     {append(bytes.Clone(good), good...), attest.ReasonTrailingBytes},
		"100 MB":                    {append(bytes.Clone(good), make([]byte, 100<<20)...), attest.ReasonTooLarge},
		"100 MB payload":            {append([]byte{0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x5a, 0x06, 0x40, 0, 0}, make([]byte, 100<<20)...), attest.ReasonTooLarge},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c, v := m.verify(Options{}, x.b)
		runtime.ReadMemStats(&after)
		if c != nil || failures(v) != "format" || v.Reason() != x.reason {
			t.Errorf("%s: %q (%s): %v", name, failures(v), v.Reason(), v.Err())
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
	c, v := m.under(Options{}).Verify(attest.Evidence{MediaType: attest.MediaTypeSNP, Value: good}, nil, expected(), nitrotest.Made)
	if c != nil || v.Reason() != attest.ReasonPlatform {
		t.Errorf("other media type: %v", v.Err())
	}
}

func TestDemands(t *testing.T) {
	m := newMade(t)
	doc := m.Document(proper)
	values := map[uint][]byte{8: bytes.Clone(nitrotest.PCR[1][:]), 4: nitrotest.PCR[0][:]}
	v := m.under(Options{PCRs: values})
	values[8][0]++ // the verifier has its own copy
	if c, verdict := v.Verify(document(doc), nil, expected(), nitrotest.Made); c == nil || row(verdict, "pcr8").Outcome != attest.Pass || row(verdict, "pcr3").Outcome != attest.Skipped {
		t.Fatal(verdict.Err())
	}
	later := attest.TCBFloor{Min: map[string]uint64{"microcode": 1}, From: nitrotest.Made.Add(time.Second)}
	now := later
	now.From = nitrotest.Made
	for _, x := range []struct {
		name, fails string
		reason      attest.Reason
		pcrs        map[uint][]byte
		edit        func(*attest.Expected)
	}{
		{"other signer", "pcr8", attest.ReasonSigner, map[uint][]byte{8: nitrotest.PCR[2][:]}, nil},
		{"other instance", "pcr4", attest.ReasonMeasurement, map[uint][]byte{4: nitrotest.PCR[2][:]}, nil},
		{"absent register", "pcr30", attest.ReasonMeasurement, map[uint][]byte{30: make([]byte, 48)}, nil},
		{"empty value", "pcr8", attest.ReasonSigner, map[uint][]byte{8: nil}, nil},
		{"floor", "tcb-floor", attest.ReasonTCBFloor, nil, func(e *attest.Expected) { e.TCB.Floors = []attest.TCBFloor{{Min: map[string]uint64{"microcode": 0}}} }},
		{"floor of policy", "tcb-floor", attest.ReasonTCBFloor, nil, func(e *attest.Expected) { e.TCB.Floors = []attest.TCBFloor{now} }},
		{"floor of later", "", "", nil, func(e *attest.Expected) { e.TCB.Floors = []attest.TCBFloor{later} }},
		{"floor of a line", "", "", nil, func(e *attest.Expected) { e.TCB.Floors = []attest.TCBFloor{{Line: "Milan", Min: now.Min}} }},
		{"chips", "chip-list", attest.ReasonChip, nil, func(e *attest.Expected) { e.TCB.Chips = [][]byte{} }},
	} {
		exp := expected()
		if x.edit != nil {
			x.edit(&exp)
		}
		c, v := m.under(Options{PCRs: x.pcrs}).Verify(document(doc), nil, exp, nitrotest.Made)
		if failures(v) != x.fails || (c != nil) != (x.fails == "") || v.Reason() != x.reason {
			t.Errorf("%s: failed rows %q (%s): %v", x.name, failures(v), v.Reason(), v.Err())
		}
	}
}

// The cache knows signatures and nothing else: what has ended or was revoked
// since is refused although its signatures are remembered.
func TestCacheHoldsSignaturesOnly(t *testing.T) {
	m := newMade(t)
	cache := NewCache(16)
	v, doc := m.under(Options{Cache: cache}), m.Document(proper)
	for range 2 {
		if c, verdict := v.Verify(document(doc), m.Lists(), expected(), nitrotest.Made); c == nil {
			t.Fatal(verdict.Err())
		}
	}
	if n := cache.Len(); n != 6 && n != 8 { // four of the chain, two lists, which are made anew with each call
		t.Errorf("%d signatures remembered", n)
	}
	for name, f := range map[string]func() (*attest.Claims, attest.Verdict){
		"expired": func() (*attest.Claims, attest.Verdict) {
			return v.Verify(document(doc), nil, expected(), nitrotest.Made.Add(nitrotest.LeafLife+time.Second))
		},
		"revoked": func() (*attest.Claims, attest.Verdict) {
			return v.Verify(document(doc), attest.Collateral{m.List(m.Root, nil, m.Region.Cert)}, expected(), nitrotest.Made)
		},
		"foreign root": func() (*attest.Claims, attest.Verdict) {
			return newMade(t).under(Options{Cache: cache}).Verify(document(doc), nil, expected(), nitrotest.Made)
		},
		"forged document": func() (*attest.Claims, attest.Verdict) {
			return v.Verify(document(m.Document(nitrotest.Spec{Sign: m.Key()})), nil, expected(), nitrotest.Made)
		},
	} {
		if c, verdict := f(); c != nil || verdict.OK() {
			t.Errorf("%s: accepted with a warm cache", name)
		}
	}
	small := NewCache(2)
	if c, verdict := m.under(Options{Cache: small}).Verify(document(doc), nil, expected(), nitrotest.Made); c == nil || small.Len() != 2 {
		t.Errorf("%d remembered, expected 2: %v", small.Len(), verdict.Err())
	}
}
