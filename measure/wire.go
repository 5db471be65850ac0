// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// Versions of the payload.
const (
	version1 = 1
	version2 = 2
)

// unknownCommit stands in version 2 where nobody knows the source commit.
const unknownCommit = "unknown"

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

	Debug      bool            `json:"debug,omitempty"`
	Image      *wireImage      `json:"image,omitempty"`
	Launch     *wireLaunch     `json:"launch,omitempty"`
	Components []wireComponent `json:"components,omitempty"`
}

type wireImage struct {
	Manifest string `json:"manifest_sha256"`
	Keep     string `json:"keep_sha256"`
}

type wireLaunch struct {
	VCPUs    int    `json:"vcpus,omitempty"`
	Memory   int    `json:"memory_mib,omitempty"`
	CPU      string `json:"cpu,omitempty"`
	Boot     string `json:"boot,omitempty"`
	Firmware string `json:"firmware_sha256,omitempty"`
}

type wireComponent struct {
	Name     string `json:"name"`
	Register string `json:"register"`
	Digest   string `json:"digest"`
}

// needsVersion2 says whether an entry says what version 1 cannot.
func (w wireEntry) needsVersion2() bool {
	return w.Debug || w.Image != nil || w.Launch != nil || w.Components != nil || w.SourceCommit == unknownCommit
}

// encode writes the payload of entries: of version 1 if that can say it, so
// that readers of version 1 go on reading what is meant for them.
func encode(entries []Entry) ([]byte, error) {
	p := payload{Version: version1}
	for _, e := range entries {
		w := e.wire()
		if w.needsVersion2() {
			p.Version = version2
		}
		p.Entries = append(p.Entries, w)
	}
	body, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return nil, fmt.Errorf("reference values: %w", err)
	}
	return body, nil
}

func (e Entry) wire() wireEntry {
	w := wireEntry{
		Platform: e.Platform, Measurement: hex.EncodeToString(e.Measurement), Release: e.Release,
		SourceCommit: e.SourceCommit, Engine: e.Engine, NotBefore: stamp(e.NotBefore), NotAfter: stamp(e.NotAfter), Debug: e.Debug,
	}
	if e.Image != nil {
		w.Image = &wireImage{Manifest: hex.EncodeToString(e.Image.ManifestSHA256[:]), Keep: hex.EncodeToString(e.Image.KeepSHA256[:])}
	}
	if l := e.Launch; l != nil {
		w.Launch = &wireLaunch{VCPUs: l.VCPUs, Memory: l.MemoryMiB, CPU: l.CPU, Boot: l.Boot}
		if l.FirmwareSHA256 != ([32]byte{}) {
			w.Launch.Firmware = hex.EncodeToString(l.FirmwareSHA256[:])
		}
	}
	for _, c := range e.Components {
		w.Components = append(w.Components, wireComponent{Name: c.Name, Register: c.Register, Digest: hex.EncodeToString(c.Digest)})
	}
	return w
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
	if p.Version != version1 && p.Version != version2 {
		return nil, fmt.Errorf("reference values: version %d, expected %d or %d", p.Version, version1, version2)
	}
	if n := len(p.Entries); n == 0 || n > maxEntries {
		return nil, fmt.Errorf("reference values: %d entries, expected 1 to %d", n, maxEntries)
	}
	entries := make([]Entry, 0, len(p.Entries))
	seen := map[string]bool{}
	for i, w := range p.Entries {
		e, err := w.entry()
		if err == nil && p.Version == version1 && w.needsVersion2() {
			err = fmt.Errorf("has what came with version %d", version2)
		}
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
	if c, err := lowerHex(w.SourceCommit); w.SourceCommit != unknownCommit && (err != nil || len(c) != 20 && len(c) != 32) {
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
	e := Entry{
		Platform: w.Platform, Measurement: m, Release: w.Release, SourceCommit: w.SourceCommit, Engine: w.Engine,
		NotBefore: from, NotAfter: to, Debug: w.Debug,
	}
	return w.version2(e)
}

// version2 adds what came with version 2.
func (w wireEntry) version2(e Entry) (Entry, error) {
	if w.Image != nil {
		e.Image = new(Image)
		if err := readDigest("image manifest", w.Image.Manifest, &e.Image.ManifestSHA256); err != nil {
			return Entry{}, err
		}
		if err := readDigest("Keep runtime", w.Image.Keep, &e.Image.KeepSHA256); err != nil {
			return Entry{}, err
		}
	}
	if w.Launch != nil {
		l, err := w.Launch.launch()
		if err != nil {
			return Entry{}, err
		}
		e.Launch = l
	}
	if w.Components != nil && len(w.Components) == 0 || len(w.Components) > maxComponents {
		return Entry{}, fmt.Errorf("%d components, expected 1 to %d", len(w.Components), maxComponents)
	}
	for _, c := range w.Components {
		if err := checkText("component name", c.Name); err != nil {
			return Entry{}, err
		}
		if err := checkText("component register", c.Register); err != nil {
			return Entry{}, err
		}
		digest, err := lowerHex(c.Digest)
		if err != nil || len(digest) < 20 || len(digest) > 64 {
			return Entry{}, fmt.Errorf("component %q: digest is not 20 to 64 bytes of lower-case hexadecimal", c.Name)
		}
		e.Components = append(e.Components, attest.Component{Name: c.Name, Register: c.Register, Digest: digest})
	}
	return e, nil
}

func (w *wireLaunch) launch() (*Launch, error) {
	l := &Launch{VCPUs: w.VCPUs, MemoryMiB: w.Memory, CPU: w.CPU, Boot: w.Boot}
	if l.VCPUs < 0 || l.VCPUs > maxLaunchNumber || l.MemoryMiB < 0 || l.MemoryMiB > maxLaunchNumber {
		return nil, fmt.Errorf("launch with %d vCPUs and %d MiB, expected 0 to %d of each", l.VCPUs, l.MemoryMiB, maxLaunchNumber)
	}
	if w.CPU != "" {
		if err := checkText("cpu", w.CPU); err != nil {
			return nil, err
		}
	}
	if !slices.Contains([]string{"", "uki", "uki-secure-boot", "direct"}, w.Boot) {
		return nil, fmt.Errorf("boot %.20q, expected uki, uki-secure-boot or direct", w.Boot)
	}
	if w.Firmware != "" {
		if err := readDigest("firmware", w.Firmware, &l.FirmwareSHA256); err != nil {
			return nil, err
		}
		if l.FirmwareSHA256 == ([32]byte{}) {
			return nil, fmt.Errorf("firmware digest of zeros")
		}
	}
	return l, nil
}

func readDigest(what, s string, to *[32]byte) error {
	b, err := lowerHex(s)
	if err != nil || len(b) != len(to) {
		return fmt.Errorf("%s is not %d bytes of lower-case hexadecimal", what, len(to))
	}
	copy(to[:], b)
	return nil
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
