// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package nitrotest is a throw-away AWS: a root, a region, a zone and an
// instance that sign attestation documents of any contents. It is what a forger
// would make, and what the tests of attest/nitro put in the root's place.
package nitrotest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

// Made is when the documents of this package say that they were signed. The
// document's certificate begins then and lasts three hours.
var Made = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// LeafLife is how long the document's certificate lasts.
const LeafLife = 3 * time.Hour

// The addresses of revocation lists in the certificates of region and zone.
const (
	RootListURL   = "http://lists.test/root.crl"
	RegionListURL = "http://lists.test/region.crl"
)

// What a proper document of this package holds.
var (
	ReportData = attest.ReportData(1, [64]byte{1})
	HostData   = sha256.Sum256([]byte("a start configuration"))
	PCR        = [3][48]byte{{0: 1, 47: 1}, {0: 2, 47: 2}, {0: 3, 47: 3}}
)

// Authority is a certificate with its key.
type Authority struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// Vendor is the throw-away AWS.
type Vendor struct {
	Root, Region, Zone, Instance Authority

	t testing.TB
}

// New makes a vendor.
func New(t testing.TB) *Vendor {
	t.Helper()
	v := &Vendor{t: t}
	v.Root = v.Issue(Authority{}, "aws.nitro-enclaves", func(c *x509.Certificate) {
		c.MaxPathLen, c.NotBefore, c.NotAfter = -1, Made.AddDate(-6, 0, 0), Made.AddDate(24, 0, 0)
	})
	v.Region = v.Issue(v.Root, "0123456789abcdef.test-1.aws.nitro-enclaves", func(c *x509.Certificate) {
		c.MaxPathLen, c.CRLDistributionPoints = 2, []string{RootListURL}
	})
	v.Zone = v.Issue(v.Region, "fedcba9876543210.zonal.test-1.aws.nitro-enclaves", func(c *x509.Certificate) {
		c.MaxPathLen, c.CRLDistributionPoints = 1, []string{RegionListURL}
	})
	v.Instance = v.Issue(v.Zone, "i-0123456789abcdef0.test-1.aws.nitro-enclaves", func(c *x509.Certificate) {
		c.MaxPathLenZero = true
	})
	return v
}

// Key makes a key on P-384.
func (v *Vendor) Key() *ecdsa.PrivateKey { return v.KeyOn(elliptic.P384()) }

// KeyOn makes a key on another curve.
func (v *Vendor) KeyOn(c elliptic.Curve) *ecdsa.PrivateKey {
	v.t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		v.t.Fatal(err)
	}
	return k
}

var serial int64

// Issue makes an authority below parent, valid for a day before [Made] and
// twenty after; without a parent it signs itself.
func (v *Vendor) Issue(parent Authority, cn string, edit func(*x509.Certificate)) Authority {
	return v.IssueKey(parent, cn, v.Key(), edit)
}

// IssueKey does the same for a given key.
func (v *Vendor) IssueKey(parent Authority, cn string, key *ecdsa.PrivateKey, edit func(*x509.Certificate)) Authority {
	v.t.Helper()
	serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{Country: []string{"US"}, Organization: []string{"Amazon"}, OrganizationalUnit: []string{"AWS"}, CommonName: cn},
		NotBefore: Made.AddDate(0, 0, -1), NotAfter: Made.AddDate(0, 0, 20), SignatureAlgorithm: x509.ECDSAWithSHA384,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	if edit != nil {
		edit(c)
	}
	if parent.Cert == nil {
		parent = Authority{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent.Cert, key.Public(), parent.Key)
	if err != nil {
		v.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		v.t.Fatal(err)
	}
	return Authority{out, key}
}

// Leaf makes a certificate for a document.
func (v *Vendor) Leaf(parent Authority, edit func(*x509.Certificate)) Authority {
	return v.Issue(parent, "i-0123456789abcdef0-enc0123456789abcdef.test-1.aws", func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment
		c.NotBefore, c.NotAfter = Made, Made.Add(LeafLife)
		if edit != nil {
			edit(c)
		}
	})
}

