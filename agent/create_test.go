// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/loader"
)

func TestIdempotency(t *testing.T) {
	ctx := t.Context()
	l := &fakeLoader{}
	r := serve(t, testConfig(t, l))
	c := r.client(client.Options{})
	req := api.CreateRequest{Platform: "process", MemoryClass: 64 << 20}
	key := client.NewIdempotencyKey()
	first, err := c.Create(ctx, req, key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Create(ctx, req, key)
	if err != nil || again.ID != first.ID || again.Capability != first.Capability {
		t.Fatalf("again: %+v, %v; first %+v", again, err, first)
	}
	req.MemoryClass = 128 << 20
	_, err = c.Create(ctx, req, key)
	wantProblem(t, err, api.CodeIdempotencyReused)
	req.MemoryClass = 64 << 20
	other, err := c.Create(ctx, req, client.NewIdempotencyKey())
	if err != nil || other.ID == first.ID || other.Capability == first.Capability {
		t.Fatalf("another key: %+v, %v", other, err)
	}
	if l.count() != 2 {
		t.Fatalf("%d Keeps, want 2", l.count())
	}
	// After its end the Keep is still what the key stands for.
	if err := c.Stop(ctx, first.ID, first.Capability); err != nil {
		t.Fatal(err)
	}
	if again, err = c.Create(ctx, req, key); err != nil || again.ID != first.ID || again.State != api.StateEnded {
		t.Fatalf("after the end: %+v, %v", again, err)
	}
}

func TestIdempotencyUnderRace(t *testing.T) {
	slow := make(chan struct{})
	var starts atomic.Int32
	l := &fakeLoader{onStart: func(loader.Spec) error { starts.Add(1); <-slow; return nil }}
	r := serve(t, testConfig(t, l))
	c := r.client(client.Options{})
	key := client.NewIdempotencyKey()
	ids := make(chan string, 20)
	var wg sync.WaitGroup
	for range cap(ids) {
		wg.Go(func() {
			k, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, key)
			if err != nil {
				t.Error(err)
				return
			}
			ids <- k.ID + k.Capability
		})
	}
	eventually(t, "a start is under way", func() bool { return starts.Load() == 1 })
	time.Sleep(50 * time.Millisecond)
	close(slow)
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Fatalf("one key gave %s and %s", first, id)
		}
	}
	if starts.Load() != 1 {
		t.Fatalf("%d starts", starts.Load())
	}
}

// A create that failed may be tried again with the same key.
func TestIdempotencyAfterFailure(t *testing.T) {
	var n atomic.Int32
	l := &fakeLoader{onStart: func(loader.Spec) error {
		if n.Add(1) == 1 {
			return errors.New("bad luck")
		}
		return nil
	}}
	r := serve(t, testConfig(t, l))
	c := r.client(client.Options{})
	key := client.NewIdempotencyKey()
	_, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, key)
	wantProblem(t, err, api.CodeStartFailed)
	if _, err := c.Create(t.Context(), api.CreateRequest{Platform: "process"}, key); err != nil {
		t.Fatal(err)
	}
}

