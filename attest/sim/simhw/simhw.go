// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package simhw plays the hardware of platform sim: it makes a throw-away
// root with vendors of every shape below it (AMD's, Intel's and AWS's) and signs
// reports, quotes and documents, with the collateral that each needs. It belongs
// to the host's side; who verifies imports package attest/sim, which cannot sign.
//
//	hw, err := simhw.NewAuthority(time.Now())
//	os.WriteFile("sim-root.pem", hw.RootPEM(), 0o644)        // for the clients
//	saved, err := hw.Save()                                  // the keys: mode 0600
//	b, err := hw.Evidence(attest.PlatformTDX, simhw.Spec{ReportData: rd, Measurement: sim.Measurement(keepDigest), HostData: hd}, time.Now())
//	hints, err := hw.Collateral(attest.PlatformTDX)
//
// Whoever holds the saved keys can make any evidence under that root. The
// worth of sim evidence is therefore that of the file's permissions: none, for
// anybody but the user who made it.
package simhw

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
	"github.com/enarx/enarx-go/attest/sim"
)

const (
	rsaBits = 3072
	// lifetime of the throw-away certificates; AMD gives a VCEK seven years.
	lifetimeYears = 7
)

// TCB is the firmware level that the simulated chip is endorsed for: fixed and
// low, so that no one mistakes it for a current one.
var simTCB = snpreport.TCBBytes{0: 1, 1: 1, 6: 1, 7: 1}

// Authority is the simulated vendor and chip in one. Its methods may be used
// by several goroutines at once.
type Authority struct {
	root, ask, vcek *x509.Certificate
	key             *ecdsa.PrivateKey // of the VCEK; the CA keys are forgotten
	chipID          [64]byte

	// The other shapes; nil in what an older agent saved.
	intel *intel
	nitro *nitro
	tpm   *tpmShape
}

// NewAuthority makes a fresh root, intermediate and chip key, with
// certificates valid from an hour before now. The keys of root and
// intermediate are used once, here, and forgotten. It takes a second or two:
// two RSA keys of 3,072 bits.
func NewAuthority(now time.Time) (*Authority, error) {
	a := &Authority{}
	// The chip id says what it is for as long as it can, then is random.
	n := copy(a.chipID[:], sim.Marker+" ")
	if _, err := rand.Read(a.chipID[n:]); err != nil {
		return nil, fmt.Errorf("sim hardware: random chip id: %w", err)
	}
	rootKey, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: root key: %w", err)
	}
	askKey, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: intermediate key: %w", err)
	}
	if a.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		return nil, fmt.Errorf("sim hardware: chip key: %w", err)
	}
	if a.intel, err = newIntel(now); err != nil {
		return nil, err
	}
	if a.nitro, err = newNitro(now); err != nil {
		return nil, err
	}
	if a.tpm, err = newTPM(now); err != nil {
		return nil, err
	}
	marker, err := sim.MarkerValue(a.intel.root.PublicKey.(*ecdsa.PublicKey), a.nitro.root, a.tpm.root)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: %w", err)
	}
	rootT := caTemplate("ARK", now, 1)
	rootT.ExtraExtensions = []pkix.Extension{{Id: sim.MarkerExtension(), Critical: true, Value: marker}}
	if a.root, err = issue(rootT, rootT, rootKey.Public(), rootKey); err != nil {
		return nil, err
	}
	if a.ask, err = issue(caTemplate("ASK", now, 2), a.root, askKey.Public(), rootKey); err != nil {
		return nil, err
	}
	vcekT, err := vcekTemplate(now, a.chipID)
	if err != nil {
		return nil, err
	}
	if a.vcek, err = issue(vcekT, a.ask, a.key.Public(), askKey); err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	return a, nil
}

func name(kind string) pkix.Name {
	return pkix.Name{
		Organization:       []string{sim.Marker},
		OrganizationalUnit: []string{"throw-away, made on this machine"},
		CommonName:         sim.Marker + " - " + kind,
	}
}

