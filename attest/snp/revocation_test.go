// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
)

// The serial numbers of the throw-away vendor.
const (
	rootSerial = 0x90000
	askSerial  = 0x90001
	leafSerial = 7
)

func TestRevocation(t *testing.T) {
	a := attesttest.AMDVendor(t, "Genoa")
	crl := attesttest.CRL
	critical := func(ids ...int) []pkix.Extension {
		return []pkix.Extension{{Id: append(asn1.ObjectIdentifier{2, 5, 29}, ids...), Critical: true, Value: []byte{2, 1, 1}}}
	}
	old := func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = attesttest.Made.AddDate(-3, 0, 0), attesttest.Made.AddDate(-2, 0, 0)
	}
	both := func(f ...func(*x509.RevocationList)) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			for _, g := range f {
				g(l)
			}
		}
	}
	second := attesttest.Cert(a.NewASK(0x90002, nil).Raw)
	for name, x := range map[string]struct {
		more   attest.Collateral // in place of the list
		accept bool
		want   attest.Reason // of the row of revocation
	}{
		"list that names nothing":        {attest.Collateral{crl(a.List(nil))}, false, ""},
		"no list":                        {nil, false, attest.ReasonListMissing},
		"no list, accepted":              {nil, true, ""},
		"no list, own intermediate":      {attest.Collateral{second}, true, attest.ReasonListMissing},
		"list names others":              {attest.Collateral{crl(a.List(attesttest.Revoke(1, 2, leafSerial)))}, false, ""},
		"list names the ASK":             {attest.Collateral{crl(a.List(attesttest.Revoke(1, askSerial)))}, false, attest.ReasonRevoked},
		"list names the root":            {attest.Collateral{crl(a.List(attesttest.Revoke(rootSerial)))}, false, attest.ReasonRevoked},
		"list names a stapled ASK":       {attest.Collateral{second, crl(a.List(attesttest.Revoke(0x90002)))}, false, attest.ReasonRevoked},
		"an old list names the ASK":      {attest.Collateral{crl(a.List(both(old, attesttest.Revoke(askSerial)))), crl(a.List(nil))}, false, attest.ReasonRevoked},
		"and the other order":            {attest.Collateral{crl(a.List(nil)), crl(a.List(both(old, attesttest.Revoke(askSerial))))}, false, attest.ReasonRevoked},
		"an old list alone":              {attest.Collateral{crl(a.List(old))}, false, attest.ReasonListExpired},
		"an old list alone, accepted":    {attest.Collateral{crl(a.List(old))}, true, ""},
		"accepted, but it names the ASK": {attest.Collateral{crl(a.List(both(old, attesttest.Revoke(askSerial))))}, true, attest.ReasonRevoked},
		"forged list":                    {attest.Collateral{crl(a.ForgedList())}, false, attest.ReasonListForeign},
		"forged list, accepted":          {attest.Collateral{crl(a.ForgedList())}, true, attest.ReasonListForeign},
		"forged beside a good one":       {attest.Collateral{crl(a.List(nil)), crl(a.ForgedList())}, false, attest.ReasonListForeign},
		"list of the intermediate alone": {attest.Collateral{crl(a.ListByASK(nil))}, false, attest.ReasonListMissing},
		"both lists":                     {attest.Collateral{crl(a.List(nil)), crl(a.ListByASK(nil))}, false, ""},
		"its list names the leaf":        {attest.Collateral{crl(a.List(nil)), crl(a.ListByASK(attesttest.Revoke(leafSerial)))}, false, attest.ReasonRevoked},
		"delta list":                     {attest.Collateral{crl(a.List(func(l *x509.RevocationList) { l.ExtraExtensions = critical(27) }))}, false, attest.ReasonListFormat},
		"list of a part": {attest.Collateral{crl(a.List(func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}}
		}))}, false, attest.ReasonListFormat},
		"indirect entry": {attest.Collateral{crl(a.List(func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: attesttest.Made, ExtraExtensions: critical(29)}}
		}))}, false, attest.ReasonListFormat},
		"weaker hash":   {attest.Collateral{crl(a.List(func(l *x509.RevocationList) { l.SignatureAlgorithm = x509.SHA256WithRSAPSS }))}, false, attest.ReasonListFormat},
		"other padding": {attest.Collateral{crl(a.List(func(l *x509.RevocationList) { l.SignatureAlgorithm = x509.SHA384WithRSA }))}, false, attest.ReasonListFormat},
	} {
		c := a.Case("", "", false, nil)
		o := Options{AcceptMissingCRL: x.accept}
		for range 2 { // the second time from the cache
			claims, v := fake(o, a, true).Verify(c.Evidence, append(c.Collateral[:1:1], x.more...), c.Expected, c.At)
			rows := ""
			if x.want != "" {
				rows = "revocation"
			}
			if failed(v) != rows || (claims != nil) != (rows == "") || v.Reason() != x.want {
				t.Errorf("%s: failed %q for %q, expected %q: %v", name, failed(v), v.Reason(), x.want, v.Err())
			}
			verdicttest.Check(t, v)
			if row := rowOf(v, "revocation"); x.want == "" && (row.Outcome == attest.Warn) != x.accept {
				t.Errorf("%s: %+v", name, row)
			}
			o.Cache = NewCache(8)
		}
	}
}

