// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// guests are the programs that run, and the peers that run them.
type guests struct {
	helloC, helloGo, flood, echo string // modules
	wazero                       string // the wazero CLI, of the version in go.mod
	node                         string // "" if not installed
}

// buildGuests builds everything that is measured besides enarx. The wazero CLI
// comes from the module that the Keep is built with, so both have one engine.
func buildGuests(dir string) (guests, error) {
	g := guests{
		helloC: filepath.Join(dir, "hello-c.wasm"), helloGo: filepath.Join(dir, "hello-go.wasm"),
		flood: filepath.Join(dir, "flood.wasm"), echo: filepath.Join(dir, "echo.wasm"), wazero: filepath.Join(dir, "wazero"),
	}
	g.node, _ = exec.LookPath("node")
	clang := []string{"clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O2", "-o"}
	for _, c := range []struct{ env, args []string }{
		{nil, append(clang[:len(clang):len(clang)], g.helloC, "bench/guests/hello.c")},
		{nil, append(clang[:len(clang):len(clang)], g.flood, "bench/guests/flood.c")},
		{nil, append(clang[:len(clang):len(clang)], g.echo, "bench/guests/echo.c")},
		{[]string{"GOOS=wasip1", "GOARCH=wasm"}, []string{"go", "build", "-o", g.helloGo, "./examples/hello-go"}},
		{[]string{"CGO_ENABLED=0"}, []string{"go", "build", "-o", g.wazero, "github.com/tetratelabs/wazero/cmd/wazero"}},
	} {
		cmd := exec.Command(c.args[0], c.args[1:]...)
		cmd.Env = append(os.Environ(), c.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return g, fmt.Errorf("%v: %w; make deps installs compilers\n%s", c.args, err, out)
		}
	}
	return g, nil
}
