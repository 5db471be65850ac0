// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// HostOptions narrow what one Keep may do to its host; the zero value is the
// package's own limits.
type HostOptions struct {
	// MaxAttach, MaxDial, MaxAccepted and MaxListeners lower the constants
	// of the same names; 0 leaves them.
	MaxAttach, MaxDial, MaxAccepted, MaxListeners int
	// MaxBuffered lowers how many bytes of this Keep's streams the host
	// holds for slow readers, 64 MiB unless set.
	MaxBuffered int
}

// Host is the host's end of a sallyport. All methods may be called from any
// goroutine.
type Host struct {
	*session
	h           Handler
	maxAccepted chan struct{} // slots of accepted connections
	maxListen   int

	started atomic.Bool
	exited  atomic.Bool
	logMu   sync.Mutex
	logs    [len(logNames)]int // per code

	lmu       sync.Mutex
	listeners map[uint32]net.Listener
}

// ConnectHost finds the Keep at the other end of ch and serves it with h until
// the session ends. It takes as long as ctx allows, 60 s at most if that has
// no deadline. On error, and when the session ends, ch is closed, unless it is
// a [*Line].
func ConnectHost(ctx context.Context, ch io.ReadWriteCloser, h Handler, opt HostOptions) (*Host, error) {
	return connectHost(ctx, ch, h, opt, hostTiming())
}

func connectHost(ctx context.Context, ch io.ReadWriteCloser, h Handler, opt HostOptions, tm timing) (*Host, error) {
	if h == nil {
		return nil, fmt.Errorf("sallyport: a host needs a handler")
	}
	s, err := connect(ctx, ch, roleHost, lower(opt.MaxBuffered, maxBuffered), tm)
	if err != nil {
		return nil, err
	}
	host := &Host{
		session: s, h: h,
		maxAccepted: make(chan struct{}, lower(opt.MaxAccepted, MaxAccepted)),
		maxListen:   lower(opt.MaxListeners, MaxListeners),
		listeners:   make(map[uint32]net.Listener),
	}
	s.limits[kindAttach] = lower(opt.MaxAttach, MaxAttach)
	s.takes[kindDial] = lower(opt.MaxDial, MaxDial)
	s.serve = host.answerKeep
	if err := s.run(); err != nil {
		return nil, err
	}
	go func() {
		<-s.done
		host.closeListeners()
	}()
	return host, nil
}

// lower gives v where it is set and below limit.
func lower(v, limit int) int {
	if v > 0 && v < limit {
		return v
	}
	return limit
}

// Start gives the Keep its start configuration: the first message, once. It
// returns when the Keep has taken it.
func (h *Host) Start(ctx context.Context, c StartConfig) error {
	if err := c.Check(); err != nil {
		return err
	}
	if !h.started.CompareAndSwap(false, true) {
		return &RemoteError{CodeAlready, "this session has started its Keep"}
	}
	_, _, err := h.request(ctx, kindStart, c.Encode(), false)
	return err
}

