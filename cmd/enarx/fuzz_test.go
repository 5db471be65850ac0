// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/keep/session"
)

// goodOwnerFile is an owner file as deploy writes it.
func goodOwnerFile(tb testing.TB) []byte {
	tb.Helper()
	k, err := session.NewOwnerKey()
	if err != nil {
		tb.Fatal(err)
	}
	seed, seal, err := k.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	o := ownerFile{
		Version: 1, Host: "http://127.0.0.1:7420", Keep: "0123", Capability: "secret", Platform: "sim",
		Bundle: "bundle:sha256:" + strings.Repeat("ab", 32), Module: "hello.wasm", Created: "2026-01-01T00:00:00Z",
		ChannelKey: []byte{1}, SignSeed: seed, SealKey: seal,
		path: filepath.Join(tb.TempDir(), "good.owner"),
	}
	if err := o.write(); err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(o.path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// FuzzOwnerFile: whatever an owner file holds, reading it neither panics nor
// yields a deployment with an unusable key and no error.
func FuzzOwnerFile(f *testing.F) {
	good := goodOwnerFile(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(strings.Replace(string(good), `"version": 1`, `"version": 2`, 1)))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "x.owner")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := parseOwnerFile(path)
		if err != nil {
			var ce *cliError
			if o != nil || !errors.As(err, &ce) {
				t.Fatalf("%v, %v", o, err)
			}
			return
		}
		if len(o.ChannelKey) == 0 {
			t.Fatal("an owner file that pins no Keep was taken")
		}
		if k, err := o.key(); err == nil {
			pub := k.Public()
			if _, err := pub.Hash(); err != nil {
				t.Fatalf("a key without a hash: %v", err)
			}
		}
		o.digest()
	})
}

// An owner file that pins no Keep would let the host choose one.
func TestInvariant1NoSilentDowngrade_OwnerFileWithoutChannelKey(t *testing.T) {
	good := string(goodOwnerFile(t))
	path := filepath.Join(t.TempDir(), "x.owner")
	read := func(text string) error {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := parseOwnerFile(path)
		return err
	}
	if err := read(good); err != nil {
		t.Fatalf("the file with a key is refused, so the refusals below would show nothing: %v", err)
	}
	const line = `  "channel_key": "AQ==",` + "\n"
	for name, other := range map[string]string{"left out": "", "null": `"channel_key": null,`, "empty": `"channel_key": "",`} {
		text := strings.Replace(good, line, other, 1)
		if text == good {
			t.Fatalf("the owner file has no line %q: %s", line, good)
		}
		var ce *cliError
		if err := read(text); !errors.As(err, &ce) || ce.code != exitUsage || !strings.Contains(err.Error(), "channel key") {
			t.Errorf("channel key %s: %v, expected a refusal that names it", name, err)
		}
	}
}

// FuzzFlags: what the flags accept means something, and all that was written.
func FuzzFlags(f *testing.F) {
	for _, s := range []string{"8443:443", "127.0.0.1:8443:443", "[::1]:0:443", "./data:/data:ro", "NAME=VALUE", "token=@file", "::", "=@", ":1"} {
		f.Add(s)
	}
	a := &app{}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parsePublish([]string{s}); err == nil {
			if len(p) != 1 || p[0].Guest == 0 || !strings.HasPrefix(s, p[0].Host+":") {
				t.Errorf("--publish %q: %+v", s, p)
			}
		}
		if d, err := parseDirs([]string{s}); err == nil {
			if len(d) != 1 || !filepath.IsAbs(d[0].Host) || !strings.HasPrefix(d[0].Guest, "/") || d[0].ReadOnly != strings.HasSuffix(s, ":ro") {
				t.Errorf("--dir %q: %+v", s, d)
			}
		}
		o, err := (&workloadFlags{env: []string{s}}).overrides(nil)
		if err == nil {
			for k, v := range o.Env {
				if k == "" || k+"="+v != s {
					t.Errorf("--env %q: %q=%q", s, k, v)
				}
			}
		}
		if name, file, err := splitSecret(s); err == nil && (name == "" || file == "" || name+"=@"+file != s) {
			t.Errorf("--secret %q: %q, %q", s, name, file)
		}
		if _, err := a.secretValues([]string{s + "-not-there"}, nil); err == nil {
			t.Errorf("--secret %q had a value", s)
		}
	})
}

// An owner file that was tampered with does not lead to another Keep's data
// unnoticed: every key in it is checked by what it opens. Here: unknown fields
// and foreign platforms are refused.
func TestOwnerFileIsStrict(t *testing.T) {
	good := goodOwnerFile(t)
	for name, edit := range map[string]func(m map[string]any){
		"unknown field":    func(m map[string]any) { m["insecure_no_tee"] = true },
		"foreign platform": func(m map[string]any) { m["platform"] = "amiga" },
		"later version":    func(m map[string]any) { m["version"] = 2 },
		"no version":       func(m map[string]any) { delete(m, "version") },
	} {
		var m map[string]any
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		edit(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "x.owner")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if o, err := parseOwnerFile(path); err == nil {
			t.Errorf("%s: accepted as %+v", name, o)
		}
	}
}
