// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package simhw

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/enarx/enarx-go/attest/internal/snpreport"
	"github.com/enarx/enarx-go/attest/sim"
)

// savedLimit bounds a saved authority in bytes; one has about 7,000.
const savedLimit = 64 << 10

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Save gives the authority as PEM: root, intermediate, VCEK, and the chip's
// private key (PKCS #8). Keep it readable by its owner alone.
func (a *Authority) Save() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: save: %w", err)
	}
	var b bytes.Buffer
	for _, c := range []*x509.Certificate{a.root, a.ask, a.vcek} {
		b.Write(certPEM(c))
	}
	b.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return b.Bytes(), nil
}

// Load reads what Save wrote.
func Load(saved []byte) (*Authority, error) {
	if len(saved) > savedLimit {
		return nil, fmt.Errorf("sim hardware: file of %d bytes, expected at most %d", len(saved), savedLimit)
	}
	a := &Authority{}
	for _, to := range []**x509.Certificate{&a.root, &a.ask, &a.vcek} {
		block, rest := pem.Decode(saved)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("sim hardware: file is not three certificates and a key; remove it to have a new one made")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("sim hardware: certificate: %w", err)
		}
		*to, saved = c, rest
	}
	block, rest := pem.Decode(saved)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("sim hardware: file is not three certificates and a key; remove it to have a new one made")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: key: %w", err)
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("sim hardware: key of type %T, expected ECDSA P-384", key)
	}
	a.key = k
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

// check reads an authority's own output back, so that a broken one is found
// here and not by a client far away.
func (a *Authority) check() error {
	if _, err := sim.ParseRoot(a.RootPEM()); err != nil {
		return fmt.Errorf("sim hardware: %w", err)
	}
	if err := a.ask.CheckSignatureFrom(a.root); err != nil {
		return fmt.Errorf("sim hardware: intermediate: %w", err)
	}
	if err := a.vcek.CheckSignatureFrom(a.ask); err != nil {
		return fmt.Errorf("sim hardware: VCEK: %w", err)
	}
	if pub, ok := a.vcek.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(a.key.Public()) {
		return fmt.Errorf("sim hardware: the key does not belong to the VCEK")
	}
	if a.chipID == ([64]byte{}) {
		return fmt.Errorf("sim hardware: VCEK without chip id")
	}
	return nil
}
