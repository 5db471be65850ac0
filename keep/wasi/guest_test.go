// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"crypto/rand"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/keep/engine"
)

// fakeMemory is a guest's memory in a test.
type fakeMemory []byte

func (m fakeMemory) Bytes(off, n uint32) ([]byte, bool) {
	if uint64(off)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[off:][:n:n], true
}

func (m fakeMemory) Size() uint64 { return uint64(len(m)) }

// guest calls the system interface as a module would, with its strings and
// results in memory.
type guest struct {
	t     testing.TB
	sys   *System
	mem   fakeMemory
	funcs map[string]engine.HostFunc
	next  uint32 // free memory
}

func newGuest(t testing.TB, cfg Config) *guest {
	t.Helper()
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	sys, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Close() })
	g := &guest{t: t, sys: sys, mem: make(fakeMemory, 1<<18), funcs: make(map[string]engine.HostFunc)}
	for _, f := range sys.HostFuncs() {
		g.funcs[f.Name] = f
	}
	return g
}

// call calls a function with 32 and 64 bit parameters as they come.
func (g *guest) call(name string, params ...any) errno {
	g.t.Helper()
	f, ok := g.funcs[name]
	if !ok || len(f.Params) != len(params) {
		g.t.Fatalf("%s with %d parameters: no such function", name, len(params))
	}
	st := make([]uint64, max(len(params), 1))
	for i, p := range params {
		switch v := p.(type) {
		case int:
			st[i] = uint64(uint32(v))
			if f.Params[i] == engine.I64 {
				st[i] = uint64(int64(v))
			}
		case uint32:
			st[i] = uint64(v)
		case uint64:
			st[i] = v
		case rights:
			st[i] = uint64(v)
		default:
			g.t.Fatalf("%s: parameter of type %T", name, p)
		}
	}
	f.Call(g.t.Context(), g.mem, st)
	return errno(st[0])
}

// want calls and checks the result.
func (g *guest) want(rc errno, name string, params ...any) {
	g.t.Helper()
	if got := g.call(name, params...); got != rc {
		g.t.Errorf("%s%v = errno %d, want %d", name, params, got, rc)
	}
}

// alloc takes n bytes of memory; str puts a string there.
func (g *guest) alloc(n int) int {
	p := (g.next + 7) &^ 7
	g.next = p + uint32(n)
	if uint64(g.next) > g.mem.Size() {
		g.t.Fatal("the test guest's memory is full")
	}
	return int(p)
}

func (g *guest) str(s string) (ptr, n int) {
	p := g.alloc(len(s))
	copy(g.mem[p:], s)
	return p, len(s)
}

func (g *guest) u32(p int) uint32 { return get32(g.mem[p:]) }

// iovec makes one buffer descriptor.
func (g *guest) iovec(ptr, n int) int {
	p := g.alloc(8)
	put32(g.mem[p:], uint32(ptr))
	put32(g.mem[p+4:], uint32(n))
	return p
}

// openRights are what the tests usually ask for.
const openRights = rightsFile

// open opens a path and returns the descriptor.
func (g *guest) open(dir int, path string, oflags int, base rights, flags int) (int, errno) {
	g.t.Helper()
	p, n := g.str(path)
	out := g.alloc(4)
	rc := g.call("path_open", dir, 0, p, n, oflags, base, rightsDirInheriting, flags, out)
	return int(g.u32(out)), rc
}

func (g *guest) mustOpen(dir int, path string, oflags int, base rights, flags int) int {
	g.t.Helper()
	fd, rc := g.open(dir, path, oflags, base, flags)
	if rc != errnoSuccess {
		g.t.Fatalf("opening %q: errno %d", path, rc)
	}
	return fd
}

func (g *guest) write(fd int, data string) (int, errno) {
	p, n := g.str(data)
	out := g.alloc(4)
	rc := g.call("fd_write", fd, g.iovec(p, n), 1, out)
	return int(g.u32(out)), rc
}

func (g *guest) read(fd, n int) (string, errno) {
	p, out := g.alloc(n), g.alloc(4)
	rc := g.call("fd_read", fd, g.iovec(p, n), 1, out)
	return string(g.mem[p:][:g.u32(out)]), rc
}

