// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package simhw

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
	"github.com/enarx/enarx-go/attest/sim"
)

// savedLimit bounds a saved authority in bytes; one has about 14,000.
const savedLimit = 64 << 10

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Save gives the authority as PEM: root, intermediate, VCEK and the chip's
// private key (PKCS #8), which is all that older versions saved; and then what
// the other shapes need. Keep it readable by its owner alone.
func (a *Authority) Save() ([]byte, error) {
	var b bytes.Buffer
	var err error
	put := func(kind string, der []byte) { b.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})) }
	key := func(k *ecdsa.PrivateKey) {
		der, kerr := x509.MarshalPKCS8PrivateKey(k)
		if kerr != nil {
			err = fmt.Errorf("sim hardware: save: %w", kerr)
		}
		put(pemKey, der)
	}
	for _, c := range []*x509.Certificate{a.root, a.ask, a.vcek} {
		put(pemCert, c.Raw)
	}
	key(a.key)
	if v := a.intel; v != nil {
		for _, c := range []*x509.Certificate{v.root, v.ca, v.signer, v.pck} {
			put(pemCert, c.Raw)
		}
		put(pemCRL, v.rootCRL)
		put(pemCRL, v.caCRL)
		for i, d := range v.docs {
			put(docNames[i], d)
		}
		key(v.pckKey)
	}
	if n := a.nitro; n != nil {
		put(pemCert, n.root.Raw)
		put(pemCert, n.instance.Raw)
		key(n.key)
	}
	if s := a.tpm; s != nil {
		put(pemCert, s.root.Raw)
		put(pemCert, s.ak.Raw)
		key(s.key)
	}
	return b.Bytes(), err
}

// Types of PEM blocks in a saved authority.
const (
	pemCert = "CERTIFICATE"
	pemCRL  = "X509 CRL"
	pemKey  = "PRIVATE KEY"
)

// blocks takes a saved authority apart, in order. The first error stays.
type blocks struct {
	rest []byte
	err  error
}

func (b *blocks) take(kind string) []byte {
	if b.err != nil {
		return nil
	}
	block, rest := pem.Decode(b.rest)
	if block == nil || block.Type != kind || len(block.Headers) != 0 {
		b.err = fmt.Errorf("sim hardware: the file is not a saved authority: no %s where one belongs", strings.ToLower(kind))
		return nil
	}
	b.rest = rest
	return block.Bytes
}

func (b *blocks) cert(to ...**x509.Certificate) {
	for _, c := range to {
		der := b.take(pemCert)
		if b.err != nil {
			return
		}
		if *c, b.err = x509.ParseCertificate(der); b.err != nil {
			b.err = fmt.Errorf("sim hardware: certificate: %w", b.err)
		}
	}
}

func (b *blocks) key(to **ecdsa.PrivateKey) {
	der := b.take(pemKey)
	if b.err != nil {
		return
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		b.err = fmt.Errorf("sim hardware: key: %w", err)
		return
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		b.err = fmt.Errorf("sim hardware: key of type %T, expected ECDSA", key)
		return
	}
	*to = k
}

// Load reads what Save wrote. What an older version wrote, which knew the
// format snp alone, is still good for that; see [Authority.CheckFormat].
func Load(saved []byte) (*Authority, error) {
	if len(saved) > savedLimit {
		return nil, fmt.Errorf("sim hardware: file of %d bytes, expected at most %d", len(saved), savedLimit)
	}
	a, b := &Authority{}, &blocks{rest: saved}
	b.cert(&a.root, &a.ask, &a.vcek)
	b.key(&a.key)
	if b.err == nil && len(b.rest) != 0 {
		v, n := &intel{}, &nitro{}
		b.cert(&v.root, &v.ca, &v.signer, &v.pck)
		v.rootCRL, v.caCRL = b.take(pemCRL), b.take(pemCRL)
		for i := range v.docs {
			v.docs[i] = b.take(docNames[i])
		}
		b.key(&v.pckKey)
		b.cert(&n.root, &n.instance)
		b.key(&n.key)
		if b.err == nil && len(b.rest) != 0 {
			a.tpm = &tpmShape{}
			b.cert(&a.tpm.root, &a.tpm.ak)
			b.key(&a.tpm.key)
		}
		if b.err == nil && len(b.rest) != 0 {
			b.err = fmt.Errorf("sim hardware: something follows the saved authority")
		}
		if b.err == nil {
			b.err = v.start()
		}
		a.intel, a.nitro = v, n
	}
	if b.err != nil {
		return nil, b.err
	}
	for _, e := range a.vcek.Extensions {
		if e.Id.Equal(snpreport.OIDHardwareID) && len(e.Value) == len(a.chipID) {
			copy(a.chipID[:], e.Value)
		}
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	return a, nil
}

// check makes evidence of every shape and has it verified, so that a broken
// authority is found here and not by a client far away.
func (a *Authority) check() error {
	root, err := sim.ParseRoot(a.RootPEM())
	if err != nil {
		return fmt.Errorf("sim hardware: %w", err)
	}
	if a.chipID == ([64]byte{}) {
		return fmt.Errorf("sim hardware: VCEK without chip id")
	}
	if !slices.Equal(root.Formats(), a.Formats()) {
		return fmt.Errorf("sim hardware: the root is for formats %v, the keys for %v", root.Formats(), a.Formats())
	}
	s := Spec{ReportData: [64]byte{1}, Measurement: [48]byte{1}, HostData: [32]byte{1}}
	exp := attest.Expected{ReportData: s.ReportData, HostData: s.HostData,
		Measurements: []attest.ReferenceValue{{Platform: attest.PlatformSim, Measurement: s.Measurement[:], Release: "none", Source: "a test of the authority"}}}
	at := a.root.NotBefore.Add(time.Hour)
	for _, format := range a.Formats() {
		ev, err := a.Evidence(format, s, at)
		if err != nil {
			return err
		}
		col, err := a.Collateral(format)
		if err != nil {
			return err
		}
		if claims, v := sim.New(root).Verify(ev, col, exp, at); claims == nil {
			return fmt.Errorf("sim hardware: evidence of format %s does not verify: %w", format, v.Err())
		}
	}
	return nil
}
