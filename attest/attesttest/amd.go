// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// amdKeys are the keys of the throw-away AMD, made once per test binary.
var amdKeys = sync.OnceValues(func() (k [4]*rsa.PrivateKey, err error) {
	for i := range k {
		if k[i], err = rsa.GenerateKey(rand.Reader, 3072); err != nil {
			return k, err
		}
	}
	return k, nil
})

// AMD is a throw-away vendor that uses AMD's names for one product line: what
// a forger would make. Its certificates begin at [Made] and end seven years
// later, its lists are current for longer than that.
type AMD struct {
	// Line is "Milan", "Genoa" or "Turin".
	Line string
	// Root, ASK and ASVK are its authorities. ForgedRoot has the names of
	// Root and another key.
	Root, ASK, ASVK, ForgedRoot *x509.Certificate
	// Key signs reports: it is in both VCEK and VLEK.
	Key *ecdsa.PrivateKey

	t                              testing.TB
	rootKey, askKey, asvkKey, fake *rsa.PrivateKey
}

// AMDVendor makes the vendor of a product line.
func AMDVendor(t testing.TB, line string) *AMD {
	t.Helper()
	keys, err := amdKeys()
	if err != nil {
		t.Fatal(err)
	}
	a := &AMD{Line: line, t: t, rootKey: keys[0], askKey: keys[1], asvkKey: keys[2], fake: keys[3]}
	if a.Key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.Root = a.Authority("ARK-"+line, 0x90000, a.rootKey, nil, nil, nil)
	a.ForgedRoot = a.Authority("ARK-"+line, 0x90000, a.fake, nil, nil, nil)
	a.ASK = a.NewASK(0x90001, nil)
	a.ASVK = a.Authority("SEV-VLEK-"+line, 0x90101, a.asvkKey, a.Root, a.rootKey, nil)
	return a
}

// NewASK makes an intermediate for VCEKs, all of them with one key.
func (a *AMD) NewASK(serial int64, edit func(*x509.Certificate)) *x509.Certificate {
	return a.Authority("SEV-"+a.Line, serial, a.askKey, a.Root, a.rootKey, edit)
}

// ForgedASK is an intermediate of AMD's names that ForgedRoot signed.
func (a *AMD) ForgedASK() *x509.Certificate {
	return a.Authority("SEV-"+a.Line, 0x90001, a.askKey, a.ForgedRoot, a.fake, nil)
}

// SelfSigned is an authority of any name that only its own key signed.
func (a *AMD) SelfSigned(cn string) *x509.Certificate {
	return a.Authority(cn, 1, a.askKey, nil, nil, nil)
}

func (a *AMD) name(cn string) pkix.Name {
	return pkix.Name{CommonName: cn, Organization: []string{"Advanced Micro Devices"}, OrganizationalUnit: []string{"Engineering"},
		Country: []string{"US"}, Locality: []string{"Santa Clara"}, Province: []string{"CA"}}
}

// Authority makes a CA certificate; without a parent it signs itself.
func (a *AMD) Authority(cn string, serial int64, key *rsa.PrivateKey, parent *x509.Certificate, parentKey *rsa.PrivateKey, edit func(*x509.Certificate)) *x509.Certificate {
	a.t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: a.name(cn), NotBefore: Made, NotAfter: Made.AddDate(7, 0, 0),
		SignatureAlgorithm: x509.SHA384WithRSAPSS, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(cn),
	}
	if edit != nil {
		edit(c)
	}
	if parent == nil {
		parent, parentKey = c, key
	}
	return a.sign(c, parent, key.Public(), parentKey)
}

func (a *AMD) sign(c, parent *x509.Certificate, pub any, key *rsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, key)
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// HardwareID is the chip's id as it stands in a VCEK: 64 bytes, 8 on Turin.
func (a *AMD) HardwareID() []byte {
	id := make([]byte, 64)
	copy(id, "a throw-away chip of line "+a.Line)
	if a.Line == "Turin" {
		return id[:8]
	}
	return id
}

// TCB is the chip's firmware level as in a report.
func (a *AMD) TCB() [8]byte {
	if a.Line == "Turin" {
		return [8]byte{1, 2, 3, 4, 0, 0, 0, 70}
	}
	return [8]byte{4, 1, 0, 0, 0, 0, 24, 219}
}

// Leaf makes a VCEK, or a VLEK, for the chip and its level; edit changes the
// template, extensions included, before it is signed.
func (a *AMD) Leaf(vlek bool, edit func(*x509.Certificate)) []byte {
	a.t.Helper()
	cn, parent, key := "SEV-VCEK", a.ASK, a.askKey
	if vlek {
		cn, parent, key = "SEV-VLEK", a.ASVK, a.asvkKey
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: a.name(cn), NotBefore: Made, NotAfter: Made.AddDate(7, 0, 0),
		SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
	tcb := a.TCB()
	version, product := 0, a.Line+"-B0"
	spl := map[int]byte{1: tcb[0], 2: tcb[1], 3: tcb[6], 4: 0, 5: 0, 6: 0, 7: 0, 8: tcb[7]}
	if a.Line == "Turin" {
		version = 1
		spl = map[int]byte{9: tcb[0], 1: tcb[1], 2: tcb[2], 3: tcb[3], 5: 0, 6: 0, 7: 0, 8: tcb[7]}
	}
	if vlek {
		product = a.Line
	}
	AddExtension(c, snpreport.OIDStructVersion, a.der(version))
	AddExtension(c, snpreport.OIDProduct, a.der(product))
	for n, level := range spl {
		AddExtension(c, TCBExtension(n), a.der(int(level)))
	}
	if vlek {
		AddExtension(c, snpreport.OIDProvider, a.der("CN=provider.example"))
	} else {
		AddExtension(c, snpreport.OIDHardwareID, a.HardwareID())
	}
	if edit != nil {
		edit(c)
	}
	return a.sign(c, parent, a.Key.Public(), key).Raw
}

// TCBExtension identifies a TCB component of a leaf: 1 is the boot loader, 2
// TEE, 3 SNP, 8 microcode, 9 FMC, others are reserved.
func TCBExtension(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 3, n}
}

