// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/keep/engine"
)

// hostileValues are parameters at and over every edge.
var hostileValues = []uint64{0, 1, 2, 3, 4, 5, 8, 24, 0xfff, 0xffc, 0x1000, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff, 1 << 32, math.MaxInt64, 1 << 63, math.MaxUint64}

// fuzzGuest has one descriptor of each kind, none of which can block.
func fuzzGuest(t testing.TB) *guest {
	bundle, err := NewBundleFS([]BundleFile{{Path: "/f", Data: []byte("abc")}})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, Config{
		Args: []string{"a", "b"}, Env: []string{"K=V"},
		FDs:      []Descriptor{Stdin(NewStream(strings.NewReader("in"), nil)), Stdout(NewStream(nil, io.Discard)), Null(), Socket(NewStream(nil, io.Discard))},
		Preopens: []Preopen{{"/b", bundle}, {"/s", scratch(t, 1<<16, 50)}},
		Limits:   Limits{OpenFDs: 32},
	})
	g.mem = g.mem[:4096]
	g.create(5, "f", "abc")
	g.mustOpen(5, "f", 0, openRights, 0)
	return g
}

// callRaw calls with any parameters and fails on anything but a result in
// range or an exit.
func (g *guest) callRaw(f *engine.HostFunc, params []uint64) {
	st := make([]uint64, max(len(f.Params), 1))
	for i := range f.Params {
		st[i] = params[i]
		if f.Params[i] == engine.I32 {
			st[i] = uint64(uint32(params[i]))
		}
	}
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(*engine.ExitError); !ok {
				panic(p)
			}
		}
	}()
	f.Call(g.t.Context(), g.mem, st)
	if len(f.Results) == 1 && st[0] > uint64(errnoNotCapable) {
		g.t.Fatalf("%s%v gave %d, which is no errno", f.Name, params, st[0])
	}
}

// sleeps says that a call would wait for a long timer, which is no fault.
func (g *guest) sleeps(f *engine.HostFunc) bool { return f.Name == "poll_oneoff" }

// TestInvariant4HostileInputIsBounded_EveryCall calls each function with every
// hostile value in every place, the others being harmless or hostile alike.
func TestInvariant4HostileInputIsBounded_EveryCall(t *testing.T) {
	g := fuzzGuest(t)
	for _, f := range g.sys.HostFuncs() {
		for i := range max(len(f.Params), 1) {
			for _, v := range hostileValues {
				for _, rest := range hostileValues {
					params := make([]uint64, 10)
					for k := range params {
						params[k] = rest
					}
					params[i] = v
					if f.Name == "fd_close" || f.Name == "fd_renumber" || f.Name == "fd_fdstat_set_rights" {
						g.restore()
					}
					if g.sleeps(&f) {
						clear(g.mem) // clocks with timeout 0
					}
					g.callRaw(&f, params)
				}
			}
		}
	}
}

// restore gives the guest its descriptors back.
func (g *guest) restore() {
	g.sys.Close()
	fresh := fuzzGuest(g.t)
	*g.sys = *fresh.sys
}

// FuzzHostCalls runs sequences of calls with raw parameters over a small
// memory that the input fills too.
func FuzzHostCalls(f *testing.F) {
	seed := func(fn byte, params ...uint64) []byte {
		b := []byte{fn}
		for i := range 10 {
			v := uint64(0)
			if i < len(params) {
				v = params[i]
			}
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		return b
	}
	memory := make([]byte, 256)
	copy(memory, "f\x00../f\x00/etc\x00f/./../f")
	binary.LittleEndian.PutUint32(memory[64:], 128)
	binary.LittleEndian.PutUint32(memory[68:], 64)
	seeds := 0
	for i := range calls {
		for _, v := range hostileValues {
			f.Add(memory, append(seed(byte(i), 5, v, v, v, v), seed(byte(i), 6, 64, 1, 64, v)...))
			seeds++
		}
	}
	f.Add(memory, seed(31, 5, 1, 0, 1, 1, uint64(rightsFile), uint64(rightsDirInheriting), 0, 200))
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, mem, script []byte) {
		g := fuzzGuest(t)
		copy(g.mem, mem)
		funcs := g.sys.HostFuncs()
		for n := 0; len(script) >= 81 && n < 50; n++ {
			fn := &funcs[int(script[0])%len(funcs)]
			params := make([]uint64, 10)
			for i := range params {
				params[i] = binary.LittleEndian.Uint64(script[1+8*i:])
			}
			script = script[81:]
			if g.sleeps(fn) && g.longTimer(params) {
				continue
			}
			g.callRaw(fn, params)
		}
		if len(g.sys.fds) > g.sys.limits.OpenFDs {
			t.Errorf("%d descriptors, the limit is %d", len(g.sys.fds), g.sys.limits.OpenFDs)
		}
		if tree := g.sys.trees[1].(*memFS); tree.bytes > tree.limits.Bytes || tree.nodes > tree.limits.Nodes || tree.nodes < 0 {
			t.Errorf("scratch tree holds %d bytes and %d nodes over its limits %+v", tree.bytes, tree.nodes, tree.limits)
		}
	})
}

