// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"math"

	"github.com/enarx/enarx-go/keep/engine"
)

// Descriptors: what they are, their flags, rights and times.

func fdAdvise(s *System, _ engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], 0)
	if rc != errnoSuccess {
		return rc
	}
	switch {
	case e.kind == kindDir:
		return errnoBadf
	case e.kind != kindFile:
		return errnoSPipe
	case e.base&rightFDAdvise == 0:
		return errnoNotCapable
	case st[1]+st[2] < st[1], uint32(st[3]) > adviceMax:
		return errnoInval
	}
	return errnoSuccess // it is advice
}

func fdAllocate(s *System, _ engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], rightFDAllocate)
	switch {
	case rc != errnoSuccess:
		return rc
	case e.kind != kindFile:
		return errnoBadf
	case st[2] == 0:
		return errnoInval
	case st[1] > math.MaxInt64 || st[2] > math.MaxInt64-st[1]:
		return errnoFBig
	}
	return e.file.allocate(st[1], st[2])
}

func fdClose(s *System, _ engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], 0)
	if rc != errnoSuccess {
		return rc
	}
	s.fds[uint32(st[0])] = nil
	return e.close()
}

func fdRenumber(s *System, _ engine.Memory, st []uint64) errno {
	from, rc := s.get(st[0], 0)
	if rc != errnoSuccess {
		return rc
	}
	to, rc := s.get(st[1], 0)
	if rc != errnoSuccess || from == to {
		return rc
	}
	s.fds[uint32(st[1])], s.fds[uint32(st[0])] = from, nil
	// The number was given a new meaning; how the old one ended is no news
	// to this call (dup2 is silent too).
	to.close()
	return errnoSuccess
}

func fdDatasync(s *System, _ engine.Memory, st []uint64) errno {
	return s.flush(st[0], rightFDDatasync, true)
}

func fdSync(s *System, _ engine.Memory, st []uint64) errno {
	return s.flush(st[0], rightFDSync, false)
}

func (s *System) flush(fd uint64, need rights, dataOnly bool) errno {
	e, rc := s.get(fd, need)
	switch {
	case rc != errnoSuccess:
		return rc
	case e.kind == kindFile:
		return e.file.sync(dataOnly)
	case e.kind == kindDir:
		return e.dir.sync()
	}
	return errnoInval
}

// typ is the file type of a descriptor. A stdio stream is a character device
// only if it is a terminal: C libraries take the type for one.
func (e *entry) typ() fileType {
	switch e.kind {
	case kindNull, kindNode:
		return typeCharacter
	case kindSocket, kindListener:
		return typeSocket
	case kindFile:
		return typeRegular
	case kindDir:
		return typeDirectory
	}
	if e.tty {
		return typeCharacter
	}
	return typeUnknown
}

func fdFdstatGet(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], 0)
	if rc != errnoSuccess {
		return rc
	}
	b, rc := view(mem, st[1], 24)
	if rc != errnoSuccess {
		return rc
	}
	// witx: fdstat. filetype u8 at 0, flags u16 at 2, rights u64 at 8 and 16.
	clear(b)
	b[0] = byte(e.typ())
	b[2], b[3] = byte(e.flags), byte(e.flags>>8)
	put64(b[8:], uint64(e.base))
	put64(b[16:], uint64(e.inheriting))
	return errnoSuccess
}

func fdFdstatSetFlags(s *System, _ engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], rightFDFdstatSetFlags)
	if rc != errnoSuccess {
		return rc
	}
	flags := uint32(st[1])
	if flags&^uint32(flagsAll) != 0 {
		return errnoInval
	}
	// On a stream only waiting can be switched; a directory has no flags.
	if e.kind != kindFile && flags&^uint32(flagNonblock) != 0 {
		return errnoInval
	}
	if e.kind != kindDir {
		e.flags = fdFlags(flags)
	}
	return errnoSuccess
}

func fdFdstatSetRights(s *System, _ engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], 0)
	if rc != errnoSuccess {
		return rc
	}
	base, inheriting := rights(st[1]), rights(st[2])
	if base&^e.base != 0 || inheriting&^e.inheriting != 0 {
		return errnoNotCapable // rights are only ever given up
	}
	e.base, e.inheriting = base, inheriting
	return errnoSuccess
}

func fdFilestatGet(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], rightFDFilestatGet)
	if rc != errnoSuccess {
		return rc
	}
	stat := fileStat{typ: e.typ(), ino: e.ino, nlink: 1}
	switch e.kind {
	case kindFile:
		stat, rc = e.file.stat()
	case kindDir:
		stat, rc = e.dir.stat()
	}
	if rc != errnoSuccess {
		return rc
	}
	return stat.store(mem, st[1])
}

// store writes witx: filestat, 64 bytes.
func (f *fileStat) store(mem engine.Memory, ptr uint64) errno {
	b, rc := view(mem, ptr, 64)
	if rc != errnoSuccess {
		return rc
	}
	clear(b)
	put64(b, f.dev)
	put64(b[8:], f.ino)
	b[16] = byte(f.typ)
	put64(b[24:], f.nlink)
	put64(b[32:], f.size)
	put64(b[40:], f.atim)
	put64(b[48:], f.mtim)
	put64(b[56:], f.ctim)
	return errnoSuccess
}

