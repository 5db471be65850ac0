// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

const secret = "outside"

// outside makes a host tree with a secret beside it, which no path may reach,
// and returns the guest, the tree's directory and the secret's path.
func outside(t *testing.T) (g *guest, dir, secretPath string) {
	t.Helper()
	tree, dir := hostDirTree(t, false)
	secretPath = filepath.Join(filepath.Dir(dir), "secret")
	if err := os.WriteFile(secretPath, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return newGuest(t, Config{Preopens: []Preopen{{"/", tree}}}), dir, secretPath
}

// tryAll does with a path everything that a guest can do with one, following
// links or not, and fails if anything works.
func (g *guest) tryAll(path string) {
	g.t.Helper()
	g.next = 0
	p, n := g.str(path)
	q, m := g.str("inside")
	buf := g.alloc(64)
	out := g.alloc(4)
	for follow := range 2 {
		for _, oflags := range []int{0, oflagCreat, oflagTrunc, oflagDirectory, oflagCreat | oflagExcl} {
			for _, base := range []rights{0, rightFDRead, rightFDRead | rightFDWrite} {
				rc := g.call("path_open", 3, follow, p, n, oflags, base, rightsDirInheriting, 0, out)
				if rc == errnoSuccess {
					s, _ := g.read(int(g.u32(out)), 100)
					g.t.Errorf("%q was opened (follow %d, oflags %d, rights %#x) and read as %q", path, follow, oflags, base, s)
				}
			}
		}
		if rc := g.call("path_filestat_get", 3, follow, p, n, buf); rc == errnoSuccess && follow == 1 {
			g.t.Errorf("stat through %q", path)
		}
		if rc := g.call("path_filestat_set_times", 3, follow, p, n, 1, 1, fstMtim); rc == errnoSuccess && follow == 1 {
			g.t.Errorf("set times through %q", path)
		}
	}
	below := path + "/below"
	b, k := g.str(below)
	for name, rc := range map[string]errno{
		"path_create_directory": g.call("path_create_directory", 3, b, k),
		"path_unlink_file":      g.call("path_unlink_file", 3, b, k),
		"path_remove_directory": g.call("path_remove_directory", 3, b, k),
		"path_symlink":          g.call("path_symlink", q, m, 3, b, k),
		"path_link to":          g.call("path_link", 3, 0, q, m, 3, b, k),
		"path_rename to":        g.call("path_rename", 3, q, m, 3, b, k),
		"path_link from":        g.call("path_link", 3, 0, b, k, 3, q, m),
		"path_rename from":      g.call("path_rename", 3, b, k, 3, q, m),
	} {
		if rc == errnoSuccess {
			g.t.Errorf("%s worked below %q", name, path)
		}
	}
}

// TestIsolationNoPathLeadsOutOfADirectory holds host from workload (DESIGN,
// trust model): dots, absolute paths and links, made by the guest or found.
func TestIsolationNoPathLeadsOutOfADirectory(t *testing.T) {
	g, dir, secretPath := outside(t)
	parent := filepath.Dir(dir)
	for _, d := range []string{"d", "d/e"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"up": "../secret", "abs": secretPath, "dirup": "..", "absdir": parent, "root": "/", "d/e/deep": "../../../secret",
		"self": "/proc/self/root", "fd": "/proc/self/fd/0", "cwd": "/proc/self/cwd", "chain": "dirup/secret", "chain2": "./d/../dirup",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{
		"../secret", "..", "../", "../.", "d/../../secret", "d/../..", "/", secretPath, "//", "/..", "./../secret",
		"up", "abs", "dirup", "dirup/secret", "absdir/secret", "root/etc/passwd", "d/e/deep", "self/etc/passwd", "fd", "cwd",
		"chain", "chain2/secret", "d/e/../../../secret", strings.Repeat("d/../", 50) + "../secret", "absdir/top/../secret",
	} {
		g.tryAll(path)
	}
	// A link that the guest makes itself is no better.
	g.next = 0
	g.wantSymlink(errnoSuccess, "../secret", "mine")
	g.tryAll("mine")
	g.wantSymlink(errnoPerm, secretPath, "minetoo")
	// Descriptors of directories below keep the guest below them.
	fd := g.mustOpen(3, "d/e", oflagDirectory, rightsDir, 0)
	for _, path := range []string{"..", "../e", "../../secret", "deep"} {
		p, n := g.str(path)
		if rc := g.call("path_open", fd, lookupFollow, p, n, 0, rightFDRead, 0, 0, g.alloc(4)); rc != errnoPerm {
			t.Errorf("%q from the descriptor of a directory below: errno %d, want %d", path, rc, errnoPerm)
		}
	}
	untouched(t, parent, secretPath)
}

func untouched(t *testing.T, parent, secretPath string) {
	t.Helper()
	if got, err := os.ReadFile(secretPath); err != nil || string(got) != secret {
		t.Errorf("the secret is %q now, %v", got, err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d entries beside the directory, want 2 (%v)", len(entries), err)
	}
}

// TestIsolationRenameRace swaps a directory for a link to the outside, and
// moves directories up, while the guest walks through them.
func TestIsolationRenameRace(t *testing.T) {
	g, dir, secretPath := outside(t)
	parent := filepath.Dir(dir)
	for _, d := range []string{"a", "a/b", "a/b/c"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../..", filepath.Join(dir, "evil")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a/b/secret"), []byte("inside"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		a, evil := filepath.Join(dir, "a"), filepath.Join(dir, "evil")
		c, moved := filepath.Join(dir, "a/b/c"), filepath.Join(dir, "c")
		for {
			select {
			case <-stop:
				return
			default:
			}
			// "a" becomes a link to the outside and a directory again.
			unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, evil, unix.RENAME_EXCHANGE)
			unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, evil, unix.RENAME_EXCHANGE)
			// A directory moves up while the guest is in it: going back
			// by the kernel's ".." would climb out.
			os.Rename(c, moved)
			os.Rename(moved, c)
		}
	})
	opened := 0
	for i := range 4000 {
		g.next = 0
		for _, path := range []string{"a/b/secret", "a/secret", "a/b/c/../../b/secret", "a/b/c/../../../secret", "a/../secret"} {
			p, n := g.str(path)
			out := g.alloc(4)
			if g.call("path_open", 3, lookupFollow, p, n, 0, rightFDRead, 0, 0, out) != errnoSuccess {
				continue
			}
			opened++
			fd := int(g.u32(out))
			if s, _ := g.read(fd, 100); s != "inside" {
				t.Fatalf("round %d: %q read as %q", i, path, s)
			}
			g.call("fd_close", fd)
		}
	}
	close(stop)
	wg.Wait()
	if opened == 0 {
		t.Error("the race never let the guest open anything: the test proved nothing")
	}
	untouched(t, parent, secretPath)
}

