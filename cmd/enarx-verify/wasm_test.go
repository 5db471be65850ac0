// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !js && !wasip1

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/call"
	"github.com/enarx/enarx-go/attest/replay"
)

// question is one request with the answer of this machine's own code.
type question struct {
	name    string
	request call.Request
	want    []byte
	yes     bool
}

// questions are every vector of real hardware, some of each platform also
// replayed from an evidence bundle, and some that are no questions. With -short
// they are two vectors of each platform.
func questions(t testing.TB) []question {
	t.Helper()
	var out []question
	add := func(name string, r call.Request) {
		answer, yes, err := r.Answer()
		if err != nil {
			answer = call.Failure(err)
		}
		out = append(out, question{name, r, answer, yes})
	}
	yes, bundled := map[string]int{}, map[string]bool{}
	for _, v := range corpus.Vectors(t) {
		kind := fmt.Sprint(v.Platform, v.Accepted())
		if testing.Short() && bundled[kind] {
			continue
		}
		r := call.Request{Evidence: v.Parts[0].Value, At: v.At.Format(time.RFC3339)}
		for _, p := range v.Parts[1:] {
			r.Collateral = append(r.Collateral, p.Value)
		}
		add(v.Name, r)
		if bundled[kind] {
			continue
		}
		bundled[kind] = true
		b, _, err := replay.Make(replay.Source{File: v.Parts[0].Value, Collateral: v.Collateral(), At: v.At, Maker: "test"})
		if err != nil {
			t.Fatal(err)
		}
		enc, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		add("a bundle of "+v.Name, call.Request{Evidence: enc, Replay: true})
		if out[len(out)-1].yes {
			yes[v.Platform]++
		}
	}
	if yes[attest.PlatformSNP] == 0 || yes[attest.PlatformTDX] == 0 {
		t.Fatalf("accepted evidence by platform: %v", yes)
	}
	add("no evidence", call.Request{Evidence: []byte("x"), At: "2026-01-01T00:00:00Z"})
	add("no time", call.Request{Evidence: []byte("x")})
	add("no bundle", call.Request{Evidence: []byte("x"), Replay: true})
	return out
}

// builds are the programs made so far, by system: several tests use one.
var builds struct {
	sync.Mutex
	dir string
	to  map[string]string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if builds.dir != "" {
		os.RemoveAll(builds.dir)
	}
	os.Exit(code)
}

// build compiles this program for another system, stripped.
func build(t testing.TB, goos string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if builds.to[goos] != "" {
		return builds.to[goos]
	}
	if builds.dir == "" {
		var err error
		if builds.dir, err = os.MkdirTemp("", "enarx-verify-"); err != nil {
			t.Fatal(err)
		}
		builds.to = map[string]string{}
	}
	to := filepath.Join(builds.dir, goos+".wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", to, ".")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building for %s: %v\n%s", goos, err, out)
	}
	st, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes", goos, st.Size())
	builds.to[goos] = to
	return to
}

// node runs a script of testdata and decodes what it prints.
func node(t *testing.T, to any, args ...string) {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		unavailable(t, "node is not installed; make deps installs it")
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--no-warnings"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("node %s: %v\n%s", args[0], err, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), to); err != nil {
		t.Fatalf("node %s: %v\n%.400s\n%s", args[0], err, &stdout, &stderr)
	}
}

// unavailable skips a test that needs something the machine does not have, and
// fails it where everything is meant to be there.
func unavailable(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// scriptRequest is a request as the scripts take it.
type scriptRequest struct {
	Evidence []byte         `json:"evidence"`
	Options  map[string]any `json:"options"`
}

func scriptRequests(t testing.TB, qs []question) []byte {
	t.Helper()
	var out []scriptRequest
	for _, q := range qs {
		o := map[string]any{}
		if q.request.At != "" {
			o["at"] = q.request.At
		}
		if q.request.Replay {
			o["replay"] = true
		}
		if q.request.Collateral != nil {
			o["collateral"] = q.request.Collateral
		}
		out = append(out, scriptRequest{q.request.Evidence, o})
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// goFile is a file that comes with the toolchain.
func goFile(t testing.TB, name string) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(string(bytes.TrimSpace(root)), "lib", "wasm", name)
}

// The build for JavaScript, in Node, answers every question with the bytes of
// the native build.
func TestSameAnswersInNode_JavaScript(t *testing.T) {
	qs := questions(t)
	var answers []string
	node(t, &answers, "testdata/js.cjs", goFile(t, "wasm_exec.js"), build(t, "js"), write(t, "requests.json", scriptRequests(t, qs)))
	compare(t, qs, answers)
}

func compare(t *testing.T, qs []question, answers []string) {
	t.Helper()
	if len(answers) != len(qs) {
		t.Fatalf("%d answers to %d questions", len(answers), len(qs))
	}
	for i, q := range qs {
		if answers[i] != string(q.want) {
			t.Errorf("%s: %s\nnatively %s", q.name, answers[i], q.want)
		}
	}
}

// The build for WASI, in Node, does with every input what the native build does.
func TestSameAnswersInNode_WASI(t *testing.T) {
	type result struct {
		Code   int
		Stdout string
	}
	var inputs [][]byte
	var want []result
	for _, q := range questions(t) {
		in := q.request.Evidence
		if !q.request.Replay {
			var err error
			if in, err = json.Marshal(q.request); err != nil {
				t.Fatal(err)
			}
		}
		var stdout, stderr bytes.Buffer
		code := run(nil, bytes.NewReader(in), &stdout, &stderr)
		if (code == exitYes) != q.yes || code == exitUsage != (stdout.Len() == 0) || code != exitUsage && !bytes.Equal(stdout.Bytes(), q.want) {
			t.Errorf("%s: code %d, yes %v: %s%s", q.name, code, q.yes, &stdout, &stderr)
		}
		inputs, want = append(inputs, in), append(want, result{code, stdout.String()})
	}
	b, err := json.Marshal(inputs)
	if err != nil {
		t.Fatal(err)
	}
	var got []result
	node(t, &got, "testdata/wasip1.cjs", build(t, "wasip1"), write(t, "inputs.json", b), t.TempDir())
	if len(got) != len(want) {
		t.Fatalf("%d results of %d inputs", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("input %d: code %d: %s\nnatively %d: %s", i, got[i].Code, got[i].Stdout, want[i].Code, want[i].Stdout)
		}
	}
}

func TestArgumentsAreRefused(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"x"}, bytes.NewReader(nil), &stdout, &stderr); code != exitUsage || stdout.Len() > 0 || stderr.Len() == 0 {
		t.Errorf("code %d: %s", code, &stderr)
	}
}
