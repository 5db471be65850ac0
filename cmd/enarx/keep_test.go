// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/internal/codecache"
)

// The digest that lets a Keep runtime in is of its bytes as they are: where the
// environment chose the file, no remembered digest counts, because the
// environment chooses the memory as well.
func TestKeepFromTheEnvironmentIsHashed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keep")
	if err := os.WriteFile(path, []byte("foreign"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := &app{ui: newUI(&bytes.Buffer{}), getenv: func(name string) string { return map[string]string{"ENARX_KEEP": path}[name] }}
	genuine := sha256.Sum256([]byte("genuine"))
	old := keepDigest
	t.Cleanup(func() { keepDigest = old })
	for _, test := range []struct {
		flag, builtin string
		ok            bool
	}{
		{"", hex.EncodeToString(genuine[:]), false},
		{"", "", false},
		{path, hex.EncodeToString(genuine[:]), true},
		{path, "", true},
	} {
		keepDigest = test.builtin
		k, err := a.findKeep(test.flag)
		if err != nil {
			t.Fatal(err)
		}
		if test.flag == "" {
			k.recallFrom((*codecache.Cache)(nil)) // would be a crash if it were asked
		}
		err = k.demandGenuine()
		k.close()
		if (err == nil) != test.ok {
			t.Errorf("--keep %q, built in %q: %v", test.flag, test.builtin, err)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name the file", err)
		}
		if k.Digest != sha256.Sum256([]byte("foreign")) {
			t.Errorf("digest %x", k.Digest)
		}
	}
}

// Both engines belong to a build, each with its digest and its name.
func TestBothEnginesAreOfThisBuild(t *testing.T) {
	one, two := sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))
	old := []string{keepDigest, keepEngine, otherKeeps}
	t.Cleanup(func() { keepDigest, keepEngine, otherKeeps = old[0], old[1], old[2] })
	keepDigest, keepEngine, otherKeeps = hex.EncodeToString(one[:]), "wazero v1", "wasmtime v2="+hex.EncodeToString(two[:])
	for content, engine := range map[string]string{"one": "wazero v1", "two": "wasmtime v2", "three": ""} {
		k := &keepRuntime{Digest: sha256.Sum256([]byte(content))}
		if own := k.own(); k.genuine() != (engine != "") || own != nil && own.Engine != engine {
			t.Errorf("%s: genuine %v, %+v", content, k.genuine(), own)
		}
	}
	refs, err := builtin(one)
	if err != nil || len(refs) != 2 || refs[0].Engine != "wazero v1" || refs[1].Engine != "wasmtime v2" {
		t.Errorf("reference values %+v, %v", refs, err)
	}
	keepDigest = ""
	if own := ownKeeps(); own != nil {
		t.Errorf("a build without a digest has %+v", own)
	}
}
