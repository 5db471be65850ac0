// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// Names that Intel's certificates have (PCK certificate and CRL profile
// specification). They tell the certificates apart; what makes one count is a
// signature that leads to the root's key.
const (
	rootName      = "Intel SGX Root CA"
	platformCA    = "Intel SGX PCK Platform CA"
	processorCA   = "Intel SGX PCK Processor CA"
	pckName       = "Intel SGX PCK Certificate"
	tcbSignerName = "Intel SGX TCB Signing"
)

// Root is the key that every chain must end in. The zero Root verifies
// nothing. It is a key and no certificate because Intel has issued two
// certificates for it, ending in 2033 and in 2049.
type Root struct {
	key    *ecdsa.PublicKey
	source string
}

// intelRootKey is the public key of the Intel SGX Root CA, serial number
// 22650cd65a9d3489f383b49552bf501b392706ac, as an uncompressed point.
const intelRootKey = "04" +
	"0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5" +
	"67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394"

// IntelRoot is the pinned root of all SGX and TDX evidence.
func IntelRoot() Root {
	point, err := hex.DecodeString(intelRootKey)
	if err != nil {
		return Root{}
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return Root{}
	}
	return Root{key: key, source: "the key of the Intel SGX Root CA, part of this program"}
}

// NewRoot is a root for tests and simulators. No production verifier takes one.
func NewRoot(key *ecdsa.PublicKey, source string) Root { return Root{key: key, source: source} }

// pool holds the certificates of one appraisal, each of them once.
type pool struct {
	roots, cas, signers, pcks []*x509.Certificate
	n                         int
}

// add reads one certificate and sorts it by its name.
func (p *pool) add(der []byte) error {
	if len(der) > maxCertificate {
		return fault.New(attest.ReasonTooLarge, "certificate of %d bytes, expected at most %d", len(der), maxCertificate)
	}
	for _, list := range [][]*x509.Certificate{p.roots, p.cas, p.signers, p.pcks} {
		if slices.ContainsFunc(list, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, der) }) {
			return nil
		}
	}
	if p.n == maxCertificates {
		return fault.New(attest.ReasonTooLarge, "more than %d different certificates", maxCertificates)
	}
	p.n++
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("not a certificate: %w", err)
	}
	if err := derform.Signed(der); err != nil {
		return fmt.Errorf("certificate of %s: %w", shown(c.Subject.CommonName), err)
	}
	if err := checkForm(c); err != nil {
		return fmt.Errorf("certificate of %s: %w", shown(c.Subject.CommonName), err)
	}
	name := c.Subject.CommonName
	switch {
	case c.IsCA && name == rootName:
		p.roots = append(p.roots, c)
	case c.IsCA && (name == platformCA || name == processorCA):
		p.cas = append(p.cas, c)
	case !c.IsCA && name == tcbSignerName:
		p.signers = append(p.signers, c)
	case !c.IsCA && name == pckName:
		p.pcks = append(p.pcks, c)
	default:
		return fmt.Errorf("certificate of %s (authority: %v), expected one of Intel's SGX certificates", shown(name), c.IsCA)
	}
	return nil
}

// oidNameConstraints is RFC 5280, section 4.2.1.10.
var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// checkForm holds a certificate to what all of Intel's have in common.
func checkForm(c *x509.Certificate) error {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok || key.Curve != elliptic.P256():
		return fmt.Errorf("key of algorithm %v, expected ECDSA P-256", c.PublicKeyAlgorithm)
	case c.SignatureAlgorithm != x509.ECDSAWithSHA256:
		return fmt.Errorf("signature algorithm %v, expected ECDSA with SHA-256", c.SignatureAlgorithm)
	case len(c.UnhandledCriticalExtensions) != 0:
		return fmt.Errorf("unknown critical extension %v", c.UnhandledCriticalExtensions[0])
	case slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints) }):
		// The standard library takes these as understood, and only its own
		// chain building, which is not used here, holds anybody to them.
		return fmt.Errorf("name constraints, which Intel's certificates do not have")
	case !c.BasicConstraintsValid:
		return fmt.Errorf("no basic constraints")
	case c.IsCA && c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != x509.KeyUsageCertSign|x509.KeyUsageCRLSign:
		return fmt.Errorf("an authority that may not sign certificates and revocation lists")
	case !c.IsCA && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return fmt.Errorf("a key that may not sign")
	}
	return nil
}

// publicKey is c's key; checkForm has seen that it is one of P-256.
func publicKey(c *x509.Certificate) *ecdsa.PublicKey {
	key, _ := c.PublicKey.(*ecdsa.PublicKey)
	return key
}

// chain is what the pool proved: every certificate in it leads to the root.
type chain struct {
	pck, ca *x509.Certificate
	signers []*x509.Certificate
	roots   []*x509.Certificate
}

// root is the certificate of the root of which the dates count, nil if none was
// given: the key is pinned, and it has several.
func (c *chain) root(at time.Time) *x509.Certificate {
	var best *x509.Certificate
	for _, r := range c.roots {
		if best == nil || fresher(at, r.NotBefore, r.NotAfter, best.NotBefore, best.NotAfter) {
			best = r
		}
	}
	return best
}

// underRoot are the certificates that the root must have signed, its own among
// them.
func (p *pool) underRoot() []*x509.Certificate { return slices.Concat(p.roots, p.cas, p.signers) }

// issuers are the intermediates with the name that pck says it is from.
func (p *pool) issuers(pck *x509.Certificate) []*x509.Certificate {
	var list []*x509.Certificate
	for _, ca := range p.cas {
		if bytes.Equal(ca.RawSubject, pck.RawIssuer) {
			list = append(list, ca)
		}
	}
	return list
}

// link checks the signature of every certificate of the pool, also of those
// that nothing needs: a foreign certificate among the collateral means that
// something is wrong.
func (p *pool) link(root Root, sigs *signatures) (*chain, error) {
	if root.key == nil {
		return nil, fault.New(attest.ReasonRoot, "no root was given")
	}
	for _, c := range p.roots {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) || !publicKey(c).Equal(root.key) {
			return nil, fault.New(attest.ReasonRoot, "a foreign root of the name %s", shown(c.Subject.CommonName))
		}
	}
	for _, c := range p.underRoot() {
		if c.Issuer.CommonName != rootName {
			return nil, fault.New(attest.ReasonRoot, "certificate of %s is of issuer %s, which is no root that counts", shown(c.Subject.CommonName), shown(c.Issuer.CommonName))
		}
		if !sigs.verify(root.key, formDER, c.RawTBSCertificate, c.Signature) {
			return nil, fault.New(attest.ReasonRoot, "certificate of %s is not signed by the root", shown(c.Subject.CommonName))
		}
	}
	switch {
	case len(p.pcks) == 0:
		return nil, fmt.Errorf("no PCK certificate, neither in the quote nor in the collateral")
	case len(p.pcks) > 1:
		return nil, fmt.Errorf("%d different PCK certificates, expected one", len(p.pcks))
	}
	pck := p.pcks[0]
	for _, ca := range p.issuers(pck) {
		if sigs.verify(publicKey(ca), formDER, pck.RawTBSCertificate, pck.Signature) {
			return &chain{pck: pck, ca: ca, signers: p.signers, roots: p.roots}, nil
		}
	}
	return nil, fmt.Errorf("PCK certificate of issuer %s is not signed by any of %d intermediates", shown(pck.Issuer.CommonName), len(p.cas))
}
