// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/netip"
	"time"
)

// identity is the Keep's two key pairs. Both are made at start, both are in
// every piece of evidence, neither leaves the process, both die with it.
//
// The channel key serves the attested channel and the end record and nothing
// else; the identity key is the workload's face: its TLS listeners, its client
// certificate, later its certificate request. Two keys, because a key that a
// workload's peers can put questions to must not be the one that speaks for the
// Keep.
type identity struct {
	channel     ed25519.PrivateKey
	channelSPKI []byte // SubjectPublicKeyInfo, DER
	channelCert tls.Certificate

	key  *ecdsa.PrivateKey // P-256: what every TLS client can check
	spki []byte
}

func newIdentity() (*identity, error) {
	pub, channel, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: channel key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: identity key: %w", err)
	}
	id := &identity{channel: channel, key: key}
	if id.channelSPKI, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		return nil, fmt.Errorf("identity: channel key: %w", err)
	}
	if id.spki, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err != nil {
		return nil, fmt.Errorf("identity: identity key: %w", err)
	}
	// Nobody reads names or dates of this certificate: the client knows the
	// key by evidence. It only carries the key into the handshake.
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, BuildTime),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, 4.1.2.5: no expiry
	}, &x509.Certificate{}, pub, channel)
	if err != nil {
		return nil, fmt.Errorf("identity: channel certificate: %w", err)
	}
	id.channelCert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: channel}
	return id, nil
}

// certLife is how long an identity certificate is valid. There is no renewal
// without a Steward, so it is as long as a Keep without one may sensibly live.
const certLife = 90 * 24 * time.Hour

// certSkew is how far a peer's clock may be behind the trusted time.
const certSkew = 5 * time.Minute

// certificate makes the self-signed identity certificate. names are DNS names
// or IP addresses, chosen by the owner: they say where to find the workload,
// the evidence says what it is.
func (id *identity) certificate(names []string, now time.Time) (tls.Certificate, error) {
	serial := make([]byte, 16)
	rand.Read(serial) // never fails
	serial[0] &= 0x7f
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: "Enarx Keep"},
		NotBefore:    now.Add(-certSkew),
		NotAfter:     now.Add(certLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},

		BasicConstraintsValid: true,
	}
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
	}
	for _, n := range names {
		if a, err := netip.ParseAddr(n); err == nil && a.Zone() == "" {
			t.IPAddresses = append(t.IPAddresses, a.AsSlice())
		} else if validName(n) {
			t.DNSNames = append(t.DNSNames, n)
		} else {
			return tls.Certificate{}, fmt.Errorf("identity certificate: %q is no DNS name or address", n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &id.key.PublicKey, id.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("identity certificate: %w", err)
	}
	// Check our own output before it leaves: the certificate must be valid
	// by the rules that its users apply.
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("identity certificate: %w", err)
	}
	if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
		return tls.Certificate{}, fmt.Errorf("identity certificate: own signature: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: id.key, Leaf: leaf}, nil
}

// validName accepts letters, digits, '-', '.', '_' and a leading "*.".
func validName(n string) bool {
	if len(n) > 2 && n[:2] == "*." {
		n = n[2:]
	}
	for i := range len(n) {
		c := n[i]
		ok := c == '-' || c == '.' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !ok {
			return false
		}
	}
	return n != "" && n[0] != '.' && n[0] != '-'
}
