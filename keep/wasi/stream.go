// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// ErrAgain is what a [Stream] or [Listener] with a poll descriptor returns
// when it would have to wait.
var ErrAgain = errors.New("nothing can be done without waiting")

// Stream is a sequence of bytes in each direction, behind a descriptor of the
// guest. It is used by one goroutine at a time.
type Stream interface {
	// Read reads at most len(p) bytes, at least one unless p is empty. It
	// returns io.EOF at the end, and ErrAgain when nothing is there yet and
	// PollFD has a descriptor to wait on.
	Read(p []byte) (int, error)
	// Write writes a part of p, at least one byte unless p is empty, or
	// returns ErrAgain likewise.
	Write(p []byte) (int, error)
	// Shutdown ends one direction or both.
	Shutdown(read, write bool) error
	// PollFD is a kernel descriptor that becomes readable or writable with
	// the stream, or -1: the stream then is always ready, and Read and
	// Write may block.
	PollFD() int
	// Close frees the stream.
	Close() error
}

// Peeker is a Stream that can show what Read would return without taking it.
type Peeker interface {
	Peek(p []byte) (int, error)
}

// Listener hands out connections. It is used by one goroutine at a time.
type Listener interface {
	// Accept returns the next connection, or ErrAgain if there is none yet
	// and PollFD has a descriptor to wait on.
	Accept() (Stream, error)
	// PollFD is a kernel descriptor that becomes readable when a connection
	// is there, or -1: Accept then may block.
	PollFD() int
	// Close frees the listener.
	Close() error
}

// fdStream is a kernel descriptor: a pipe, a terminal or a stream socket.
type fdStream struct {
	fd     int
	socket bool
	reset  bool // the other end said that the stream was cut off
}

// NewFDStream makes a stream of a kernel descriptor and takes it over: it is
// made non-blocking and closed with the stream. The descriptor must be a pipe,
// a character device or a stream socket: what poll(2) works on.
//
// Non-blocking is a property of the open file, which other processes may
// share: hand over a descriptor that is the guest's alone.
//
// Over a Unix socket the other end can say that the stream was cut off and did
// not end: it sends one more byte, with a descriptor (SCM_RIGHTS). Both are
// dropped, and Read and Peek return ECONNRESET from then on. A Unix socket has
// no other way to show a reset.
func NewFDStream(fd int) (Stream, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("looking at descriptor %d: %w", fd, err)
	}
	switch mode := st.Mode & unix.S_IFMT; mode {
	case unix.S_IFIFO, unix.S_IFCHR, unix.S_IFSOCK:
	default:
		return nil, fmt.Errorf("descriptor %d has file type %#o, a pipe, character device or socket is needed", fd, mode)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("making descriptor %d non-blocking: %w", fd, err)
	}
	return &fdStream{fd: fd, socket: st.Mode&unix.S_IFMT == unix.S_IFSOCK}, nil
}

func (s *fdStream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := s.read(p)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err == unix.EAGAIN:
			return 0, ErrAgain
		case err != unix.EINTR:
			return 0, err
		}
	}
}

// read is read(2), or recvmsg(2) for a socket. The call gives no room for
// descriptors: the kernel closes one that comes along and sets MSG_CTRUNC. It
// returns nothing past the byte that carried it (unix(7)), which is therefore
// the last one in p.
func (s *fdStream) read(p []byte) (int, error) {
	if !s.socket {
		return unix.Read(s.fd, p)
	}
	if s.reset {
		return 0, unix.ECONNRESET
	}
	n, _, flags, _, err := unix.Recvmsg(s.fd, p, nil, 0)
	if err != nil || flags&unix.MSG_CTRUNC == 0 {
		return n, err
	}
	s.reset = true
	return before(n)
}

