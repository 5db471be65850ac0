// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import "github.com/enarx/enarx-go/keep/engine"

// pathOpen opens a file or directory. The rights asked for are cut down to
// what the directory passes on and what the kind of file can do, never
// refused: toolchains ask for everything.
func pathOpen(s *System, mem engine.Memory, st []uint64) errno {
	o := opening{
		follow: st[1]&lookupFollow != 0, oflags: uint32(st[4]),
		base: rights(st[5]), inheriting: rights(st[6]), flags: uint32(st[7]),
	}
	if o.oflags&^oflagsAll != 0 || o.flags&^uint32(flagsAll) != 0 {
		return errnoInval
	}
	need := rightPathOpen
	if o.oflags&oflagCreat != 0 {
		need |= rightPathCreateFile
	}
	if o.oflags&oflagTrunc != 0 {
		need |= rightPathFilestatSetSize
	}
	e, rc := s.dirFD(st[0], rightPathOpen)
	if rc != errnoSuccess {
		return rc
	}
	if e.base&need != need {
		if e.fs.readOnly() {
			return errnoROFS
		}
		return errnoNotCapable
	}
	result, rc := view(mem, st[8], 4)
	if rc != errnoSuccess {
		return rc
	}
	path, rc := s.path(mem, st[2], st[3])
	if rc != errnoSuccess {
		return rc
	}
	if !s.room() {
		return errnoMFile
	}
	opened, rc := o.open(e, path)
	if rc != errnoSuccess {
		return rc
	}
	put32(result, s.add(opened))
	return errnoSuccess
}

// opening is one request to open a path.
type opening struct {
	follow           bool
	oflags, flags    uint32
	base, inheriting rights
}

func (o *opening) open(at *entry, path string) (*entry, errno) {
	exclusive := o.oflags&(oflagCreat|oflagExcl) == oflagCreat|oflagExcl
	// O_CREAT|O_EXCL takes a link as what is there already.
	p, rc := walk(at.dir, path, (o.follow || slashed(path)) && !exclusive)
	if rc != errnoSuccess {
		return nil, rc
	}
	defer p.done()
	if o.oflags&oflagDirectory != 0 || p.mustDir || p.name == "." {
		return o.openDir(at, &p)
	}
	if d, ok := p.dir.(nodeDir); ok {
		if e, rc, isNode := d.openNode(p.name, o, o.base&at.inheriting); isNode {
			return e, rc
		}
	}
	how := openHow{
		read:   o.base&at.inheriting&rightFDRead != 0,
		write:  o.base&rightFDWrite != 0 && at.inheriting&rightFDWrite != 0,
		create: o.oflags&oflagCreat != 0, excl: exclusive, trunc: o.oflags&oflagTrunc != 0,
	}
	if o.base&rightFDWrite != 0 && at.fs.readOnly() {
		// A guest that wants to write must not believe that it can; but
		// whether the file is there at all comes first.
		if stat, rc := p.stat(); rc != errnoSuccess {
			return nil, rc
		} else if stat.typ == typeRegular {
			return nil, errnoROFS
		}
	}
	f, rc := p.dir.openFile(p.name, how)
	switch {
	case rc == errnoIsDir && o.oflags&(oflagCreat|oflagTrunc) == 0:
		return o.openDir(at, &p)
	case rc != errnoSuccess:
		return nil, rc
	}
	return &entry{kind: kindFile, flags: fdFlags(o.flags), base: o.base & at.inheriting & rightsFile, file: f, fs: at.fs}, errnoSuccess
}

func (o *opening) openDir(at *entry, p *place) (*entry, errno) {
	if o.base&rightFDWrite != 0 || o.oflags&oflagTrunc != 0 {
		if stat, rc := p.stat(); rc != errnoSuccess {
			return nil, rc
		} else if stat.typ != typeDirectory {
			return nil, errnoNotDir
		}
		return nil, errnoIsDir
	}
	if o.oflags&oflagCreat != 0 {
		return nil, o.createDir(p)
	}
	d, rc := p.dir.openDir(p.name)
	if rc == errnoNotDir {
		// For a link that is not to be followed, say that it is one: some
		// programs tell the two apart.
		if stat, src := p.dir.lookup(p.name); src == errnoSuccess && stat.typ == typeSymlink {
			rc = errnoLoop
		}
	}
	if rc != errnoSuccess {
		return nil, rc
	}
	return &entry{kind: kindDir, base: o.base & at.inheriting & rightsDir, inheriting: o.inheriting & at.inheriting, dir: d, fs: at.fs}, errnoSuccess
}

// createDir says why O_CREAT makes no directory.
func (o *opening) createDir(p *place) errno {
	stat, rc := p.stat()
	switch {
	case rc == errnoNoEnt, rc == errnoSuccess && o.oflags&oflagExcl == 0 && stat.typ == typeDirectory:
		return errnoIsDir
	case rc == errnoSuccess:
		return errnoExist
	}
	return rc
}
