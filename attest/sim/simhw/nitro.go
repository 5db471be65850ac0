// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package simhw

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
	"github.com/enarx/enarx-go/attest/sim"
)

// nitro is the simulated AWS with one instance. As with AWS, each document has
// a certificate of its own, for three hours.
type nitro struct {
	root, instance *x509.Certificate
	key            *ecdsa.PrivateKey // of the instance; the root's is forgotten
}

const leafLife = 3 * time.Hour

func newNitro(now time.Time) (*nitro, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: root key of the Nitro shape: %w", err)
	}
	n := &nitro{}
	if n.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		return nil, fmt.Errorf("sim hardware: instance key: %w", err)
	}
	ca := func(kind string, serial int64) *x509.Certificate {
		t := caTemplate(kind, now, serial)
		t.SignatureAlgorithm = x509.ECDSAWithSHA384
		return t
	}
	root := ca("nitro root", 1)
	if n.root, err = issue(root, root, rootKey.Public(), rootKey); err != nil {
		return nil, err
	}
	instance := ca("nitro instance", 2)
	instance.MaxPathLenZero = true
	if n.instance, err = issue(instance, n.root, n.key.Public(), rootKey); err != nil {
		return nil, err
	}
	return n, nil
}

// document signs a document at the given time.
func (n *nitro) document(s Spec, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: document key: %w", err)
	}
	t := base("nitro document", now, now.Unix())
	t.NotBefore = now.UTC().Truncate(time.Second).Add(-nitrodoc.Skew)
	t.NotAfter = t.NotBefore.Add(leafLife)
	t.BasicConstraintsValid, t.KeyUsage, t.SignatureAlgorithm = true, x509.KeyUsageDigitalSignature, x509.ECDSAWithSHA384
	leaf, err := issue(t, n.instance, key.Public(), n.key)
	if err != nil {
		return nil, err
	}
	pcr0 := s.Measurement
	if s.Edit != nil {
		s.Edit(pcr0[:])
	}
	payload, err := cbor.Marshal(struct {
		ModuleID    string          `cbor:"module_id"`
		Digest      string          `cbor:"digest"`
		Timestamp   int64           `cbor:"timestamp"`
		PCRs        map[uint][]byte `cbor:"pcrs"`
		Certificate []byte          `cbor:"certificate"`
		CABundle    [][]byte        `cbor:"cabundle"`
		UserData    []byte          `cbor:"user_data"`
		Nonce       []byte          `cbor:"nonce"`
	}{
		sim.Marker, "SHA384", now.UnixMilli(),
		map[uint][]byte{0: pcr0[:], 1: make([]byte, 48), 2: make([]byte, 48)},
		leaf.Raw, [][]byte{n.root.Raw, n.instance.Raw}, s.ReportData[:], s.HostData[:],
	})
	if err != nil {
		return nil, fmt.Errorf("sim hardware: document: %w", err)
	}
	if s.Sign != nil {
		key = s.Sign
	}
	sum := nitrodoc.SignedDigest(payload)
	r, ss, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sim hardware: sign document: %w", err)
	}
	var sig [nitrodoc.SignatureSize]byte
	r.FillBytes(sig[:48])
	ss.FillBytes(sig[48:])
	return nitrodoc.Seal(payload, sig), nil
}
