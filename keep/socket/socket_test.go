// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/wasi"
	"github.com/enarx/enarx-go/sallyport"
	"github.com/enarx/enarx-go/workload"
)

// loopback is the host's side of the sockets without a sallyport between.
type loopback struct{}

func (loopback) Dial(ctx context.Context, to sallyport.Endpoint, _ sallyport.DialPurpose) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
}

func (loopback) Listen(ctx context.Context, at sallyport.Endpoint, _ string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(at.Host, "0"))
}

// certificate is self-signed and good for 127.0.0.1 for an hour around now.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

func roots() (*x509.CertPool, error) {
	p := x509.NewCertPool()
	p.AddCert(certificate().Leaf)
	return p, nil
}

func testSet(t testing.TB, change func(*limits)) *Set {
	t.Helper()
	l := defaultLimits
	l.linger, l.hangup = 2*time.Second, 20*time.Millisecond
	if change != nil {
		change(&l)
	}
	s := newSet(loopback{}, certificate(), roots, time.Now, l)
	t.Cleanup(s.Close)
	return s
}

// guest is the workload's end of a socket, as package wasi reads it.
type guest struct {
	t testing.TB
	wasi.Stream
}

func newGuest(t testing.TB, fd int) guest {
	t.Helper()
	s, err := wasi.NewFDStream(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return guest{t, s}
}

func (g guest) wait(events int16) {
	p := []unix.PollFd{{Fd: int32(g.PollFD()), Events: events}}
	for {
		n, err := unix.Poll(p, 10_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			g.t.Fatalf("the workload's socket was not ready within 10 s: %v", err)
		}
		return
	}
}

func (g guest) Read(p []byte) (int, error) {
	for {
		n, err := g.Stream.Read(p)
		if !errors.Is(err, wasi.ErrAgain) {
			return n, err
		}
		g.wait(unix.POLLIN)
	}
}

func (g guest) Write(p []byte) (int, error) {
	total := 0
	for total < len(p) {
		n, err := g.Stream.Write(p[total:])
		total += n
		if errors.Is(err, wasi.ErrAgain) {
			g.wait(unix.POLLOUT)
		} else if err != nil {
			return total, err
		}
	}
	return total, nil
}

// server accepts connections outside: the peers of connect entries.
func server(t testing.TB) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// connect makes a connection from a workload to a peer, and returns the peer's
// end: TLS if prot says so, and what is below.
func connect(t testing.TB, s *Set, prot workload.Prot) (guest, net.Conn, *net.TCPConn) {
	t.Helper()
	l := server(t)
	type accepted struct {
		c, raw net.Conn
		err    error
	}
	ch := make(chan accepted, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			ch <- accepted{err: err}
			return
		}
		if prot != workload.ProtTLS {
			ch <- accepted{raw, raw, nil}
			return
		}
		c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{certificate()}, SessionTicketsDisabled: true})
		ch <- accepted{c, raw, c.Handshake()}
	}()
	fd, err := s.Connect(workload.File{Kind: workload.KindConnect, Name: "out", Prot: prot, Host: "127.0.0.1", Port: port(l)})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, fd)
	a := <-ch
	if a.err != nil {
		t.Fatal(a.err)
	}
	t.Cleanup(func() { a.raw.Close() })
	return g, a.c, a.raw.(*net.TCPConn)
}

func port(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// listen opens a listen entry and returns the workload's listener and where it
// is.
func listen(t testing.TB, s *Set, prot workload.Prot) (wasi.Listener, string) {
	t.Helper()
	fd, at, err := s.Listen(workload.File{Kind: workload.KindListen, Name: "in", Prot: prot, Addr: "127.0.0.1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := wasi.NewFDListener(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, at
}

func accept(t testing.TB, l wasi.Listener) guest {
	t.Helper()
	for {
		st, err := l.Accept()
		if err == nil {
			t.Cleanup(func() { st.Close() })
			return guest{t, st}
		}
		if !errors.Is(err, wasi.ErrAgain) {
			t.Fatal(err)
		}
		p := []unix.PollFd{{Fd: int32(l.PollFD()), Events: unix.POLLIN}}
		if n, err := unix.Poll(p, 10_000); n != 1 && err != unix.EINTR {
			t.Fatalf("no connection reached the workload within 10 s: %v", err)
		}
	}
}

// dial is a peer's connection to a listener.
func dial(t testing.TB, at string, prot workload.Prot) (net.Conn, *net.TCPConn) {
	t.Helper()
	raw, err := net.DialTimeout("tcp", at, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if prot != workload.ProtTLS {
		return raw, raw.(*net.TCPConn)
	}
	pool, _ := roots()
	c := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Time{})
	return c, raw.(*net.TCPConn)
}

// pairs runs f on a connection made by the workload and on one made to it.
func pairs(t *testing.T, prot workload.Prot, f func(t *testing.T, g guest, peer net.Conn, raw *net.TCPConn)) {
	t.Run("connect", func(t *testing.T) {
		g, peer, raw := connect(t, testSet(t, nil), prot)
		f(t, g, peer, raw)
	})
	t.Run("listen", func(t *testing.T) {
		l, at := listen(t, testSet(t, nil), prot)
		peer, raw := dial(t, at, prot)
		f(t, accept(t, l), peer, raw)
	})
}

func mustWrite(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func wantRead(t testing.TB, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, expected %q", b, err, want)
	}
}

func wantEnd(t testing.TB, r io.Reader, want error) {
	t.Helper()
	if n, err := r.Read(make([]byte, 16)); n != 0 || !errors.Is(err, want) {
		t.Fatalf("read gives %d, %v, expected %v", n, err, want)
	}
}

func descriptorsOpen(t testing.TB) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(e)
}

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
