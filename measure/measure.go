// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package measure holds reference values: what a known-good Keep release
// measures to on each platform, signed by whoever vouches for it.
//
//	signed, err := measure.Sign(entries, key)               // who releases
//	refs, err := measure.Verify(signed, keys, now)          // who appraises
//	refs := measure.Builtin(keepDigest, version)            // the Keep of this build
//	entries, err := measure.Linked(text, keepDigest)        // … in its image
//
// The file is JSON in a DSSE envelope with Ed25519 signatures; SPEC.md has the
// rules. [Verify] gives reference values only if one of the caller's keys
// signed the file and every entry in it is well formed; entries outside their
// dates are left out, and a file that has none left is an error.
//
// Who owns a signing key decides which Keep runtime the holders of its public
// half accept: with a Keep runtime of his own he reads their workloads. Keep it
// off the machines that run Keeps. A signed file itself is public.
//
// The package has no clock and reads no file: time and bytes are arguments.
// [GenerateKey] alone uses randomness.
package measure

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/internal/dsse"
)

// PayloadType is the DSSE payload type of signed reference values.
const PayloadType = "application/vnd.enarx.reference-values+json"

// sizes are the sizes in bytes of a launch measurement by platform. Platforms
// that are not here (vm, process) have none.
var sizes = map[string]int{
	attest.PlatformSNP:   48,
	attest.PlatformTDX:   48,
	attest.PlatformSGX:   32,
	attest.PlatformNitro: 48,
	attest.PlatformVTPM:  32,
	attest.PlatformSim:   48,
}

// Entry is one reference value.
type Entry struct {
	// Platform is "snp", "tdx", "sgx", "nitro", "vtpm" or "sim".
	Platform string
	// Measurement is the launch measurement, of the platform's size.
	Measurement []byte
	// Release is the Keep release that measures so.
	Release string
	// SourceCommit is the git commit it is built from: 40 or 64 lower-case
	// hexadecimal digits.
	SourceCommit string
	// Engine is the Wasm engine in it, with its version, or [UnknownEngine].
	Engine string
	// NotBefore and NotAfter are the first and last second at which the
	// entry counts, in UTC.
	NotBefore, NotAfter time.Time

	// What follows came with version 2 of the file.

	// Debug says that the image has ways to look inside. [Verify] leaves such
	// entries out.
	Debug bool
	// Image is the image that measures so; nil if it is not known.
	Image *Image
	// Launch are the parameters with which it measures so; nil if they are
	// not known or do not matter.
	Launch *Launch
	// Components are the parts that make up Measurement, in the order in
	// which they are measured.
	Components []attest.Component
}

// Image names an image by the digests of its manifest and of the Keep runtime
// in it.
type Image struct {
	ManifestSHA256 [32]byte
	KeepSHA256     [32]byte
}

// Launch are the parameters of a launch that enter a measurement. Zero values
// do not matter to it.
type Launch struct {
	VCPUs          int
	MemoryMiB      int
	CPU            string   // QEMU's name of the model
	Boot           string   // "uki", "uki-secure-boot" or "direct"
	FirmwareSHA256 [32]byte // of the whole firmware image
}

// Sign makes a signed file of entries.
func Sign(entries []Entry, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("reference values: signing key of %d bytes, expected %d", len(key), ed25519.PrivateKeySize)
	}
	body, err := encode(entries)
	if err != nil {
		return nil, err
	}
	// What nobody would take is not signed.
	if _, err := parse(body); err != nil {
		return nil, err
	}
	pub := key.Public().(ed25519.PublicKey)
	b, err := dsse.Seal(PayloadType, body, pub, func(m []byte) []byte { return ed25519.Sign(key, m) })
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("reference values of %d bytes, expected at most %d; sign fewer in one file", len(b), maxFile)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Read checks a signed file and gives its entries, whatever their dates, and
// the key that signed it.
func Read(signed []byte, keys []ed25519.PublicKey) ([]Entry, ed25519.PublicKey, error) {
	body, signer, err := dsse.Open(signed, PayloadType, maxFile, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("reference values: %w", err)
	}
	entries, err := parse(body)
	if err != nil {
		return nil, nil, err
	}
	return entries, signer, nil
}

// Verify checks a signed file and gives the reference values that count at the
// given time. It never returns an empty list without an error.
func Verify(signed []byte, keys []ed25519.PublicKey, at time.Time) ([]attest.ReferenceValue, error) {
	entries, signer, err := Read(signed, keys)
	if err != nil {
		return nil, err
	}
	refs := Counting(entries, at, "reference values signed by key "+dsse.KeyID(signer)[:16])
	if len(refs) == 0 {
		return nil, fmt.Errorf("reference values: none of the %d entries counts at %s; get a current file, which is not of debug images only", len(entries), stamp(at))
	}
	return refs, nil
}

// UnknownEngine is the engine of an entry whose signer does not say which one it
// has. A policy that accepts certain engines does not accept it.
const UnknownEngine = "unknown"

// Counting gives the reference values of the entries that count at the given
// time; those of debug images never do. source says to people where they came
// from.
func Counting(entries []Entry, at time.Time, source string) []attest.ReferenceValue {
	var refs []attest.ReferenceValue
	for _, e := range entries {
		if e.Debug || at.Before(e.NotBefore) || at.After(e.NotAfter) {
			continue
		}
		refs = append(refs, e.ReferenceValue(source))
	}
	return refs
}

// WithoutDebug leaves out of refs what one of entries says is a debug image's,
// whatever its dates. Files of several signers may say differently of one
// measurement, and then the word that warns is the one that counts.
func WithoutDebug(refs []attest.ReferenceValue, entries []Entry) []attest.ReferenceValue {
	return slices.DeleteFunc(slices.Clone(refs), func(r attest.ReferenceValue) bool {
		return slices.ContainsFunc(entries, func(e Entry) bool {
			return e.Debug && e.Platform == r.Platform && bytes.Equal(e.Measurement, r.Measurement)
		})
	})
}

// ReferenceValue is the entry in the form that verifiers take, whatever its
// dates. That it is of a debug image stands in its release.
func (e Entry) ReferenceValue(source string) attest.ReferenceValue {
	release := e.Release
	if e.Debug {
		release += " DEBUG"
	}
	engine := e.Engine
	if engine == UnknownEngine {
		engine = ""
	}
	return attest.ReferenceValue{Platform: e.Platform, Measurement: e.Measurement, Release: release, Engine: engine, Source: source, Debug: e.Debug, Components: e.Components}
}

// Builtin are the reference values of the Keep runtime that belongs to this
// build and need no image: sim, from the SHA-256 digest of its ELF. Those of its
// image are in [Linked].
func Builtin(keepSHA256 [32]byte, release string) []attest.ReferenceValue {
	if keepSHA256 == ([32]byte{}) {
		return nil // the digest is not known; accept nothing
	}
	m := sim.Measurement(keepSHA256)
	return []attest.ReferenceValue{{
		Platform: attest.PlatformSim, Measurement: m[:], Release: release, Source: "built into enarx " + release,
	}}
}

// Check says whether entries can be signed: all rules of SPEC.md hold.
func Check(entries []Entry) error {
	body, err := encode(entries)
	if err != nil {
		return err
	}
	_, err = parse(body)
	return err
}