// Attach opens a tunnel to the Keep, for a TLS session that ends inside it.
// The connection is a [*Conn].
func (h *Host) Attach(ctx context.Context) (net.Conn, error) {
	c, _, err := h.request(ctx, kindAttach, encode(emptyMessage{}), true)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// SendHints gives the Keep certificates and revocation lists to staple to its
// evidence, in place of those sent before. The Keep has them when it returns.
func (h *Host) SendHints(ctx context.Context, hints []Hint) error {
	m := hintsMessage{Hints: make([]hintMessage, len(hints))}
	for i, hint := range hints {
		m.Hints[i] = hintMessage(hint)
	}
	b := encode(m)
	if len(hints) > MaxHints || len(b) > maxHints {
		return fmt.Errorf("sallyport: %d hints of %d bytes together, at most %d of %d are allowed", len(hints), len(b), MaxHints, maxHints)
	}
	_, _, err := h.request(ctx, kindHints, b, false)
	return err
}

func empty(b []byte) error {
	if _, err := decode[emptyMessage](b); err != nil {
		return malformed
	}
	return nil
}

// malformed is all that a sender of a wrong message is told.
var malformed = &RemoteError{CodeProtocol, "the message is malformed"}

// answerKeep serves one request of the Keep.
func (h *Host) answerKeep(ctx context.Context, k kind, body []byte) ([]byte, func(*Conn), error) {
	switch k {
	case kindHeartbeat:
		return nil, nil, empty(body)
	case kindLog:
		return nil, nil, h.takeLog(body)
	case kindExit:
		return nil, nil, h.takeExit(body)
	}
	if !h.started.Load() {
		return nil, nil, &RemoteError{CodeNotStarted, "the Keep has no start configuration"}
	}
	if h.exited.Load() {
		return nil, nil, &RemoteError{CodeClosed, "the Keep has said its last word"}
	}
	switch k {
	case kindDial:
		return h.dial(ctx, body)
	case kindListen:
		b, err := h.listen(ctx, body)
		return b, nil, err
	case kindCloseListener:
		return nil, nil, h.closeListener(body)
	case kindQuote:
		b, err := h.quote(ctx, body)
		return b, nil, err
	case kindSpool:
		m, err := decode[bytesMessage](body)
		if err != nil || len(m.Data) == 0 || len(m.Data) > MaxSpool {
			return nil, nil, malformed
		}
		return nil, nil, h.h.Spool(ctx, m.Data)
	}
	return nil, nil, malformed
}

func (h *Host) takeLog(body []byte) error {
	m, err := decode[codeMessage](body)
	if err != nil || !LogCode(m.Code).Valid() {
		return malformed
	}
	// Held over the call: codes reach the handler one at a time, in order.
	h.logMu.Lock()
	defer h.logMu.Unlock()
	if h.logs[m.Code]++; h.logs[m.Code] > maxLogs {
		return &RemoteError{CodeLimit, "that lifecycle code has come too often"}
	}
	h.h.Log(LogCode(m.Code))
	return nil
}

func (h *Host) takeExit(body []byte) error {
	m, err := decode[codeMessage](body)
	if err != nil || (m.Code != uint16(ExitEnded) && m.Code != uint16(ExitFault)) {
		return malformed
	}
	if !h.exited.CompareAndSwap(false, true) {
		return &RemoteError{CodeAlready, "the Keep has said its last word"}
	}
	h.h.Exit(ExitCode(m.Code))
	return nil
}

// checkEndpoint refuses what no resolver or socket could take.
func checkEndpoint(e Endpoint, mayBeEmpty bool) error {
	if (e.Host == "" && !mayBeEmpty) || len(e.Host) > maxHost {
		return fmt.Errorf("sallyport: host name of %d bytes, expected 1 to %d", len(e.Host), maxHost)
	}
	for i := range len(e.Host) {
		if c := e.Host[i]; c <= ' ' || c > '~' || c == '/' {
			return fmt.Errorf("sallyport: host name has the byte %#02x; give it in ASCII (punycode)", c)
		}
	}
	return nil
}

func (h *Host) dial(ctx context.Context, body []byte) ([]byte, func(*Conn), error) {
	m, err := decode[dialMessage](body)
	to, purpose := Endpoint{m.Host, m.Port}, DialPurpose(m.Purpose)
	if err != nil || checkEndpoint(to, false) != nil || (purpose != DialWorkload && purpose != DialKeep) {
		return nil, nil, malformed
	}
	nc, err := h.h.Dial(ctx, to, purpose)
	if err != nil {
		return nil, nil, err
	}
	if nc == nil {
		return nil, nil, &RemoteError{CodeInternal, "the host's handler gave no connection"}
	}
	return nil, func(c *Conn) { relay(c, nc) }, nil
}

func (h *Host) quote(ctx context.Context, body []byte) ([]byte, error) {
	m, err := decode[bytesMessage](body)
	if err != nil || len(m.Data) != 64 {
		return nil, malformed
	}
	b, err := h.h.Quote(ctx, [64]byte(m.Data))
	if err == nil && len(b) > maxEvidence {
		return nil, fmt.Errorf("evidence has %d bytes, at most %d are allowed", len(b), maxEvidence)
	}
	return b, err
}

func (h *Host) listen(ctx context.Context, body []byte) ([]byte, error) {
	m, err := decode[listenMessage](body)
	at := Endpoint{m.Host, m.Port}
	if err != nil || checkEndpoint(at, true) != nil || len(m.Publish) > maxPublish || clean(m.Publish) != m.Publish {
		return nil, malformed
	}
	// The place is taken before the port is, so that no flood of requests
	// opens more listeners than allowed.
	h.lmu.Lock()
	_, dup := h.listeners[m.ID]
	full := len(h.listeners) >= h.maxListen
	if !dup && !full {
		h.listeners[m.ID] = nil
	}
	h.lmu.Unlock()
	if dup {
		return nil, &RemoteError{CodeAlready, "a listener of that number is open"}
	}
	if full {
		return nil, &RemoteError{CodeLimit, fmt.Sprintf("at most %d listeners", h.maxListen)}
	}
	ln, err := h.h.Listen(ctx, at, m.Publish)
	if err == nil && ln == nil {
		err = &RemoteError{CodeInternal, "the host's handler gave no listener"}
	}
	h.lmu.Lock()
	defer h.lmu.Unlock()
	if err != nil {
		delete(h.listeners, m.ID)
		return nil, err
	}
	select {
	case <-h.done:
		_ = ln.Close()
		return nil, ErrClosed
	default:
	}
	h.listeners[m.ID] = ln
	go h.acceptFrom(m.ID, ln)
	return []byte(clean(ln.Addr().String())), nil
}

func (h *Host) closeListener(body []byte) error {
	m, err := decode[listenerMessage](body)
	if err != nil {
		return malformed
	}
	h.lmu.Lock()
	defer h.lmu.Unlock()
	ln := h.listeners[m.ID]
	if ln == nil {
		return &RemoteError{CodeNoListener, "no listener of that number"}
	}
	delete(h.listeners, m.ID)
	return ln.Close()
}

func (h *Host) closeListeners() {
	h.lmu.Lock()
	defer h.lmu.Unlock()
	for id, ln := range h.listeners {
		if ln != nil {
			_ = ln.Close()
		}
		delete(h.listeners, id)
	}
}

// acceptFrom brings a listener's connections to the Keep. It takes a slot
// before it accepts: what the Keep does not take waits in the kernel.
func (h *Host) acceptFrom(id uint32, ln net.Listener) {
	for {
		select {
		case h.maxAccepted <- struct{}{}:
		case <-h.done:
			return
		}
		nc, err := ln.Accept()
		if err != nil {
			<-h.maxAccepted
			if ne, ok := err.(net.Error); ok && ne.Timeout() || codeOf(err) == CodeLimit || codeOf(err) == CodeReset {
				// Out of descriptors, or a client that has gone already.
				select {
				case <-time.After(50 * time.Millisecond):
					continue
				case <-h.done:
				}
			}
			return
		}
		go func() {
			defer func() { <-h.maxAccepted }()
			h.bring(id, nc)
		}()
	}
}

func (h *Host) bring(id uint32, nc net.Conn) {
	m := acceptedMessage{ID: id, Remote: clean(nc.RemoteAddr().String())}
	c, _, err := h.request(h.ctx, kindAccepted, encode(m), true)
	if err != nil {
		_ = nc.Close()
		return
	}
	relay(c, nc)
}
