// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/measure"
)

// storeApp is an enarx with a configuration directory of its own, which knows
// its Keep runtime.
func storeApp(t *testing.T) (*app, *bytes.Buffer) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	old := keepDigest
	keepDigest = strings.Repeat("ab", 32)
	t.Cleanup(func() { keepDigest = old })
	out := new(bytes.Buffer)
	return &app{ui: newUI(io.Discard), stdout: out}, out
}

func referenceFile(t *testing.T, from, to time.Time, seed byte) (ref, pub string) {
	t.Helper()
	return signedFile(t, seed, measure.Entry{Measurement: bytes.Repeat([]byte{seed}, 32), NotBefore: from, NotAfter: to})
}

// signedFile makes a file of one entry of vtpm and its key.
func signedFile(t *testing.T, seed byte, e measure.Entry) (ref, pub string) {
	t.Helper()
	e.Platform, e.Release, e.SourceCommit, e.Engine = attest.PlatformVTPM, fmt.Sprint("release ", seed), "unknown", "e"
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	signed, err := measure.Sign([]measure.Entry{e}, key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ref, pub = filepath.Join(dir, "ref"), filepath.Join(dir, "pub")
	if err := os.WriteFile(ref, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pub, publicPEM(t, key), 0o600); err != nil {
		t.Fatal(err)
	}
	return ref, pub
}

// accepts says whether a release's measurement is accepted at a time.
func accepts(t *testing.T, a *app, at time.Time, seed byte) bool {
	t.Helper()
	refs, err := a.references(&trustFlags{}, at)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(refs, func(r attest.ReferenceValue) bool { return bytes.Equal(r.Measurement, bytes.Repeat([]byte{seed}, 32)) })
}

// Of a measurement that one signer calls a release and another a debug image, the
// second is right: in files that were added and in files that are named.
func TestInvariant1NoSilentDowngrade_OneSignerSaysDebug(t *testing.T) {
	a, _ := storeApp(t)
	now := time.Now().UTC().Truncate(time.Second)
	good, goodKey := referenceFile(t, now.Add(-time.Hour), now.Add(time.Hour), 1)
	other, otherKey := referenceFile(t, now.Add(-time.Hour), now.Add(time.Hour), 2)
	debug, debugKey := signedFile(t, 3, measure.Entry{Measurement: bytes.Repeat([]byte{1}, 32), Debug: true, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})
	if err := a.addReference(good, []string{goodKey}); err != nil {
		t.Fatal(err)
	}
	if !accepts(t, a, now, 1) {
		t.Fatal("not accepted without the warning")
	}
	f := &trustFlags{reference: []string{good, other}, referenceKey: []string{goodKey, otherKey, debugKey}}
	if refs, err := a.references(f, now); err != nil || len(refs) != 2 {
		t.Fatalf("%d reference values: %v", len(refs), err)
	}
	both, bothKey := pairFile(t, 4, now)
	if err := a.addReference(both, []string{bothKey}); err != nil {
		t.Fatal(err)
	}
	if accepts(t, a, now, 1) || !accepts(t, a, now, 4) {
		t.Error("a debug image of one signer counts by the word of another")
	}
	f.reference, f.referenceKey = append(f.reference, both), append(f.referenceKey, bothKey)
	if refs, err := a.references(f, now); err != nil || len(refs) != 2 || bytes.Equal(refs[0].Measurement, bytes.Repeat([]byte{1}, 32)) {
		t.Errorf("%d reference values, of a debug image among them: %v", len(refs), err)
	}
	f.reference = []string{good, both}
	if refs, err := a.references(f, now); err != nil || len(refs) != 1 {
		t.Errorf("%d reference values: %v", len(refs), err)
	}
	// A file of nothing but debug images is refused by itself.
	if _, err := readReferences([]string{debug}, []string{debugKey}, now); err == nil {
		t.Error("a file of debug images is taken")
	}
}

// pairFile is a file with a release, and a warning that has ended about the
// measurement of seed 1.
func pairFile(t *testing.T, seed byte, now time.Time) (ref, pub string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	e := measure.Entry{Platform: attest.PlatformVTPM, Release: "release", SourceCommit: "unknown", Engine: "e", NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(time.Hour)}
	warning := e
	e.Measurement, warning.Measurement = bytes.Repeat([]byte{seed}, 32), bytes.Repeat([]byte{1}, 32)
	warning.Debug, warning.NotAfter = true, now.Add(-time.Hour)
	signed, err := measure.Sign([]measure.Entry{e, warning}, key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ref, pub = filepath.Join(dir, "ref"), filepath.Join(dir, "pub")
	if err := errors.Join(os.WriteFile(ref, signed, 0o600), os.WriteFile(pub, publicPEM(t, key), 0o600)); err != nil {
		t.Fatal(err)
	}
	return ref, pub
}

// What was added is accepted within its dates, old and new side by side, and
// what is removed is refused at the very next check.
func TestInvariant1NoSilentDowngrade_RemovedReferencesEndTrust(t *testing.T) {
	a, out := storeApp(t)
	now := time.Now().UTC().Truncate(time.Second)
	old, oldKey := referenceFile(t, now.Add(-time.Hour), now.Add(time.Hour), 1)
	next, nextKey := referenceFile(t, now.Add(-time.Minute), now.Add(48*time.Hour), 2)
	if accepts(t, a, now, 1) || accepts(t, a, now, 2) {
		t.Fatal("accepted before anything was added")
	}
	var ids []string
	for _, x := range [][2]string{{old, oldKey}, {next, nextKey}, {old, oldKey}} {
		out.Reset()
		if err := a.addReference(x[0], []string{x[1]}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, strings.TrimSpace(out.String()))
	}
	if ids[0] != ids[2] || ids[0] == ids[1] {
		t.Errorf("IDs %v: adding a file again is no other one", ids)
	}
	if !accepts(t, a, now, 1) || !accepts(t, a, now, 2) {
		t.Error("old and new are not accepted side by side")
	}
	if later := now.Add(2 * time.Hour); accepts(t, a, later, 1) || !accepts(t, a, later, 2) {
		t.Error("after its dates the old one still counts, or the new one does not")
	}
	if err := a.removeReferences(ids[1:2]); err != nil {
		t.Fatal(err)
	}
	if accepts(t, a, now, 2) || !accepts(t, a, now, 1) {
		t.Error("what was removed still counts, or what was not does no longer")
	}
	if err := a.removeReferences(ids[1:2]); err == nil {
		t.Error("removed twice")
	}
	for _, bad := range []string{"", "../x", "0123", ids[0] + "/..", strings.ToUpper(ids[0]) + "A"} {
		if err := a.removeReferences([]string{bad}); err == nil {
			t.Errorf("%q: removed", bad)
		}
	}
}

func TestInvariant1NoSilentDowngrade_StoredReferencesAreChecked(t *testing.T) {
	a, out := storeApp(t)
	now := time.Now().UTC().Truncate(time.Second)
	ref, pub := referenceFile(t, now.Add(-time.Hour), now.Add(time.Hour), 1)
	_, foreign := referenceFile(t, now, now, 2)
	expired, expiredKey := referenceFile(t, now.Add(-2*time.Hour), now.Add(-time.Hour), 3)
	if err := a.addReference(ref, []string{foreign}); err == nil {
		t.Error("added under a foreign key")
	}
	if err := a.addReference(ref, nil); err == nil {
		t.Error("added without a key")
	}
	if err := a.addReference(expired, []string{expiredKey}); err == nil {
		t.Error("added what has ended")
	}
	if err := a.addReference(ref, []string{pub}); err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(out.String())
	dir, err := storeDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, id+".json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	try := func(name, file string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if refs, err := a.references(&trustFlags{}, now); err == nil {
			t.Errorf("%s: %d values", name, len(refs))
		}
		if file != id+".json" {
			os.Remove(filepath.Join(dir, file))
		}
	}
	try("empty", id+".json", nil)
	try("cut", id+".json", good[:len(good)/2])
	try("trailing", id+".json", append(bytes.Clone(good), '1'))
	try("of another name", "0123456789abcdef.json", good)
	other := publicPEM(t, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32)))
	try("under another key", id+".json", bytes.Replace(good, jsonText(publicPEM(t, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)))), jsonText(other), 1))
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".enarx-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !accepts(t, a, now, 1) {
		t.Error("a write that did not end spoils the store")
	}
}

