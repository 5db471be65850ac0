// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package socket gives a workload its sockets. It runs in the Keep's parent
// process: the network side of a socket is a stream of the sallyport, TLS is
// made and ended here, and the engine child gets one end of a Unix socket pair
// that carries plain bytes. The child never sees a key, the host never sees
// plain text unless the workload asked for prot "tcp".
//
// A listener is a SOCK_SEQPACKET pair over which each accepted connection's
// descriptor travels to the child, one in each message of one byte.
//
// The host controls the network. It can refuse, delay, drop and truncate; a
// TLS stream that ends without the peer's close_notify is passed on to the
// workload as a reset and not as an end of file, so that truncation shows. In
// the other direction a workload that ends, in whatever way, closes its
// sockets, and its peers get a close_notify after the last byte that it wrote:
// they cannot tell a workload that was stopped from one that was done. Formats
// that end with the connection say less than they seem to; this is so for
// every TLS terminator in a process of its own.
package socket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/sallyport"
	"github.com/enarx/enarx-go/workload"
)

// Port is the part of a sallyport that sockets use.
type Port interface {
	Dial(ctx context.Context, to sallyport.Endpoint, purpose sallyport.DialPurpose) (net.Conn, error)
	Listen(ctx context.Context, at sallyport.Endpoint, publish string) (net.Listener, error)
}

// Set is the sockets of one workload.
type Set struct {
	port   Port
	server *tls.Config
	client *tls.Config

	ctx    context.Context
	cancel context.CancelFunc
	conns  chan struct{} // one token for each open connection
	marker int           // see markReset; -1 if it could not be made
	limits limits

	mu        sync.Mutex
	closed    bool           // nothing new is opened
	pumps     sync.WaitGroup // Add only under mu and before closed is set
	listeners []net.Listener
	open      map[*connection]struct{}
}

// New makes a set. cert is the identity certificate: what listeners present
// and what outgoing connections offer when asked. roots judge outgoing
// connections; now is the trusted time.
func New(port Port, cert tls.Certificate, roots func() (*x509.CertPool, error), now func() time.Time) *Set {
	return newSet(port, cert, roots, now, defaultLimits)
}

func newSet(port Port, cert tls.Certificate, roots func() (*x509.CertPool, error), now func() time.Time, lim limits) *Set {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Set{
		port: port, ctx: ctx, cancel: cancel,
		conns: make(chan struct{}, lim.conns), marker: newMarker(), limits: lim,
		open: map[*connection]struct{}{},
	}
	s.server = &tls.Config{
		Certificates:           []tls.Certificate{cert},
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768, tls.X25519},
		SessionTicketsDisabled: true,
		Time:                   now,
	}
	s.client = &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		Time:         now,
		// Verification is ours because the roots may be large and are read
		// only if a workload connects at all.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return verifyServer(cs, roots, now) },
	}
	return s
}

// newMarker makes the descriptor that marks resets: a socket whose other end
// is closed, so that a child which gets hold of it can do nothing with it.
func newMarker() int {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1
	}
	unix.Close(pair[1])
	return pair[0]
}

// verifyServer is what crypto/tls does by default, at the trusted time.
func verifyServer(cs tls.ConnectionState, roots func() (*x509.CertPool, error), now func() time.Time) error {
	pool, err := roots()
	if err != nil {
		return err
	}
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the server sent no certificate")
	}
	opts := x509.VerifyOptions{
		Roots: pool, DNSName: cs.ServerName, CurrentTime: now(),
		Intermediates: x509.NewCertPool(),
	}
	for _, c := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err = cs.PeerCertificates[0].Verify(opts)
	return err
}

// Connect opens a connect entry and returns the child's descriptor.
func (s *Set) Connect(f workload.File) (int, error) {
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	defer cancel()
	where := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))
	raw, err := s.port.Dial(ctx, sallyport.Endpoint{Host: f.Host, Port: f.Port}, sallyport.DialWorkload)
	if err != nil {
		return -1, fmt.Errorf("connect %s to %s: %w", f.Name, where, err)
	}
	w := &wire{Conn: raw}
	conn := net.Conn(w)
	if f.Prot == workload.ProtTLS {
		cfg := s.client.Clone()
		cfg.ServerName = f.Host
		t := tls.Client(w, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			raw.Close()
			return -1, fmt.Errorf("connect %s to %s: TLS: %w", f.Name, where, err)
		}
		conn = t
	}
	fd, err := s.attach(conn, w)
	if err != nil {
		conn.Close()
		return -1, fmt.Errorf("connect %s to %s: %w", f.Name, where, err)
	}
	return fd, nil
}

