// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/internal/dsse"
)

var keepDigest = [32]byte{1, 2, 3}

// fullEntry uses everything that version 2 has.
func fullEntry(seed byte) Entry {
	e := entry(seed)
	e.Platform, e.Measurement = attest.PlatformVTPM, bytes.Repeat([]byte{seed}, 32)
	e.SourceCommit = "unknown"
	e.Image = &Image{ManifestSHA256: [32]byte{9}, KeepSHA256: keepDigest}
	e.Launch = &Launch{VCPUs: 2, MemoryMiB: 512, CPU: "EPYC-v4", Boot: "uki", FirmwareSHA256: [32]byte{7}}
	e.Components = []attest.Component{
		{Name: "kernel", Register: "PCR4", Digest: bytes.Repeat([]byte{1}, 32)},
		{Name: "register", Register: "PCR4", Digest: bytes.Repeat([]byte{2}, 32)},
	}
	return e
}

func signedBody(t testing.TB, entries ...Entry) ([]byte, []byte, []ed25519.PublicKey) {
	t.Helper()
	key, pubs := testKey(1)
	signed, err := Sign(entries, key)
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := dsse.Open(signed, PayloadType, maxFile, pubs)
	if err != nil {
		t.Fatal(err)
	}
	return signed, body, pubs
}

func TestVersion2ComesBack(t *testing.T) {
	e := fullEntry(1)
	signed, body, pubs := signedBody(t, e)
	if !bytes.Contains(body, []byte(`"version": 2`)) {
		t.Errorf("not of version 2: %s", body)
	}
	back, _, err := Read(signed, pubs)
	if err != nil || len(back) != 1 || !reflect.DeepEqual(back[0], e) {
		t.Errorf("%+v, %v, expected %+v", back, err, e)
	}
	refs, err := Verify(signed, pubs, at)
	if err != nil || len(refs) != 1 || len(refs[0].Components) != 2 || refs[0].Components[0].Name != "kernel" {
		t.Errorf("%+v, %v", refs, err)
	}
}

// What version 1 can say is said in version 1: its readers go on reading.
func TestVersion1StaysVersion1(t *testing.T) {
	_, body, _ := signedBody(t, entry(1))
	if !bytes.Contains(body, []byte(`"version": 1`)) || bytes.Contains(body, []byte("launch")) {
		t.Errorf("%s", body)
	}
	if _, err := parse(bytes.Replace(body, []byte(`"version": 1`), []byte(`"version": 2`), 1)); err != nil {
		t.Errorf("version 2 without anything new: %v", err)
	}
	_, full, _ := signedBody(t, fullEntry(1))
	if _, err := parse(bytes.Replace(full, []byte(`"version": 2`), []byte(`"version": 1`), 1)); err == nil {
		t.Error("version 1 with fields of version 2 was taken")
	}
}

// A debug image's measurement is never accepted by the way, however well it is
// signed and however current.
func TestInvariant1NoSilentDowngrade_DebugImages(t *testing.T) {
	debug := fullEntry(1)
	debug.Debug = true
	signed, _, pubs := signedBody(t, debug)
	if refs, err := Verify(signed, pubs, at); err == nil || refs != nil {
		t.Errorf("accepted: %+v", refs)
	}
	signed, _, pubs = signedBody(t, debug, fullEntry(2))
	refs, err := Verify(signed, pubs, at)
	if err != nil || len(refs) != 1 || refs[0].Measurement[0] != 2 {
		t.Errorf("%+v, %v", refs, err)
	}
	if r := debug.ReferenceValue("x"); !strings.Contains(r.Release, "DEBUG") {
		t.Errorf("release %q does not say so", r.Release)
	}
}

func TestInvariant4HostileInputIsBounded_Version2(t *testing.T) {
	_, body, _ := signedBody(t, fullEntry(1))
	text := string(body)
	swap := func(old, new string) string {
		s := strings.Replace(text, old, new, 1)
		if s == text {
			t.Fatalf("%q is not in the payload", old)
		}
		return s
	}
	many := strings.Repeat(`{"name":"n","register":"r","digest":"`+strings.Repeat("00", 32)+`"},`, maxComponents)
	for name, p := range map[string]string{
		"no components":     text[:strings.Index(text, `"components"`)] + `"components":[]}]}`,
		"many components":   swap(`"components": [`, `"components": [`+many),
		"unnamed component": swap(`"name": "kernel"`, `"name": ""`),
		"short digest":      swap(strings.Repeat("01", 32), "0101"),
		"upper-case digest": swap(strings.Repeat("01", 32), strings.Repeat("0A", 32)),
		"no manifest":       swap(`"manifest_sha256"`, `"manifest"`),
		"short manifest":    swap(`"manifest_sha256": "0900`, `"manifest_sha256": "09`),
		"negative vCPUs":    swap(`"vcpus": 2`, `"vcpus": -2`),
		"huge memory":       swap(`"memory_mib": 512`, `"memory_mib": 99999999999`),
		"other boot":        swap(`"boot": "uki"`, `"boot": "bios"`),
		"zero firmware":     swap(`"firmware_sha256": "07`, `"firmware_sha256": "00`),
		"other commit":      swap(`"unknown"`, `"Unknown"`),
		"escape in cpu":     swap(`"EPYC-v4"`, `"\u001b"`),
	} {
		if e, err := parse([]byte(p)); err == nil || e != nil {
			t.Errorf("%s: taken", name)
		}
	}
	for i := range body { // every byte changed: an error, or other entries, or none changed
		c := bytes.Clone(body)
		c[i] ^= 1
		e, err := parse(c)
		if (err == nil) == (e == nil) {
			t.Fatalf("byte %d: %v and %v", i, e, err)
		}
	}
}

func TestLinkedIsOfThisKeepOnly(t *testing.T) {
	e := fullEntry(1)
	text, err := Link([]Entry{e})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Link([]Entry{e})
	if err != nil || again != text {
		t.Errorf("a second run gives another text: %v", err)
	}
	entries, err := Linked(text, keepDigest)
	if err != nil || len(entries) != 1 || len(Counting(entries, at.AddDate(50, 0, 0), "x")) != 1 {
		t.Fatalf("%+v, %v", entries, err)
	}
	if e, err := Linked("", keepDigest); e != nil || err != nil {
		t.Errorf("of a build without an image: %v, %v", e, err)
	}
	nobody := entry(2) // of no image
	foreign, err := Link([]Entry{nobody})
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		text string
		keep [32]byte
	}{
		"another Keep": {text, [32]byte{4}}, "no Keep": {text, [32]byte{}}, "no image": {foreign, keepDigest}, "no base64": {"!", keepDigest},
		"cut": {text[:len(text)-4], keepDigest}, "huge": {strings.Repeat("A", maxLinked+1), keepDigest},
		"no payload": {base64.RawStdEncoding.EncodeToString([]byte("{}")), keepDigest},
	} {
		if e, err := Linked(x.text, x.keep); err == nil || e != nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := Link(nil); err == nil {
		t.Error("nothing was linked")
	}
}

func FuzzLinked(f *testing.F) {
	text, err := Link([]Entry{fullEntry(1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Linked(s, keepDigest)
		if err != nil && e != nil {
			t.Fatal("entries and an error")
		}
	})
}
