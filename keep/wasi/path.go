// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"github.com/enarx/enarx-go/keep/engine"
)

// Functions that take a path relative to a directory's descriptor.

// dirFD is an open directory with the needed rights.
func (s *System) dirFD(fd uint64, need rights) (*entry, errno) {
	e, rc := s.get(fd, 0)
	switch {
	case rc != errnoSuccess:
		return nil, rc
	case e.kind != kindDir:
		return nil, errnoNotDir
	}
	return s.get(fd, need)
}

// find walks a path from the guest's memory.
func (s *System) find(e *entry, mem engine.Memory, ptr, n uint64, follow bool) (place, errno) {
	path, rc := s.path(mem, ptr, n)
	if rc != errnoSuccess {
		return place{}, rc
	}
	return walk(e.dir, path, follow)
}

// followed is find for functions that look at what is there: a slash at the
// end leads through a link, as POSIX has it.
func (s *System) followed(e *entry, mem engine.Memory, ptr, n uint64, follow bool) (place, errno) {
	path, rc := s.path(mem, ptr, n)
	if rc != errnoSuccess {
		return place{}, rc
	}
	return walk(e.dir, path, follow || slashed(path))
}

// stat looks at a place.
func (p *place) stat() (fileStat, errno) {
	if p.name == "." {
		return p.dir.stat()
	}
	f, rc := p.dir.lookup(p.name)
	if rc == errnoSuccess && p.mustDir && f.typ != typeDirectory {
		return f, errnoNotDir
	}
	return f, rc
}

// vacant checks a place that something other than a directory is to be
// created at: POSIX wants EEXIST if anything is there, ENOENT for a slash
// after a name that is not.
func (p *place) vacant() errno {
	if p.name == "." {
		return errnoExist
	}
	if !p.mustDir {
		return errnoSuccess // the creation itself will tell
	}
	_, rc := p.dir.lookup(p.name)
	if rc == errnoSuccess {
		return errnoExist
	}
	return rc
}

func pathCreateDirectory(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.dirFD(st[0], rightPathCreateDirectory)
	if rc != errnoSuccess {
		return rc
	}
	p, rc := s.find(e, mem, st[1], st[2], false)
	if rc != errnoSuccess {
		return rc
	}
	defer p.done()
	if p.name == "." {
		return errnoExist
	}
	return p.dir.mkdir(p.name)
}

func pathFilestatGet(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.dirFD(st[0], rightPathFilestatGet)
	if rc != errnoSuccess {
		return rc
	}
	p, rc := s.followed(e, mem, st[2], st[3], st[1]&lookupFollow != 0)
	if rc != errnoSuccess {
		return rc
	}
	defer p.done()
	stat, rc := p.stat()
	if rc != errnoSuccess {
		return rc
	}
	return stat.store(mem, st[4])
}

func pathFilestatSetTimes(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.dirFD(st[0], rightPathFilestatSetTimes)
	if rc != errnoSuccess {
		return rc
	}
	t, rc := s.times(st[4], st[5], st[6])
	if rc != errnoSuccess {
		return rc
	}
	p, rc := s.followed(e, mem, st[2], st[3], st[1]&lookupFollow != 0)
	if rc != errnoSuccess {
		return rc
	}
	defer p.done()
	if _, rc := p.stat(); rc != errnoSuccess {
		return rc
	}
	if p.name == "." {
		return p.dir.setTimes(t)
	}
	return p.dir.setTimesOf(p.name, t)
}

