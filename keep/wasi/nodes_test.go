// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// withDevices is a guest with a tree of devices as descriptor 3.
func withDevices(t *testing.T, more ...Node) *guest {
	t.Helper()
	tree, err := NewDeviceFS(rand.Reader, more...)
	if err != nil {
		t.Fatal(err)
	}
	return newGuest(t, Config{Preopens: []Preopen{{"/dev", tree}}})
}

func TestDevices(t *testing.T) {
	g := withDevices(t)
	for name, check := range map[string]func(string) bool{
		"null":    func(s string) bool { return s == "" },
		"zero":    func(s string) bool { return s == strings.Repeat("\x00", 64) },
		"random":  func(s string) bool { return len(s) == 64 && s != strings.Repeat("\x00", 64) },
		"urandom": func(s string) bool { return len(s) == 64 && s != strings.Repeat("\x00", 64) },
	} {
		// As "> /dev/null" and fopen("w+") open it.
		fd := g.mustOpen(3, name, oflagCreat|oflagTrunc, openRights, 0)
		if n, rc := g.write(fd, "swallowed"); n != 9 || rc != errnoSuccess {
			t.Errorf("%s: wrote %d bytes, errno %d", name, n, rc)
		}
		if s, rc := g.read(fd, 64); rc != errnoSuccess || !check(s) {
			t.Errorf("%s reads as %x, errno %d", name, s, rc)
		}
		st, rc := g.stat(3, name, 0)
		if rc != errnoSuccess || st.typ != typeCharacter || st.size != 0 {
			t.Errorf("%s: type %d, size %d, errno %d", name, st.typ, st.size, rc)
		}
		out := g.alloc(64)
		g.want(errnoSuccess, "fd_filestat_get", fd, out)
		if fileType(g.mem[out+16]) != typeCharacter || get64(g.mem[out+8:]) != st.ino {
			t.Errorf("%s: the descriptor and the path differ: %x", name, g.mem[out:out+64])
		}
		g.want(errnoSuccess, "fd_fdstat_get", fd, out)
		// A C library takes a character device that cannot seek for a terminal.
		if r := rights(get64(g.mem[out+8:])); r&(rightFDSeek|rightFDTell) != rightFDSeek|rightFDTell {
			t.Errorf("%s looks like a terminal: rights %#x", name, r)
		}
		g.want(errnoSuccess, "fd_seek", fd, uint64(1000), 0, out)
		if get64(g.mem[out:]) != 0 {
			t.Errorf("%s: the offset is %d", name, get64(g.mem[out:]))
		}
		g.want(errnoInval, "fd_seek", fd, uint64(0), 3, out)
		g.want(errnoSPipe, "fd_pread", fd, g.iovec(out, 8), 1, uint64(0), out)
		g.want(errnoNotSock, "sock_shutdown", fd, 1)
		g.want(errnoNotCapable, "fd_readdir", fd, out, 8, uint64(0), out)
		g.want(errnoSuccess, "fd_close", fd)
		g.want(errnoBadf, "fd_read", fd, g.iovec(out, 8), 1, out)
	}
	if got := g.names(3, 1000); !slices.Equal(got, []string{".", "..", "null", "random", "urandom", "zero"}) {
		t.Errorf("the tree lists %q", got)
	}
}

// A descriptor does what it was opened for, and no more.
func TestDeviceRights(t *testing.T) {
	g := withDevices(t)
	for _, name := range []string{"null", "zero", "urandom"} {
		r := g.mustOpen(3, name, 0, rightFDRead, 0)
		if _, rc := g.write(r, "x"); rc != errnoNotCapable {
			t.Errorf("%s opened for reading can be written: errno %d", name, rc)
		}
		w := g.mustOpen(3, name, 0, rightFDWrite, 0)
		if _, rc := g.read(w, 1); rc != errnoNotCapable {
			t.Errorf("%s opened for writing can be read: errno %d", name, rc)
		}
	}
}

// Nothing in a tree of devices can be changed, and nothing leads out of it.
func TestDeviceTreeStays(t *testing.T) {
	g := withDevices(t, Node{Path: "/enarx/text", Load: func() ([]byte, error) { return []byte("text"), nil }})
	g.wantPath(errnoROFS, "path_unlink_file", 3, "null")
	g.wantPath(errnoROFS, "path_create_directory", 3, "sub")
	g.wantPath(errnoROFS, "path_remove_directory", 3, "enarx")
	g.wantRename(errnoROFS, "null", "zero")
	g.wantRename(errnoROFS, "enarx/text", "null")
	g.wantLink(errnoROFS, "null", "other")
	g.wantSymlink(errnoROFS, "null", "other")
	for path, want := range map[string]errno{
		"new": errnoROFS, "null/": errnoNotDir, "null/x": errnoNotDir, "../null": errnoPerm, "/dev/null": errnoPerm,
		"nu\x00ll": errnoInval, "": errnoNoEnt, "Null": errnoROFS, "enarx/text": errnoROFS, "enarx/../null": errnoSuccess,
	} {
		if _, rc := g.open(3, path, oflagCreat, openRights, 0); rc != want {
			t.Errorf("creating %q: errno %d, want %d", path, rc, want)
		}
	}
	if _, rc := g.open(3, "null", oflagCreat|oflagExcl, openRights, 0); rc != errnoExist {
		t.Errorf("exclusive creation of null: errno %d", rc)
	}
	if _, rc := g.open(3, "null", oflagDirectory, rightFDRead, 0); rc != errnoNotDir {
		t.Errorf("null as a directory: errno %d", rc)
	}
	if got := g.content(3, "enarx/text"); got != "text" {
		t.Errorf("after all that the file reads %q", got)
	}
}

