// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestReadWriteSeek(t *testing.T) {
	onTrees(t, func(t *testing.T, g *guest) {
		fd := g.mustOpen(3, "f", oflagCreat, openRights, 0)
		if n, rc := g.write(fd, "hello world"); n != 11 || rc != errnoSuccess {
			t.Fatalf("write: %d, errno %d", n, rc)
		}
		out := g.alloc(8)
		g.want(errnoSuccess, "fd_tell", fd, out)
		if got := get64(g.mem[out:]); got != 11 {
			t.Errorf("offset %d after writing 11 bytes", got)
		}
		g.want(errnoSuccess, "fd_seek", fd, -5, 2, out)
		if s, _ := g.read(fd, 100); s != "world" {
			t.Errorf("read %q after seeking to the last five bytes", s)
		}
		g.want(errnoInval, "fd_seek", fd, -12, 2, out)
		g.want(errnoInval, "fd_seek", fd, 0, 3, out)
		g.want(errnoSuccess, "fd_seek", fd, uint64(far), 0, out)
		g.want(errnoOverflow, "fd_seek", fd, 1, 1, out)
		if s, rc := g.read(fd, 10); s != "" || rc != errnoSuccess {
			t.Errorf("reading far behind the end: %q, errno %d", s, rc)
		}
		if _, rc := g.write(fd, "x"); rc != errnoFBig {
			t.Errorf("writing at the largest offset: errno %d, want %d", rc, errnoFBig)
		}
		p, n := g.str("HE")
		num := g.alloc(4)
		g.want(errnoSuccess, "fd_pwrite", fd, g.iovec(p, n), 1, 0, num)
		g.want(errnoInval, "fd_pwrite", fd, g.iovec(p, n), 1, uint64(1)<<63, num)
		g.want(errnoSuccess, "fd_pread", fd, g.iovec(p, n), 1, 3, num)
		if got := string(g.mem[p:][:2]); got != "lo" {
			t.Errorf("pread at 3: %q", got)
		}
		if got := g.content(3, "f"); got != "HEllo world" {
			t.Errorf("content %q", got)
		}
	})
}

func TestAppendSizesAndSync(t *testing.T) {
	onTrees(t, func(t *testing.T, g *guest) {
		g.create(3, "f", "abc")
		fd := g.mustOpen(3, "f", 0, openRights, int(flagAppend|flagSync))
		g.write(fd, "de")
		stat := g.alloc(24)
		g.want(errnoSuccess, "fd_fdstat_get", fd, stat)
		if g.mem[stat] != byte(typeRegular) || g.mem[stat+2] != byte(flagAppend|flagSync) {
			t.Errorf("fdstat has type %d and flags %#x", g.mem[stat], g.mem[stat+2])
		}
		g.want(errnoSuccess, "fd_fdstat_set_flags", fd, 0)
		g.want(errnoInval, "fd_fdstat_set_flags", fd, 32)
		g.want(errnoSuccess, "fd_seek", fd, 0, 0, stat)
		g.write(fd, "X")
		if got := g.content(3, "f"); got != "Xbcde" {
			t.Errorf("content %q", got)
		}
		g.want(errnoSuccess, "fd_filestat_set_size", fd, 2)
		g.want(errnoInval, "fd_filestat_set_size", fd, uint64(1)<<63)
		g.want(errnoSuccess, "fd_allocate", fd, 2, 3)
		g.want(errnoSuccess, "fd_allocate", fd, 0, 1)
		g.want(errnoInval, "fd_allocate", fd, 0, 0)
		g.want(errnoFBig, "fd_allocate", fd, uint64(far), uint64(far))
		if got := g.content(3, "f"); got != "Xb\x00\x00\x00" {
			t.Errorf("content %q after setting sizes", got)
		}
		g.want(errnoSuccess, "fd_sync", fd)
		g.want(errnoSuccess, "fd_datasync", fd)
		g.want(errnoSuccess, "fd_advise", fd, 0, 10, 5)
		g.want(errnoInval, "fd_advise", fd, 0, 10, 6)
		g.want(errnoInval, "fd_advise", fd, uint64(1)<<63, uint64(1)<<63, 0)
		g.want(errnoSuccess, "fd_sync", 3)
	})
}

