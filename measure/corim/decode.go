// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/enarx/enarx-go/internal/detcbor"
	"github.com/enarx/enarx-go/measure"
)

// maxCoRIM bounds a CoRIM in bytes: 1,024 entries of 60 components stay below
// it.
const maxCoRIM = 8 << 20

// Decode reads an unsigned CoRIM of the profile. Nobody vouches for what it
// says.
func Decode(b []byte) ([]measure.Entry, error) {
	entries, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("corim: %w", err)
	}
	return entries, nil
}

func decode(b []byte) ([]measure.Entry, error) {
	if len(b) > maxCoRIM {
		return nil, fmt.Errorf("%d bytes, expected at most %d", len(b), maxCoRIM)
	}
	var t detcbor.Tag
	if err := detcbor.UnmarshalTagged(b, &t); err != nil {
		return nil, err
	}
	if t.Number == tagSign1 {
		return nil, fmt.Errorf("it is signed: name the key that it must be signed with")
	}
	if t.Number != tagCoRIM {
		return nil, fmt.Errorf("tag %d, expected %d", t.Number, tagCoRIM)
	}
	var m corimMap
	if err := detcbor.UnmarshalTagged(t.Content, &m); err != nil {
		return nil, err
	}
	var uri string
	if err := detcbor.Unmarshal(m.Profile.Content, &uri); err != nil || m.Profile.Number != tagURI || uri != profile || m.ID != id {
		return nil, fmt.Errorf("not of profile %s", profile)
	}
	from, err := readTime(m.Validity.NotBefore)
	if err != nil {
		return nil, err
	}
	to, err := readTime(m.Validity.NotAfter)
	if err != nil {
		return nil, err
	}
	var entries []measure.Entry
	for i, t := range m.Tags {
		e, err := decodeEntry(t)
		if err != nil {
			return nil, fmt.Errorf("tag %d: %w", i, err)
		}
		e.NotBefore, e.NotAfter = from, to
		entries = append(entries, e)
	}
	// What was read is what would be written: nothing was passed over, and
	// every rule of reference values holds.
	again, err := Encode(entries)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("not in the one form that reference values have")
	}
	return entries, nil
}

func decodeEntry(t detcbor.Tag) (measure.Entry, error) {
	var e measure.Entry
	var inner []byte
	if t.Number != tagCoMID {
		return e, fmt.Errorf("CBOR tag %d, expected %d", t.Number, tagCoMID)
	}
	if err := detcbor.Unmarshal(t.Content, &inner); err != nil {
		return e, err
	}
	var c comid
	if err := detcbor.UnmarshalTagged(inner, &c); err != nil { // for its depth; it has no tags
		return e, err
	}
	if len(c.Triples.Reference) != 1 {
		return e, fmt.Errorf("%d reference triples, expected one", len(c.Triples.Reference))
	}
	r := c.Triples.Reference[0]
	e.Platform = r.Environment.Class.Model
	for _, m := range r.Measurements {
		if err := decodeMeasurement(&e, m); err != nil {
			return e, err
		}
	}
	return e, nil
}

// decodeMeasurement takes one measurement into an entry. What is in the wrong
// place, missing or there twice is found when the entry is encoded again.
func decodeMeasurement(e *measure.Entry, m measurement) error {
	one := func() []byte {
		if len(m.Values.Digests) != 1 {
			return nil
		}
		return m.Values.Digests[0].Value
	}
	into := func(to *[32]byte) error {
		if len(one()) != len(to) {
			return fmt.Errorf("%s: expected one digest of %d bytes", m.Key, len(to))
		}
		copy(to[:], one())
		return nil
	}
	switch m.Key {
	case keyMeasurement:
		e.Measurement = one()
		if m.Values.Version != nil {
			e.Release = m.Values.Version.Version
		}
		e.Debug = m.Values.Flags != nil && m.Values.Flags.Debug
	case keyCommit:
		e.SourceCommit = m.Values.Name
	case keyEngine:
		e.Engine = m.Values.Name
	case keyManifest:
		e.Image = new(measure.Image)
		return into(&e.Image.ManifestSHA256)
	case keyKeep:
		if e.Image == nil {
			return fmt.Errorf("%s before %s", keyKeep, keyManifest)
		}
		return into(&e.Image.KeepSHA256)
	case keyLaunch:
		l, err := parseLaunch(m.Values.Name)
		e.Launch = l
		return err
	case keyFirmware:
		if e.Launch == nil {
			return fmt.Errorf("%s before %s", keyFirmware, keyLaunch)
		}
		return into(&e.Launch.FirmwareSHA256)
	default:
		if !strings.HasPrefix(m.Key, keyComponent) {
			return fmt.Errorf("measurement %.40q is not of the profile", m.Key)
		}
		c, err := component(m)
		if err != nil {
			return err
		}
		e.Components = append(e.Components, c)
	}
	return nil
}

// parseLaunch reads what launchText wrote; a CPU model may hold blanks.
func parseLaunch(s string) (*measure.Launch, error) {
	bad := fmt.Errorf("launch %.80q is not of the profile", s)
	take := func(key, next string) (string, bool) {
		rest, ok := strings.CutPrefix(s, key+"=")
		if !ok {
			return "", false
		}
		if next == "" {
			return rest, true
		}
		i := strings.LastIndex(rest, " "+next+"=")
		if i < 0 {
			return "", false
		}
		s = rest[i+1:]
		return rest[:i], true
	}
	var l measure.Launch
	vcpus, ok1 := take("vcpus", "memory_mib")
	memory, ok2 := take("memory_mib", "cpu")
	cpu, ok3 := take("cpu", "boot")
	boot, ok4 := take("boot", "")
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return nil, bad
	}
	var err error
	if l.VCPUs, err = strconv.Atoi(vcpus); err != nil {
		return nil, bad
	}
	if l.MemoryMiB, err = strconv.Atoi(memory); err != nil {
		return nil, bad
	}
	l.CPU, l.Boot = cpu, boot
	return &l, nil
}