// A made file is asked for at every opening, and an open one stays as it was.
func TestLoadedFile(t *testing.T) {
	data, failing := "first", error(nil)
	g := withDevices(t, Node{Path: "/made", Load: func() ([]byte, error) { return []byte(data), failing }})
	fd := g.mustOpen(3, "made", 0, rightFDRead, 0)
	data = "the second"
	if s, rc := g.read(fd, 100); s != "first" || rc != errnoSuccess {
		t.Errorf("the open file reads %q, errno %d", s, rc)
	}
	if st, rc := g.stat(3, "made", 0); st.size != 10 || st.typ != typeRegular || rc != errnoSuccess {
		t.Errorf("the path has type %d and size %d, errno %d", st.typ, st.size, rc)
	}
	if got := g.content(3, "made"); got != "the second" {
		t.Errorf("opened again it reads %q", got)
	}
	failing = unix.EOPNOTSUPP
	if _, rc := g.open(3, "made", 0, rightFDRead, 0); rc != errnoNotSup {
		t.Errorf("a file that cannot be made: errno %d", rc)
	}
	failing, data = nil, strings.Repeat("x", maxLoaded+1)
	if _, rc := g.open(3, "made", 0, rightFDRead, 0); rc != errnoFBig {
		t.Errorf("a file that is too large: errno %d", rc)
	}
}

func TestExchange(t *testing.T) {
	var asked []string
	fail := error(nil)
	g := withDevices(t, Node{Path: "/ask", Open: func() (Stream, error) {
		return NewExchange(4, func(q []byte) ([]byte, error) {
			asked = append(asked, string(q))
			return bytes.ToUpper(q), fail
		}), nil
	}})
	fd := g.mustOpen(3, "ask", 0, openRights, 0)
	read := func(want string, wantRC errno) {
		t.Helper()
		if s, rc := g.read(fd, 3); s != want || rc != wantRC {
			t.Errorf("read %q, errno %d, want %q, %d", s, rc, want, wantRC)
		}
	}
	write := func(s string, want errno) {
		t.Helper()
		if n, rc := g.write(fd, s); rc != want || rc == errnoSuccess && n != len(s) {
			t.Errorf("writing %q: %d bytes, errno %d, want %d", s, n, rc, want)
		}
	}
	read("", errnoInval) // nothing asked
	write("ab", errnoSuccess)
	read("", errnoInval) // half asked
	write("cde", errnoInval)
	write("cd", errnoSuccess)
	write("e", errnoInval) // one byte too much
	if len(asked) != 0 {
		t.Fatalf("asked %q before the first read", asked)
	}
	read("ABC", errnoSuccess)
	read("D", errnoSuccess)
	read("", errnoSuccess) // the end
	write("efgh", errnoSuccess)
	read("EFG", errnoSuccess)
	write("ijkl", errnoSuccess) // drops the rest
	fail = unix.EOPNOTSUPP
	read("", errnoNotSup)
	fail = nil
	read("", errnoInval) // what failed has to be asked again
	if want := []string{"abcd", "efgh", "ijkl"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	// Two openings know nothing of each other.
	other := g.mustOpen(3, "ask", 0, openRights, 0)
	write("mn", errnoSuccess)
	if _, rc := g.read(other, 3); rc != errnoInval {
		t.Errorf("another descriptor answers: errno %d", rc)
	}
}

func TestDeviceTreeIsChecked(t *testing.T) {
	open := func() (Stream, error) { return nil, errors.New("unused") }
	for name, nodes := range map[string][]Node{
		"neither":      {{Path: "/x"}},
		"both":         {{Path: "/x", Open: open, Load: func() ([]byte, error) { return nil, nil }}},
		"twice":        {{Path: "/x", Open: open}, {Path: "/x", Open: open}},
		"over zero":    {{Path: "/zero", Open: open}},
		"below a node": {{Path: "/zero/x", Open: open}},
		"relative":     {{Path: "x", Open: open}},
	} {
		if _, err := NewDeviceFS(rand.Reader, nodes...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewDeviceFS(nil); err == nil {
		t.Error("without random bytes: accepted")
	}
	// A source that fails is EIO, and nothing passes for random.
	tree, err := NewDeviceFS(io.LimitReader(rand.Reader, 0))
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, Config{Preopens: []Preopen{{"/dev", tree}}})
	fd := g.mustOpen(3, "urandom", 0, rightFDRead, 0)
	if s, rc := g.read(fd, 8); s != "" {
		t.Errorf("a dry source gave %x, errno %d", s, rc)
	}
}
