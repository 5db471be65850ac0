// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// pairStream is a stream over one end of a socket pair, and the other end.
func pairStream(t testing.TB) (*fdStream, int) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewFDStream(p[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); unix.Close(p[1]) })
	return s.(*fdStream), p[1]
}

func mark(t testing.TB, fd int) {
	t.Helper()
	if err := unix.Sendmsg(fd, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		t.Fatal(err)
	}
}

func openFDs(t testing.TB) int {
	t.Helper()
	n := 0
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// A stream that was cut off reads to the cut and then as reset, however large
// the reads are, and no descriptor comes into the process.
func TestCutStreamIsReset(t *testing.T) {
	for _, size := range []int{1, 2, 4, 5, 6, 64} {
		s, peer := pairStream(t)
		unix.Write(peer, []byte("he"))
		unix.Write(peer, []byte("llo"))
		mark(t, peer)
		before := openFDs(t)
		var got []byte
		for {
			p := make([]byte, size)
			m, perr := s.Peek(p)
			n, err := s.Read(p)
			if n > 0 && m == 0 || errors.Is(perr, unix.ECONNRESET) != errors.Is(err, unix.ECONNRESET) {
				t.Fatalf("size %d: peek gave %d, %v and read %d, %v", size, m, perr, n, err)
			}
			got = append(got, p[:n]...)
			if err != nil {
				if !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("size %d: err = %v, expected ECONNRESET", size, err)
				}
				break
			}
		}
		if string(got) != "hello" {
			t.Errorf("size %d: got %q, expected the bytes before the cut", size, got)
		}
		unix.Shutdown(peer, unix.SHUT_WR)
		for range 2 {
			if n, err := s.Read(make([]byte, 9)); n != 0 || !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("size %d: after the reset: %d, %v", size, n, err)
			}
			if n, err := s.Peek(make([]byte, 9)); n != 0 || !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("size %d: peek after the reset: %d, %v", size, n, err)
			}
		}
		if after := openFDs(t); after != before {
			t.Errorf("size %d: %d descriptors are open, %d were before", size, after, before)
		}
	}
}

func TestUncutStreamEnds(t *testing.T) {
	s, peer := pairStream(t)
	unix.Write(peer, []byte("x"))
	unix.Shutdown(peer, unix.SHUT_WR)
	p := make([]byte, 4)
	if n, err := s.Read(p); n != 1 || err != nil {
		t.Errorf("read = %d, %v", n, err)
	}
	if n, err := s.Read(p); n != 0 || err != io.EOF {
		t.Errorf("read = %d, %v, expected io.EOF", n, err)
	}
}

// What it costs that a socket is read with recvmsg and not with read.
func BenchmarkSocketRead(b *testing.B) {
	run := func(name string, read func(s *fdStream, p []byte) (int, error)) {
		b.Run(name, func(b *testing.B) {
			s, peer := pairStream(b)
			p := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := unix.Write(peer, p); err != nil {
					b.Fatal(err)
				}
				if n, err := read(s, p); n != len(p) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
	run("read", func(s *fdStream, p []byte) (int, error) { return unix.Read(s.fd, p) })
	run("recvmsg", func(s *fdStream, p []byte) (int, error) { return s.Read(p) })
}
