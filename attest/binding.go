// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"crypto/tls"
	"fmt"
)

// Role says which side of the TLS connection the Keep is. Each role has its
// own exporter label, so evidence made for one direction is worthless in the
// other.
type Role string

// The two roles.
const (
	KeepServer Role = "keep-server" // a client connects to a Keep
	KeepClient Role = "keep-client" // a Keep connects to its Steward
)

// labelPrefix and the role make the exporter label (SPEC.md, rule B2).
const labelPrefix = "EXPORTER-Enarx-Attestation-v1 "

// BindingSize is the size of a binding in bytes.
const BindingSize = 32

func (r Role) valid() bool { return r == KeepServer || r == KeepClient }

// Label is the TLS exporter label of the role (RFC 8446, section 7.5), or ""
// for a role that does not exist.
func (r Role) Label() string {
	if !r.valid() {
		return ""
	}
	return labelPrefix + string(r)
}

// Binding takes the 32 bytes that tie evidence to one TLS connection: the
// exporter of role with an empty context, after the complete handshake.
//
// cs must come from a [tls.Conn] of the caller's own. Connections that cannot
// carry a binding are refused: an unfinished handshake, anything but TLS 1.3,
// a resumed session, and key agreement other than X25519MLKEM768. Both ends
// get the same value if and only if nobody stands between them.
func Binding(cs *tls.ConnectionState, role Role) ([BindingSize]byte, error) {
	var b [BindingSize]byte
	switch {
	case cs == nil:
		return b, fmt.Errorf("attest: binding: no connection state")
	case !role.valid():
		return b, fmt.Errorf("attest: binding: role %q, expected %q or %q", role, KeepServer, KeepClient)
	case !cs.HandshakeComplete:
		return b, fmt.Errorf("attest: binding: the TLS handshake is not complete; finish it first")
	case cs.Version != tls.VersionTLS13:
		return b, fmt.Errorf("attest: binding: %s, expected TLS 1.3", tls.VersionName(cs.Version))
	case cs.DidResume:
		return b, fmt.Errorf("attest: binding: resumed TLS session, expected a full handshake; switch session tickets off")
	case cs.CurveID != tls.X25519MLKEM768:
		return b, fmt.Errorf("attest: binding: key agreement %v, expected X25519MLKEM768", cs.CurveID)
	}
	// A nil context and an empty one are the same value in TLS 1.3.
	out, err := cs.ExportKeyingMaterial(role.Label(), nil, BindingSize)
	if err != nil {
		return b, fmt.Errorf("attest: binding: TLS exporter: %w", err)
	}
	if len(out) != BindingSize {
		return b, fmt.Errorf("attest: binding: TLS exporter gave %d bytes, expected %d", len(out), BindingSize)
	}
	copy(b[:], out)
	return b, nil
}

// PeerKey is the public key (SubjectPublicKeyInfo, DER) that the peer proved
// to hold in the handshake of cs: the channel key, when the peer is a Keep.
// Exactly one certificate is accepted, because nothing here reads a second.
func PeerKey(cs *tls.ConnectionState) ([]byte, error) {
	if cs == nil || !cs.HandshakeComplete {
		return nil, fmt.Errorf("attest: peer key: the TLS handshake is not complete; finish it first")
	}
	if n := len(cs.PeerCertificates); n != 1 {
		return nil, fmt.Errorf("attest: peer key: %d certificates from the peer, expected 1", n)
	}
	key := cs.PeerCertificates[0].RawSubjectPublicKeyInfo
	if len(key) == 0 || len(key) > MaxKey {
		return nil, fmt.Errorf("attest: peer key: %d bytes, expected 1 to %d", len(key), MaxKey)
	}
	return append([]byte(nil), key...), nil
}
