// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/engine"
	et "github.com/enarx/enarx-go/keep/engine/enginetest"
	"github.com/enarx/enarx-go/keep/wasi"
	"github.com/enarx/enarx-go/keep/wasi/wasitest"
)

// quickImports are the functions that an engine may answer itself.
var quickImports = []string{"clock_time_get", "random_get", "fd_read", "fd_write", "fd_close", "fd_fdstat_set_flags"}

// driver is a module whose export "f" makes the calls that the test asks for,
// through the real engine. In text:
//
//	(loop (call $next)              ;; writes to memory: 0 which, 4.. its parameters
//	  (if (i32.load 0) == k (call $got (call $k (i32.load 4) …)))
//	  (br_if 0 …))
func driver() []byte {
	name := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	imp := func(mod, fn string, typ byte) []byte {
		return append(append(name(mod), name(fn)...), 0, typ)
	}
	imports := []byte{byte(2 + len(quickImports))}
	imports = append(imports, imp("t", "next", 1)...) // () -> i32
	imports = append(imports, imp("t", "got", 2)...)  // i32 -> ()
	load := func(at byte) []byte { return []byte{0x41, at, 0x28, 2, 0} }
	load64 := func(at byte) []byte { return []byte{0x41, at, 0x29, 3, 0} }
	code := []byte{0x03, 0x40} // loop
	for i, fn := range quickImports {
		var args []byte
		typ := byte(3) // two numbers
		switch fn {
		case "clock_time_get":
			typ, args = 4, append(append(load(4), load64(8)...), load(16)...)
		case "fd_read", "fd_write":
			typ, args = 5, append(append(load(4), load(8)...), append(load(12), load(16)...)...)
		case "fd_close":
			typ, args = 6, load(4)
		default:
			args = append(load(4), load(8)...)
		}
		imports = append(imports, imp("wasi_snapshot_preview1", fn, typ)...)
		code = append(code, load(0)...)
		code = append(code, 0x41, byte(i), 0x46, 0x04, 0x40) // == i, if
		code = append(code, args...)
		code = append(code, 0x10, byte(2+i), 0x10, 1, 0x0b)
	}
	code = append([]byte{0x03, 0x40, 0x10, 0, 0x45, 0x04, 0x40, 0x0f, 0x0b}, code[2:]...) // return if next is 0
	code = append(code, 0x0c, 0, 0x0b)
	return et.Wasm(
		et.Section(1, 7, 0x60, 0, 0, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 0, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 3, 0x7f, 0x7e, 0x7f, 1, 0x7f,
			0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f),
		et.Section(2, imports...), et.Section(3, 1, 0), et.Section(5, 1, 0, 1),
		et.Section(7, append(append([]byte{2}, append(name("f"), 0, byte(2+len(quickImports)))...), append(name("memory"), 2, 0)...)...),
		et.Code(et.Body(code...)))
}

// call is one call of an import, with the memory before it.
type quickCall struct {
	fn   string
	args []uint32
	mem  map[uint32][]byte
}

