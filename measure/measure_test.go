// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/internal/dsse"
)

var at = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func testKey(seed byte) (ed25519.PrivateKey, []ed25519.PublicKey) {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return k, []ed25519.PublicKey{k.Public().(ed25519.PublicKey)}
}

func entry(seed byte) Entry {
	return Entry{
		Platform: attest.PlatformSim, Measurement: bytes.Repeat([]byte{seed}, 48), Release: "0.1.0",
		SourceCommit: strings.Repeat("0a", 20), Engine: "wazero v1.12.0",
		NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour),
	}
}

func TestVerifyGivesWhatWasSigned(t *testing.T) {
	key, pubs := testKey(1)
	snp := entry(3)
	snp.Platform = attest.PlatformSNP
	expired := entry(4)
	expired.NotAfter = at.Add(-time.Second)
	signed, err := Sign([]Entry{entry(1), entry(2), snp, expired}, key)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := Verify(signed, pubs, at)
	if err != nil || len(refs) != 3 {
		t.Fatalf("%d values, %v", len(refs), err)
	}
	if refs[2].Platform != "snp" || !bytes.Equal(refs[2].Measurement, snp.Measurement) || refs[0].Release != "0.1.0" ||
		!strings.Contains(refs[0].Source, dsse.KeyID(pubs[0])[:16]) {
		t.Errorf("%+v", refs[2])
	}
	entries, signer, err := Read(signed, pubs)
	if err != nil || len(entries) != 4 || !signer.Equal(pubs[0]) {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func TestDatesToTheSecond(t *testing.T) {
	key, pubs := testKey(1)
	signed, err := Sign([]Entry{entry(1)}, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		d  time.Duration
		ok bool
	}{{-time.Hour, true}, {time.Hour, true}, {-time.Hour - time.Second, false}, {time.Hour + time.Second, false}} {
		refs, err := Verify(signed, pubs, at.Add(x.d))
		if (err == nil) != x.ok || (len(refs) > 0) != x.ok {
			t.Errorf("%v: %d values, %v", x.d, len(refs), err)
		}
	}
}

func TestInvariant1NoSilentDowngrade_ForeignSignatures(t *testing.T) {
	key, pubs := testKey(1)
	_, foreign := testKey(2)
	signed, err := Sign([]Entry{entry(1)}, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]ed25519.PublicKey{"none": nil, "foreign": foreign, "zero": {make([]byte, 32)}, "short": {pubs[0][:5]}} {
		if refs, err := Verify(signed, keys, at); err == nil || refs != nil {
			t.Errorf("%s key: %d values", name, len(refs))
		}
	}
	// The same payload signed as something else by the right key.
	body, _, err := dsse.Open(signed, PayloadType, maxFile, pubs)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(m []byte) []byte { return ed25519.Sign(key, m) }
	other, err := dsse.Seal("application/vnd.enarx.receipt+json", body, pubs[0], sign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(other, pubs, at); err == nil {
		t.Error("a payload of another type was taken")
	}
	// Every byte changed: refused, or the same values.
	good, err := Verify(signed, pubs, at)
	if err != nil {
		t.Fatal(err)
	}
	for i := range signed {
		c := bytes.Clone(signed)
		c[i] ^= 1
		if refs, err := Verify(c, pubs, at); err == nil && fmt.Sprint(refs) != fmt.Sprint(good) {
			t.Fatalf("byte %d changed the values", i)
		}
	}
}

// badPayloads are payloads that nobody may take, even well signed.
func badPayloads(t testing.TB) map[string]string {
	t.Helper()
	good := `{"platform":"sim","measurement":"` + strings.Repeat("ab", 48) + `","release":"1","source_commit":"` + strings.Repeat("0a", 20) +
		`","engine":"e","not_before":"2026-01-01T00:00:00Z","not_after":"2027-01-01T00:00:00Z"}`
	file := func(entries string) string { return `{"version":1,"entries":[` + entries + `]}` }
	if _, err := parse([]byte(file(good))); err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) string {
		s := strings.Replace(good, old, new, 1)
		if s == good {
			t.Fatalf("%q is not in the good entry", old)
		}
		return file(s)
	}
	many := strings.Repeat(good+",", maxEntries) + good
	return map[string]string{
		"empty": "", "null": "null", "array": "[]", "no entries": file(""), "trailing": file(good) + " 1",
		"version 3": strings.Replace(file(good), `"version":1`, `"version":3`, 1), "no version": `{"entries":[` + good + `]}`,
		"unknown field": `{"version":1,"extra":1,"entries":[` + good + `]}`, "twice": file(good + "," + good), "too many": file(many),
		"unknown entry field": swap(`"engine"`, `"motor":1,"engine"`),
		"platform vm":         swap(`"sim"`, `"vm"`),
		"platform upper":      swap(`"sim"`, `"SIM"`),
		"upper-case hex":      swap("ab", "AB"),
		"short measurement":   swap("abab", "ab"),
		"size of sgx":         swap(`"sim"`, `"sgx"`),
		"no hex":              swap("ab", "zz"),
		"empty release":       swap(`"release":"1"`, `"release":""`),
		"escape in release":   swap(`"release":"1"`, `"release":"\u001b"`),
		"short commit":        swap("0a0a", "0a"),
		"time zone":           swap("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00"),
		"fraction":            swap("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"),
		"dates turned round":  swap("2027", "2025"),
		"no date":             swap("2027-01-01T00:00:00Z", ""),
	}
}

func TestInvariant4HostileInputIsBounded_Payloads(t *testing.T) {
	key, pubs := testKey(1)
	for name, p := range badPayloads(t) {
		signed, err := dsse.Seal(PayloadType, []byte(p), pubs[0], func(m []byte) []byte { return ed25519.Sign(key, m) })
		if err != nil {
			t.Fatal(err)
		}
		if refs, err := Verify(signed, pubs, at); err == nil || refs != nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := Verify(make([]byte, maxFile+1), pubs, at); err == nil {
		t.Error("a huge file was taken")
	}
	for name, e := range map[string][]Entry{"none": nil, "zero": {{}}} {
		if b, err := Sign(e, key); err == nil || b != nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := Sign([]Entry{entry(1)}, nil); err == nil {
		t.Error("signed without a key")
	}
}

func TestBuiltin(t *testing.T) {
	b, err := os.ReadFile("testdata/sim.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Keep        string `json:"keep_sha256"`
		Measurement string `json:"measurement"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	digest, err := hex.DecodeString(v.Keep)
	if err != nil {
		t.Fatal(err)
	}
	refs := Builtin([32]byte(digest), "0.1.0")
	if len(refs) != 1 || refs[0].Platform != "sim" || hex.EncodeToString(refs[0].Measurement) != v.Measurement {
		t.Errorf("%+v, expected %s", refs, v.Measurement)
	}
	if Builtin([32]byte{}, "0.1.0") != nil {
		t.Error("a Keep whose digest nobody knows has a reference value")
	}
}

func TestKeyFiles(t *testing.T) {
	priv, pub, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParsePublicKeys(append(bytes.Clone(pub), pub...))
	if err != nil || len(keys) != 2 || !keys[0].Equal(key.Public()) {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "private": priv, "text before": append([]byte("x\n"), pub...), "text after": append(bytes.Clone(pub), 'x'),
		"huge": make([]byte, maxKeyFile+1), "too many": bytes.Repeat(pub, maxKeys+1), "cut": pub[:len(pub)/2],
	} {
		if k, err := ParsePublicKeys(b); err == nil || k != nil {
			t.Errorf("public, %s: taken", name)
		}
	}
	for name, b := range map[string][]byte{"empty": nil, "public": pub, "two": append(bytes.Clone(priv), priv...), "huge": make([]byte, maxKeyFile+1)} {
		if k, err := ParsePrivateKey(b); err == nil || k != nil {
			t.Errorf("private, %s: taken", name)
		}
	}
}

func FuzzPayload(f *testing.F) {
	key, pubs := testKey(1)
	signed, err := Sign([]Entry{entry(1), entry(2)}, key)
	if err != nil {
		f.Fatal(err)
	}
	body, _, err := dsse.Open(signed, PayloadType, maxFile, pubs)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	for _, p := range badPayloads(f) {
		if len(p) < 4096 {
			f.Add([]byte(p))
		}
	}
	_, full, _ := signedBody(f, fullEntry(3))
	f.Add(full)
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parse(b)
		if err != nil {
			if entries != nil {
				t.Fatal("entries and an error")
			}
			return
		}
		again, err := Sign(entries, key)
		if err != nil {
			t.Fatalf("what was read cannot be signed: %v", err)
		}
		back, _, err := Read(again, pubs)
		if err != nil || !reflect.DeepEqual(back, entries) {
			t.Fatalf("%v comes back as %v, %v", entries, back, err)
		}
	})
}

func FuzzKeyFiles(f *testing.F) {
	priv, pub, err := GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(priv)
	f.Add(pub)
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParsePublicKeys(b); err == nil && len(k) == 0 {
			t.Fatal("no key and no error")
		}
		if k, err := ParsePrivateKey(b); err == nil && len(k) != ed25519.PrivateKeySize {
			t.Fatal("a key of the wrong size")
		}
	})
}