func pathLink(s *System, mem engine.Memory, st []uint64) errno {
	from, rc := s.dirFD(st[0], rightPathLinkSource)
	if rc != errnoSuccess {
		return rc
	}
	to, rc := s.dirFD(st[4], rightPathLinkTarget)
	if rc != errnoSuccess {
		return rc
	}
	if st[1]&lookupFollow != 0 {
		return errnoInval // no host can be relied on to do it; say so
	}
	src, rc := s.find(from, mem, st[2], st[3], false)
	if rc != errnoSuccess {
		return rc
	}
	defer src.done()
	dst, rc := s.find(to, mem, st[5], st[6], false)
	if rc != errnoSuccess {
		return rc
	}
	defer dst.done()
	stat, rc := src.stat()
	switch {
	case rc != errnoSuccess:
		return rc
	case stat.typ == typeDirectory:
		return errnoPerm
	}
	if rc := dst.vacant(); rc != errnoSuccess {
		return rc
	}
	return src.dir.link(src.name, dst.dir, dst.name)
}

func pathReadlink(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.dirFD(st[0], rightPathReadlink)
	if rc != errnoSuccess {
		return rc
	}
	p, rc := s.find(e, mem, st[1], st[2], false)
	if rc != errnoSuccess {
		return rc
	}
	defer p.done()
	buf, rc := view(mem, st[3], st[4])
	if rc != errnoSuccess {
		return rc
	}
	result, rc := view(mem, st[5], 4)
	if rc != errnoSuccess {
		return rc
	}
	if p.name == "." || p.mustDir {
		return errnoInval
	}
	target, rc := p.dir.readlink(p.name)
	if rc == errnoSuccess {
		put32(result, uint32(copy(buf, target)))
	}
	return rc
}

func pathRemoveDirectory(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.dirFD(st[0], rightPathRemoveDirectory)
	if rc != errnoSuccess {
		return rc
	}
	p, rc := s.find(e, mem, st[1], st[2], false)
	if rc != errnoSuccess {
		return rc
	}
	defer p.done()
	if p.name == "." {
		return errnoInval
	}
	return p.dir.rmdir(p.name)
}

func pathRename(s *System, mem engine.Memory, st []uint64) errno {
	from, rc := s.dirFD(st[0], rightPathRenameSource)
	if rc != errnoSuccess {
		return rc
	}
	to, rc := s.dirFD(st[3], rightPathRenameTarget)
	if rc != errnoSuccess {
		return rc
	}
	src, rc := s.find(from, mem, st[1], st[2], false)
	if rc != errnoSuccess {
		return rc
	}
	defer src.done()
	dst, rc := s.find(to, mem, st[4], st[5], false)
	if rc != errnoSuccess {
		return rc
	}
	defer dst.done()
	if src.name == "." || dst.name == "." {
		return errnoBusy
	}
	stat, rc := src.stat()
	if rc != errnoSuccess {
		return rc
	}
	if dst.mustDir && stat.typ != typeDirectory {
		return errnoNotDir
	}
	return src.dir.rename(src.name, dst.dir, dst.name)
}

// pathSymlink refuses an absolute target: nothing here would follow it, and on
// a host directory it would lie in wait for the host's own programs.
func pathSymlink(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.dirFD(st[2], rightPathSymlink)
	if rc != errnoSuccess {
		return rc
	}
	target, rc := s.path(mem, st[0], st[1])
	if rc != errnoSuccess {
		return rc
	}
	if rc := (&walker{}).push(target); rc != errnoSuccess && rc != errnoNameTooLong {
		return rc
	}
	p, rc := s.find(e, mem, st[3], st[4], false)
	if rc != errnoSuccess {
		return rc
	}
	defer p.done()
	if rc := p.vacant(); rc != errnoSuccess {
		return rc
	}
	return p.dir.symlink(target, p.name)
}

func pathUnlinkFile(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.dirFD(st[0], rightPathUnlinkFile)
	if rc != errnoSuccess {
		return rc
	}
	p, rc := s.find(e, mem, st[1], st[2], false)
	if rc != errnoSuccess {
		return rc
	}
	defer p.done()
	if p.name == "." {
		return errnoIsDir
	}
	if p.mustDir {
		if stat, rc := p.stat(); rc != errnoSuccess {
			return rc
		} else if stat.typ == typeDirectory {
			return errnoIsDir
		}
	}
	return p.dir.unlink(p.name)
}