// drive makes calls in one instance and returns each result, and what then lies
// at each of the addresses in look.
func drive(t *testing.T, cfg wasi.Config, calls []quickCall, look func(i int, errno uint32, mem []byte)) {
	t.Helper()
	sys, err := wasi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	eng, err := wasitest.Open(engine.Limits{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	mod, err := eng.Compile(t.Context(), driver())
	if err != nil {
		t.Fatal(err)
	}
	i := -1
	host := append(sys.HostFuncs(), engine.HostFunc{Module: "t", Name: "next", Results: []engine.ValType{engine.I32},
		Call: func(_ context.Context, mem engine.Memory, st []uint64) {
			st[0] = 0
			if i++; i == len(calls) {
				return
			}
			st[0] = 1
			all, ok := mem.Bytes(0, 65536)
			if !ok {
				t.Error("the guest has no memory")
			}
			c := calls[i]
			clear(all[:64])
			for n, fn := range quickImports {
				if fn == c.fn {
					all[0] = byte(n)
				}
			}
			for n, a := range c.args {
				at := 4 + 4*n
				if c.fn == "clock_time_get" && n == 1 {
					at = 16
				}
				binary.LittleEndian.PutUint32(all[at:], a)
			}
			for at, b := range c.mem {
				copy(all[at:], b)
			}
		}},
		engine.HostFunc{Module: "t", Name: "got", Params: []engine.ValType{engine.I32},
			Call: func(_ context.Context, mem engine.Memory, st []uint64) {
				all, _ := mem.Bytes(0, 65536)
				look(i, uint32(st[0]), all)
			}})
	inst, err := mod.Instantiate(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	defer inst.Close()
	if err := inst.Call(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if i != len(calls) {
		t.Errorf("%d calls were made, expected %d", i, len(calls))
	}
}

func iovec(pairs ...uint32) []byte {
	var b []byte
	for _, v := range pairs {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// TestInvariant4HostileInputIsBounded_QuickCalls makes the calls that an engine
// answers without Go with good and hostile numbers, each after a good one of the
// same kind has opened the short way. The results are the same on every engine.
func TestInvariant4HostileInputIsBounded_QuickCalls(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	read := os.NewFile(uintptr(p[0]), "read")
	defer read.Close()
	out, err := wasi.NewFDStream(p[1])
	if err != nil {
		t.Fatal(err)
	}
	in := pipeWith(t, "0123456789")
	const result = 1024
	hi := map[uint32][]byte{256: iovec(512, 2), 512: []byte("hi")}
	with := func(v ...uint32) map[uint32][]byte { return map[uint32][]byte{256: iovec(v...), 512: []byte("hi")} }
	calls := []struct {
		quickCall
		errno, n uint32
	}{
		{quickCall{"fd_write", []uint32{1, 256, 1, result}, hi}, 0, 2},
		{quickCall{"fd_write", []uint32{1, 256, 1, result}, hi}, 0, 2},
		{quickCall{"fd_write", []uint32{1, 256, 2, result}, with(512, 1, 513, 1)}, 0, 2},
		{quickCall{"fd_write", []uint32{1, 256, 0, result}, hi}, 0, 0},
		{quickCall{"fd_write", []uint32{1, 256, 1, 65533}, hi}, 21, 0},
		{quickCall{"fd_write", []uint32{1, 256, 1, 0xfffffffe}, hi}, 21, 0},
		{quickCall{"fd_write", []uint32{1, 65532, 1, result}, hi}, 21, 0},
		{quickCall{"fd_write", []uint32{1, 0xfffffff8, 1, result}, hi}, 21, 0},
		{quickCall{"fd_write", []uint32{1, 256, 1, result}, with(65535, 2)}, 21, 0},
		{quickCall{"fd_write", []uint32{1, 256, 1, result}, with(512, 0xffffffff)}, 21, 0},
		{quickCall{"fd_write", []uint32{1, 256, 1, result}, with(0xffffffff, 0xffffffff)}, 21, 0},
		{quickCall{"fd_write", []uint32{1, 256, 2, result}, with(512, 2, 65536, 1)}, 21, 0},
		{quickCall{"fd_write", []uint32{1, 256, 0xffffffff, result}, hi}, 28, 0},
		{quickCall{"fd_write", []uint32{1, 256, 0x20000001, result}, hi}, 28, 0},
		{quickCall{"fd_write", []uint32{64, 256, 1, result}, hi}, 8, 0},
		{quickCall{"fd_write", []uint32{0xffffffff, 256, 1, result}, hi}, 8, 0},
		{quickCall{"fd_write", []uint32{0, 256, 1, result}, hi}, 76, 0},
		{quickCall{"fd_read", []uint32{0, 256, 1, result}, with(2048, 3)}, 0, 3},
		{quickCall{"fd_read", []uint32{0, 256, 2, result}, with(2048, 1, 2049, 3)}, 0, 4},
		{quickCall{"fd_read", []uint32{0, 256, 1, result}, with(65535, 2)}, 21, 0},
		{quickCall{"fd_read", []uint32{0, 256, 1, 65534}, with(2048, 1)}, 21, 0},
		{quickCall{"fd_read", []uint32{1, 256, 1, result}, with(2048, 3)}, 76, 0},
		{quickCall{"fd_read", []uint32{0, 256, 1, result}, with(2048, 100)}, 0, 3},
		{quickCall{"fd_read", []uint32{0, 256, 1, result}, with(2048, 100)}, 0, 0}, // the end
		{quickCall{"random_get", []uint32{2048, 16}, nil}, 0, 0},
		{quickCall{"random_get", []uint32{65530, 6}, nil}, 0, 0},
		{quickCall{"random_get", []uint32{65530, 7}, nil}, 21, 0},
		{quickCall{"random_get", []uint32{0xffffffff, 256}, nil}, 21, 0},
		{quickCall{"random_get", []uint32{0, 0xffffffff}, nil}, 21, 0},
		{quickCall{"clock_time_get", []uint32{1, 2048}, nil}, 0, 0},
		{quickCall{"clock_time_get", []uint32{1, 65529}, nil}, 21, 0},
		{quickCall{"clock_time_get", []uint32{0, 0xfffffff9}, nil}, 21, 0},
		{quickCall{"clock_time_get", []uint32{2, 2048}, nil}, 28, 0},
		{quickCall{"clock_time_get", []uint32{0xffffffff, 2048}, nil}, 28, 0},
		{quickCall{"fd_close", []uint32{1}, nil}, 0, 0},
		{quickCall{"fd_write", []uint32{1, 256, 1, result}, hi}, 8, 0}, // after it was closed
	}
	var plain []quickCall
	for _, c := range calls {
		plain = append(plain, c.quickCall)
	}
	drive(t, wasi.Config{FDs: []wasi.Descriptor{wasi.Stdin(in), wasi.Stdout(out)}, Random: rand.Reader, Clock: &steady{}}, plain, func(i int, errno uint32, mem []byte) {
		c := calls[i]
		if errno != c.errno {
			t.Errorf("call %d, %s %#x: errno %d, expected %d", i, c.fn, c.args, errno, c.errno)
		}
		if n := binary.LittleEndian.Uint32(mem[result:]); errno == 0 && (c.fn == "fd_read" || c.fn == "fd_write") && n != c.n {
			t.Errorf("call %d, %s %#x: %d bytes, expected %d", i, c.fn, c.args, n, c.n)
		}
	})
	got := make([]byte, 100)
	if n, err := read.Read(got); err != nil || string(got[:n]) != "hihihi" {
		t.Errorf("%q was written, %v", got[:n], err)
	}
}

// pipeWith is a pipe that holds a text and has ended.
func pipeWith(t *testing.T, text string) wasi.Stream {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(p[1], []byte(text)); err != nil {
		t.Fatal(err)
	}
	unix.Close(p[1])
	s, err := wasi.NewFDStream(p[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// steady is a clock of constants: the real time is a day after the machine's
// counter, the monotonic time an hour.
type steady struct{}

const day, hour = 86_400_000_000_000, 3_600_000_000_000

func machineNS() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return uint64(ts.Nano())
}

func (*steady) Realtime() uint64                      { return machineNS() + day }
func (*steady) Monotonic() uint64                     { return machineNS() + hour }
func (*steady) Resolution() uint64                    { return 1 }
func (*steady) Offsets() (realtime, monotonic uint64) { return day, hour }

// A clock that an engine tells itself is the Keep's and not the machine's.
func TestInvariant5UntrustedClock_QuickCalls(t *testing.T) {
	last := uint64(0)
	var calls []quickCall
	for range 100 {
		calls = append(calls, quickCall{"clock_time_get", []uint32{0, 2048}, nil}, quickCall{"clock_time_get", []uint32{1, 2048}, nil})
	}
	begin := machineNS()
	drive(t, wasi.Config{Random: rand.Reader, Clock: &steady{}}, calls, func(i int, errno uint32, mem []byte) {
		now := binary.LittleEndian.Uint64(mem[2048:]) - day
		if i%2 == 1 {
			now += day - hour
		}
		if errno != 0 || now < begin || now < last || now > machineNS() {
			t.Errorf("call %d: errno %d, %d ns after the beginning", i, errno, int64(now-begin))
		}
		last = now
	})
}

// Random bytes out of a store are never given twice, and what a guest gets is
// what the source gave.
func TestInvariant6EntropyFromTheCPU_QuickCalls(t *testing.T) {
	src := &recorder{}
	var calls []quickCall
	for range 600 {
		calls = append(calls, quickCall{"random_get", []uint32{2048, 32}, nil})
	}
	seen := map[string]bool{}
	drive(t, wasi.Config{Random: src}, calls, func(i int, errno uint32, mem []byte) {
		b := string(mem[2048:2080])
		if errno != 0 || seen[b] || !bytes.Contains(src.all, []byte(b)) {
			t.Errorf("request %d: errno %d, seen before: %v", i, errno, seen[b])
		}
		seen[b] = true
	})
}

// recorder gives random bytes and remembers them.
type recorder struct{ all []byte }

func (r *recorder) Read(p []byte) (int, error) {
	n, err := rand.Read(p)
	r.all = append(r.all, p[:n]...)
	return n, err
}
