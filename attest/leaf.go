// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"crypto/sha512"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// leafDomain is the first element of every leaf (SPEC.md, rule L1).
const leafDomain = "enarx-attest-leaf-v1"

// State is where a Keep is in its life.
type State string

// The states of a Keep, in order. A Keep never goes back.
const (
	StateEmpty   State = "empty"   // nobody has claimed it
	StateClaimed State = "claimed" // it has an owner and waits for the bundle
	StateRunning State = "running" // it has accepted its one bundle
)

// Leaf is what a Keep says about itself to one session. The hardware signs a
// tree of leaves, so every field is as true as the Keep runtime that filled it
// in, and that is measured.
type Leaf struct {
	// Role of the Keep in the session.
	Role Role
	// Binding of the session (see [Binding]).
	Binding [BindingSize]byte
	// ChannelKey is the key of the Keep's side of this TLS connection and
	// of nothing else: SubjectPublicKeyInfo, DER.
	ChannelKey []byte
	// IdentityKey is the workload's key: SubjectPublicKeyInfo, DER. It must
	// differ from ChannelKey.
	IdentityKey []byte
	// State of the Keep when the leaf was made.
	State State
	// BundleDigest is the identity of the accepted bundle; nil unless
	// running.
	BundleDigest *[32]byte
	// OwnerKeyHash is the SHA-256 digest of the owner's public keys, as
	// package keep/session defines it; nil while empty.
	OwnerKeyHash *[32]byte
	// StartConfigDigest is the SHA-256 digest of the start configuration
	// that the Keep was given; the platform's host-data field holds the same.
	StartConfigDigest [32]byte
	// RuntimeVersion is the Keep runtime's version: printable ASCII, for
	// people and logs. Decisions go by the measurement.
	RuntimeVersion string
}

// wireLeaf is the CBOR array of a leaf, in the order of SPEC.md, rule L1.
type wireLeaf struct {
	_                 struct{} `cbor:",toarray"`
	Domain            string
	Role              string
	Binding           []byte
	ChannelKey        []byte
	IdentityKey       []byte
	State             string
	BundleDigest      []byte
	OwnerKeyHash      []byte
	StartConfigDigest []byte
	RuntimeVersion    string
}

// encMode is RFC 8949, section 4.2.1, core deterministic encoding. nil byte
// strings are CBOR null: that is how absent digests are written.
var encMode = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic("attest: " + err.Error()) // fixed options; cannot happen at run time
	}
	return m
}()

// Check says whether the leaf is complete and consistent with its state.
func (l *Leaf) Check() error {
	if !l.Role.valid() {
		return fmt.Errorf("attest: leaf: role %q, expected %q or %q", l.Role, KeepServer, KeepClient)
	}
	if l.Binding == ([BindingSize]byte{}) {
		return fmt.Errorf("attest: leaf: the binding is all zero; take it from the connection")
	}
	if err := checkKey("channel key", l.ChannelKey); err != nil {
		return err
	}
	if err := checkKey("identity key", l.IdentityKey); err != nil {
		return err
	}
	if string(l.ChannelKey) == string(l.IdentityKey) {
		return fmt.Errorf("attest: leaf: channel key and identity key are the same, expected two keys")
	}
	if err := checkState(l.State, l.BundleDigest, l.OwnerKeyHash); err != nil {
		return err
	}
	return checkVersionText(l.RuntimeVersion)
}

func checkKey(what string, key []byte) error {
	if len(key) == 0 || len(key) > MaxKey {
		return fmt.Errorf("attest: leaf: %s of %d bytes, expected 1 to %d", what, len(key), MaxKey)
	}
	return nil
}

// checkState holds the table of SPEC.md, rule L3. A digest of zeroes stands
// for nothing and would hide a field that was never filled in.
func checkState(s State, bundle, owner *[32]byte) error {
	wantOwner, wantBundle, err := s.digests()
	if err != nil {
		return err
	}
	if err := checkDigest("bundle digest", s, bundle, wantBundle); err != nil {
		return err
	}
	return checkDigest("owner-key hash", s, owner, wantOwner)
}

// digests says which digests a leaf of state s has. It is an error if there is
// no such state.
func (s State) digests() (owner, bundle bool, err error) {
	switch s {
	case StateEmpty:
		return false, false, nil
	case StateClaimed:
		return true, false, nil
	case StateRunning:
		return true, true, nil
	}
	return false, false, fmt.Errorf("attest: leaf: state %q, expected empty, claimed or running", s)
}

func checkDigest(what string, s State, d *[32]byte, want bool) error {
	switch {
	case want && d == nil:
		return fmt.Errorf("attest: leaf: state %s without %s", s, what)
	case !want && d != nil:
		return fmt.Errorf("attest: leaf: state %s with a %s, expected none", s, what)
	case want && *d == [32]byte{}:
		return fmt.Errorf("attest: leaf: state %s with a %s of zeroes", s, what)
	}
	return nil
}

func checkVersionText(v string) error {
	if v == "" || len(v) > MaxRuntimeVersion {
		return fmt.Errorf("attest: leaf: runtime version of %d bytes, expected 1 to %d", len(v), MaxRuntimeVersion)
	}
	for _, c := range []byte(v) {
		if c < 0x21 || c > 0x7e {
			return fmt.Errorf("attest: leaf: runtime version holds byte %#x, expected printable ASCII without spaces", c)
		}
	}
	return nil
}

// Encode gives the leaf's deterministic CBOR (SPEC.md, rules L1 to L4).
func (l *Leaf) Encode() ([]byte, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	b, err := encMode.Marshal(&wireLeaf{
		Domain:            leafDomain,
		Role:              string(l.Role),
		Binding:           l.Binding[:],
		ChannelKey:        l.ChannelKey,
		IdentityKey:       l.IdentityKey,
		State:             string(l.State),
		BundleDigest:      digestBytes(l.BundleDigest),
		OwnerKeyHash:      digestBytes(l.OwnerKeyHash),
		StartConfigDigest: l.StartConfigDigest[:],
		RuntimeVersion:    l.RuntimeVersion,
	})
	if err != nil {
		return nil, fmt.Errorf("attest: leaf: %w", err)
	}
	return b, nil
}

// Hash is SHA-512(0x00 ‖ Encode()), the leaf's place in a [Tree].
func (l *Leaf) Hash() ([64]byte, error) {
	b, err := l.Encode()
	if err != nil {
		return [64]byte{}, err
	}
	return sha512.Sum512(append([]byte{0x00}, b...)), nil
}

func digestBytes(d *[32]byte) []byte {
	if d == nil {
		return nil
	}
	return d[:]
}