// Spec says what a document shall differ in from a proper one.
type Spec struct {
	// Bundle and Leaf replace the chain.
	Bundle []Authority
	Leaf   *Authority
	// Sign signs in place of the leaf's key.
	Sign *ecdsa.PrivateKey
	// Fields are set in the payload; a nil value takes the field out.
	Fields map[string]any
	// Payload changes the encoded payload before it is signed.
	Payload func([]byte) []byte
}

// Document signs a document.
func (v *Vendor) Document(s Spec) []byte {
	v.t.Helper()
	bundle := []Authority{v.Root, v.Region, v.Zone, v.Instance}
	if s.Bundle != nil {
		bundle = s.Bundle
	}
	leaf := s.Leaf
	if leaf == nil {
		made := v.Leaf(bundle[len(bundle)-1], nil)
		leaf = &made
	}
	var ders [][]byte
	for _, a := range bundle {
		ders = append(ders, a.Cert.Raw)
	}
	fields := map[string]any{
		"module_id": "i-0123456789abcdef0-enc0123456789abcdef", "digest": "SHA384", "timestamp": uint64(Made.UnixMilli()),
		"pcrs":        map[uint][]byte{0: PCR[0][:], 1: PCR[1][:], 2: PCR[2][:], 3: make([]byte, 48), 4: PCR[0][:], 8: PCR[1][:], 9: PCR[2][:]},
		"certificate": leaf.Cert.Raw, "cabundle": ders, "user_data": ReportData[:], "nonce": HostData[:], "public_key": []byte("a key"),
	}
	for name, value := range s.Fields {
		if value == nil {
			delete(fields, name)
			continue
		}
		maps.Copy(fields, map[string]any{name: value})
	}
	payload, err := cbor.Marshal(fields)
	if err != nil {
		v.t.Fatal(err)
	}
	if s.Payload != nil {
		payload = s.Payload(payload)
	}
	key := leaf.Key
	if s.Sign != nil {
		key = s.Sign
	}
	return v.Seal(payload, key)
}

// Seal signs a payload of any contents with a key on P-384.
func (v *Vendor) Seal(payload []byte, key *ecdsa.PrivateKey) []byte {
	v.t.Helper()
	sum := nitrodoc.SignedDigest(payload)
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		v.t.Fatal(err)
	}
	var sig [nitrodoc.SignatureSize]byte
	if n := len(sig) / 2; r.BitLen() <= 8*n && s.BitLen() <= 8*n {
		r.FillBytes(sig[:n])
		s.FillBytes(sig[n:])
	}
	return nitrodoc.Seal(payload, sig)
}

// List makes a revocation list of an authority, current from a day before
// [Made] until a week after.
func (v *Vendor) List(a Authority, edit func(*x509.RevocationList), revoked ...*x509.Certificate) attest.Evidence {
	v.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: Made.AddDate(0, 0, -1), NextUpdate: Made.AddDate(0, 0, 7), SignatureAlgorithm: x509.ECDSAWithSHA384}
	for _, c := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: Made.AddDate(0, 0, -2)})
	}
	if edit != nil {
		edit(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.Cert, a.Key)
	if err != nil {
		v.t.Fatal(err)
	}
	return attest.Evidence{MediaType: attest.MediaTypeCRL, Value: der}
}

// Lists are the two lists that a chain of this vendor names.
func (v *Vendor) Lists() attest.Collateral {
	return attest.Collateral{v.List(v.Root, nil), v.List(v.Region, nil)}
}

// Expected are the expectations that a proper document meets; measurement is
// that of [PCR], which attest/nitro computes.
func Expected(measurement [48]byte) attest.Expected {
	return attest.Expected{
		ReportData: ReportData, HostData: HostData,
		Measurements: []attest.ReferenceValue{{Platform: attest.PlatformNitro, Measurement: measurement[:], Release: "test", Source: "the test"}},
	}
}
