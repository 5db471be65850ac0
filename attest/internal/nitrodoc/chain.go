// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitrodoc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/derform"
	"github.com/enarx/enarx-go/attest/internal/fault"
	"github.com/enarx/enarx-go/attest/internal/parallel"
)

// parseCert reads one certificate of the form that all of AWS's have.
func parseCert(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("not a certificate: %w", err)
	}
	if err := derform.Signed(der); err != nil {
		return nil, err
	}
	name := shown(c.Subject.CommonName)
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	switch {
	case c.Version != 3:
		return nil, fmt.Errorf("certificate of %s has version %d, expected 3", name, c.Version)
	case len(c.UnhandledCriticalExtensions) != 0:
		return nil, fmt.Errorf("certificate of %s has the unknown critical extension %v", name, c.UnhandledCriticalExtensions[0])
	case !ok || key.Curve != elliptic.P384():
		return nil, fmt.Errorf("key of %s is not on P-384", name)
	case c.SignatureAlgorithm != x509.ECDSAWithSHA384:
		return nil, fmt.Errorf("certificate of %s is signed with %v, expected ECDSA with SHA-384", name, c.SignatureAlgorithm)
	case !c.BasicConstraintsValid:
		return nil, fmt.Errorf("certificate of %s has no basic constraints", name)
	}
	return c, nil
}

// CheckRoot says whether c can be a root at all: a self-signed authority of
// the form that AWS uses. Whose it is, is the caller's question.
func CheckRoot(c *x509.Certificate) error {
	if _, err := parseCert(c.Raw); err != nil {
		return err
	}
	if err := checkAuthority(c, maxBundle); err != nil {
		return err
	}
	if !bytes.Equal(c.RawSubject, c.RawIssuer) {
		return fmt.Errorf("%s is not self-issued", shown(c.Subject.CommonName))
	}
	return c.CheckSignatureFrom(c)
}

// checkAuthority says whether c may sign certificates with below further
// authorities between it and the document's certificate.
func checkAuthority(c *x509.Certificate, below int) error {
	name := shown(c.Subject.CommonName)
	switch {
	case !c.IsCA || !critical(c, oidBasicConstraints):
		return fmt.Errorf("%s is no certificate authority, or does not say so critically", name)
	case c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("%s may not sign certificates", name)
	case below > c.MaxPathLen && (c.MaxPathLenZero || c.MaxPathLen > 0):
		return fmt.Errorf("%d authorities below %s, which allows %d", below, name, c.MaxPathLen)
	}
	return nil
}

var oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}

func critical(c *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(c.Extensions, func(e extension) bool { return e.Critical && e.Id.Equal(oid) })
}

// readChain reads the document's chain, root first and the document's own
// certificate last, and checks all of it but the signatures.
func (d *Document) readChain(root *x509.Certificate) ([]*x509.Certificate, error) {
	if root == nil {
		return nil, fault.New(attest.ReasonRoot, "no root was given")
	}
	if !bytes.Equal(d.CABundle[0], root.Raw) {
		return nil, fault.New(attest.ReasonRoot, "the bundle begins with another certificate than the root%s", impostor(d.CABundle[0], root))
	}
	chain := []*x509.Certificate{root}
	if err := checkAuthority(root, len(d.CABundle)-1); err != nil {
		return nil, err
	}
	for i, der := range d.CABundle[1:] {
		c, err := parseCert(der)
		if err == nil {
			err = checkAuthority(c, len(d.CABundle)-2-i)
		}
		if err == nil {
			err = checkIssuer(c, chain[i])
		}
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the bundle: %w", i+1, err)
		}
		chain = append(chain, c)
	}
	leaf, err := parseCert(d.Certificate)
	if err == nil && (leaf.IsCA || leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0) {
		err = fmt.Errorf("%s is an authority, or may not sign", shown(leaf.Subject.CommonName))
	}
	if err == nil {
		err = checkIssuer(leaf, chain[len(chain)-1])
	}
	if err != nil {
		return nil, fmt.Errorf("certificate of the document: %w", err)
	}
	return append(chain, leaf), nil
}

// checkSignatures checks the signatures of the chain, the root's own aside,
// and the document's by the last of it. None needs another's result, so they
// are computed at the same time; the document's counts only if the chain's do.
func (d *Document) checkSignatures(chain []*x509.Certificate, cache *Cache) (ofChain, ofDocument error) {
	errs := make([]error, len(chain))
	tasks := make([]func(), 0, len(chain))
	leaf := chain[len(chain)-1]
	tasks = append(tasks, func() {
		key, _ := leaf.PublicKey.(*ecdsa.PublicKey)
		errs[0] = d.CheckSignature(key)
	})
	for i, c := range chain[1:] {
		tasks = append(tasks, func() {
			errs[i+1] = cache.check(chain[i], c.Raw, func() error { return c.CheckSignatureFrom(chain[i]) })
		})
	}
	parallel.Do(tasks)
	for i, err := range errs[1:] {
		if err != nil {
			return fault.New(attest.ReasonSignature, "signature of %s on %s: %w", shown(chain[i].Subject.CommonName), shown(chain[i+1].Subject.CommonName), err), nil
		}
	}
	return nil, errs[0]
}

// impostor tells, for people, a stranger from somebody with the root's name.
func impostor(der []byte, root *x509.Certificate) string {
	c, err := x509.ParseCertificate(der)
	if err != nil || !bytes.Equal(c.RawSubject, root.RawSubject) {
		return ""
	}
	return ", though it has the root's name"
}

// checkIssuer says whether c names parent as its issuer. That parent is an
// authority has been checked.
func checkIssuer(c, parent *x509.Certificate) error {
	if !bytes.Equal(c.RawIssuer, parent.RawSubject) {
		return fmt.Errorf("%s was issued by %s, not by %s", shown(c.Subject.CommonName), shown(c.Issuer.CommonName), shown(parent.Subject.CommonName))
	}
	return nil
}

// chainText names the chain for people, from the document's certificate up.
func chainText(chain []*x509.Certificate) string {
	var names []string
	for _, c := range slices.Backward(chain) {
		names = append(names, shown(c.Subject.CommonName))
	}
	return strings.Join(names, " <- ")
}
