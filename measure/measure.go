// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package measure holds reference values: what a known-good Keep release
// measures to on each platform, signed by whoever vouches for it.
//
//	signed, err := measure.Sign(entries, key)               // who releases
//	refs, err := measure.Verify(signed, keys, now)          // who appraises
//	refs := measure.Builtin(keepDigest, version)            // the Keep of this build
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
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/internal/dsse"
)

// PayloadType is the DSSE payload type of signed reference values.
const PayloadType = "application/vnd.enarx.reference-values+json"

// version of the payload.
const version = 1

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
	// Engine is the Wasm engine in it, with its version.
	Engine string
	// NotBefore and NotAfter are the first and last second at which the
	// entry counts, in UTC.
	NotBefore, NotAfter time.Time
}

type payload struct {
	Version int         `json:"version"`
	Entries []wireEntry `json:"entries"`
}

type wireEntry struct {
	Platform     string `json:"platform"`
	Measurement  string `json:"measurement"`
	Release      string `json:"release"`
	SourceCommit string `json:"source_commit"`
	Engine       string `json:"engine"`
	NotBefore    string `json:"not_before"`
	NotAfter     string `json:"not_after"`
}

// Sign makes a signed file of entries.
func Sign(entries []Entry, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("reference values: signing key of %d bytes, expected %d", len(key), ed25519.PrivateKeySize)
	}
	p := payload{Version: version}
	for _, e := range entries {
		p.Entries = append(p.Entries, wireEntry{
			Platform: e.Platform, Measurement: hex.EncodeToString(e.Measurement), Release: e.Release,
			SourceCommit: e.SourceCommit, Engine: e.Engine, NotBefore: stamp(e.NotBefore), NotAfter: stamp(e.NotAfter),
		})
	}
	body, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return nil, fmt.Errorf("reference values: %w", err)
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
	var refs []attest.ReferenceValue
	for _, e := range entries {
		if at.Before(e.NotBefore) || at.After(e.NotAfter) {
			continue
		}
		refs = append(refs, attest.ReferenceValue{
			Platform: e.Platform, Measurement: e.Measurement, Release: e.Release,
			Source: "reference values signed by key " + dsse.KeyID(signer)[:16],
		})
	}
	if len(refs) == 0 {
		return nil, fmt.Errorf("reference values: none of the %d entries counts at %s; get a current file", len(entries), stamp(at))
	}
	return refs, nil
}

// Builtin are the reference values of the Keep runtime that belongs to this
// build, from the SHA-256 digest of its ELF: sim alone, until an image is built
// whose launch measurements can be computed.
func Builtin(keepSHA256 [32]byte, release string) []attest.ReferenceValue {
	if keepSHA256 == ([32]byte{}) {
		return nil // the digest is not known; accept nothing
	}
	m := sim.Measurement(keepSHA256)
	return []attest.ReferenceValue{{
		Platform: attest.PlatformSim, Measurement: m[:], Release: release, Source: "built into enarx " + release,
	}}
}

// parse reads a payload strictly.
func parse(body []byte) ([]Entry, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var p payload
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("reference values: not the JSON of SPEC.md: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("reference values: something follows the JSON")
	}
	if p.Version != version {
		return nil, fmt.Errorf("reference values: version %d, expected %d", p.Version, version)
	}
	if n := len(p.Entries); n == 0 || n > maxEntries {
		return nil, fmt.Errorf("reference values: %d entries, expected 1 to %d", n, maxEntries)
	}
	entries := make([]Entry, 0, len(p.Entries))
	seen := map[string]bool{}
	for i, w := range p.Entries {
		e, err := w.entry()
		if err != nil {
			return nil, fmt.Errorf("reference values: entry %d: %w", i, err)
		}
		id := w.Platform + " " + w.Measurement
		if seen[id] {
			return nil, fmt.Errorf("reference values: entry %d: %s measurement stands twice", i, w.Platform)
		}
		seen[id] = true
		entries = append(entries, e)
	}
	return entries, nil
}

func (w wireEntry) entry() (Entry, error) {
	size, ok := sizes[w.Platform]
	if !ok {
		return Entry{}, fmt.Errorf("platform %.32q has no launch measurement", w.Platform)
	}
	m, err := lowerHex(w.Measurement)
	if err != nil || len(m) != size {
		return Entry{}, fmt.Errorf("measurement is not %d bytes of lower-case hexadecimal, as %s has", size, w.Platform)
	}
	if c, err := lowerHex(w.SourceCommit); err != nil || len(c) != 20 && len(c) != 32 {
		return Entry{}, fmt.Errorf("source commit is not 40 or 64 lower-case hexadecimal digits")
	}
	if err := checkText("release", w.Release); err != nil {
		return Entry{}, err
	}
	if err := checkText("engine", w.Engine); err != nil {
		return Entry{}, err
	}
	from, err := readStamp(w.NotBefore)
	if err != nil {
		return Entry{}, err
	}
	to, err := readStamp(w.NotAfter)
	if err != nil {
		return Entry{}, err
	}
	if to.Before(from) {
		return Entry{}, fmt.Errorf("not_after %s lies before not_before %s", w.NotAfter, w.NotBefore)
	}
	return Entry{
		Platform: w.Platform, Measurement: m, Release: w.Release, SourceCommit: w.SourceCommit, Engine: w.Engine,
		NotBefore: from, NotAfter: to,
	}, nil
}

// lowerHex refuses upper case, so that one measurement has one text.
func lowerHex(s string) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err == nil && hex.EncodeToString(b) != s {
		err = fmt.Errorf("upper case")
	}
	return b, err
}

func checkText(what, s string) error {
	if s == "" || len(s) > maxText {
		return fmt.Errorf("%s of %d bytes, expected 1 to %d", what, len(s), maxText)
	}
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return fmt.Errorf("%s holds byte %#x, expected printable ASCII", what, c)
		}
	}
	return nil
}

const stampLayout = "2006-01-02T15:04:05Z"

func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

func readStamp(s string) (time.Time, error) {
	t, err := time.Parse(stampLayout, s)
	if err != nil || stamp(t) != s {
		return time.Time{}, fmt.Errorf("%.32q is no time like 2026-01-31T00:00:00Z", s)
	}
	return t, nil
}
