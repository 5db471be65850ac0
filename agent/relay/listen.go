// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/enarx/enarx-go/sallyport"
)

// ListenPolicy says where the listeners of a workload are bound on the host.
// The zero value binds to 127.0.0.1, ports from 1024 up, whatever the workload
// and its owner ask for: reaching the outside is the operator's decision.
type ListenPolicy struct {
	// Bind is the address to bind to; the zero value means 127.0.0.1. An
	// owner may name it or a port, not another address.
	Bind netip.Addr
	// AsAsked binds to the address that the workload's configuration or its
	// owner names, and to any port. It is for local runs, where both belong
	// to the user.
	AsAsked bool
	// MinPort and MaxPort bound the host's ports; 0 means 1024 and 65535.
	// Port 0, any free one, is always possible. Not used with AsAsked.
	MinPort, MaxPort uint16
	// Publish maps a guest port to "[addr:]port" on the host. It comes before
	// what the Keep says, and is for local runs: the user's own --publish.
	Publish map[uint16]string
	// Deny refuses every listener.
	Deny bool
}

// place decides where the listener for at goes.
func (p *ListenPolicy) place(at sallyport.Endpoint, publish string) (netip.AddrPort, error) {
	what := "listen on " + net.JoinHostPort(printable(at.Host), strconv.Itoa(int(at.Port)))
	if p.Deny {
		return netip.AddrPort{}, &Refusal{What: what, Why: "this Keep may not listen"}
	}
	if own, ok := p.Publish[at.Port]; ok {
		publish = own
	}
	asked, err := askedAddr(at.Host)
	if err != nil {
		return netip.AddrPort{}, &Refusal{What: what, Why: err.Error()}
	}
	port, named := at.Port, false
	if publish != "" {
		a, n, err := parsePublish(publish)
		if err != nil {
			return netip.AddrPort{}, &Refusal{What: what, Why: err.Error()}
		}
		port = n
		if a.IsValid() {
			asked, named = a, true
		}
	}
	if p.AsAsked {
		return netip.AddrPortFrom(asked, port), nil
	}
	bind := p.Bind
	if !bind.IsValid() {
		bind = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if named && asked != bind {
		return netip.AddrPort{}, &Refusal{What: what, Why: fmt.Sprintf("its owner wants it on %s, this host binds listeners to %s only", asked, bind),
			Todo: "publish a port without an address, or ask the host's operator"}
	}
	low, high := max(p.MinPort, 1), p.MaxPort
	if p.MinPort == 0 {
		low = 1024
	}
	if high == 0 {
		high = 65535
	}
	if port != 0 && (port < low || port > high) {
		return netip.AddrPort{}, &Refusal{What: what, Why: fmt.Sprintf("port %d of the host is outside %d-%d, the ports it gives to Keeps", port, low, high),
			Todo: fmt.Sprintf("choose another with --publish HOSTPORT:%d", at.Port)}
	}
	return netip.AddrPortFrom(bind, port), nil
}

// askedAddr reads the addr of Enarx.toml: an address, "localhost", or empty
// for its default "::".
func askedAddr(host string) (netip.Addr, error) {
	switch host {
	case "":
		return netip.IPv6Unspecified(), nil
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	a, err := netip.ParseAddr(host)
	if err != nil || len(host) > MaxHostLen {
		return a, fmt.Errorf("addr %q is not an IP address", printable(host))
	}
	return a.Unmap(), nil
}

// parsePublish reads "[addr:]port"; port 0 means any free one.
func parsePublish(s string) (netip.Addr, uint16, error) {
	bad := fmt.Errorf("publish %q is not [ADDR:]PORT", printable(s))
	if len(s) > MaxHostLen {
		return netip.Addr{}, 0, bad
	}
	var a netip.Addr
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host := s[:i]
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			host = host[1 : len(host)-1]
		} else if strings.Contains(host, ":") {
			return a, 0, bad
		}
		var err error
		if a, err = askedAddr(host); err != nil || host == "" {
			return a, 0, bad
		}
		s = s[i+1:]
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return a, 0, bad
	}
	return a, uint16(n), nil
}

// Listen implements sallyport.Handler.
func (r *Relay) Listen(ctx context.Context, at sallyport.Endpoint, publish string) (net.Listener, error) {
	where, err := r.cfg.Listen.place(at, publish)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosed
	}
	if len(r.listeners) >= MaxListeners {
		return nil, &Refusal{What: "listen", Why: fmt.Sprintf("this Keep has %d listeners, the most there can be", MaxListeners), Code: sallyport.CodeLimit}
	}
	ln, err := bind(ctx, where)
	if err != nil {
		return nil, bindError(where, at.Port, err)
	}
	l := &listener{Listener: ln, relay: r, guest: net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port)))}
	r.listeners[l] = struct{}{}
	return l, nil
}

func bind(ctx context.Context, where netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{}
	ln, err := lc.Listen(ctx, "tcp", where.String())
	if err != nil && where.Addr() == netip.IPv6Unspecified() && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		// A host without IPv6: "::" means every address, so take all it has.
		return lc.Listen(ctx, "tcp4", net.JoinHostPort("0.0.0.0", strconv.Itoa(int(where.Port()))))
	}
	return ln, err
}

// BindError says why a port of the host could not be had. Err is the
// kernel's error.
type BindError struct {
	Addr netip.AddrPort
	Todo string
	Err  error
}

func (e *BindError) Error() string {
	return fmt.Sprintf("listen on %s of the host: %v; %s", e.Addr, errors.Unwrap(e), e.Todo)
}

// Unwrap gives the system call's error, such as syscall.EADDRINUSE.
func (e *BindError) Unwrap() error {
	var no syscall.Errno
	if errors.As(e.Err, &no) {
		return no
	}
	return e.Err
}

func bindError(where netip.AddrPort, guest uint16, err error) error {
	e := &BindError{Addr: where, Err: err, Todo: "check the address with `ip addr`"}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Todo = fmt.Sprintf("choose a free port with --publish HOSTPORT:%d, or 0:%d for any", guest, guest)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		e.Todo = fmt.Sprintf("ports below 1024 need a privilege that the host side does not have; choose another with --publish HOSTPORT:%d, for example 8443:%d", guest, guest)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Todo = "the host has no such address; publish to one it has"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		e.Todo = "the host side is out of file descriptors; try again when load is lower"
	}
	return e
}

// listener counts what it accepts against the Keep's and the host's limits.
type listener struct {
	net.Listener
	relay *Relay
	guest string
	once  sync.Once
}

// Accept waits for a connection. One that is over a limit is closed at once:
// there is no queue but the kernel's.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tc, err := l.relay.adopt(c); err == nil {
			return tc, nil
		}
		c.Close()
	}
}

func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		l.relay.mu.Lock()
		delete(l.relay.listeners, l)
		l.relay.mu.Unlock()
		err = l.Listener.Close()
	})
	return err
}
