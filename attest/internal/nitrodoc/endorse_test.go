// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest/attesttest/nitrotest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

func TestListsOfAChain(t *testing.T) {
	m, other := nitrotest.New(t), nitrotest.New(t)
	d, err := nitrodoc.Parse(m.Document(nitrotest.Spec{}))
	if err != nil {
		t.Fatal(err)
	}
	points, err := d.ListPoints(m.Root.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if len(points) != 2 || points[0].URL != nitrotest.RootListURL || len(points[0].Issuers) != 0 ||
		points[1].URL != nitrotest.RegionListURL || len(points[1].Issuers) != 1 || !bytes.Equal(points[1].Issuers[0], m.Region.Cert.Raw) {
		t.Fatalf("%+v", points)
	}
	if _, err := d.ListPoints(other.Root.Cert); err == nil {
		t.Error("addresses of a chain that leads to another root")
	}
	if _, err := d.ListPoints(nil); err == nil {
		t.Error("addresses without a root")
	}
	named := func(url string) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			v := append([]byte{0x86, byte(len(url))}, url...)
			for _, tag := range []byte{0xa0, 0xa0, 0x30} {
				v = append([]byte{tag, byte(len(v))}, v...)
			}
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: v}}
		}
	}
	root, region := m.List(m.Root, nil).Value, m.List(m.Region, nil).Value
	long := m.List(m.Region, func(l *x509.RevocationList) { l.NextUpdate = m.Region.Cert.NotAfter.Add(time.Hour) }).Value
	forged := bytes.Clone(root)
	forged[len(forged)-1] ^= 1
	for _, x := range []struct {
		name  string
		point int
		list  []byte
		good  bool
	}{
		{"root's", 0, root, true},
		{"region's", 1, region, true},
		{"with its address", 1, m.List(m.Region, named(nitrotest.RegionListURL)).Value, true},
		{"outlives its issuer", 1, long, true},
		{"of another address", 1, m.List(m.Region, named("http://lists.test/other.crl")).Value, false},
		{"root's for region's", 1, root, false},
		{"region's for root's", 0, region, false},
		{"another vendor's", 0, other.List(other.Root, nil).Value, false},
		{"forged", 0, forged, false},
		{"nothing", 0, nil, false},
	} {
		p := points[x.point]
		e, err := nitrodoc.CheckList(m.Root.Cert, p.Issuers, x.list, p.URL)
		if (err == nil) != x.good || (e != nil) != x.good {
			t.Errorf("%s: %+v, %v", x.name, e, err)
		}
		if x.name == "outlives its issuer" && e != nil && !e.Until.Equal(m.Region.Cert.NotAfter) {
			t.Errorf("%s: until %v", x.name, e.Until)
		}
	}
	elsewhere := m.List(m.Region, named("http://lists.test/other.crl")).Value
	if !nitrodoc.SpeaksFor(root, m.Region.Cert) || !nitrodoc.SpeaksFor(region, m.Zone.Cert) {
		t.Error("a list is not about what its issuer has signed")
	}
	if nitrodoc.SpeaksFor(root, m.Zone.Cert) || nitrodoc.SpeaksFor(elsewhere, m.Zone.Cert) || nitrodoc.SpeaksFor(nil, m.Zone.Cert) {
		t.Error("a list is about what its issuer has not signed, or about another address")
	}
	if _, err := nitrodoc.CheckList(m.Root.Cert, [][]byte{other.Region.Cert.Raw}, region, nitrotest.RegionListURL); err == nil {
		t.Error("an issuer under another root")
	}
	if _, err := nitrodoc.CheckList(nil, nil, root, nitrotest.RootListURL); err == nil {
		t.Error("no root")
	}
}