// Listen opens a listen entry. It returns the child's descriptor and the
// address that the host says it has bound.
func (s *Set) Listen(f workload.File, publish string) (fd int, bound string, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	defer cancel()
	l, err := s.port.Listen(ctx, sallyport.Endpoint{Host: f.Addr, Port: f.Port}, publish)
	if err != nil {
		return -1, "", fmt.Errorf("listen %s on port %d: %w", f.Name, f.Port, err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		l.Close()
		return -1, "", fmt.Errorf("listen %s: socket pair: %w", f.Name, err)
	}
	hand := os.NewFile(uintptr(pair[0]), "listener")
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.listeners = append(s.listeners, l)
	}
	s.mu.Unlock()
	if closed {
		l.Close()
		hand.Close()
		unix.Close(pair[1])
		return -1, "", fmt.Errorf("listen %s: %w", f.Name, errClosed)
	}
	go s.accept(l, f.Prot == workload.ProtTLS, hand)
	return pair[1], l.Addr().String(), nil
}

// accept takes connections from the host and hands them to the child.
func (s *Set) accept(l net.Listener, useTLS bool, hand *os.File) {
	defer hand.Close()
	defer l.Close()
	slots := make(chan struct{}, s.limits.handshakes)
	for {
		select {
		case slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		raw, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { <-slots }()
			s.admit(raw, useTLS, hand)
		}()
	}
}

// admit makes the TLS handshake of one accepted connection and hands it over.
func (s *Set) admit(raw net.Conn, useTLS bool, hand *os.File) {
	w := &wire{Conn: raw}
	conn := net.Conn(w)
	if useTLS {
		ctx, cancel := context.WithTimeout(s.ctx, s.limits.accept)
		defer cancel()
		t := tls.Server(w, s.server)
		if err := t.HandshakeContext(ctx); err != nil {
			raw.Close()
			return
		}
		conn = t
	}
	fd, err := s.attach(conn, w)
	if err != nil {
		conn.Close()
		return
	}
	// If the workload closed its listener the connection dies with the
	// descriptor.
	handOver(hand, fd)
	unix.Close(fd)
}

// handOver sends one descriptor, waiting while the workload does not accept.
func handOver(hand *os.File, fd int) error {
	rc, err := hand.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(fd)
	var serr error
	err = rc.Write(func(h uintptr) bool {
		serr = unix.Sendmsg(int(h), []byte{0}, rights, nil, unix.MSG_NOSIGNAL)
		return serr != unix.EAGAIN
	})
	if err != nil {
		return err
	}
	return serr
}

var errClosed = errors.New("the workload has ended")

// attach makes the socket pair of a connection, starts its two pumps, and
// returns the child's end.
func (s *Set) attach(conn net.Conn, w *wire) (int, error) {
	if s.marker < 0 {
		return -1, errors.New("no descriptor could be made to mark resets with")
	}
	select {
	case s.conns <- struct{}{}:
	default:
		return -1, fmt.Errorf("more than %d open connections", cap(s.conns))
	}
	fd, c, err := s.pair(conn, w)
	if err != nil {
		<-s.conns
		return -1, err
	}
	go func() {
		defer s.pumps.Done()
		c.run()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		<-s.conns
	}()
	return fd, nil
}

// pair makes a connection known to Close. The caller owes a pumps.Done.
func (s *Set) pair(conn net.Conn, w *wire) (int, *connection, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("socket pair: %w", err)
	}
	c := &connection{
		ctx: s.ctx, conn: conn, wire: w, local: os.NewFile(uintptr(pair[0]), "workload socket"),
		marker: s.marker, limits: s.limits,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.local.Close()
		unix.Close(pair[1])
		return -1, nil, errClosed
	}
	s.open[c] = struct{}{}
	s.pumps.Add(1)
	return pair[1], c, nil
}

// Close ends listeners at once and gives what the workload has already written
// a bounded time to leave. The caller has ended the workload.
func (s *Set) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.pumps.Wait()
		unix.Close(s.marker)
		close(done)
	}()
	t := time.NewTimer(s.limits.linger)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
	s.cancel()
	s.mu.Lock()
	for c := range s.open {
		// Below TLS: what did not leave must not look like all there was.
		c.wire.Close()
	}
	s.mu.Unlock()
}