// longTimer says that a poll would have to wait for a timer only: then it
// would sleep as it should, which says nothing and takes long.
func (g *guest) longTimer(params []uint64) bool {
	n := uint32(params[2])
	b, ok := g.mem.Bytes(uint32(params[0]), min(n, 100)*48)
	if !ok {
		return false
	}
	for ; len(b) >= 48; b = b[48:] {
		if b[8] == eventClock && get64(b[24:]) > 1000 {
			return true
		}
	}
	return false
}

// TestInvariant4HostileInputIsBounded_Scratch: a guest cannot hold more than
// its limits, whatever the offset, and gets back what it deletes.
func TestInvariant4HostileInputIsBounded_Scratch(t *testing.T) {
	tree := scratch(t, 1000, 10)
	g := newGuest(t, Config{Preopens: []Preopen{{"/", tree}}})
	fd := g.mustOpen(3, "f", oflagCreat, openRights, 0)
	p, n := g.str("x")
	out := g.alloc(8)
	for _, off := range []uint64{1000, 1 << 20, 1 << 40, far - 1} {
		g.want(errnoNoSpc, "fd_pwrite", fd, g.iovec(p, n), 1, off, out)
		g.want(errnoNoSpc, "fd_allocate", fd, off, 1)
		g.want(errnoNoSpc, "fd_filestat_set_size", fd, off+1)
	}
	g.want(errnoSuccess, "fd_pwrite", fd, g.iovec(p, n), 1, 999, out)
	for i := range 9 {
		g.create(3, strings.Repeat("n", i+1), "")
	}
	for _, f := range []string{"path_create_directory"} {
		g.wantPath(errnoNoSpc, f, 3, "more")
	}
	g.wantSymlink(errnoNoSpc, "f", "more")
	g.wantLink(errnoNoSpc, "f", "more")
	g.wantPath(errnoSuccess, "path_unlink_file", 3, "f")
	if m := tree.(*memFS); m.bytes != 1000 {
		t.Errorf("%d bytes held by an unlinked open file, want 1000", m.bytes)
	}
	g.want(errnoSuccess, "fd_close", fd)
	if m := tree.(*memFS); m.bytes != 0 {
		t.Errorf("%d bytes held after the last close", m.bytes)
	}
	g.wantPath(errnoSuccess, "path_create_directory", 3, "more")
	if _, err := NewScratchFS(ScratchLimits{}); err == nil {
		t.Error("a tree without limits was made")
	}
}

func TestInvariant4HostileInputIsBounded_Descriptors(t *testing.T) {
	g := newGuest(t, Config{Preopens: []Preopen{{"/", scratch(t, 10, 10)}}, Limits: Limits{OpenFDs: 6}})
	g.create(3, "f", "")
	for range 5 {
		g.mustOpen(3, "f", 0, 0, 0)
	}
	if _, rc := g.open(3, "f", 0, 0, 0); rc != errnoMFile {
		t.Errorf("opening one more than the limit: errno %d, want %d", rc, errnoMFile)
	}
	g.want(errnoSuccess, "fd_close", 1)
	if fd := g.mustOpen(3, "f", 0, 0, 0); fd != 1 {
		t.Errorf("opened as %d, want the lowest free number 1", fd)
	}
	g.want(errnoSuccess, "fd_renumber", 1, 2)
	g.want(errnoBadf, "fd_renumber", 2, 1)
	g.want(errnoBadf, "fd_close", 1)
	g.want(errnoSuccess, "fd_renumber", 2, 2)
	g.want(errnoBadf, "fd_renumber", 2, 1000)
}