func TestOpenFlagsAndRights(t *testing.T) {
	onTrees(t, func(t *testing.T, g *guest) {
		g.create(3, "f", "abc")
		g.wantPath(errnoSuccess, "path_create_directory", 3, "d")
		for _, c := range []struct {
			path   string
			oflags int
			base   rights
			want   errno
		}{
			{"f", oflagCreat | oflagExcl, 0, errnoExist},
			{"d", oflagCreat | oflagExcl, 0, errnoExist},
			{"none", 0, 0, errnoNoEnt},
			{"none/x", oflagCreat, 0, errnoNoEnt},
			{"f/x", oflagCreat, 0, errnoNotDir},
			{"f", oflagDirectory, 0, errnoNotDir},
			{"f/", 0, 0, errnoNotDir},
			{"f/.", 0, 0, errnoNotDir},
			{"new/", oflagCreat, 0, errnoIsDir},
			{"d", oflagCreat, rightFDRead, errnoIsDir},
			{"d", oflagTrunc, 0, errnoIsDir},
			{"d", 0, rightFDRead | rightFDWrite, errnoIsDir},
			{"d", oflagDirectory, rightFDWrite, errnoIsDir},
			{"d", 0, rightFDRead, errnoSuccess},
			{"d/", 0, 0, errnoSuccess},
			{"d/../f", 0, 0, errnoSuccess},
			{".", oflagDirectory, 0, errnoSuccess},
			{"f", 16, 0, errnoInval},
			{"", 0, 0, errnoNoEnt},
			{"f\x00", 0, 0, errnoInval},
			{long, 0, 0, errnoNameTooLong},
			{strings.Repeat("d/../", 1000), 0, 0, errnoNameTooLong},
		} {
			if _, got := g.open(3, c.path, c.oflags, c.base, 0); got != c.want {
				t.Errorf("open %.20q, oflags %d, rights %#x: errno %d, want %d", c.path, c.oflags, c.base, got, c.want)
			}
		}
		fd := g.mustOpen(3, "f", 0, rightFDRead, 0)
		if _, rc := g.write(fd, "x"); rc != errnoNotCapable {
			t.Errorf("writing without the right: errno %d", rc)
		}
		g.want(errnoNotCapable, "fd_fdstat_set_rights", fd, rightFDRead|rightFDWrite, 0)
		g.want(errnoSuccess, "fd_fdstat_set_rights", fd, 0, 0)
		if _, rc := g.read(fd, 1); rc != errnoNotCapable {
			t.Errorf("reading after giving up the right: errno %d", rc)
		}
		// A directory passes on only what it has.
		d := g.mustOpen(3, "d", oflagDirectory, rightPathOpen, 0)
		if _, rc := g.open(d, "new", oflagCreat, 0, 0); rc != errnoNotCapable {
			t.Errorf("creating without the right: errno %d", rc)
		}
		g.want(errnoSuccess, "fd_fdstat_set_rights", 3, rightsDir&^rightPathFilestatSetSize, rightsDirInheriting)
		if _, rc := g.open(3, "f", oflagTrunc, 0, 0); rc != errnoNotCapable {
			t.Errorf("truncating without the right: errno %d", rc)
		}
		if _, rc := g.open(fd, "x", 0, 0, 0); rc != errnoNotDir {
			t.Errorf("path below a file: errno %d", rc)
		}
	})
}

