// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"io"
	"math"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/engine"
)

// Reading, writing and seeking.

// buffers are the guest's buffers of a vectored read or write (witx: iovec,
// 8 bytes each: address, length). They are valid until the next call.
func (s *System) buffers(mem engine.Memory, ptr, count uint64) ([][]byte, errno) {
	n := uint32(count)
	if n > s.limits.IOVecs {
		return nil, errnoInval
	}
	raw, ok := mem.Bytes(uint32(ptr), n*8)
	if !ok {
		return nil, errnoFault
	}
	s.iovs = s.iovs[:0]
	total := uint64(0)
	for ; len(raw) >= 8; raw = raw[8:] {
		size := get32(raw[4:])
		b, ok := mem.Bytes(get32(raw), size)
		if !ok {
			return nil, errnoFault
		}
		// The result is a 32-bit count; as readv, refuse what a signed one
		// cannot hold. Buffers may overlap, so memory does not bound it.
		if total += uint64(size); total > math.MaxInt32 {
			return nil, errnoInval
		}
		s.iovs = append(s.iovs, b)
	}
	return s.iovs, errnoSuccess
}

func fdRead(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], rightFDRead)
	if rc != errnoSuccess {
		return rc
	}
	result, rc := view(mem, st[3], 4)
	if rc != errnoSuccess {
		return rc
	}
	bufs, rc := s.buffers(mem, st[1], st[2])
	if rc != errnoSuccess {
		return rc
	}
	n := 0
	switch e.kind {
	case kindNull:
	case kindStdio, kindSocket, kindNode:
		n, rc = s.readStream(e, bufs)
		s.quickly(st[0], e)
	case kindFile:
		n, rc = readFile(e.file, bufs, e.offset)
		e.offset += uint64(n)
	case kindListener:
		rc = errnoNotConn
	default:
		rc = errnoIsDir
	}
	put32(result, uint32(n))
	return rc
}

func fdWrite(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.get(st[0], rightFDWrite)
	if rc != errnoSuccess {
		return rc
	}
	result, rc := view(mem, st[3], 4)
	if rc != errnoSuccess {
		return rc
	}
	bufs, rc := s.buffers(mem, st[1], st[2])
	if rc != errnoSuccess {
		return rc
	}
	n := 0
	switch e.kind {
	case kindNull:
		for _, b := range bufs {
			n += len(b)
		}
	case kindStdio, kindSocket, kindNode:
		n, rc = s.writeStream(e, bufs)
		s.quickly(st[0], e)
	case kindFile:
		if e.flags&flagAppend != 0 {
			stat, rc := e.file.stat()
			if rc != errnoSuccess {
				return rc
			}
			e.offset = stat.size
		}
		n, rc = writeFile(e, bufs, e.offset)
		e.offset += uint64(n)
	default:
		rc = errnoIsDir
	}
	put32(result, uint32(n))
	return rc
}

func fdPread(s *System, mem engine.Memory, st []uint64) errno {
	return s.atOffset(mem, st, rightFDRead, func(e *entry, bufs [][]byte, off uint64) (int, errno) {
		return readFile(e.file, bufs, off)
	})
}

// fdPwrite writes at the offset even if the descriptor appends, as POSIX
// demands and Linux does not do.
func fdPwrite(s *System, mem engine.Memory, st []uint64) errno {
	return s.atOffset(mem, st, rightFDWrite, writeFile)
}

func (s *System) atOffset(mem engine.Memory, st []uint64, need rights, do func(*entry, [][]byte, uint64) (int, errno)) errno {
	e, rc := s.get(st[0], need)
	if rc != errnoSuccess {
		return rc
	}
	if e.kind != kindFile {
		return errnoSPipe
	}
	result, rc := view(mem, st[4], 4)
	if rc != errnoSuccess {
		return rc
	}
	bufs, rc := s.buffers(mem, st[1], st[2])
	if rc != errnoSuccess {
		return rc
	}
	if st[3] > math.MaxInt64 {
		return errnoInval
	}
	n, rc := do(e, bufs, st[3])
	put32(result, uint32(n))
	return rc
}

// readFile fills bufs one after the other. An error after the first bytes is
// left for the next call.
func readFile(f file, bufs [][]byte, off uint64) (int, errno) {
	n := 0
	for _, b := range bufs {
		m, rc := f.readAt(b, off+uint64(n))
		n += m
		if rc != errnoSuccess && n == 0 {
			return 0, rc
		}
		if m < len(b) {
			break
		}
	}
	return n, errnoSuccess
}