// The key of one caller is nothing to another: it gives another Keep.
func TestIdempotencyIsPerCaller(t *testing.T) {
	cfg := testConfig(t, &fakeLoader{})
	second := strings.ToUpper(testToken)
	cfg.TokenFile = writeToken(t, testToken+"\n"+second)
	r := serve(t, cfg)
	key := client.NewIdempotencyKey()
	a, err := r.client(client.Options{Token: testToken}).Create(t.Context(), api.CreateRequest{Platform: "process"}, key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.client(client.Options{Token: second}).Create(t.Context(), api.CreateRequest{Platform: "process"}, key)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == b.ID || a.Capability == b.Capability {
		t.Fatal("one caller was given another's Keep")
	}
}

// What is on disk and what is listed does not lead to a capability.
func TestCapabilityIsNotStored(t *testing.T) {
	r := serve(t, testConfig(t, &fakeLoader{script: spoolKeep("sealed")}))
	c := r.client(client.Options{})
	k := r.create(c)
	waitEnded(t, c, k)
	found := 0
	for _, dir := range []string{dirRecords, dirSpool, dirKeeps} {
		entries, err := os.ReadDir(r.state.path(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(r.state.path(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			found++
			if bytes.Contains(b, []byte(k.Capability)) {
				t.Errorf("%s holds the capability", e.Name())
			}
		}
	}
	if found != 2 {
		t.Fatalf("looked at %d files, expected the record and its description", found)
	}
}

// Bodies of the create request: valid, nearly valid, hostile.
var createSeeds = []string{
	`{"platform":"process"}`,
	`{"platform":"sim","vcpus":2,"memory_class":536870912}`,
	`{"memory_class":18446744073709551615,"platform":"snp"}`,
	`{}`, ``, `null`, `[]`, `"platform"`, `{"platform"}`, `{"platform":}`, `{"platform":"process"`, `{"platform":"process"}x`,
	`{"platform":null}`, `{"platform":{"a":[1,2,{"b":3}]}}`, `{"vcpus":1e400}`, `{"vcpus":"1"}`, `{"platform":"a","platform":"b"}`,
	`{"platform":"\ud800"}`, "{\"platform\":\"\x00\"}", strings.Repeat("[", 5000), `{"Platform":"process"}`, ` { "platform" : "process" } `,
}

func FuzzParseCreate(f *testing.F) {
	if len(createSeeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range createSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := parseCreate(b)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < 0x20 }) {
				t.Fatalf("control characters in %q", err)
			}
			return
		}
		// What parses means what it says: written out, it parses to the same.
		out, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseCreate(out); err != nil || again != req {
			t.Fatalf("%q parsed to %+v, written as %s it parses to %+v, %v", b, req, out, again, err)
		}
		var plain api.CreateRequest
		if err := json.Unmarshal(b, &plain); err != nil || plain != req {
			t.Fatalf("%q: the strict parser reads %+v, the plain one %+v, %v", b, req, plain, err)
		}
	})
}

// FuzzHeaders: whatever the headers say, the checks give an answer, and never
// a yes to something that is not the one right value.
func FuzzHeaders(f *testing.F) {
	seeds := [][4]string{
		{"127.0.0.1:7420", "Bearer " + testToken, strings.Repeat("A", 43), strings.Repeat("k", 32)},
		{"localhost", "", "", ""},
		{"[::1]", "bearer x", "=", "-_"},
		{"[", "Basic ", strings.Repeat("é", 30), " "},
		{"127.0.0.1.example", "Bearer\t" + testToken, "\x00", strings.Repeat("9", 200)},
	}
	for _, s := range seeds {
		f.Add(s[0], s[1], s[2], s[3])
	}
	tokens, err := parseTokens("test", testToken)
	if err != nil {
		f.Fatal(err)
	}
	au := auth{tokens: tokens}
	k := &keep{capHash: [32]byte{1}}
	f.Fuzz(func(t *testing.T, host, authorization, capability, key string) {
		r := fuzzRequest(host, authorization)
		if _, prob := au.caller(r); prob == nil && !strings.HasSuffix(authorization, testToken) {
			t.Fatalf("accepted Authorization %q", authorization)
		}
		if checkBrowser(r, true) == nil && !strings.Contains(strings.ToLower(host), "localhost") && !strings.Contains(host, "127.") && !strings.Contains(host, ":") {
			t.Fatalf("accepted Host %q", host)
		}
		if k.holds(capability) {
			t.Fatalf("accepted capability %q", capability)
		}
		if checkIdempotencyKey(key) == nil && (len(key) < 32 || len(key) > 128) {
			t.Fatalf("accepted idempotency key %q", key)
		}
		find("GET", host)
		matchPath("/v1/keeps/{id}/ports", authorization)
	})
}
