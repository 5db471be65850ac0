// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	peer "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	peerwasi "github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/wasi"
	"github.com/enarx/enarx-go/keep/wasi/wasitest"
)

// benchModule exports "clock", "write1" and "write64k", which call a function
// of the system interface 1,000 times each. In text:
//
//	(module
//	  (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))
//	  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
//	  (memory (export "memory") 2)
//	  (data (i32.const 0) "\20\00\00\00\01\00\00\00\20\00\00\00\00\00\01\00")
//	  (func (export "clock") (local i32) (loop ... (call 0 (i32.const 1) (i64.const 0) (i32.const 16)) ...))
//	  (func (export "write1") ... (call 1 (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
//	  (func (export "write64k") ... (call 1 (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16))))
func benchModule() []byte {
	section := func(id byte, body ...byte) []byte {
		return append([]byte{id, byte(len(body)) | 0x80, byte(len(body) >> 7)}, body...)
	}
	name := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	cat := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	loop := func(call ...byte) []byte {
		// local 0 counts to 1000 (0xe8 0x07)
		code := cat([]byte{1, 1, 0x7f, 0x03, 0x40}, call,
			[]byte{0x1a, 0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x41, 0xe8, 0x07, 0x49, 0x0d, 0, 0x0b, 0x0b})
		return append([]byte{byte(len(code))}, code...)
	}
	mod := name("wasi_snapshot_preview1")
	return cat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, 3, 0x60, 3, 0x7f, 0x7e, 0x7f, 1, 0x7f, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f, 0x60, 0, 0),
		section(2, cat([]byte{2}, mod, name("clock_time_get"), []byte{0, 0}, mod, name("fd_write"), []byte{0, 1})...),
		section(3, 3, 2, 2, 2),
		section(5, 1, 0, 2),
		section(7, cat([]byte{4}, name("memory"), []byte{2, 0}, name("clock"), []byte{0, 2}, name("write1"), []byte{0, 3}, name("write64k"), []byte{0, 4})...),
		section(10, cat([]byte{3}, loop(0x41, 1, 0x42, 0, 0x41, 16, 0x10, 0), loop(0x41, 1, 0x41, 0, 0x41, 1, 0x41, 16, 0x10, 1),
			loop(0x41, 1, 0x41, 8, 0x41, 1, 0x41, 16, 0x10, 1))...),
		section(11, 1, 0, 0x41, 0, 0x0b, 16, 32, 0, 0, 0, 1, 0, 0, 0, 32, 0, 0, 0, 0, 0, 1, 0),
	)
}

var benchExports = []string{"clock", "write1", "write64k"}

// BenchmarkCalls is 1,000 calls of the system interface per operation, on
// /dev/null, beside wazero's own WASI module on the same engine.
func BenchmarkCalls(b *testing.B) {
	for _, export := range benchExports {
		b.Run(export+"/ours", func(b *testing.B) { benchOurs(b, export) })
		b.Run(export+"/wazero", func(b *testing.B) { benchPeer(b, export) })
	}
}

func benchOurs(b *testing.B, export string) {
	inst := ourInstance(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := inst.Call(b.Context(), export); err != nil {
			b.Fatal(err)
		}
	}
}

func ourInstance(b testing.TB) engine.Instance {
	fd, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	out, err := wasi.NewFDStream(fd)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	sys, err := wasi.New(wasi.Config{
		FDs: []wasi.Descriptor{wasi.Null(), wasi.Stdout(out)}, Random: rand.Reader, Clock: &keepClock{start, machineNS()},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sys.Close() })
	eng, err := wasitest.Open(engine.Limits{}, false)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { eng.Close() })
	mod, err := eng.Compile(b.Context(), benchModule())
	if err != nil {
		b.Fatal(err)
	}
	inst, err := mod.Instantiate(b.Context(), sys.HostFuncs())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { inst.Close() })
	return inst
}

// keepClock tells the time as the clock of a Keep does (package child).
type keepClock struct {
	start time.Time
	mono  uint64
}

func (c *keepClock) Realtime() uint64                      { return day + uint64(time.Since(c.start)) }
func (c *keepClock) Monotonic() uint64                     { return uint64(time.Since(c.start)) + 1 }
func (c *keepClock) Resolution() uint64                    { return 1 }
func (c *keepClock) Offsets() (realtime, monotonic uint64) { return day - c.mono, 1 - c.mono }

func peerInstance(b *testing.B) (api.Module, func()) {
	ctx := context.Background()
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	rt := peer.NewRuntime(ctx)
	peerwasi.MustInstantiate(ctx, rt)
	mod, err := rt.InstantiateWithConfig(ctx, benchModule(), peer.NewModuleConfig().WithStdout(null).WithSysNanotime().WithSysWalltime())
	if err != nil {
		b.Fatal(err)
	}
	return mod, func() { rt.Close(ctx); null.Close() }
}

func benchPeer(b *testing.B, export string) {
	mod, done := peerInstance(b)
	defer done()
	f := mod.ExportedFunction(export)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Call(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestHotCallsAllocateNothing holds the calls that programs make most.
func TestHotCallsAllocateNothing(t *testing.T) {
	inst := ourInstance(t)
	for _, export := range benchExports {
		var err error
		allocs := testing.AllocsPerRun(20, func() { err = inst.Call(t.Context(), export) })
		// Entering the guest allocates a little; the 1,000 calls must not.
		if err != nil || allocs > 20 {
			t.Errorf("%s: %v allocations in 1,000 calls, want none (%v)", export, allocs, err)
		}
	}
}
