// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/workload"
)

func TestConnectionLimit(t *testing.T) {
	s := testSet(t, func(l *limits) { l.conns = 2 })
	l, at := listen(t, s, workload.ProtTCP)
	a, _ := dial(t, at, workload.ProtTCP)
	ga := accept(t, l)
	b, _ := dial(t, at, workload.ProtTCP)
	gb := accept(t, l)
	third, _ := dial(t, at, workload.ProtTCP)
	third.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the third connection: %v, expected that it is closed", err)
	}
	out := server(t)
	if _, err := s.Connect(workload.File{Name: "out", Prot: workload.ProtTCP, Host: "127.0.0.1", Port: port(out)}); err == nil || !strings.Contains(err.Error(), "more than 2 open") {
		t.Errorf("connect past the limit: %v", err)
	}
	mustWrite(t, a, "still works")
	wantRead(t, ga, "still works")
	b.Close()
	gb.Close()
	until(t, "one connection is given back", func() bool { return len(s.conns) == 1 })
	c, _ := dial(t, at, workload.ProtTCP)
	mustWrite(t, c, "new")
	wantRead(t, accept(t, l), "new")
}

// Peers that never finish their handshake hold a slot each for a bounded time
// and keep nobody out for good.
func TestHandshakeSlots(t *testing.T) {
	s := testSet(t, func(l *limits) { l.handshakes, l.accept = 2, 400*time.Millisecond })
	l, at := listen(t, s, workload.ProtTLS)
	for range 4 {
		silent, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		silent.Write([]byte{22, 3, 1}) // the beginning of a handshake
	}
	begin := time.Now()
	c, _ := dial(t, at, workload.ProtTLS)
	if d := time.Since(begin); d < 400*time.Millisecond {
		t.Errorf("the handshake was finished after %v although every slot was taken", d)
	}
	mustWrite(t, c, "in")
	wantRead(t, accept(t, l), "in")
}

// A workload that does not accept makes its peers wait, and nothing else.
func TestWorkloadThatDoesNotAccept(t *testing.T) {
	s := testSet(t, func(l *limits) { l.handshakes = 2 })
	l, at := listen(t, s, workload.ProtTCP)
	var peers []net.Conn
	for range 50 {
		c, _ := dial(t, at, workload.ProtTCP)
		mustWrite(t, c, "x")
		peers = append(peers, c)
	}
	for i := range peers {
		g := accept(t, l)
		wantRead(t, g, "x")
		if i%2 == 0 {
			g.Close()
		}
	}
}

func TestConnectChecksTheServer(t *testing.T) {
	refuse := func(name string, s *Set, host, want string) {
		t.Helper()
		l := server(t)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go io.Copy(io.Discard, tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate()}}))
			}
		}()
		fd, err := s.Connect(workload.File{Name: "out", Prot: workload.ProtTLS, Host: host, Port: port(l)})
		if err == nil {
			newGuest(t, fd)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected an error with %q", name, err, want)
		}
	}
	set := func(roots func() (*x509.CertPool, error), now func() time.Time) *Set {
		s := New(loopback{}, certificate(), roots, now)
		t.Cleanup(s.Close)
		return s
	}
	none := func() (*x509.CertPool, error) { return x509.NewCertPool(), nil }
	broken := func() (*x509.CertPool, error) { return nil, errors.New("no roots here") }
	refuse("no root", set(none, time.Now), "127.0.0.1", "unknown authority")
	refuse("roots that cannot be read", set(broken, time.Now), "127.0.0.1", "no roots here")
	refuse("wrong name", set(roots, time.Now), "localhost", "localhost")
	// The trusted time decides, whatever this machine's clock says.
	late := func() time.Time { return time.Now().Add(48 * time.Hour) }
	early := func() time.Time { return time.Now().Add(-48 * time.Hour) }
	refuse("expired", set(roots, late), "127.0.0.1", "expired or is not yet valid")
	refuse("not valid yet", set(roots, early), "127.0.0.1", "expired or is not yet valid")
}

func TestNothingOpensAfterClose(t *testing.T) {
	s := testSet(t, nil)
	l := server(t)
	s.Close()
	s.Close()
	if _, err := s.Connect(workload.File{Name: "out", Prot: workload.ProtTCP, Host: "127.0.0.1", Port: port(l)}); err == nil {
		t.Error("a closed set connects")
	}
	if _, _, err := s.Listen(workload.File{Name: "in", Prot: workload.ProtTCP, Addr: "127.0.0.1"}, ""); err == nil {
		t.Error("a closed set listens")
	}
}

func TestNoDescriptorIsLost(t *testing.T) {
	s := testSet(t, nil)
	plain, plainAt := listen(t, s, workload.ProtTCP)
	secure, secureAt := listen(t, s, workload.ProtTLS)
	out := server(t)
	go func() {
		for {
			c, err := out.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	before := descriptorsOpen(t)
	for i := range 1000 {
		switch {
		case i%10 == 0: // TLS, cut off
			c, raw := dial(t, secureAt, workload.ProtTLS)
			g := accept(t, secure)
			mustWrite(t, c, "x")
			raw.Close()
			g.Close()
		case i%10 == 1: // out
			fd, err := s.Connect(workload.File{Name: "out", Prot: workload.ProtTCP, Host: "127.0.0.1", Port: port(out)})
			if err != nil {
				t.Fatal(err)
			}
			newGuest(t, fd).Close()
		case i%10 == 2: // a handshake that fails
			c, err := net.Dial("tcp", secureAt)
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
			c.Close()
		default:
			c, _ := dial(t, plainAt, workload.ProtTCP)
			g := accept(t, plain)
			mustWrite(t, g, "x")
			g.Close()
			wantRead(t, c, "x")
			c.Close()
		}
	}
	until(t, "all connections are given back", func() bool { return len(s.conns) == 0 })
	until(t, "all descriptors are given back", func() bool { return descriptorsOpen(t) <= before })
}
