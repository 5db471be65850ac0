// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package simhw

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/sim"
)

// tpmShape is the simulated maker of TPMs with one TPM, whose attestation key is
// certified. Its endorsement key is the same key: nothing is ever sent to it.
type tpmShape struct {
	root, ak *x509.Certificate
	key      *ecdsa.PrivateKey // of the attestation key; the root's is forgotten
}

func newTPM(now time.Time) (*tpmShape, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: root key of the TPM shape: %w", err)
	}
	s := &tpmShape{}
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("sim hardware: attestation key: %w", err)
	}
	root := caTemplate("tpm root", now, 1)
	root.SignatureAlgorithm = x509.ECDSAWithSHA256
	if s.root, err = issue(root, root, rootKey.Public(), rootKey); err != nil {
		return nil, err
	}
	ak := base("tpm attestation key", now, 2)
	ak.SignatureAlgorithm, ak.KeyUsage, ak.BasicConstraintsValid = x509.ECDSAWithSHA256, x509.KeyUsageDigitalSignature, true
	s.ak, err = issue(ak, s.root, s.key.Public(), rootKey)
	return s, err
}

// quote makes evidence of a Keep. Edit changes the measurement.
func (s *tpmShape) quote(spec Spec) ([]byte, error) {
	key := s.key
	if spec.Sign != nil {
		key = spec.Sign
	}
	t, err := softtpm.New(rand.Reader, s.key, s.key)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: %w", err)
	}
	t.AK, t.Certificate, t.EKPublic = key, s.ak.Raw, t.AKPublic
	m := spec.Measurement
	if spec.Edit != nil {
		spec.Edit(m[:])
	}
	t.Event(sim.PCRMeasurement, sim.EventMeasurement, m[:], m[:])
	t.Extend(attest.PCRStart, sha256.Sum256(attest.StartEvent(spec.HostData)))
	e, err := t.Evidence(spec.ReportData)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: quote: %w", err)
	}
	return e.Encode()
}

func (s *tpmShape) collateral() attest.Collateral {
	return attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: s.ak.Raw}}
}