func base(kind string, now time.Time, serial int64) *x509.Certificate {
	from := now.UTC().Truncate(time.Second).Add(-time.Hour)
	return &x509.Certificate{
		SerialNumber:       big.NewInt(serial),
		Subject:            name(kind),
		NotBefore:          from,
		NotAfter:           from.AddDate(lifetimeYears, 0, 0),
		SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
}

func caTemplate(kind string, now time.Time, serial int64) *x509.Certificate {
	t := base(kind, now, serial)
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign
	return t
}

// vcekTemplate has the extensions of a VCEK (AMD document 57230) with the
// simulated chip's values.
func vcekTemplate(now time.Time, chipID [64]byte) (*x509.Certificate, error) {
	t := base("VCEK", now, 3)
	add := func(oid asn1.ObjectIdentifier, v any) error {
		der, err := asn1.Marshal(v)
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oid, Value: der})
		return err
	}
	for _, e := range []struct {
		oid   asn1.ObjectIdentifier
		value any
	}{
		{snpreport.OIDStructVersion, 0},
		{snpreport.OIDProduct, "Sim"},
		{snpreport.OIDBootloader, int(simTCB[0])},
		{snpreport.OIDTEE, int(simTCB[1])},
		{snpreport.OIDSNP, int(simTCB[6])},
		{snpreport.OIDMicrocode, int(simTCB[7])},
	} {
		if err := add(e.oid, e.value); err != nil {
			return nil, fmt.Errorf("sim hardware: VCEK extension %v: %w", e.oid, err)
		}
	}
	t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: snpreport.OIDHardwareID, Value: chipID[:]})
	return t, nil
}

func issue(t, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: certificate %s: %w", t.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// RootPEM is the certificate that sim.ParseRoot takes.
func (a *Authority) RootPEM() []byte { return certPEM(a.root) }

// Chain is the collateral of the simulated chip: VCEK and intermediate. The
// root is not part of it, since a verifier must have its own.
func (a *Authority) Chain() attest.Collateral {
	return attest.Collateral{
		{MediaType: attest.MediaTypeCertificate, Value: a.vcek.Raw},
		{MediaType: attest.MediaTypeCertificate, Value: a.ask.Raw},
	}
}

// Offsets and constants of a version 2 report that Report fills in; package
// snpreport reads them back and checks them.
const (
	policyABI  = 0x00
	policySMT  = 1 << 16
	policyOnes = 1 << 17
)

// Formats are the shapes of evidence that a can make, by the name of the
// platform that has them. What an older agent saved knows the first alone.
func (a *Authority) Formats() []string {
	if a.intel == nil || a.nitro == nil {
		return []string{attest.PlatformSNP}
	}
	all := []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro}
	if a.tpm != nil {
		all = append(all, attest.PlatformVTPM)
	}
	return all
}

// CheckFormat says whether a can make evidence of a shape.
func (a *Authority) CheckFormat(format string) error {
	switch format {
	case attest.PlatformSNP:
		return nil
	case attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro:
		if a.intel == nil || a.nitro == nil {
			return fmt.Errorf("sim hardware: this throw-away root was made by an older version and knows the format snp alone, not %s", format)
		}
		return nil
	}
	if format == attest.PlatformVTPM {
		if a.tpm == nil {
			return fmt.Errorf("sim hardware: this throw-away root was made by an older version and does not know the format vtpm")
		}
		return nil
	}
	return fmt.Errorf("sim hardware: format %q, expected snp, tdx, sgx, nitro or vtpm", format)
}

