// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package dcaptest is a throw-away Intel for tests: it signs quotes and
// collateral of the right shape under a root of its own, and lets a test change
// any part before it is signed. Its certificates carry Intel's names, as a
// forger's would; what they lack is Intel's key.
package dcaptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// Made is the middle of the time in which everything is valid.
var Made = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// Vendor holds the keys of one throw-away Intel and of one of its platforms.
type Vendor struct {
	Root, CA, Signer, PCK, Attestation *ecdsa.PrivateKey
	t                                  testing.TB
}

// New makes a vendor.
func New(t testing.TB) *Vendor {
	t.Helper()
	v := &Vendor{t: t}
	for _, k := range []**ecdsa.PrivateKey{&v.Root, &v.CA, &v.Signer, &v.PCK, &v.Attestation} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		*k = key
	}
	return v
}

// Spec is what to sign. The zero Spec is a good TD quote of version 4; see
// [SGX] and [TD15] for others.
type Spec struct {
	SGX      bool
	Version  uint16 // 0 means 3 for SGX and 4 for TDX
	BodyType uint16 // of version 5
	CertType uint16 // 0 means 5, the chain in PEM
	CertData []byte // in place of the chain
	Trailing []byte

	// Header, Body and QE are changed before they are signed, Auth before
	// its hash goes into QE, Quote after everything.
	Header, Body, QE, Quote func([]byte)
	Auth                    []byte
	// Info and Identity are changed before they are signed.
	Info, Identity func(map[string]any)
	// Cert changes a certificate before it is signed; name is "root", "ca",
	// "signer" or "pck".
	Cert func(name string, c *x509.Certificate)
	// CRL changes a list before it is signed; name is "root-crl" or "ca-crl".
	CRL func(name string, l *x509.RevocationList)
	// Valid is the validity of a part, by the names above and "info" and
	// "identity"; parts not named are valid for a month around Made.
	Valid map[string][2]time.Time
	// Keys are used in place of the vendor's, by what they sign: "root",
	// "ca", "signer", "pck" (the certificates), "root-crl", "ca-crl", "info",
	// "identity", "qe" and "quote".
	Keys map[string]*ecdsa.PrivateKey
	// Platform changes what the PCK certificate says.
	Platform func(*Platform)
}

// Platform is the SGX extension of a PCK certificate.
type Platform struct {
	Components [16]int
	PCESVN     int
	PCEID      [2]byte
	FMSPC      [6]byte
	PPID       [16]byte
	// Instance is the platform instance id, 16 bytes; nil leaves it out.
	Instance []byte
}

// Set is a signed set: the quote and all collateral.
type Set struct {
	Quote      []byte
	Collateral attest.Collateral
}

// Window is the validity of parts that no Spec names.
func Window() (from, to time.Time) { return Made.AddDate(0, 0, -15), Made.AddDate(0, 0, 15) }

func (s *Spec) valid(name string) (time.Time, time.Time) {
	if w, ok := s.Valid[name]; ok {
		return w[0], w[1]
	}
	return Window()
}

func (s *Spec) key(name string, own *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	if k, ok := s.Keys[name]; ok {
		return k
	}
	return own
}

// Make signs s.
func (v *Vendor) Make(s Spec) Set {
	v.t.Helper()
	root := v.cert(s, "root", "Intel SGX Root CA", 1, &v.Root.PublicKey, nil, v.Root)
	ca := v.cert(s, "ca", "Intel SGX PCK Platform CA", 2, &v.CA.PublicKey, root, v.Root)
	signer := v.cert(s, "signer", "Intel SGX TCB Signing", 3, &v.Signer.PublicKey, root, v.Root)
	pck := v.cert(s, "pck", "Intel SGX PCK Certificate", 4, &v.PCK.PublicKey, ca, v.CA)
	chain := PEM(pck.Raw, ca.Raw, root.Raw)
	return Set{
		Quote: v.quote(s, chain),
		Collateral: attest.Collateral{
			{MediaType: attest.MediaTypePEMChain, Value: PEM(signer.Raw, root.Raw)},
			{MediaType: attest.MediaTypeCRL, Value: v.crl(s, "root-crl", root, v.Root)},
			{MediaType: attest.MediaTypeCRL, Value: v.crl(s, "ca-crl", ca, v.CA)},
			{MediaType: attest.MediaTypeIntelTCBInfo, Value: v.document(s, "info", "tcbInfo", s.info())},
			{MediaType: attest.MediaTypeIntelQEIdentity, Value: v.document(s, "identity", "enclaveIdentity", s.identity())},
		},
	}
}

// PEM encodes certificates as a chain.
func PEM(ders ...[]byte) []byte {
	var b []byte
	for _, der := range ders {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return b
}

func (v *Vendor) cert(s Spec, name, cn string, serial int64, key *ecdsa.PublicKey, parent *x509.Certificate, by *ecdsa.PrivateKey) *x509.Certificate {
	v.t.Helper()
	from, to := s.valid(name)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: cn, Organization: []string{"Intel Corporation"}, Country: []string{"US"}},
		NotBefore: from, NotAfter: to, BasicConstraintsValid: true, SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	switch name {
	case "root", "ca":
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	case "pck":
		c.ExtraExtensions = []pkix.Extension{{Id: oidSGX, Value: v.extension(s)}}
		fallthrough
	default:
		c.KeyUsage = x509.KeyUsageDigitalSignature
	}
	if s.Cert != nil {
		s.Cert(name, c)
	}
	if parent == nil {
		parent = c
	}
	// CreateCertificate checks its own signature with the parent's key, which
	// a forger's need not be.
	by = s.key(name, by)
	der, err := x509.CreateCertificate(rand.Reader, c, &x509.Certificate{Subject: parent.Subject, RawSubject: parent.RawSubject}, key, by)
	if err != nil {
		v.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		v.t.Fatal(err)
	}
	return parsed
}