func TestLinksAndRenames(t *testing.T) {
	onTrees(t, func(t *testing.T, g *guest) {
		g.create(3, "f", "abc")
		g.wantPath(errnoSuccess, "path_create_directory", 3, "d/")
		g.wantPath(errnoExist, "path_create_directory", 3, "d")
		g.wantPath(errnoExist, "path_create_directory", 3, ".")
		g.wantLink(errnoSuccess, "f", "d/g")
		g.wantLink(errnoExist, "f", "d/g")
		g.wantLink(errnoPerm, "d", "e")
		g.wantLink(errnoNoEnt, "f", "h/")
		g.wantLink(errnoNoEnt, "none", "h")
		if a, _ := g.stat(3, "f", 0); a.nlink != 2 || a.size != 3 || a.typ != typeRegular {
			t.Errorf("stat of a linked file: %+v", a)
		}
		g.wantRename(errnoSuccess, "d/", "e/")
		g.wantRename(errnoNotDir, "f", "x/")
		g.wantRename(errnoNotDir, "f/", "x")
		g.wantRename(errnoNoEnt, "none", "x")
		g.wantRename(errnoIsDir, "f", "e")
		g.wantRename(errnoNotDir, "e", "f")
		g.wantRename(errnoInval, "e", "e/sub")
		g.wantRename(errnoBusy, ".", "x")
		g.wantPath(errnoSuccess, "path_create_directory", 3, "full")
		g.create(3, "full/x", "")
		g.wantRename(errnoNotEmpty, "e", "full")
		g.wantRename(errnoSuccess, "f", "full/x")
		if got := g.content(3, "full/x"); got != "abc" {
			t.Errorf("content after renaming over a file: %q", got)
		}
		g.wantPath(errnoNotEmpty, "path_remove_directory", 3, "full")
		g.wantPath(errnoNotDir, "path_remove_directory", 3, "full/x")
		g.wantPath(errnoInval, "path_remove_directory", 3, ".")
		g.wantPath(errnoIsDir, "path_unlink_file", 3, "full")
		g.wantPath(errnoIsDir, "path_unlink_file", 3, "full/")
		g.wantPath(errnoIsDir, "path_unlink_file", 3, ".")
		g.wantPath(errnoNotDir, "path_unlink_file", 3, "full/x/")
		g.wantPath(errnoSuccess, "path_unlink_file", 3, "full/x")
		g.wantPath(errnoNoEnt, "path_unlink_file", 3, "full/x")
		g.wantPath(errnoSuccess, "path_remove_directory", 3, "full/")
		if got := g.content(3, "e/g"); got != "abc" {
			t.Errorf("content of the other name: %q", got)
		}
	})
}