// Evidence signs evidence of a shape with the contents of s. The time counts
// for nitro alone, whose documents have one.
func (a *Authority) Evidence(format string, s Spec, now time.Time) (attest.Evidence, error) {
	if err := a.CheckFormat(format); err != nil {
		return attest.Evidence{}, err
	}
	var ev attest.Evidence
	var err error
	switch format {
	case attest.PlatformTDX:
		ev.MediaType = attest.MediaTypeTDX
		ev.Value, err = a.intel.quote(false, s)
	case attest.PlatformSGX:
		ev.MediaType = attest.MediaTypeSGX
		ev.Value, err = a.intel.quote(true, s)
	case attest.PlatformNitro:
		ev.MediaType = attest.MediaTypeNitro
		ev.Value, err = a.nitro.document(s, now)
	case attest.PlatformVTPM:
		ev.MediaType = attest.MediaTypeTPM
		ev.Value, err = a.tpm.quote(s)
	default:
		ev.MediaType = attest.MediaTypeSNP
		ev.Value, err = a.ReportFor(s)
	}
	return ev, err
}

// Collateral is what a verifier needs beside evidence of a shape.
func (a *Authority) Collateral(format string) (attest.Collateral, error) {
	if err := a.CheckFormat(format); err != nil {
		return nil, err
	}
	switch format {
	case attest.PlatformTDX, attest.PlatformSGX:
		return a.intel.collateral(format == attest.PlatformSGX), nil
	case attest.PlatformVTPM:
		return a.tpm.collateral(), nil
	case attest.PlatformNitro:
		return nil, nil // a document brings its chain
	}
	return a.Chain(), nil
}

// Spec says what a report shall hold. The zero value of each field but the
// first three is that of a proper Keep; the others exist so that tests can make
// well-signed evidence of Keeps that must be refused. Edit changes a report or
// the body of a quote, of a document PCR0; Sign is a key of the curve that the
// shape signs with. The rest counts for SNP alone.
type Spec struct {
	ReportData  [64]byte
	Measurement [48]byte
	HostData    [32]byte

	PolicyBits uint64 // or-ed into the guest policy
	VMPL       uint32
	SigningKey uint8                 // 0 is VCEK
	TCB        *[8]byte              // reported TCB, in place of the endorsed one
	ChipID     *[64]byte             // in place of the endorsed one
	Edit       func(unsigned []byte) // last change before signing
	Sign       *ecdsa.PrivateKey     // in place of the chip's key
}

// Report signs a report as the hardware would for a Keep with no debugging, at
// VMPL 0.
func (a *Authority) Report(reportData [64]byte, measurement [48]byte, hostData [32]byte) ([]byte, error) {
	return a.ReportFor(Spec{ReportData: reportData, Measurement: measurement, HostData: hostData})
}

// ReportFor signs a report with the contents of s.
func (a *Authority) ReportFor(s Spec) ([]byte, error) {
	b := make([]byte, snpreport.Size)
	le := binary.LittleEndian
	le.PutUint32(b[0x00:], 2) // version
	le.PutUint64(b[0x08:], policyABI|policySMT|policyOnes|s.PolicyBits)
	le.PutUint32(b[0x30:], s.VMPL)
	le.PutUint32(b[0x34:], 1) // ECDSA P-384 with SHA-384
	le.PutUint32(b[0x48:], uint32(s.SigningKey)<<2)
	copy(b[0x50:], s.ReportData[:])
	copy(b[0x90:], s.Measurement[:])
	copy(b[0xc0:], s.HostData[:])
	tcb, chip := [8]byte(simTCB), a.chipID
	if s.TCB != nil {
		tcb = *s.TCB
	}
	if s.ChipID != nil {
		chip = *s.ChipID
	}
	for _, off := range []int{0x38, 0x180, 0x1e0, 0x1f0} { // current, reported, committed, launch
		copy(b[off:], tcb[:])
	}
	copy(b[0x1a0:], chip[:])
	if s.Edit != nil {
		s.Edit(b[:snpreport.SignedSize])
	}
	key := a.key
	if s.Sign != nil {
		key = s.Sign
	}
	digest := sha512.Sum384(b[:snpreport.SignedSize])
	r, ss, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("sim hardware: sign report: %w", err)
	}
	if err := snpreport.PutSignature(b, r, ss); err != nil {
		return nil, fmt.Errorf("sim hardware: %w", err)
	}
	return b, nil
}