// What a failed row tells an operator to do is possible and enough.
func TestMissingListSaysWhereToGetIt(t *testing.T) {
	x := vectors[0]
	ev := x.evidence(t)
	_, v := New(x.options()).Verify(ev, x.collateral(t)[:1], attesttest.ExpectedOf(ev.Value), x.at)
	if row := rowOf(v, "revocation"); row.Outcome != attest.Fail ||
		!strings.Contains(row.Todo, "https://kdsintf.amd.com/vcek/v1/Milan/crl") || !strings.Contains(row.Todo, attest.MediaTypeCRL) {
		t.Errorf("%+v", row)
	}
}

// A forger with AMD's names gets nowhere under the roots that are built in,
// whatever of the real chain is mixed in.
func TestForgedRoots(t *testing.T) {
	for _, p := range products {
		a := attesttest.AMDVendor(t, p.name)
		real := pemCerts(t, p.file+"-vcek-chain.pem")
		c := a.Case("", "", false, nil)
		leaf, list := c.Collateral[0], c.Collateral[2]
		cert := attesttest.Cert
		for name, col := range map[string]attest.Collateral{
			"all forged":           {leaf, cert(a.ASK.Raw), cert(a.Root.Raw), list},
			"without the root":     {leaf, cert(a.ASK.Raw), list},
			"leaf alone":           {leaf, list},
			"real root":            {leaf, cert(a.ASK.Raw), cert(real[1].Raw), list},
			"real intermediate":    {leaf, cert(real[0].Raw), cert(real[1].Raw), list},
			"both intermediates":   {leaf, cert(real[0].Raw), cert(a.ASK.Raw), list},
			"intermediate is root": {leaf, cert(a.SelfSigned("SEV-" + p.name).Raw), list},
		} {
			for _, accept := range []bool{false, true} {
				claims, v := New(Options{AcceptMissingCRL: accept}).Verify(c.Evidence, col, c.Expected, c.At)
				if claims != nil || !strings.Contains(failed(v), "chain signature") {
					t.Errorf("%s, %s: failed %q", p.name, name, failed(v))
				}
				// Without its intermediate, a forged leaf is one that the real
				// intermediate has not signed.
				why := attest.ReasonRoot
				if name == "leaf alone" || name == "real intermediate" {
					why = attest.ReasonChain
				}
				if v.Reason() != why {
					t.Errorf("%s, %s: reason %q, expected %q", p.name, name, v.Reason(), why)
				}
				verdicttest.Check(t, v)
			}
		}
	}
}

// Dates of intermediate and root count too, to the second.
func TestDatesOfTheWholeChain(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	from, to := attesttest.Made.AddDate(1, 0, 0), attesttest.Made.AddDate(2, 0, 0)
	ask := a.NewASK(askSerial, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to })
	c := a.Case("", "", false, nil)
	c.Collateral[1] = attesttest.Cert(ask.Raw)
	cache := NewCache(8)
	for _, e := range []struct {
		at time.Time
		ok bool
	}{{from, true}, {to, true}, {from.Add(-time.Second), false}, {to.Add(time.Second), false}, {from, true}} {
		claims, v := fake(Options{Cache: cache}, a, false).Verify(c.Evidence, c.Collateral, c.Expected, e.at)
		if want := map[bool]string{true: "", false: "dates"}[e.ok]; failed(v) != want || (claims != nil) != e.ok {
			t.Errorf("%v: failed %q, expected %q", e.at, failed(v), want)
		}
	}
}