func TestSymlinks(t *testing.T) {
	onTrees(t, func(t *testing.T, g *guest) {
		g.create(3, "f", "abc")
		g.wantPath(errnoSuccess, "path_create_directory", 3, "d")
		g.wantSymlink(errnoSuccess, "../f", "d/up")
		g.wantSymlink(errnoSuccess, "d", "dl")
		g.wantSymlink(errnoSuccess, "loop", "loop")
		g.wantSymlink(errnoSuccess, "made", "dangling")
		g.wantSymlink(errnoPerm, "/etc", "abs")
		g.wantSymlink(errnoNoEnt, "", "empty")
		g.wantSymlink(errnoNoEnt, "x", "n/")
		g.wantSymlink(errnoExist, "x", "d/")
		g.wantSymlink(errnoExist, "x", "f")

		p, n := g.str("dl/up")
		out := g.alloc(4)
		g.want(errnoSuccess, "path_open", 3, lookupFollow, p, n, 0, rightFDRead, 0, 0, out)
		if s, _ := g.read(int(g.u32(out)), 10); s != "abc" {
			t.Errorf("read %q through two links", s)
		}
		for path, want := range map[string]errno{"dl/up": errnoLoop, "dl": errnoLoop, "loop": errnoLoop} {
			if _, rc := g.open(3, path, 0, 0, 0); rc != want {
				t.Errorf("opening the link %q itself: errno %d, want %d", path, rc, want)
			}
		}
		p, n = g.str("loop")
		g.want(errnoLoop, "path_open", 3, lookupFollow, p, n, 0, 0, 0, 0, out)
		p, n = g.str("dangling")
		g.want(errnoNoEnt, "path_open", 3, lookupFollow, p, n, 0, 0, 0, 0, out)
		g.want(errnoExist, "path_open", 3, lookupFollow, p, n, oflagCreat|oflagExcl, 0, 0, 0, out)
		g.want(errnoSuccess, "path_open", 3, lookupFollow, p, n, oflagCreat, 0, 0, 0, out)
		if s, rc := g.stat(3, "made", 0); rc != errnoSuccess || s.typ != typeRegular {
			t.Errorf("creating through a dangling link: errno %d, type %d", rc, s.typ)
		}
		if s, _ := g.stat(3, "dl", 0); s.typ != typeSymlink || s.size != 1 {
			t.Errorf("stat of a link: %+v", s)
		}
		if s, _ := g.stat(3, "dl", lookupFollow); s.typ != typeDirectory {
			t.Errorf("stat through a link: %+v", s)
		}
		if s, _ := g.stat(3, "dl/", 0); s.typ != typeDirectory {
			t.Errorf("stat of a link with a slash: %+v", s)
		}
		buf := g.alloc(16)
		p, n = g.str("d/up")
		g.want(errnoSuccess, "path_readlink", 3, p, n, buf, 16, out)
		if got := string(g.mem[buf:][:g.u32(out)]); got != "../f" {
			t.Errorf("readlink %q", got)
		}
		g.want(errnoSuccess, "path_readlink", 3, p, n, buf, 2, out)
		if g.u32(out) != 2 {
			t.Errorf("readlink into 2 bytes used %d", g.u32(out))
		}
		p, n = g.str("f")
		g.want(errnoInval, "path_readlink", 3, p, n, buf, 2, out)
		g.wantPath(errnoNotDir, "path_remove_directory", 3, "dl")
		g.wantLink(errnoSuccess, "dangling", "copy")
		if s, _ := g.stat(3, "copy", 0); s.typ != typeSymlink {
			t.Errorf("a hard link to a symbolic link: %+v", s)
		}
		q, m := g.str("other")
		g.want(errnoInval, "path_link", 3, lookupFollow, p, n, 3, q, m)
	})
}

func TestTimes(t *testing.T) {
	onTrees(t, func(t *testing.T, g *guest) {
		g.create(3, "f", "abc")
		g.wantSymlink(errnoSuccess, "f", "l")
		before, _ := g.stat(3, "f", 0)
		p, n := g.str("l")
		g.want(errnoSuccess, "path_filestat_set_times", 3, 0, p, n, 7, 9, fstMtim)
		if s, _ := g.stat(3, "l", 0); s.mtim != 9 {
			t.Errorf("mtim of the link %d, want 9", s.mtim)
		}
		if s, _ := g.stat(3, "f", 0); s.mtim != before.mtim || s.atim != before.atim {
			t.Errorf("setting a link's times changed the file's")
		}
		g.want(errnoSuccess, "path_filestat_set_times", 3, lookupFollow, p, n, 7, 9, fstMtim|fstAtim)
		if s, _ := g.stat(3, "f", 0); s.mtim != 9 || s.atim != 7 {
			t.Errorf("times %d %d, want 7 9", s.atim, s.mtim)
		}
		fd := g.mustOpen(3, "f", 0, openRights, 0)
		g.want(errnoSuccess, "fd_filestat_set_times", fd, 5, 0, fstAtim|fstMtimNow)
		if s, _ := g.stat(3, "f", 0); s.atim != 5 || s.mtim < before.mtim {
			t.Errorf("times %d %d after setting 5 and now", s.atim, s.mtim)
		}
		g.want(errnoSuccess, "fd_filestat_set_times", 3, 5, 6, fstAtim|fstMtim)
		for _, flags := range []int{fstAtim | fstAtimNow, fstMtim | fstMtimNow, 16} {
			g.want(errnoInval, "fd_filestat_set_times", fd, 5, 0, flags)
			g.want(errnoInval, "path_filestat_set_times", 3, 0, p, n, 5, 0, flags)
		}
		g.want(errnoInval, "fd_filestat_set_times", fd, uint64(1)<<63, 0, fstAtim)
	})
}

