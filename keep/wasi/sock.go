// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"io"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/engine"
)

// sockAccept waits, unless the listener is non-blocking, for a connection.
func sockAccept(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.socket(st[0], rightSockAccept)
	switch {
	case rc != errnoSuccess:
		return rc
	case e.kind != kindListener:
		return errnoInval // a connected socket does not listen
	case uint32(st[1])&^uint32(flagNonblock) != 0:
		return errnoInval
	}
	result, rc := view(mem, st[2], 4)
	if rc != errnoSuccess {
		return rc
	}
	if !s.room() {
		return errnoMFile
	}
	conn, err := e.listener.Accept()
	for err == ErrAgain && e.flags&flagNonblock == 0 {
		if rc := s.await(e.listener.PollFD(), unix.POLLIN); rc != errnoSuccess {
			return rc
		}
		conn, err = e.listener.Accept()
	}
	if err != nil {
		return toErrno(err)
	}
	s.inodes++
	put32(result, s.add(&entry{
		kind: kindSocket, flags: fdFlags(st[1]), base: rightsSocket, stream: conn, ino: s.inodes,
	}))
	return errnoSuccess
}

// socket is an open socket; ENOTSOCK for anything else that is open.
func (s *System) socket(fd uint64, need rights) (*entry, errno) {
	e, rc := s.get(fd, 0)
	switch {
	case rc != errnoSuccess:
		return nil, rc
	case e.kind == kindListener && need&^rightSockAccept != 0:
		return nil, errnoNotConn
	case e.kind == kindSocket && need&rightSockAccept != 0:
		return nil, errnoInval
	case e.kind != kindSocket && e.kind != kindListener:
		return nil, errnoNotSock
	}
	return s.get(fd, need)
}

// sockRecv reads; its flags can show bytes without taking them (peek) and wait
// until all buffers are full (waitall). Messages are never cut: streams have
// none.
func sockRecv(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.socket(st[0], rightFDRead)
	if rc != errnoSuccess {
		return rc
	}
	flags := uint32(st[3])
	if flags&^uint32(recvPeek|recvWaitAll) != 0 {
		return errnoInval
	}
	size, rc := view(mem, st[4], 4)
	if rc != errnoSuccess {
		return rc
	}
	roFlags, rc := view(mem, st[5], 2)
	if rc != errnoSuccess {
		return rc
	}
	bufs, rc := s.buffers(mem, st[1], st[2])
	if rc != errnoSuccess {
		return rc
	}
	var n int
	switch {
	case flags&recvPeek != 0:
		n, rc = s.peek(e, bufs)
	case flags&recvWaitAll != 0:
		n, rc = s.readAll(e, bufs)
	default:
		n, rc = s.readStream(e, bufs)
	}
	put32(size, uint32(n))
	clear(roFlags)
	return rc
}

// peek shows what is there in the first buffer that has room.
func (s *System) peek(e *entry, bufs [][]byte) (int, errno) {
	p, ok := e.stream.(Peeker)
	if !ok {
		return 0, errnoNotSup
	}
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		n, err := p.Peek(b)
		for err == ErrAgain && e.flags&flagNonblock == 0 {
			if rc := s.await(e.stream.PollFD(), unix.POLLIN); rc != errnoSuccess {
				return 0, rc
			}
			n, err = p.Peek(b)
		}
		if err == io.EOF {
			err = nil
		}
		return n, toErrno(err)
	}
	return 0, errnoSuccess
}

// readAll fills all buffers, or as much as comes before the end or an error;
// a non-blocking descriptor takes what is there.
func (s *System) readAll(e *entry, bufs [][]byte) (int, errno) {
	n := 0
	for i := range bufs {
		for len(bufs[i]) > 0 {
			m, rc := s.readStream(e, bufs[i:i+1])
			if m == 0 && (rc == errnoSuccess || n > 0) {
				return n, errnoSuccess
			}
			if rc != errnoSuccess {
				return n, rc
			}
			n += m
			bufs[i] = bufs[i][m:]
		}
	}
	return n, errnoSuccess
}

func sockSend(s *System, mem engine.Memory, st []uint64) errno {
	e, rc := s.socket(st[0], rightFDWrite)
	if rc != errnoSuccess {
		return rc
	}
	if uint32(st[3]) != 0 {
		return errnoInval
	}
	size, rc := view(mem, st[4], 4)
	if rc != errnoSuccess {
		return rc
	}
	bufs, rc := s.buffers(mem, st[1], st[2])
	if rc != errnoSuccess {
		return rc
	}
	n, rc := s.writeStream(e, bufs)
	put32(size, uint32(n))
	return rc
}

func sockShutdown(s *System, _ engine.Memory, st []uint64) errno {
	e, rc := s.socket(st[0], rightSockShutdown)
	if rc != errnoSuccess {
		return rc
	}
	how := uint32(st[1])
	if how == 0 || how&^uint32(shutdownRead|shutdownWr) != 0 {
		return errnoInval
	}
	return toErrno(e.stream.Shutdown(how&shutdownRead != 0, how&shutdownWr != 0))
}