// create makes a file with content.
func (g *guest) create(dir int, path, data string) {
	g.t.Helper()
	fd := g.mustOpen(dir, path, oflagCreat|oflagTrunc, openRights, 0)
	if n, rc := g.write(fd, data); rc != errnoSuccess || n != len(data) {
		g.t.Fatalf("writing %q: %d bytes, errno %d", path, n, rc)
	}
	g.want(errnoSuccess, "fd_close", fd)
}

// content reads a whole file.
func (g *guest) content(dir int, path string) string {
	g.t.Helper()
	fd := g.mustOpen(dir, path, 0, rightFDRead, 0)
	defer g.call("fd_close", fd)
	s, rc := g.read(fd, 1000)
	if rc != errnoSuccess {
		g.t.Fatalf("reading %q: errno %d", path, rc)
	}
	return s
}

// stat gives filestat fields of a path.
func (g *guest) stat(dir int, path string, follow int) (fileStat, errno) {
	p, n := g.str(path)
	out := g.alloc(64)
	rc := g.call("path_filestat_get", dir, follow, p, n, out)
	b := g.mem[out:]
	return fileStat{
		dev: get64(b), ino: get64(b[8:]), typ: fileType(b[16]), nlink: get64(b[24:]), size: get64(b[32:]),
		atim: get64(b[40:]), mtim: get64(b[48:]), ctim: get64(b[56:]),
	}, rc
}

// paths calls a function of a directory and one path, or two of each.
func (g *guest) wantPath(rc errno, name string, dir int, path string) {
	g.t.Helper()
	p, n := g.str(path)
	g.want(rc, name, dir, p, n)
}

func (g *guest) wantRename(rc errno, from, to string) {
	g.t.Helper()
	p, n := g.str(from)
	q, m := g.str(to)
	if got := g.call("path_rename", 3, p, n, 3, q, m); got != rc {
		g.t.Errorf("renaming %q to %q: errno %d, want %d", from, to, got, rc)
	}
}

func (g *guest) wantLink(rc errno, from, to string) {
	g.t.Helper()
	p, n := g.str(from)
	q, m := g.str(to)
	if got := g.call("path_link", 3, 0, p, n, 3, q, m); got != rc {
		g.t.Errorf("linking %q to %q: errno %d, want %d", from, to, got, rc)
	}
}

func (g *guest) wantSymlink(rc errno, target, path string) {
	g.t.Helper()
	p, n := g.str(target)
	q, m := g.str(path)
	if got := g.call("path_symlink", p, n, 3, q, m); got != rc {
		g.t.Errorf("symlink %q -> %q: errno %d, want %d", path, target, got, rc)
	}
}

// names lists a directory with a buffer of the given size.
func (g *guest) names(fd, size int) []string {
	g.t.Helper()
	buf, out := g.alloc(size), g.alloc(4)
	var names []string
	for cookie := uint64(0); ; {
		g.want(errnoSuccess, "fd_readdir", fd, buf, size, cookie, out)
		used := int(g.u32(out))
		b := g.mem[buf:][:used]
		for len(b) >= 24 && len(b) >= 24+int(get32(b[16:])) {
			n := int(get32(b[16:]))
			names = append(names, string(b[24:][:n]))
			cookie = get64(b)
			b = b[24+n:]
		}
		if used < size {
			return names
		}
	}
}

// hostDirTree is a host directory of its own with a tree on it.
func hostDirTree(t testing.TB, readOnly bool) (FS, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "top")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return openHost(t, dir, readOnly), dir
}

func openHost(t testing.TB, dir string, readOnly bool) FS {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	tree, err := NewDirFS(root, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func scratch(t testing.TB, bytes uint64, nodes int) FS {
	t.Helper()
	tree, err := NewScratchFS(ScratchLimits{Bytes: bytes, Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// onTrees runs a test on each kind of tree that can be written.
func onTrees(t *testing.T, test func(t *testing.T, g *guest)) {
	t.Run("host", func(t *testing.T) {
		tree, _ := hostDirTree(t, false)
		test(t, newGuest(t, Config{Preopens: []Preopen{{"/", tree}}}))
	})
	t.Run("scratch", func(t *testing.T) {
		test(t, newGuest(t, Config{Preopens: []Preopen{{"/", scratch(t, 1<<20, 5000)}}}))
	})
}

var long = strings.Repeat("x", 300)

const far = math.MaxInt64
