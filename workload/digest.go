// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	digestPrefix      = "bundle:sha256:"
	precompiledPrefix = "precompiled:sha256:"
)

// Digest is the identity of a workload: the SHA-256 digest over its canonical
// bundle, precompiled code left out (see SPEC.md, section 5).
type Digest [32]byte

// String gives the digest in its one text form, "bundle:sha256:" and 64
// lower-case hexadecimal digits.
func (d Digest) String() string { return digestPrefix + hex.EncodeToString(d[:]) }

// IsZero says that d is not set. A zero digest is never a valid identity.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText gives the form of [Digest.String]. A zero digest is an error, so
// that one which was never set cannot be written down as an identity.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, fmt.Errorf("workload: digest is not set")
	}
	return []byte(d.String()), nil
}

// UnmarshalText is the reverse of MarshalText, with the errors of [ParseDigest].
func (d *Digest) UnmarshalText(text []byte) error {
	v, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// ParseDigest reads the text form of a digest. It takes exactly what
// [Digest.String] gives: no upper case, no bare hexadecimal, no zero digest.
func ParseDigest(s string) (Digest, error) {
	b, err := parseHash(s, digestPrefix)
	return Digest(b), err
}

// PrecompiledDigest is the digest of a bundle's precompiled code. It covers
// the digest of the bundle too: the same code in another bundle has another
// digest, so a claim about one cannot be moved to the other.
type PrecompiledDigest [32]byte

// String gives the text form, "precompiled:sha256:" and 64 lower-case
// hexadecimal digits.
func (d PrecompiledDigest) String() string { return precompiledPrefix + hex.EncodeToString(d[:]) }

// ParsePrecompiledDigest reads the text form of a digest of precompiled code,
// exactly as [PrecompiledDigest.String] gives it.
func ParsePrecompiledDigest(s string) (PrecompiledDigest, error) {
	b, err := parseHash(s, precompiledPrefix)
	return PrecompiledDigest(b), err
}

func parseHash(s, prefix string) ([32]byte, error) {
	var d [32]byte
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok || len(digits) != 64 || strings.ToLower(digits) != digits {
		return d, fmt.Errorf("workload: reading a digest: %q is not %q and 64 lower-case hexadecimal digits", clip(s), prefix)
	}
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return [32]byte{}, fmt.Errorf("workload: reading a digest: %q is not %q and 64 lower-case hexadecimal digits", clip(s), prefix)
	}
	if d == [32]byte{} {
		return d, fmt.Errorf("workload: reading a digest: all digits are zero, which is never an identity")
	}
	return d, nil
}

// clip keeps hostile text in messages short.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