// A linked text that is not of this Keep accepts nothing, not even sim.
func TestInvariant1NoSilentDowngrade_LinkedReferences(t *testing.T) {
	a, _ := storeApp(t)
	keep, _ := keepSHA256()
	e := measure.Entry{
		Platform: attest.PlatformVTPM, Measurement: bytes.Repeat([]byte{5}, 32), Release: "r", SourceCommit: "unknown", Engine: "e",
		Image: &measure.Image{KeepSHA256: keep},
	}
	link := func(e measure.Entry) {
		t.Helper()
		text, err := measure.Link([]measure.Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		linkedReferences = text
		t.Cleanup(func() { linkedReferences = "" })
	}
	link(e)
	if !accepts(t, a, time.Now(), 5) {
		t.Error("the image of this build is not accepted")
	}
	e.Debug = true
	link(e)
	if accepts(t, a, time.Now(), 5) {
		t.Error("a debug image is accepted because it was linked")
	}
	e.Debug, e.Image = false, &measure.Image{KeepSHA256: [32]byte{1}}
	link(e)
	if refs, err := a.references(&trustFlags{}, time.Now()); err == nil {
		t.Errorf("the image of another Keep: %d values", len(refs))
	}
}

func FuzzStoredReferences(f *testing.F) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	signed, err := measure.Sign([]measure.Entry{{
		Platform: attest.PlatformSim, Measurement: make([]byte, 48), Release: "r", SourceCommit: strings.Repeat("0a", 20), Engine: "e",
	}}, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fmt.Appendf(nil, `{"version":1,"keys":%s,"signed":%q}`, jsonQuoted(publicPEM(f, key)), base64.StdEncoding.EncodeToString(signed)))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStored(b); err == nil && (len(s.Keys) == 0 || len(s.Entries) == 0) {
			t.Fatalf("%+v without keys or entries", s)
		}
	})
}

func publicPEM(t testing.TB, key ed25519.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func jsonQuoted(b []byte) []byte {
	q, _ := json.Marshal(string(b)) // a string has no error
	return q
}

// jsonText is a text as it stands inside a JSON string.
func jsonText(b []byte) []byte { return bytes.Trim(jsonQuoted(b), `"`) }