func (v *Vendor) crl(s Spec, name string, issuer *x509.Certificate, by *ecdsa.PrivateKey) []byte {
	v.t.Helper()
	from, to := s.valid(name)
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: to}
	if s.CRL != nil {
		s.CRL(name, l)
	}
	as := *issuer
	as.KeyUsage |= x509.KeyUsageCRLSign
	if as.SubjectKeyId == nil {
		as.SubjectKeyId = []byte{1}
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, &as, s.key(name, by))
	if err != nil {
		v.t.Fatal(err)
	}
	return der
}

var oidSGX = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}

type pair struct {
	ID    asn1.ObjectIdentifier
	Value any
}

func below(oid asn1.ObjectIdentifier, n int) asn1.ObjectIdentifier {
	return append(oid[:len(oid):len(oid)], n)
}

func (v *Vendor) extension(s Spec) []byte {
	p := Platform{
		Components: [16]int{3, 3, 2, 2, 4, 1, 0, 5}, PCESVN: 11,
		FMSPC: [6]byte{0xb0, 0xc0, 0x6f}, PPID: [16]byte{0xaa, 15: 0xbb},
	}
	if s.Platform != nil {
		s.Platform(&p)
	}
	tcb := below(oidSGX, 2)
	var levels []pair
	for i, n := range p.Components {
		levels = append(levels, pair{below(tcb, i+1), n})
	}
	levels = append(levels, pair{below(tcb, 17), p.PCESVN}, pair{below(tcb, 18), make([]byte, 16)})
	fields := []pair{
		{below(oidSGX, 1), p.PPID[:]}, {below(oidSGX, 2), asn1.RawValue{FullBytes: v.der(levels)}},
		{below(oidSGX, 3), p.PCEID[:]}, {below(oidSGX, 4), p.FMSPC[:]}, {below(oidSGX, 5), asn1.Enumerated(1)},
	}
	if p.Instance != nil {
		fields = append(fields, pair{below(oidSGX, 6), p.Instance})
	}
	return v.der(fields)
}

// der encodes a sequence of pairs; encoding/asn1 takes no interface values.
func (v *Vendor) der(list []pair) []byte {
	v.t.Helper()
	var all []asn1.RawValue
	for _, p := range list {
		var parts []asn1.RawValue
		for _, x := range []any{p.ID, p.Value} {
			if raw, ok := x.(asn1.RawValue); ok {
				parts = append(parts, raw)
				continue
			}
			b, err := asn1.Marshal(x)
			if err != nil {
				v.t.Fatal(err)
			}
			parts = append(parts, asn1.RawValue{FullBytes: b})
		}
		b, err := asn1.Marshal(parts)
		if err != nil {
			v.t.Fatal(err)
		}
		all = append(all, asn1.RawValue{FullBytes: b})
	}
	b, err := asn1.Marshal(all)
	if err != nil {
		v.t.Fatal(err)
	}
	return b
}

// Raw signs b in Intel's form: r and s, 32 bytes each.
func (v *Vendor) Raw(key *ecdsa.PrivateKey, b []byte) []byte {
	v.t.Helper()
	sum := sha256.Sum256(b)
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		v.t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func (v *Vendor) document(s Spec, part, name string, m map[string]any) []byte {
	v.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		v.t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, name, body, v.Raw(s.key(part, v.Signer), body))
}

// point is a public key as Intel writes it: x and y, 32 bytes each.
func (v *Vendor) point(k *ecdsa.PublicKey) []byte {
	b, err := k.Bytes()
	if err != nil {
		v.t.Fatal(err)
	}
	return b[1:]
}

func (v *Vendor) quote(s Spec, chain []byte) []byte {
	header := make([]byte, 48)
	version := s.version()
	binary.LittleEndian.PutUint16(header, version)
	header[2] = 2
	if !s.SGX {
		header[4] = 0x81
	}
	copy(header[12:], qeVendor)
	apply(s.Header, header)
	body := s.body()
	apply(s.Body, body)
	signed := header
	if version >= 5 {
		signed = binary.LittleEndian.AppendUint16(signed, s.bodyType())
		signed = binary.LittleEndian.AppendUint32(signed, uint32(len(body)))
	}
	signed = append(signed, body...)

	key := v.Attestation
	auth := s.Auth
	if auth == nil {
		auth = []byte("authentication data")
	}
	qe := s.qe()
	sum := sha256.Sum256(append(v.point(&key.PublicKey), auth...))
	copy(qe[320:], sum[:])
	apply(s.QE, qe)
	certType, certData := s.CertType, s.CertData
	if certType == 0 {
		certType = 5
	}
	if certData == nil {
		certData = chain
	}
	inner := append(append([]byte(nil), qe...), v.Raw(s.key("qe", v.PCK), qe)...)
	inner = append(binary.LittleEndian.AppendUint16(inner, uint16(len(auth))), auth...)
	inner = binary.LittleEndian.AppendUint16(inner, certType)
	inner = append(binary.LittleEndian.AppendUint32(inner, uint32(len(certData))), certData...)

	data := append(v.Raw(s.key("quote", key), signed), v.point(&key.PublicKey)...)
	if version >= 4 {
		data = binary.LittleEndian.AppendUint16(data, 6)
		data = binary.LittleEndian.AppendUint32(data, uint32(len(inner)))
	}
	data = append(data, inner...)
	q := append(binary.LittleEndian.AppendUint32(signed, uint32(len(data))), data...)
	q = append(q, s.Trailing...)
	apply(s.Quote, q)
	return q
}

func apply(f func([]byte), b []byte) {
	if f != nil {
		f(b)
	}
}
