// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
	"github.com/enarx/enarx-go/attest/attesttest/nitrotest"
)

// dated is one thing that is valid for a time, while everything else is valid
// for longer.
type dated struct {
	name          string
	verdict       func(from, to, at time.Time) attest.Verdict
	row           string
	before, after attest.Reason
}

// Everything that has dates counts from its first second to its last, and not
// for a second more.
func TestEveryDateCountsToTheSecond(t *testing.T) {
	w := newVendors(t)
	items := append(snpDates(w), nitroDates(w)...)
	for tee, s := range map[string]dcaptest.Spec{"tdx": {}, "sgx": dcaptest.SGX()} {
		items = append(items, intelDates(w, tee, s)...)
	}
	for _, x := range items {
		from := map[bool]time.Time{true: attesttest.Made.Add(time.Hour), false: dcaptest.Made}[strings.HasPrefix(x.name, "snp")]
		if strings.HasPrefix(x.name, "nitro") {
			from = nitrotest.Made
		}
		to := from.Add(time.Hour)
		for _, e := range []struct {
			at     time.Time
			reason attest.Reason
		}{{from.Add(-time.Second), x.before}, {from, ""}, {to, ""}, {to.Add(time.Second), x.after}} {
			v := x.verdict(from, to, e.at)
			first, _, _ := strings.Cut(corpus.Failed(v), " ")
			if want := map[bool]string{true: "", false: x.row}[e.reason == ""]; first != want || v.Reason() != e.reason {
				t.Errorf("%s from %v to %v, at %v: row %q for %q, expected %q for %q: %v", x.name, from, to, e.at, first, v.Reason(), want, e.reason, v.Err())
			}
		}
	}
	if len(items) < 24 {
		t.Errorf("%d dated things", len(items))
	}
}

const (
	early, late         = attest.ReasonCertNotYetValid, attest.ReasonCertExpired
	listEarly, listLate = attest.ReasonListNotYetValid, attest.ReasonListExpired
	docEarly, docLate   = attest.ReasonCollateralNotYetValid, attest.ReasonCollateralExpired
)

func snpDates(w vendors) []dated {
	cert := func(from, to time.Time) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
	}
	with := func(i int, der func(from, to time.Time) []byte) func(from, to, at time.Time) attest.Verdict {
		return func(from, to, at time.Time) attest.Verdict {
			return w.snp(nil, func(g *given) { g.collateral[i].Value, g.at = der(from, to), at })()
		}
	}
	list := func(from, to time.Time) []byte {
		return w.amd.List(func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = from, to })
	}
	return []dated{
		{"snp, VCEK", with(0, func(from, to time.Time) []byte { return w.amd.Leaf(false, cert(from, to)) }), "dates", early, late},
		{"snp, intermediate", with(1, func(from, to time.Time) []byte { return w.amd.NewASK(0x90001, cert(from, to)).Raw }), "dates", early, late},
		{"snp, list", with(2, list), "revocation", listEarly, listLate},
	}
}

func intelDates(w vendors, tee string, s dcaptest.Spec) (out []dated) {
	for _, x := range []struct {
		part          string
		before, after attest.Reason
	}{
		{"root", early, late}, {"ca", early, late}, {"signer", early, late}, {"pck", early, late},
		{"root-crl", listEarly, listLate}, {"ca-crl", listEarly, listLate}, {"info", docEarly, docLate}, {"identity", docEarly, docLate},
	} {
		out = append(out, dated{tee + ", " + x.part, func(from, to, at time.Time) attest.Verdict {
			edit := func(s *dcaptest.Spec) { s.Valid = map[string][2]time.Time{x.part: {from, to}} }
			return w.intelOf(s, edit, func(g *given) { g.at = at })()
		}, "dates", x.before, x.after})
	}
	return out
}

func nitroDates(w vendors) []dated {
	a := w.aws
	// chain is that of the vendor with the n-th certificate made anew.
	chain := func(n int, from, to time.Time) (s nitrotest.Spec) {
		s.Fields = map[string]any{"timestamp": uint64(from.UnixMilli())}
		parent := a.Root
		s.Bundle = []nitrotest.Authority{parent}
		for i, old := range []nitrotest.Authority{a.Region, a.Zone, a.Instance} {
			parent = a.IssueKey(parent, old.Cert.Subject.CommonName, old.Key, func(c *x509.Certificate) {
				c.MaxPathLen, c.MaxPathLenZero, c.CRLDistributionPoints = old.Cert.MaxPathLen, old.Cert.MaxPathLenZero, old.Cert.CRLDistributionPoints
				if i == n {
					c.NotBefore, c.NotAfter = from, to
				}
			})
			s.Bundle = append(s.Bundle, parent)
		}
		leaf := a.Leaf(parent, func(c *x509.Certificate) {
			c.NotBefore = from.Add(-time.Minute)
			if n == 3 {
				c.NotBefore, c.NotAfter = from, to
			}
		})
		s.Leaf = &leaf
		return s
	}
	var out []dated
	for n, name := range []string{"region", "zone", "instance", "document's certificate"} {
		out = append(out, dated{"nitro, " + name, func(from, to, at time.Time) attest.Verdict {
			s := chain(n, from, to)
			lists := attest.Collateral{a.List(a.Root, nil), a.List(s.Bundle[1], nil)}
			return w.nitro(s, func(g *given) { g.at, g.collateral = at, lists })()
		}, "dates", early, late})
	}
	return append(out, dated{"nitro, list", func(from, to, at time.Time) attest.Verdict {
		list := a.List(a.Root, func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = from, to })
		s := nitrotest.Spec{Fields: map[string]any{"timestamp": uint64(from.Add(-time.Second).UnixMilli())}}
		leaf := a.Leaf(a.Instance, func(c *x509.Certificate) { c.NotBefore = from.Add(-time.Minute) })
		s.Leaf = &leaf
		return w.nitro(s, func(g *given) { g.at, g.collateral = at, attest.Collateral{list, g.collateral[1]} })()
	}, "revocation", listEarly, listLate})
}
