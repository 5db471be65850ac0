// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/enarx/enarx-go/keep/wasi"
	"github.com/enarx/enarx-go/keep/wasi/wasitest"
)

// TestPreopensBehindSockets: the C library and Go's runtime find directories
// whose numbers come after those of sockets.
func TestPreopensBehindSockets(t *testing.T) {
	for name, c := range map[string]struct {
		build func(t *testing.T, out string) *exec.Cmd
		want  string
	}{
		"c": {func(t *testing.T, out string) *exec.Cmd {
			return exec.Command("clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-o", out, "testdata/guests/preopens.c")
		}, "4 names, tty 0, hello\n"},
		"go": {func(t *testing.T, out string) *exec.Cmd {
			cmd := exec.Command("go", "build", "-o", out, "./testdata/guests/preopens-go")
			cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
			return cmd
		}, "2 names, hello\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "guest.wasm")
			if msg, err := c.build(t, out).CombinedOutput(); err != nil {
				t.Fatalf("building the guest (clang, lld, wasi-libc and libclang-rt-14-dev-wasm32 or Go are needed): %v\n%s", err, msg)
			}
			wasm, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			bundle, err := wasi.NewBundleFS([]wasi.BundleFile{{Path: "/in.txt", Data: []byte("hello\n")}, {Path: "/sub", Dir: true}})
			if err != nil {
				t.Fatal(err)
			}
			tmp, err := wasi.NewScratchFS(wasi.ScratchLimits{Bytes: 1000, Nodes: 10})
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			socket := func() wasi.Descriptor { return wasi.Socket(wasi.NewStream(nil, nil)) }
			code, err := wasitest.Run(t.Context(), wasm, wasi.Config{
				FDs: []wasi.Descriptor{
					wasi.Null(), wasi.Stdout(wasi.NewStream(nil, &stdout)), wasi.Stderr(wasi.NewStream(nil, &stderr)),
					socket(), wasi.Null(), socket(),
				},
				Preopens: []wasi.Preopen{{Path: "/data", FS: bundle}, {Path: "/tmp", FS: tmp}},
			})
			if err != nil || code != 0 || stdout.String() != c.want {
				t.Errorf("exit code %d, %v, stdout %q, want %q\n%s", code, err, stdout.String(), c.want, stderr.String())
			}
		})
	}
}
