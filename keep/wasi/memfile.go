// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

// memFile is an open file.
type memFile struct{ n *memNode }

func (f *memFile) readAt(p []byte, off uint64) (int, errno) {
	if off >= uint64(len(f.n.data)) {
		return 0, errnoSuccess
	}
	return copy(p, f.n.data[off:]), errnoSuccess
}

func (f *memFile) writeAt(p []byte, off uint64) (int, errno) {
	if !f.n.fs.writes {
		return 0, errnoROFS
	}
	if len(p) == 0 {
		return 0, errnoSuccess
	}
	end := off + uint64(len(p))
	if end < off {
		return 0, errnoFBig
	}
	if end > uint64(len(f.n.data)) {
		if rc := f.n.resize(end); rc != errnoSuccess {
			return 0, rc
		}
	}
	f.n.touch()
	return copy(f.n.data[off:], p), errnoSuccess
}

func (f *memFile) stat() (fileStat, errno) { return f.n.stat(), errnoSuccess }

func (f *memFile) setSize(n uint64) errno {
	if !f.n.fs.writes {
		return errnoROFS
	}
	rc := f.n.resize(n)
	if rc == errnoSuccess {
		f.n.touch()
	}
	return rc
}

func (f *memFile) allocate(off, n uint64) errno {
	if off+n <= uint64(len(f.n.data)) {
		return errnoSuccess
	}
	return f.setSize(off + n)
}

func (f *memFile) sync(bool) errno            { return errnoSuccess }
func (f *memFile) setTimes(t fileTimes) errno { return f.n.set(t) }

func (f *memFile) close() {
	f.n.open--
	f.n.release()
}