// TestGuestMemoryBounds: results are written nowhere but where they fit.
func TestGuestMemoryBounds(t *testing.T) {
	var out bytes.Buffer
	g := newGuest(t, Config{FDs: []Descriptor{Stdin(NewStream(strings.NewReader("abc"), nil)), Stdout(NewStream(nil, &out))}})
	p, n := g.str("data")
	end := len(g.mem)
	g.want(errnoFault, "fd_write", 1, g.iovec(p, n), 1, end-3)
	g.want(errnoFault, "fd_write", 1, end-4, 1, p)
	g.want(errnoFault, "fd_write", 1, g.iovec(end-1, 2), 1, p)
	g.want(errnoFault, "fd_write", 1, g.iovec(p, -1), 1, p)
	g.want(errnoInval, "fd_write", 1, p, 1025, p)
	if out.Len() != 0 {
		t.Errorf("%d bytes were written by calls that failed", out.Len())
	}
	g.want(errnoFault, "fd_read", 0, g.iovec(p, n), 1, end-3)
	if s, _ := g.read(0, 10); s != "abc" {
		t.Errorf("read %q: a failed call took bytes", s)
	}
	iov := g.alloc(8 * 1024)
	for i := range 1024 {
		put32(g.mem[iov+8*i+4:], 1<<17)
	}
	g.want(errnoSuccess, "fd_write", 1, iov, 1024, p)
	for i := range 1024 {
		put32(g.mem[iov+8*i+4:], 1<<18)
	}
	g.mem = append(g.mem, make([]byte, 1<<22)...)
	for i := range 1024 {
		put32(g.mem[iov+8*i+4:], 1<<22)
	}
	g.want(errnoInval, "fd_write", 1, iov, 1024, p)
}

// TestInvariant6EntropyIsTheKeeps: random bytes come from Config.Random alone,
// and a source that fails gives none.
func TestInvariant6EntropyIsTheKeeps(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a system without a random source was made")
	}
	g := newGuest(t, Config{Random: io.LimitReader(strings.NewReader("0123456789"), 10)})
	p := g.alloc(16)
	g.want(errnoSuccess, "random_get", p, 4)
	if got := string(g.mem[p:][:4]); got != "0123" {
		t.Errorf("random bytes %q", got)
	}
	g.want(errnoSuccess, "random_get", p, 0)
	g.want(errnoIO, "random_get", p, 16)
	if got := g.mem[p:][:16]; !bytes.Equal(got, make([]byte, 16)) {
		t.Errorf("a source that failed left %q", got)
	}
	g.want(errnoFault, "random_get", p, -1)
}

func TestConfigIsChecked(t *testing.T) {
	tree := scratch(t, 1, 1)
	random := strings.NewReader("")
	for name, cfg := range map[string]Config{
		"zero byte in argument": {Args: []string{"a\x00b"}},
		"zero byte in variable": {Env: []string{"A=\x00"}},
		"too many arguments":    {Args: []string{strings.Repeat("x", 10)}, Limits: Limits{ArgBytes: 10}},
		"no stream":             {FDs: []Descriptor{Stdin(nil)}},
		"no listener":           {FDs: []Descriptor{Listen(nil)}},
		"no tree":               {Preopens: []Preopen{{Path: "/"}}},
		"no path":               {Preopens: []Preopen{{FS: tree}}},
		"zero byte in path":     {Preopens: []Preopen{{Path: "/\x00", FS: tree}}},
		"too many descriptors":  {FDs: []Descriptor{Null(), Null(), Null(), Null()}, Limits: Limits{OpenFDs: 3}},
	} {
		cfg.Random = random
		if _, err := New(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestProcExitAndRaise(t *testing.T) {
	g := newGuest(t, Config{})
	code := func(name string, v uint64) (code int64) {
		defer func() {
			var exit *engine.ExitError
			if err, ok := recover().(error); ok && errors.As(err, &exit) {
				code = int64(exit.Code)
			}
		}()
		g.funcs[name].Call(t.Context(), g.mem, []uint64{v})
		return -1
	}
	for v, want := range map[uint64]int64{0: 0, 33: 33, 0xffffffff: 0xffffffff} {
		if got := code("proc_exit", v); got != want {
			t.Errorf("proc_exit(%d) left with %d", v, got)
		}
	}
	for v, want := range map[uint64]int64{0: -1, 6: 134, 9: 137, 15: 143, 16: -1, 24: -1, 99: -1} {
		if got := code("proc_raise", v); got != want {
			t.Errorf("proc_raise(%d) left with %d, want %d", v, got, want)
		}
	}
}