func TestReaddir(t *testing.T) {
	onTrees(t, func(t *testing.T, g *guest) {
		want := []string{".", ".."}
		for i := range 300 {
			name := fmt.Sprintf("file.%d", i)
			g.create(3, name, "")
			want = append(want, name)
			g.next = 0
		}
		slices.Sort(want)
		got := g.names(3, 200)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("listed %d names with a small buffer, want %d", len(got), len(want))
		}
		buf, out := g.alloc(10), g.alloc(4)
		g.want(errnoSuccess, "fd_readdir", 3, buf, 10, 0, out)
		if g.u32(out) != 10 {
			t.Errorf("a buffer smaller than an entry was used for %d bytes, want all", g.u32(out))
		}
		g.want(errnoSuccess, "fd_readdir", 3, buf, 10, uint64(1)<<63, out)
		if g.u32(out) != 0 {
			t.Errorf("a cookie behind the end gave %d bytes", g.u32(out))
		}
		g.sys.limits.DirEntries = 10
		g.want(errnoOverflow, "fd_readdir", 3, buf, 10, 0, out)
	})
}

func TestUnlinkedFileStaysReadable(t *testing.T) {
	onTrees(t, func(t *testing.T, g *guest) {
		g.create(3, "f", "abc")
		fd := g.mustOpen(3, "f", 0, openRights, 0)
		g.wantPath(errnoSuccess, "path_unlink_file", 3, "f")
		if s, rc := g.read(fd, 10); s != "abc" || rc != errnoSuccess {
			t.Errorf("read %q, errno %d", s, rc)
		}
		g.wantPath(errnoSuccess, "path_create_directory", 3, "d")
		d := g.mustOpen(3, "d", oflagDirectory, rightsDir, 0)
		g.wantPath(errnoSuccess, "path_remove_directory", 3, "d")
		if _, rc := g.open(d, "x", oflagCreat, 0, 0); rc != errnoNoEnt {
			t.Errorf("creating in a removed directory: errno %d", rc)
		}
	})
}

func TestRenameBetweenTreesIsXDev(t *testing.T) {
	host, _ := hostDirTree(t, false)
	g := newGuest(t, Config{Preopens: []Preopen{{"/a", host}, {"/b", scratch(t, 100, 10)}, {"/c", scratch(t, 100, 10)}}})
	g.create(3, "f", "x")
	g.create(4, "f", "x")
	p, n := g.str("f")
	for _, pair := range [][2]int{{3, 4}, {4, 3}, {4, 5}} {
		g.want(errnoXDev, "path_rename", pair[0], p, n, pair[1], p, n)
	}
	q, m := g.str("g")
	g.want(errnoXDev, "path_link", 4, 0, p, n, 5, q, m)
	g.want(errnoXDev, "path_link", 3, 0, p, n, 5, q, m)
}

