// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// The modes of a start configuration.
const (
	ModePush = "push" // the client attests the empty Keep and brings the bundle
	ModePull = "pull" // the Keep attests itself to the Steward and fetches it
)

// startDomain separates the digest of a start configuration from every other
// use of SHA-256.
const startDomain = "enarx sallyport start-configuration v1\x00"

// platforms are the kinds of Keep (DESIGN, vocabulary). A configuration that
// names another one is refused: a Keep takes its evidence source from it.
var platforms = []string{"snp", "tdx", "sgx", "vtpm", "vm", "process", "sim"}

// Encode gives the configuration's one encoding: deterministic CBOR, as it
// travels and as it is digested.
func (c StartConfig) Encode() []byte { return encode(startMessage(c)) }

// Digest is SHA-256 over a domain of its own and the configuration's encoding.
// The platform's host-data field carries it, and with it every claim the Keep
// makes.
func (c StartConfig) Digest() [32]byte {
	return sha256.Sum256(append([]byte(startDomain), c.Encode()...))
}

// ParseStartConfig reads an encoding. It refuses everything that
// [StartConfig.Encode] does not produce and everything that
// [StartConfig.Check] refuses.
func ParseStartConfig(b []byte) (StartConfig, error) {
	if len(b) > maxMessage {
		return StartConfig{}, fmt.Errorf("sallyport: start configuration has %d bytes, at most %d are allowed", len(b), maxMessage)
	}
	m, err := decode[startMessage](b)
	if err != nil {
		return StartConfig{}, err
	}
	c := StartConfig(m)
	if err := c.Check(); err != nil {
		return StartConfig{}, err
	}
	return c, nil
}

// Check says what is wrong with the configuration itself. That it passes says
// nothing about whether the host may be believed.
func (c StartConfig) Check() error {
	if !slices.Contains(platforms, c.Platform) {
		return fmt.Errorf("sallyport: start configuration names platform %q, expected one of %v", clean(c.Platform), platforms)
	}
	if c.MaxSessions > MaxAttach {
		return fmt.Errorf("sallyport: start configuration asks for %d sessions, at most %d are allowed", c.MaxSessions, MaxAttach)
	}
	switch c.Mode {
	case ModePush:
		if len(c.BundleDigest) != 0 || c.Steward != "" || len(c.StewardKeyHash) != 0 {
			return fmt.Errorf("sallyport: start configuration of mode push has a bundle digest or a Steward; leave them out")
		}
	case ModePull:
		if len(c.BundleDigest) != sha256.Size || len(c.StewardKeyHash) != sha256.Size {
			return fmt.Errorf("sallyport: start configuration of mode pull has a bundle digest of %d and a Steward key hash of %d bytes, expected 32 each",
				len(c.BundleDigest), len(c.StewardKeyHash))
		}
		if c.Steward == "" || len(c.Steward) > maxSteward {
			return fmt.Errorf("sallyport: start configuration of mode pull has a Steward address of %d bytes, expected 1 to %d", len(c.Steward), maxSteward)
		}
	default:
		return fmt.Errorf("sallyport: start configuration has mode %q, expected push or pull", clean(c.Mode))
	}
	return nil
}
