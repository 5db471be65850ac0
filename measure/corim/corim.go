// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package corim writes reference values as a CoRIM (Concise Reference Integrity
// Manifest, draft-ietf-rats-corim-10) and reads them back, so that verifiers of
// other makers can use them.
//
//	b, err := corim.Encode(entries)                   // tag 501, not signed
//	b, err := corim.Sign(entries, "who", key)         // COSE_Sign1, tag 18, Ed25519
//	entries, err := corim.Decode(b)                   // not signed: for people to look at
//	entries, signer, err := corim.Open(b, keys)       // signed by one of keys
//
// It is a subset with one encoding for each set of entries, which SPEC.md of
// package measure lists field by field; what [Encode] does not write, [Decode]
// does not take. In particular a CoRIM of another maker is refused, unless it
// keeps to the profile: what else it might say of a Keep could only be ignored.
//
// A CoRIM has dates as a whole, so all entries in one must have the same.
package corim

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/internal/detcbor"
	"github.com/enarx/enarx-go/measure"
)

// Tags (draft-ietf-rats-corim-10, section 12.2; RFC 8949; RFC 9052).
const (
	tagTime  = 1
	tagSign1 = 18
	tagURI   = 32
	tagCoRIM = 501
	tagCoMID = 506
)

// profile says that a CoRIM is of the subset.
const profile = "https://github.com/enarx/enarx-go/blob/main/measure/SPEC.md#corim"

// id is the identifier of the CoRIMs made here; what is in one says which.
const id = "enarx reference values"

// vendor is the maker of what is measured.
const vendor = "Enarx"

// Hash algorithms (IANA, Named Information Hash Algorithm Registry) by size.
var algorithms = map[int]int{32: 1, 48: 7, 64: 8}

type corimMap struct {
	ID       string        `cbor:"0,keyasint"`
	Tags     []detcbor.Tag `cbor:"1,keyasint"`
	Profile  detcbor.Tag   `cbor:"3,keyasint"`
	Validity validityMap   `cbor:"4,keyasint"`
}

type validityMap struct {
	NotBefore detcbor.Tag `cbor:"0,keyasint"`
	NotAfter  detcbor.Tag `cbor:"1,keyasint"`
}

// comid is a concise-mid-tag with one reference triple.
type comid struct {
	Identity tagIdentity `cbor:"1,keyasint"`
	Triples  triples     `cbor:"4,keyasint"`
}

type tagIdentity struct {
	ID string `cbor:"0,keyasint"`
}

type triples struct {
	Reference []referenceTriple `cbor:"0,keyasint"`
}

type referenceTriple struct {
	_            struct{} `cbor:",toarray"`
	Environment  environment
	Measurements []measurement
}

type environment struct {
	Class class `cbor:"0,keyasint"`
}

type class struct {
	Vendor string `cbor:"1,keyasint"`
	Model  string `cbor:"2,keyasint"` // the platform
}

type measurement struct {
	Key    string `cbor:"0,keyasint"`
	Values values `cbor:"1,keyasint"`
}

type values struct {
	Version   *version            `cbor:"0,keyasint,omitempty"`
	Digests   []digest            `cbor:"2,keyasint,omitempty"`
	Flags     *flags              `cbor:"3,keyasint,omitempty"`
	Name      string              `cbor:"11,keyasint,omitempty"`
	Registers map[string][]digest `cbor:"14,keyasint,omitempty"`
}

type version struct {
	Version string `cbor:"0,keyasint"`
}

type flags struct {
	Debug bool `cbor:"3,keyasint"`
}

type digest struct {
	_     struct{} `cbor:",toarray"`
	Alg   int
	Value []byte
}