func TestReadOnlyTrees(t *testing.T) {
	data := []byte("abc")
	bundle, err := NewBundleFS([]BundleFile{{Path: "/f", Data: data}, {Path: "/d", Dir: true}, {Path: "/a/b/c", Data: []byte("deep")}})
	if err != nil {
		t.Fatal(err)
	}
	host, dir := hostDirTree(t, false)
	g := newGuest(t, Config{Preopens: []Preopen{{"/", host}}})
	g.create(3, "f", "abc")
	g.wantPath(errnoSuccess, "path_create_directory", 3, "d")
	ro := openHost(t, dir, true)
	for name, tree := range map[string]FS{"bundle": bundle, "host": ro} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, Config{Preopens: []Preopen{{"/", tree}}})
			if got := g.content(3, "f"); got != "abc" {
				t.Errorf("content %q", got)
			}
			for _, c := range []struct {
				path   string
				oflags int
				base   rights
				want   errno
			}{
				{"f", 0, rightFDWrite, errnoROFS}, {"f", oflagTrunc, 0, errnoROFS}, {"n", oflagCreat, 0, errnoROFS},
				{"none", 0, rightFDWrite, errnoNoEnt}, {"d", 0, 0, errnoSuccess},
			} {
				if _, rc := g.open(3, c.path, c.oflags, c.base, 0); rc != c.want {
					t.Errorf("open %q with oflags %d, rights %#x: errno %d, want %d", c.path, c.oflags, c.base, rc, c.want)
				}
			}
			for _, f := range []string{"path_create_directory", "path_unlink_file", "path_remove_directory"} {
				g.wantPath(errnoNotCapable, f, 3, "d")
			}
			g.wantRename(errnoNotCapable, "f", "g")
			g.wantSymlink(errnoNotCapable, "f", "g")
			g.wantLink(errnoNotCapable, "f", "g")
			// The rights are the outer wall only; the tree itself refuses too.
			e := g.sys.fds[3]
			e.base, e.inheriting = rightsDir, rightsDirInheriting
			for _, f := range []string{"path_create_directory", "path_unlink_file", "path_remove_directory"} {
				p, n := g.str(map[string]string{"path_create_directory": "new", "path_unlink_file": "f", "path_remove_directory": "d"}[f])
				g.want(errnoROFS, f, 3, p, n)
			}
			g.wantRename(errnoROFS, "f", "g")
			g.wantSymlink(errnoROFS, "f", "g")
			g.wantLink(errnoROFS, "f", "g")
			if _, rc := g.open(3, "n", oflagCreat, 0, 0); rc != errnoROFS {
				t.Errorf("creating: errno %d", rc)
			}
			if _, rc := g.open(3, "f", oflagTrunc, 0, 0); rc != errnoROFS {
				t.Errorf("truncating: errno %d", rc)
			}
			p, n := g.str("f")
			g.want(errnoROFS, "path_filestat_set_times", 3, 0, p, n, 0, 0, fstMtim)
			fd := g.mustOpen(3, "f", 0, rightsFile&^rightFDWrite, 0)
			if rc := g.call("fd_filestat_set_size", fd, 0); rc == errnoSuccess {
				t.Error("a file of a read-only tree was cut")
			}
			if rc := g.call("fd_allocate", fd, 0, 1000); rc == errnoSuccess {
				t.Error("a file of a read-only tree was extended")
			}
			g.want(errnoROFS, "fd_filestat_set_times", fd, 0, 0, fstMtim)
			if got := g.content(3, "f"); got != "abc" {
				t.Errorf("content %q after all that", got)
			}
		})
	}
	if string(data) != "abc" {
		t.Errorf("the bundle's bytes are %q now", data)
	}
}

func TestBundlePathsAreChecked(t *testing.T) {
	for _, files := range [][]BundleFile{
		{{Path: "f"}}, {{Path: ""}}, {{Path: "/a/../b"}}, {{Path: "/a//b"}}, {{Path: "/a/"}}, {{Path: "/"}},
		{{Path: "/a"}, {Path: "/a"}}, {{Path: "/a"}, {Path: "/a/b"}}, {{Path: "/a/b"}, {Path: "/a"}},
		{{Path: "/a\x00"}}, {{Path: "/" + long}}, {{Path: strings.Repeat("/a", maxDepth+1)}},
	} {
		if _, err := NewBundleFS(files); err == nil {
			t.Errorf("files %.60v were accepted", files)
		}
	}
	tree, err := NewBundleFS([]BundleFile{{Path: "/", Dir: true}, {Path: "/a/b"}, {Path: "/a", Dir: true}, {Path: "/a", Dir: true}})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, Config{Preopens: []Preopen{{"/", tree}}})
	if got := g.names(g.mustOpen(3, "a", 0, rightsDir, 0), 100); !slices.Equal(got, []string{".", "..", "b"}) {
		t.Errorf("names %q", got)
	}
}
