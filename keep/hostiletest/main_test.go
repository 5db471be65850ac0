// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package hostiletest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/sim/simhw"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/internal/wat"
	"github.com/enarx/enarx-go/keep/hostiletest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

func TestMain(m *testing.M) {
	code := m.Run()
	keeptest.Remove()
	os.Exit(code)
}

// guest is a program that shows everything it was given: it collects a text in
// the module, the arguments, the environment, two files and the whole of stdin,
// writes it to stdout at once, its first 64 bytes to stderr, and exits.
const guest = `(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 64)
  (data (i32.const 256) "data/file.txt")
  (data (i32.const 512) "run/secrets/file")
  (data (i32.const 8192) "%s")
  (data (i32.const 2097152) "%s")
  (global $end (mut i32) (i32.const %d))
  (func $write (param $fd i32) (param $n i32)
    (i32.store (i32.const 0) (i32.const 8192))
    (i32.store (i32.const 4) (local.get $n))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $drain (param $fd i32)
    (block $done (loop $more
      (i32.store (i32.const 0) (global.get $end))
      (i32.store (i32.const 4) (i32.const 65536))
      (br_if $done (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $done (i32.eqz (i32.load (i32.const 8))))
      (global.set $end (i32.add (global.get $end) (i32.load (i32.const 8))))
      (br $more))))
  (func $file (param $path i32) (param $n i32)
    (if (i32.eqz (call $path_open (i32.const 3) (i32.const 0) (local.get $path) (local.get $n)
          (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 12)))
      (then (call $drain (i32.load (i32.const 12))))))
  (func $deep (param $n i32)
    (if (local.get $n) (then (call $deep (i32.sub (local.get $n) (i32.const 1)))))
    (unreachable))
  (func (export "_start")
    (drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
    (drop (call $args_get (i32.const 1024) (global.get $end)))
    (global.set $end (i32.add (global.get $end) (i32.load (i32.const 20))))
    (drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
    (drop (call $environ_get (i32.const 1024) (global.get $end)))
    (global.set $end (i32.add (global.get $end) (i32.load (i32.const 20))))
    (call $file (i32.const 256) (i32.const 13))
    (call $file (i32.const 512) (i32.const 16))
    (call $drain (i32.const 0))
    (call $write (i32.const 1) (i32.sub (global.get $end) (i32.const 8192)))
    (call $write (i32.const 2) (i32.const 64))
    %s))`