// peek is read without taking anything. It asks for a byte more than p holds:
// when it peeks, Linux reports a descriptor already if p ends right before the
// byte that carries it.
func (s *fdStream) peek(p []byte) (int, error) {
	if s.reset {
		return 0, unix.ECONNRESET
	}
	var more [1]byte
	n, _, flags, _, err := unix.RecvmsgBuffers(s.fd, [][]byte{p, more[:]}, nil, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil || flags&unix.MSG_CTRUNC == 0 {
		return min(n, len(p)), err
	}
	return before(n)
}

// before is the number of bytes before the last one, the mark of a reset.
func before(n int) (int, error) {
	if n <= 1 {
		return 0, unix.ECONNRESET
	}
	return n - 1, nil
}

func (s *fdStream) Write(p []byte) (int, error) {
	for {
		n, err := unix.Write(s.fd, p)
		switch {
		case err == nil:
			return n, nil
		case err == unix.EAGAIN:
			return 0, ErrAgain
		case err != unix.EINTR:
			return 0, err
		}
	}
}

func (s *fdStream) Peek(p []byte) (int, error) {
	if !s.socket {
		return 0, unix.EOPNOTSUPP
	}
	for {
		n, err := s.peek(p)
		switch {
		case err == nil && n == 0 && len(p) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err == unix.EAGAIN:
			return 0, ErrAgain
		case err != unix.EINTR:
			return 0, err
		}
	}
}

func (s *fdStream) Shutdown(read, write bool) error {
	how := unix.SHUT_RDWR
	switch {
	case read && !write:
		how = unix.SHUT_RD
	case write && !read:
		how = unix.SHUT_WR
	}
	return unix.Shutdown(s.fd, how)
}

func (s *fdStream) PollFD() int { return s.fd }

func (s *fdStream) Close() error {
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// goStream is a Go reader, a writer or both.
type goStream struct {
	r io.Reader
	w io.Writer
}

// NewStream makes a stream of a Go reader and a writer, either of which may be
// nil: nothing to read, or writes fail. It is always ready, which for a reader
// that waits is a lie: such a reader blocks a poll's successor.
func NewStream(r io.Reader, w io.Writer) Stream { return &goStream{r: r, w: w} }

func (s *goStream) Read(p []byte) (int, error) {
	if s.r == nil {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	// A reader may return nothing and no error; it is asked again, as
	// io.ReadAtLeast does.
	for range 100 {
		n, err := s.r.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

func (s *goStream) Write(p []byte) (int, error) {
	if s.w == nil {
		return 0, unix.EPIPE
	}
	return s.w.Write(p)
}

func (s *goStream) Shutdown(read, write bool) error {
	if read {
		s.r = nil
	}
	if write {
		s.w = nil
	}
	return nil
}

func (s *goStream) PollFD() int  { return -1 }
func (s *goStream) Close() error { s.r, s.w = nil, nil; return nil }

// fdListener gets each connection as a descriptor over a Unix socket.
type fdListener struct {
	fd int
}

// NewFDListener makes a listener of a Unix socket of type SOCK_SEQPACKET and
// takes it over. The other end sends one message per connection, with exactly
// one descriptor (SCM_RIGHTS), that of a stream socket, and any payload of 1
// to 16 bytes, which is ignored. Accept refuses a message of any other shape
// with EPROTO and closes what came with it. When the other end is closed,
// Accept returns EINVAL, as for a socket that is not listening.
func NewFDListener(fd int) (Listener, error) {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, fmt.Errorf("looking at descriptor %d: %w", fd, err)
	}
	if typ != unix.SOCK_SEQPACKET {
		return nil, fmt.Errorf("descriptor %d is a socket of type %d, SOCK_SEQPACKET (%d) is needed", fd, typ, unix.SOCK_SEQPACKET)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("making descriptor %d non-blocking: %w", fd, err)
	}
	return &fdListener{fd: fd}, nil
}

func (l *fdListener) Accept() (Stream, error) {
	var payload [16]byte
	// Space for more descriptors than allowed, so that a message with too
	// many is seen as such and all of them can be closed.
	oob := make([]byte, unix.CmsgSpace(8*4))
	var n, oobn, flags int
	for {
		var err error
		n, oobn, flags, _, err = unix.Recvmsg(l.fd, payload[:], oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if err == nil {
			break
		}
		if err == unix.EAGAIN {
			return nil, ErrAgain
		}
		if err != unix.EINTR {
			return nil, err
		}
	}
	fds, err := passedFDs(oob[:oobn])
	if n == 0 && len(fds) == 0 {
		return nil, unix.EINVAL
	}
	if err == nil && len(fds) == 1 && n > 0 && flags&(unix.MSG_CTRUNC|unix.MSG_TRUNC) == 0 {
		if typ, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_TYPE); err == nil && typ == unix.SOCK_STREAM {
			return connStream(fds[0])
		}
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	return nil, unix.EPROTO
}

func connStream(fd int) (Stream, error) {
	s, err := NewFDStream(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s, nil
}

// passedFDs are all descriptors in control messages.
func passedFDs(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range msgs {
		got, perr := unix.ParseUnixRights(&msgs[i])
		if perr != nil {
			err = perr
		}
		fds = append(fds, got...)
	}
	return fds, err
}

func (l *fdListener) PollFD() int { return l.fd }

func (l *fdListener) Close() error {
	if l.fd < 0 {
		return nil
	}
	fd := l.fd
	l.fd = -1
	return unix.Close(fd)
}