func fdFilestatSetSize(s *System, _ engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], rightFDFilestatSetSize)
	switch {
	case rc != errnoSuccess:
		return rc
	case e.kind != kindFile:
		return errnoBadf
	case st[1] > math.MaxInt64:
		return errnoInval
	}
	return e.file.setSize(st[1])
}

func fdFilestatSetTimes(s *System, _ engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], rightFDFilestatSetTimes)
	if rc != errnoSuccess {
		return rc
	}
	t, rc := s.times(st[1], st[2], st[3])
	if rc != errnoSuccess {
		return rc
	}
	switch e.kind {
	case kindFile:
		return e.file.setTimes(t)
	case kindDir:
		return e.dir.setTimes(t)
	}
	return errnoBadf
}

// times are the new times that a guest asks for.
func (s *System) times(atim, mtim, rawFlags uint64) (fileTimes, errno) {
	flags := uint32(rawFlags)
	const a, m = fstAtim | fstAtimNow, fstMtim | fstMtimNow
	if flags&^fstAll != 0 || flags&a == a || flags&m == m {
		return fileTimes{}, errnoInval
	}
	var t fileTimes
	pick := func(value uint64, set, now uint32) *uint64 {
		switch {
		case flags&set != 0:
			return &value
		case flags&now != 0:
			v := s.clock.Realtime()
			return &v
		}
		return nil
	}
	t.atim = pick(atim, fstAtim, fstAtimNow)
	t.mtim = pick(mtim, fstMtim, fstMtimNow)
	for _, v := range []*uint64{t.atim, t.mtim} {
		if v != nil && *v > math.MaxInt64 {
			return fileTimes{}, errnoInval
		}
	}
	return t, errnoSuccess
}

// tagNotDir is the tag of a pre-opened descriptor that is no directory. The
// description knows only directories (0); every C library skips other tags.
const tagNotDir = 1

func fdPrestatGet(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], 0)
	if rc != errnoSuccess {
		return rc
	}
	if e.preopen == "" && !s.dirAbove(uint32(st[0])) {
		return errnoBadf
	}
	b, rc := view(mem, st[1], 8)
	if rc != errnoSuccess {
		return rc
	}
	clear(b)
	if e.preopen == "" {
		b[0] = tagNotDir
		return errnoSuccess
	}
	put32(b[4:], uint32(len(e.preopen)))
	return errnoSuccess
}

// dirAbove says that a pre-opened directory has a higher number. A guest that
// looks for directories must not stop before it.
func (s *System) dirAbove(fd uint32) bool {
	for _, e := range s.fds[fd:] {
		if e != nil && e.preopen != "" {
			return true
		}
	}
	return false
}

func fdPrestatDirName(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], 0)
	switch {
	case rc != errnoSuccess:
		return rc
	case e.preopen == "":
		if e.kind == kindDir {
			return errnoBadf
		}
		return errnoNotDir
	case uint64(uint32(st[2])) < uint64(len(e.preopen)):
		return errnoNameTooLong
	}
	b, rc := view(mem, st[1], uint64(len(e.preopen)))
	if rc == errnoSuccess {
		copy(b, e.preopen)
	}
	return rc
}

// fdReaddir gives the directory as it was when it was listed from the
// beginning (cookie 0). A cookie is the index of the next entry; "." and ".."
// are the first two.
func fdReaddir(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], rightFDReaddir)
	if rc != errnoSuccess {
		return rc
	}
	if e.kind != kindDir {
		return errnoNotDir
	}
	buf, rc := view(mem, st[1], uint64(uint32(st[2])))
	if rc != errnoSuccess {
		return rc
	}
	result, rc := view(mem, st[4], 4)
	if rc != errnoSuccess {
		return rc
	}
	cookie := st[3]
	if cookie == 0 || e.listing == nil {
		if rc := s.listDir(e); rc != errnoSuccess {
			return rc
		}
	}
	used := 0
	for i := cookie; i < uint64(len(e.listing)) && used < len(buf); i++ {
		d := e.listing[i]
		// witx: dirent. next u64 at 0, ino u64 at 8, namlen u32 at 16,
		// type u8 at 20. The last entry is cut where the buffer ends.
		var head [24]byte
		put64(head[:], i+1)
		put64(head[8:], d.ino)
		put32(head[16:], uint32(len(d.name)))
		head[20] = byte(d.typ)
		used += copy(buf[used:], head[:])
		used += copy(buf[used:], d.name)
	}
	put32(result, uint32(used))
	return errnoSuccess
}

func (s *System) listDir(e *entry) errno {
	self, rc := e.dir.stat()
	if rc != errnoSuccess {
		return rc
	}
	entries, rc := e.dir.list(s.limits.DirEntries)
	if rc != errnoSuccess {
		return rc
	}
	// What is above is none of the guest's business, so ".." is as ".".
	e.listing = append([]dirEntry{{".", self.ino, typeDirectory}, {"..", self.ino, typeDirectory}}, entries...)
	return errnoSuccess
}