// Encode writes entries as an unsigned CoRIM. Whoever gets it needs another
// reason to believe it.
func Encode(entries []measure.Entry) ([]byte, error) {
	if err := measure.Check(entries); err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	first := entries[0]
	m := corimMap{ID: id}
	var err error
	if m.Profile, err = tag(tagURI, profile); err != nil {
		return nil, err
	}
	if m.Validity.NotBefore, err = tag(tagTime, first.NotBefore.Unix()); err != nil {
		return nil, err
	}
	if m.Validity.NotAfter, err = tag(tagTime, first.NotAfter.Unix()); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.NotBefore.Equal(first.NotBefore) || !e.NotAfter.Equal(first.NotAfter) {
			return nil, fmt.Errorf("corim: entries with different dates; make one CoRIM for each pair of dates")
		}
		t, err := encodeEntry(e)
		if err != nil {
			return nil, fmt.Errorf("corim: %w", err)
		}
		m.Tags = append(m.Tags, t)
	}
	t, err := tag(tagCoRIM, m)
	if err != nil {
		return nil, err
	}
	b, err := detcbor.Marshal(t)
	if err == nil && len(b) > maxCoRIM {
		err = fmt.Errorf("corim: %d bytes, expected at most %d", len(b), maxCoRIM)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

func tag(number uint64, v any) (detcbor.Tag, error) {
	b, err := detcbor.Marshal(v)
	if err != nil {
		return detcbor.Tag{}, fmt.Errorf("corim: %w", err)
	}
	return detcbor.Tag{Number: number, Content: b}, nil
}

func hashOf(b []byte) (digest, error) {
	alg, ok := algorithms[len(b)]
	if !ok {
		return digest{}, fmt.Errorf("digest of %d bytes, for which a CoRIM has no algorithm", len(b))
	}
	return digest{Alg: alg, Value: b}, nil
}

// tagID identifies the CoMID of an entry.
func tagID(platform string, m []byte) string { return platform + ":" + hex.EncodeToString(m) }

func encodeEntry(e measure.Entry) (detcbor.Tag, error) {
	ms, err := measurements(e)
	if err != nil {
		return detcbor.Tag{}, err
	}
	c := comid{
		Identity: tagIdentity{ID: tagID(e.Platform, e.Measurement)},
		Triples: triples{Reference: []referenceTriple{{
			Environment: environment{Class: class{Vendor: vendor, Model: e.Platform}}, Measurements: ms,
		}}},
	}
	inner, err := detcbor.Marshal(c)
	if err != nil {
		return detcbor.Tag{}, err
	}
	return tag(tagCoMID, inner)
}

// Keys of measurements, in their order.
const (
	keyMeasurement = "measurement"
	keyCommit      = "source commit"
	keyEngine      = "engine"
	keyManifest    = "image manifest"
	keyKeep        = "keep"
	keyLaunch      = "launch"
	keyFirmware    = "firmware"
	keyComponent   = "component "
)

func measurements(e measure.Entry) ([]measurement, error) {
	var out []measurement
	var failed error
	add := func(key string, v values, digests ...[]byte) {
		for _, d := range digests {
			h, err := hashOf(d)
			if err != nil {
				failed = fmt.Errorf("%s: %w", key, err)
			}
			v.Digests = append(v.Digests, h)
		}
		out = append(out, measurement{Key: key, Values: v})
	}
	add(keyMeasurement, values{Version: &version{e.Release}, Flags: &flags{e.Debug}}, e.Measurement)
	add(keyCommit, values{Name: e.SourceCommit})
	add(keyEngine, values{Name: e.Engine})
	if e.Image != nil {
		add(keyManifest, values{}, e.Image.ManifestSHA256[:])
		add(keyKeep, values{}, e.Image.KeepSHA256[:])
	}
	if l := e.Launch; l != nil {
		add(keyLaunch, values{Name: launchText(l)})
		if l.FirmwareSHA256 != ([32]byte{}) {
			add(keyFirmware, values{}, l.FirmwareSHA256[:])
		}
	}
	for i, c := range e.Components {
		h, err := hashOf(c.Digest)
		if err != nil {
			failed = fmt.Errorf("component %q: %w", c.Name, err)
		}
		add(fmt.Sprintf("%s%d", keyComponent, i), values{Name: c.Name, Registers: map[string][]digest{c.Register: {h}}})
	}
	return out, failed
}

// launchText words a launch so that parseLaunch reads it.
func launchText(l *measure.Launch) string {
	return fmt.Sprintf("vcpus=%d memory_mib=%d cpu=%s boot=%s", l.VCPUs, l.MemoryMiB, l.CPU, l.Boot)
}

// component is what encodes to one measurement.
func component(m measurement) (attest.Component, error) {
	if len(m.Values.Registers) != 1 {
		return attest.Component{}, fmt.Errorf("%s: %d registers, expected one", m.Key, len(m.Values.Registers))
	}
	for register, digests := range m.Values.Registers {
		if len(digests) != 1 {
			return attest.Component{}, fmt.Errorf("%s: %d digests, expected one", m.Key, len(digests))
		}
		return attest.Component{Name: m.Values.Name, Register: register, Digest: digests[0].Value}, nil
	}
	return attest.Component{}, nil // there is one, see above
}

func readTime(t detcbor.Tag) (time.Time, error) {
	var seconds int64
	if t.Number != tagTime {
		return time.Time{}, fmt.Errorf("time with tag %d, expected %d", t.Number, tagTime)
	}
	if err := detcbor.Unmarshal(t.Content, &seconds); err != nil {
		return time.Time{}, err
	}
	return time.Unix(seconds, 0).UTC(), nil
}