// waiting is a program that accepts one connection on descriptor 3.
func waiting(t testing.TB) []byte {
	t.Helper()
	b, err := wat.Assemble([]byte(`(module
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 0)))))`))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// trap stands for an exit code where the guest traps instead.
const trap = -1

// guestModule assembles the guest with a text, an exit code, and fill bytes
// that only make it larger.
func guestModule(t testing.TB, text string, code, fill int) []byte {
	t.Helper()
	end := fmt.Sprintf("(call $proc_exit (i32.const %d))", code)
	if code == trap {
		end = "(call $deep (i32.const 40))" // with a long stack trace
	}
	b, err := wat.Assemble(fmt.Appendf(nil, guest, text, strings.Repeat("f", fill), 8192+len(text), end))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// job is one workload with its markers in every place that a tenant can put
// something.
type job struct {
	module  string // text inside the module
	arg     string
	env     string
	file    string
	secret  string // value of a secret that is a file
	stdin   string
	code    int
	fill    int // bytes that make the module larger
	changes func(*workload.Package)
}

func (j job) markers() []string {
	var m []string
	for _, s := range []string{j.module, j.arg, j.env, j.file, j.secret, j.stdin} {
		if s != "" {
			m = append(m, s)
		}
	}
	return m
}

// shown is what the guest writes to stdout.
func (j job) shown() string {
	s := j.module + "main.wasm\x00"
	if j.arg != "" {
		s += j.arg + "\x00"
	}
	s += "FD_COUNT=3\x00FD_NAMES=stdin:stdout:stderr\x00"
	if j.env != "" {
		s += "NAME=" + j.env + "\x00"
	}
	return s + j.file + j.secret + j.stdin
}

func (j job) deployment(t testing.TB) client.Deployment {
	t.Helper()
	b, digest := keeptest.Bundle(t, guestModule(t, j.module, j.code, j.fill), func(p *workload.Package) {
		if j.arg != "" {
			p.Config.Args = []string{j.arg}
		}
		if j.env != "" {
			p.Config.Env = map[string]string{"NAME": j.env}
		}
		if j.file != "" {
			p.Files = []workload.BundleFile{{Path: "/data", Dir: true}, {Path: "/data/file.txt", Data: []byte(j.file)}}
		}
		if j.secret != "" {
			p.Config.Secrets = []workload.Secret{{Name: "value", Path: "/run/secrets/file"}}
		}
		if j.changes != nil {
			j.changes(p)
		}
	})
	d := client.Deployment{Bundle: b, Digest: digest, Owner: keeptest.NewOwner(t), Stdin: strings.NewReader(j.stdin)}
	if j.secret != "" {
		d.Secrets = map[string][]byte{"value": []byte(j.secret)}
	}
	return d
}

// small is the workload of tests that are not about the workload.
func small(t testing.TB) client.Deployment { return job{module: "hello"}.deployment(t) }

// connect opens a session that must come about.
func connect(t testing.TB, tunnel net.Conn) *client.Session {
	t.Helper()
	s, err := client.Connect(context.Background(), tunnel)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() {
		tunnel.Close() // first: the other end may not take a goodbye
		s.Close()
	})
	return s
}

// wantRow demands that an appraisal was refused because of one check, and that
// the check is among the rows that a user is shown.
func wantRow(t testing.TB, err error, check string) {
	t.Helper()
	var r *client.RefusedError
	if !errors.As(err, &r) {
		t.Fatalf("got %v, expected a refusal of the keep", err)
	}
	if !strings.Contains(err.Error(), "the keep was refused: ") {
		t.Errorf("the refusal reads %q", err)
	}
	verdicttest.Check(t, r.Verdict)
	for _, row := range r.Verdict {
		if row.Outcome == attest.Fail && row.Check == check {
			return
		}
	}
	t.Fatalf("no failed row %s in the refusal %v; rows: %+v", check, err, r.Verdict)
}

func wantCode(t testing.TB, err error, code, words string) {
	t.Helper()
	var r *session.Refused
	if !errors.As(err, &r) || r.Code != code || !strings.Contains(r.Text, words) {
		t.Fatalf("got %v, expected the keep to refuse with code %s and the words %q", err, code, words)
	}
}

func wantError(t testing.TB, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %v, expected an error that says %q", err, words)
	}
}

// wantGone demands that a Keep ends by itself and leaves nothing: the loader's
// Wait returns only then.
func wantGone(t testing.TB, k *keeptest.Keep) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := k.Wait(ctx); err != nil {
		t.Fatalf("the keep is not gone: %v; it said: %s", err, k.Stderr)
	}
}

var foreign = sync.OnceValues(func() (*simhw.Authority, error) { return simhw.NewAuthority(time.Now()) })

// foreignAuthority is a second sim root that nobody named.
func foreignAuthority(t testing.TB) *simhw.Authority {
	t.Helper()
	a, err := foreign()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// padme is the size that a bundle of n bytes travels in.
func padme(n int) int { return int(workload.PadmeSize(uint64(n))) }

// measured is the measurement that the reference values of the tests name.
var measured = sim.Measurement([32]byte{'k', 'e', 'e', 'p'})

// owned is an impostor that owns the root of keeptest: to a client that named
// that root it is a genuine Keep, and so it stands for one that is wrong.
func owned(t testing.TB, platform string) *hostiletest.Fake {
	t.Helper()
	f := hostiletest.NewFake(t, platform)
	a := keeptest.Authority(t)
	f.Hints = a.Chain()
	f.Sign = func(rd [64]byte, hd [32]byte) ([]byte, error) { return a.Report(rd, measured, hd) }
	return f
}

// demand is that of an honest client for a Keep of a platform that measures to
// measured.
func demand(t testing.TB, platform string) client.Demand {
	t.Helper()
	root, err := sim.ParseRoot(keeptest.Authority(t).RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	return client.Demand{
		Platform: platform, State: attest.StateEmpty, At: time.Now(),
		Verifiers:    []attest.Verifier{sim.New(root)},
		Measurements: []attest.ReferenceValue{{Platform: attest.PlatformSim, Measurement: measured[:], Release: "test", Source: "this test"}},
		Decide:       func(*attest.Claims, attest.Verdict) error { return nil },
	}
}
