// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
)

// alpn names the protocol in the TLS handshake, so that a Keep's channel can
// never be confused with a workload's listener.
const alpn = "enarx-keep/1"

// ServerTLS is the Keep's side of the channel: TLS 1.3, X25519MLKEM768 and
// nothing else, no tickets, the channel key's self-signed certificate.
func ServerTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:                []tls.Certificate{cert},
		MinVersion:                  tls.VersionTLS13,
		CurvePreferences:            []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:                  []string{alpn},
		VerifyConnection:            verifyHandshake, // a client without ALPN would pass otherwise
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
}

// ClientTLS is the client's side. The certificate is not judged here: it is
// self-signed by a key that was made a moment ago. What makes the connection
// worth anything is evidence bound to it, which comes after the handshake.
func ClientTLS() *tls.Config {
	return &tls.Config{
		// The peer is authenticated by evidence over this connection's own
		// exporter and the key of this very handshake, never by a name.
		InsecureSkipVerify:          true,
		VerifyConnection:            verifyPeer,
		MinVersion:                  tls.VersionTLS13,
		CurvePreferences:            []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:                  []string{alpn},
		DynamicRecordSizingDisabled: true,
	}
}

// verifyHandshake refuses connections on which the binding would not mean what
// attest/SPEC.md says it means. Both ends check it.
func verifyHandshake(cs tls.ConnectionState) error {
	switch {
	case cs.Version != tls.VersionTLS13:
		return fmt.Errorf("attested channel: seen TLS version %#x, expected TLS 1.3", cs.Version)
	case cs.DidResume:
		return errors.New("attested channel: the connection was resumed; a fresh handshake is required")
	case cs.CurveID != tls.X25519MLKEM768:
		return fmt.Errorf("attested channel: seen key agreement %v, expected X25519MLKEM768", cs.CurveID)
	case cs.NegotiatedProtocol != alpn:
		return fmt.Errorf("attested channel: the peer speaks %q, expected %q; is this the port of a workload?", cs.NegotiatedProtocol, alpn)
	}
	return nil
}

// verifyPeer is the client's check: the handshake, and that the Keep showed one
// certificate with a channel key.
func verifyPeer(cs tls.ConnectionState) error {
	if err := verifyHandshake(cs); err != nil {
		return err
	}
	if len(cs.PeerCertificates) != 1 {
		return fmt.Errorf("attested channel: seen %d certificates, expected the channel key's one", len(cs.PeerCertificates))
	}
	if _, ok := cs.PeerCertificates[0].PublicKey.(ed25519.PublicKey); !ok {
		return fmt.Errorf("attested channel: seen a %T as channel key, expected Ed25519", cs.PeerCertificates[0].PublicKey)
	}
	return nil
}

// ChannelKeyOf returns the channel key of the peer as the handshake proved it:
// the SubjectPublicKeyInfo, DER.
func ChannelKeyOf(cs tls.ConnectionState) ([]byte, error) {
	if err := verifyPeer(cs); err != nil {
		return nil, err
	}
	return cs.PeerCertificates[0].RawSubjectPublicKeyInfo, nil
}