// AddExtension sets an extension of a template, or takes it away if der is nil.
func AddExtension(c *x509.Certificate, id asn1.ObjectIdentifier, der []byte) {
	var kept []pkix.Extension
	for _, e := range c.ExtraExtensions {
		if !e.Id.Equal(id) {
			kept = append(kept, e)
		}
	}
	if der != nil {
		kept = append(kept, pkix.Extension{Id: id, Value: der})
	}
	c.ExtraExtensions = kept
}

func (a *AMD) der(v any) []byte {
	a.t.Helper()
	params := ""
	if _, text := v.(string); text {
		params = "ia5" // as AMD has it
	}
	b, err := asn1.MarshalWithParams(v, params)
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

// List makes the root's revocation list, which names nothing and is current
// from a year before [Made] for ten years; edit changes it before it is signed.
func (a *AMD) List(edit func(*x509.RevocationList)) []byte {
	return a.ListBy(a.Root, a.rootKey, edit)
}

// ForgedList is a list of AMD's names that ForgedRoot signed.
func (a *AMD) ForgedList() []byte { return a.ListBy(a.ForgedRoot, a.fake, nil) }

// ListByASK is a list that the intermediate signed.
func (a *AMD) ListByASK(edit func(*x509.RevocationList)) []byte {
	return a.ListBy(a.ASK, a.askKey, edit)
}

// ListBy makes a list of any issuer.
func (a *AMD) ListBy(issuer *x509.Certificate, key *rsa.PrivateKey, edit func(*x509.RevocationList)) []byte {
	a.t.Helper()
	l := &x509.RevocationList{
		Number: big.NewInt(1), SignatureAlgorithm: x509.SHA384WithRSAPSS,
		ThisUpdate: Made.AddDate(-1, 0, 0), NextUpdate: Made.AddDate(9, 0, 0),
	}
	if edit != nil {
		edit(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, issuer, key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// Revoke makes an edit of List that names serial numbers.
func Revoke(serials ...int64) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		for _, s := range serials {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: Made})
		}
	}
}

// Report is a proper Keep's report of version 5, signed by the VCEK; edit
// changes it before it is signed.
func (a *AMD) Report(edit func([]byte)) []byte {
	a.t.Helper()
	b := make([]byte, snpreport.Size)
	le := binary.LittleEndian
	le.PutUint32(b[0x00:], 5)
	le.PutUint64(b[0x08:], 1<<17|1<<16|0x0137) // ABI 1.55, SMT allowed
	le.PutUint32(b[0x34:], 1)
	le.PutUint64(b[0x40:], 0x25)
	for i := range 64 {
		b[0x50+i] = byte(i + 1)
	}
	copy(b[0x90:0xc0], "a launch measurement of a throw-away Keep runtime")
	copy(b[0xc0:0xe0], "a start configuration's digest..")
	tcb := a.TCB()
	for _, off := range []int{0x38, 0x180, 0x1e0, 0x1f0} {
		copy(b[off:], tcb[:])
	}
	copy(b[0x188:], map[string][]byte{"Milan": {0x19, 1, 1}, "Genoa": {0x19, 0x11, 1}, "Turin": {0x1a, 2, 1}}[a.Line])
	copy(b[0x1a0:], a.HardwareID())
	le.PutUint64(b[0x1f8:], 1)
	le.PutUint64(b[0x200:], 3)
	if edit != nil {
		edit(b)
	}
	return a.SignReport(b, a.Key)
}

// SignReport signs b with key, in the hardware's format.
func (a *AMD) SignReport(b []byte, key *ecdsa.PrivateKey) []byte {
	a.t.Helper()
	digest := sha512.Sum384(b[:snpreport.SignedSize])
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		a.t.Fatal(err)
	}
	if err := snpreport.PutSignature(b, r, s); err != nil {
		a.t.Fatal(err)
	}
	return b
}

// ExpectedOf are expectations that an SNP report meets.
func ExpectedOf(report []byte) attest.Expected {
	e := attest.Expected{Measurements: []attest.ReferenceValue{{
		Platform: attest.PlatformSNP, Measurement: report[0x90:0xc0:0xc0], Release: "test", Source: "the test",
	}}}
	copy(e.ReportData[:], report[0x50:])
	copy(e.HostData[:], report[0xc0:])
	return e
}

// Cert and CRL are entries of collateral.
func Cert(der []byte) attest.Evidence {
	return attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: der}
}

// CRL is an entry of collateral that holds a revocation list.
func CRL(der []byte) attest.Evidence {
	return attest.Evidence{MediaType: attest.MediaTypeCRL, Value: der}
}

// Case pairs a report with the expectations of an unchanged one. Collateral is
// the leaf of the kind that the report names, the ASK or ASVK, and the list.
func (a *AMD) Case(name, check string, vlek bool, edit func([]byte)) Case {
	ca := a.ASK
	if vlek {
		ca = a.ASVK
	}
	return Case{
		Name:       name,
		Evidence:   attest.Evidence{MediaType: attest.MediaTypeSNP, Value: a.Report(edit)},
		Collateral: attest.Collateral{Cert(a.Leaf(vlek, nil)), Cert(ca.Raw), CRL(a.List(nil))},
		Expected:   ExpectedOf(a.Report(nil)),
		At:         Made.Add(time.Hour),
		Check:      check,
	}
}
