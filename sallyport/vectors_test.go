// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

func fill(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

var pullConfig = StartConfig{
	Mode: ModePull, Platform: "snp",
	BundleDigest: fill(32, 0x11), Steward: "https://steward.example", StewardKeyHash: fill(32, 0x22),
}

// TestStartConfigVectors compares with testdata/start-config.json, which
// SPEC.md refers to. The digest is computed here a second time, from the words
// of SPEC.md and not from the code.
func TestStartConfigVectors(t *testing.T) {
	var vectors []struct {
		Name, Mode, Platform, Bundle, Steward, StewardKey string
		MaxSessions                                       uint32
		CBOR, Digest                                      string
	}
	b, err := os.ReadFile("testdata/start-config.json")
	must(t, err)
	must(t, json.Unmarshal(b, &vectors))
	if len(vectors) < 3 {
		t.Fatalf("%d vectors, expected at least 3", len(vectors))
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		must(t, err)
		return b
	}
	for _, v := range vectors {
		c := StartConfig{
			Mode: v.Mode, Platform: v.Platform, BundleDigest: unhex(v.Bundle), Steward: v.Steward,
			StewardKeyHash: unhex(v.StewardKey), MaxSessions: v.MaxSessions,
		}
		if got := hex.EncodeToString(c.Encode()); got != v.CBOR {
			t.Errorf("%s: encoding is %s, expected %s", v.Name, got, v.CBOR)
		}
		want := sha256.Sum256(append([]byte("enarx sallyport start-configuration v1\x00"), unhex(v.CBOR)...))
		if got := c.Digest(); got != want || hex.EncodeToString(got[:]) != v.Digest {
			t.Errorf("%s: digest is %x, expected %s", v.Name, got, v.Digest)
		}
		back, err := ParseStartConfig(unhex(v.CBOR))
		if err != nil || back.Digest() != c.Digest() {
			t.Errorf("%s: parsed back to %+v, %v", v.Name, back, err)
		}
	}
}

func TestCodesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for c := CodeOK; c <= CodeClosed; c++ {
		if s := c.String(); seen[s] || codeNames[c] == "" {
			t.Errorf("code %d has the name %q", c, s)
		} else {
			seen[s] = true
		}
	}
	clear(seen)
	for c := LogBoot; c <= LogFault; c++ {
		if s := c.String(); seen[s] || !c.Valid() {
			t.Errorf("lifecycle code %d has the name %q", c, s)
		} else {
			seen[s] = true
		}
	}
	if LogCode(0).Valid() || (LogFault + 1).Valid() {
		t.Error("the set of lifecycle codes is not what it should be")
	}
}