// TestIsolationOnlyFilesAreOpened: a pipe would block, a device could act.
func TestIsolationOnlyFilesAreOpened(t *testing.T) {
	g, dir, _ := outside(t)
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sock)
	if err := unix.Bind(sock, &unix.SockaddrUnix{Name: filepath.Join(dir, "sock")}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"pipe", "sock"} {
		for _, base := range []rights{rightFDRead, rightFDWrite, rightFDRead | rightFDWrite} {
			if _, rc := g.open(3, path, 0, base, 0); rc != errnoAcces {
				t.Errorf("opening %s with rights %#x: errno %d, want %d", path, base, rc, errnoAcces)
			}
		}
	}
}

// TestIsolationRootCannotBeSwapped: what was opened stays, whatever the name
// means later.
func TestIsolationRootCannotBeSwapped(t *testing.T) {
	g, dir, _ := outside(t)
	g.create(3, "f", "inside")
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", dir); err != nil {
		t.Fatal(err)
	}
	if got := g.content(3, "f"); got != "inside" {
		t.Errorf("read %q", got)
	}
	if _, rc := g.open(3, "etc", 0, 0, 0); rc != errnoNoEnt {
		t.Errorf("opening a name of the new directory: errno %d", rc)
	}
}

// TestIsolationOpenDescriptorsAreFreed: a walk leaves nothing open in the
// kernel, on success or failure.
func TestIsolationOpenDescriptorsAreFreed(t *testing.T) {
	g, dir, _ := outside(t)
	if err := os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", maxDepth+5)), 0o755); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	for range 20 {
		g.next = 0
		g.tryAll("d/d/d/d/../../../../../secret")
		if _, rc := g.stat(3, strings.Repeat("d/", 100), 0); rc != errnoSuccess {
			t.Fatalf("stat of a deep directory: errno %d", rc)
		}
		g.wantPath(errnoSuccess, "path_create_directory", 3, "d/new")
		g.wantPath(errnoSuccess, "path_remove_directory", 3, "d/new")
	}
	if after := count(); after > before {
		t.Errorf("%d kernel descriptors open after the calls, %d before", after, before)
	}
	if _, rc := g.stat(3, strings.Repeat("d/", maxDepth+2), 0); rc != errnoNameTooLong {
		t.Errorf("a path deeper than the limit: errno %d, want %d", rc, errnoNameTooLong)
	}
}