func writeFile(e *entry, bufs [][]byte, off uint64) (int, errno) {
	n := 0
	for _, b := range bufs {
		if off+uint64(n)+uint64(len(b)) > math.MaxInt64 {
			return n, errnoFBig
		}
		m, rc := e.file.writeAt(b, off+uint64(n))
		n += m
		if rc != errnoSuccess && n == 0 {
			return 0, rc
		}
		if m < len(b) {
			break
		}
	}
	if e.flags&(flagSync|flagDsync) != 0 {
		return n, e.file.sync(e.flags&flagSync == 0)
	}
	return n, errnoSuccess
}

// await waits until a stream is ready; it returns at once for one that is
// always ready.
func (s *System) await(fd int, events int16) errno {
	if fd < 0 {
		return errnoSuccess
	}
	for {
		s.one[0] = unix.PollFd{Fd: int32(fd), Events: events}
		_, err := unix.Ppoll(s.one[:], nil, nil)
		if err == nil {
			return errnoSuccess
		}
		if err != unix.EINTR {
			return toErrno(err)
		}
	}
}

// readStream waits, unless the descriptor is non-blocking, for the first
// bytes, and takes no more than are there: filling all buffers could wait for
// bytes that the other side sends only after an answer.
func (s *System) readStream(e *entry, bufs [][]byte) (int, errno) {
	n := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		m, err := e.stream.Read(b)
		for err == ErrAgain && n == 0 {
			if e.flags&flagNonblock != 0 {
				return 0, errnoAgain
			}
			if rc := s.await(e.stream.PollFD(), unix.POLLIN); rc != errnoSuccess {
				return 0, rc
			}
			m, err = e.stream.Read(b)
		}
		n += m
		if err != nil && err != io.EOF && n == 0 {
			return 0, toErrno(err)
		}
		if m < len(b) || e.stream.PollFD() < 0 {
			break
		}
	}
	return n, errnoSuccess
}

// writeStream writes everything, or, if the descriptor is non-blocking, as
// much as goes at once.
func (s *System) writeStream(e *entry, bufs [][]byte) (int, errno) {
	if len(bufs) > 1 {
		bufs = s.gathered(bufs)
	}
	n := 0
	for _, b := range bufs {
		for len(b) > 0 {
			m, err := e.stream.Write(b)
			n, b = n+m, b[m:]
			switch {
			case err == nil:
				continue
			case err == ErrAgain && e.flags&flagNonblock == 0:
				if rc := s.await(e.stream.PollFD(), unix.POLLOUT); rc != errnoSuccess {
					return n, rc
				}
				continue
			case n > 0:
				return n, errnoSuccess
			default:
				return 0, toErrno(err)
			}
		}
	}
	return n, errnoSuccess
}

// gathered makes one buffer of several small ones: the usual case is a line
// and its end, which should be one system call and one record.
func (s *System) gathered(bufs [][]byte) [][]byte {
	s.gather = s.gather[:0]
	for _, b := range bufs {
		if len(s.gather)+len(b) > maxGather {
			return bufs
		}
		s.gather = append(s.gather, b...)
	}
	s.iovs = append(s.iovs[:0], s.gather)
	return s.iovs
}

func fdSeek(s *System, mem engine.Memory, st []uint64) errno {
	delta := int64(st[1])
	whence := uint32(st[2])
	need := rightFDSeek
	if delta == 0 && whence == 1 {
		need = rightFDTell // asking is less than moving
	}
	e, rc := s.seekable(st[0], need)
	if rc != errnoSuccess {
		return rc
	}
	result, rc := view(mem, st[3], 8)
	if rc != errnoSuccess {
		return rc
	}
	if e.kind == kindNull || e.kind == kindNode {
		return seekNode(result, whence)
	}
	base := uint64(0)
	switch whence {
	case 0:
	case 1:
		base = e.offset
	case 2:
		stat, rc := e.file.stat()
		if rc != errnoSuccess {
			return rc
		}
		base = stat.size
	default:
		return errnoInval
	}
	// base is at most MaxInt64, so the sum wraps at most once, to negative.
	to := int64(base) + delta
	if to < 0 {
		if delta > 0 {
			return errnoOverflow
		}
		return errnoInval
	}
	e.offset = uint64(to)
	put64(result, e.offset)
	return errnoSuccess
}

func fdTell(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.seekable(st[0], rightFDTell)
	if rc != errnoSuccess {
		return rc
	}
	return store64(mem, st[1], e.offset)
}

// seekable is an open file; ESPIPE for a stream, whatever its rights.
func (s *System) seekable(fd uint64, need rights) (*entry, errno) {
	e, rc := s.get(fd, 0)
	if rc != errnoSuccess {
		return nil, rc
	}
	switch e.kind {
	case kindStdio, kindSocket, kindListener:
		return nil, errnoSPipe
	case kindDir:
		return nil, errnoBadf
	}
	return s.get(fd, need)
}
