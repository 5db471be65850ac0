// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

func TestMain(m *testing.M) {
	code := m.Run()
	keeptest.Remove()
	os.Exit(code)
}

// goWasm builds a Go program for wasip1.
func goWasm(t testing.TB, src string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/main.go", []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", "x.wasm", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GO111MODULE=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	b, err := os.ReadFile(dir + "/x.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const echoProgram = `package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	in, _ := io.ReadAll(os.Stdin)
	fmt.Printf("args %q in %q env %q\n", os.Args, in, os.Getenv("GREETING"))
	fmt.Fprintln(os.Stderr, "to stderr")
	os.Exit(7)
}
`

func TestDeploy(t *testing.T) {
	wasm := goWasm(t, echoProgram)
	for _, platform := range []string{"process", "sim"} {
		t.Run(platform, func(t *testing.T) {
			k := keeptest.Start(t, keeptest.Config{Platform: platform})
			s := k.Admit(t)
			b, digest := keeptest.Bundle(t, wasm, func(p *workload.Package) {
				p.Config.Args = []string{"one", "two"}
				p.Config.Env = map[string]string{"GREETING": "hello"}
			})
			var out, errs bytes.Buffer
			st, exit, err := s.Deploy(context.Background(), client.Deployment{
				Bundle: b, Digest: digest, Owner: keeptest.NewOwner(t),
				Stdin: strings.NewReader("input"), Stdout: &out, Stderr: &errs,
				OnStep: func(n string, d time.Duration) { t.Logf("%-20s %v", n, d) },
			}, client.Demand{})
			if err != nil {
				t.Fatalf("deploy: %v; the keep said: %s", err, k.Stderr)
			}
			if exit.End != session.EndExit || exit.Code != 7 {
				t.Errorf("exit = %+v, want exit 7 (%s)", exit, k.Stderr)
			}
			if got, want := out.String(), "args [\"main.wasm\" \"one\" \"two\"] in \"input\" env \"hello\"\n"; got != want {
				t.Errorf("stdout = %q, want %q", got, want)
			}
			if errs.String() != "to stderr\n" {
				t.Errorf("stderr = %q", errs.String())
			}
			if st != nil {
				t.Logf("%s %+v", st.Engine, st.Steps)
			}
		})
	}
}
