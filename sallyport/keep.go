// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
)

// Keep is the Keep's end of a sallyport. All methods may be called from any
// goroutine.
type Keep struct {
	*session
	started  chan struct{}
	attaches chan *Conn

	mu     sync.Mutex
	start  *StartConfig
	hints  []Hint
	lastID uint32
	ls     map[uint32]*Listener

	logs    chan LogCode // holds all that may ever be logged
	logged  [len(logNames)]int
	logIdle chan chan struct{}
}

// ConnectKeep finds the host at the other end of ch. It takes as long as ctx
// allows, 60 s at most if that has no deadline. On error, and when the session
// ends, ch is closed, unless it is a [*Line].
func ConnectKeep(ctx context.Context, ch io.ReadWriteCloser) (*Keep, error) {
	return connectKeep(ctx, ch, keepTiming())
}

func connectKeep(ctx context.Context, ch io.ReadWriteCloser, tm timing) (*Keep, error) {
	s, err := connect(ctx, ch, roleKeep, maxBuffered, tm)
	if err != nil {
		return nil, err
	}
	k := &Keep{
		session: s,
		started: make(chan struct{}),
		// As long as the limit, so that a burst of clients is never refused
		// for the order in which goroutines run.
		attaches: make(chan *Conn, MaxAttach),
		ls:       make(map[uint32]*Listener),
		logs:     make(chan LogCode, maxLogs*len(logNames)),
		logIdle:  make(chan chan struct{}),
	}
	s.serve = k.answerHost
	if err := s.run(); err != nil {
		return nil, err
	}
	go k.sendLogs()
	return k, nil
}

// StartConfig waits for the start configuration. It is the host's word: the
// digest of it must be in the evidence.
func (k *Keep) StartConfig(ctx context.Context) (StartConfig, error) {
	select {
	case <-k.started:
		k.mu.Lock()
		defer k.mu.Unlock()
		return *k.start, nil
	case <-k.done:
		return StartConfig{}, k.Err()
	case <-ctx.Done():
		return StartConfig{}, fmt.Errorf("sallyport: waiting for the start configuration: %w", ctx.Err())
	}
}

// AcceptAttach waits for the next tunnel of a client. The connection is a
// [*Conn]; who is behind it is unknown.
func (k *Keep) AcceptAttach(ctx context.Context) (net.Conn, error) {
	select {
	case c := <-k.attaches:
		return c, nil
	case <-k.done:
		return nil, k.Err()
	case <-ctx.Done():
		return nil, fmt.Errorf("sallyport: waiting for a session: %w", ctx.Err())
	}
}

// Dial asks the host for a TCP connection. What comes back is untrusted bytes
// of an unknown sender until TLS says otherwise. A refusal is a *RemoteError.
func (k *Keep) Dial(ctx context.Context, to Endpoint, purpose DialPurpose) (net.Conn, error) {
	if err := checkEndpoint(to, false); err != nil {
		return nil, err
	}
	m := dialMessage{Host: to.Host, Port: to.Port, Purpose: uint8(purpose)}
	c, _, err := k.request(ctx, kindDial, encode(m), true)
	if err != nil {
		return nil, err
	}
	c.remote = Addr(net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	return c, nil
}

// Quote asks the host to play the hardware, on platform sim only: evidence
// for reportData, at most 64 KiB.
func (k *Keep) Quote(ctx context.Context, reportData [64]byte) ([]byte, error) {
	_, b, err := k.request(ctx, kindQuote, encode(bytesMessage{reportData[:]}), false)
	if err == nil && len(b) == 0 {
		return nil, fmt.Errorf("sallyport: the host gave empty evidence")
	}
	return b, err
}

// Spool leaves a sealed record with the host, which may lose it. The record
// must be encrypted and padded: the host sees its length, at most [MaxSpool].
func (k *Keep) Spool(ctx context.Context, sealed []byte) error {
	if len(sealed) == 0 || len(sealed) > MaxSpool {
		return fmt.Errorf("sallyport: sealed record has %d bytes, expected 1 to %d", len(sealed), MaxSpool)
	}
	_, _, err := k.request(ctx, kindSpool, encode(bytesMessage{sealed}), false)
	return err
}

// Log tells the host a lifecycle code, in order, without waiting. Of each code
// the first 16 in a session are told; those of client sessions come oftener.
func (k *Keep) Log(code LogCode) {
	if !code.Valid() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.logged[code]++; k.logged[code] <= maxLogs {
		k.logs <- code // never waits: there is room for all
	}
}

// sendLogs sends one code after the other, each after the answer to the last,
// so that they arrive in order.
func (k *Keep) sendLogs() {
	for {
		select {
		case code := <-k.logs:
			_, _, _ = k.request(k.ctx, kindLog, encode(codeMessage{uint16(code)}), false)
		case idle := <-k.logIdle:
			// Exit waits for the codes that were logged before it.
			for len(k.logs) > 0 {
				_, _, _ = k.request(k.ctx, kindLog, encode(codeMessage{uint16(<-k.logs)}), false)
			}
			close(idle)
		case <-k.done:
			return
		}
	}
}

// Exit is the Keep's last word. It returns when the host has it, or after 5 s
// if the host does not answer.
func (k *Keep) Exit(ctx context.Context, code ExitCode) error {
	if code != ExitEnded && code != ExitFault {
		return fmt.Errorf("sallyport: exit code %d, expected ended or fault", code)
	}
	ctx, cancel := context.WithTimeout(ctx, lastWordTime)
	defer cancel()
	idle := make(chan struct{})
	select {
	case k.logIdle <- idle:
		select {
		case <-idle:
		case <-k.done:
		case <-ctx.Done():
		}
	case <-k.done:
	case <-ctx.Done():
	}
	_, _, err := k.request(ctx, kindExit, encode(codeMessage{uint16(code)}), false)
	return err
}

// Hints gives what the host sent last to be stapled to evidence, nil if
// nothing. It does not wait. Every byte is untrusted.
func (k *Keep) Hints(context.Context) ([]Hint, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.hints), nil
}

// answerHost serves one request of the host.
func (k *Keep) answerHost(_ context.Context, kd kind, body []byte) ([]byte, func(*Conn), error) {
	switch kd {
	case kindHeartbeat:
		return nil, nil, empty(body)
	case kindStart:
		return nil, nil, k.takeStart(body)
	}
	select {
	case <-k.started:
	default:
		return nil, nil, &RemoteError{CodeNotStarted, "the start configuration comes first"}
	}
	switch kd {
	case kindHints:
		return nil, nil, k.takeHints(body)
	case kindAttach:
		if err := empty(body); err != nil {
			return nil, nil, err
		}
		return nil, k.enqueue, nil
	case kindAccepted:
		return k.takeAccepted(body)
	}
	return nil, nil, malformed
}

// enqueue never waits: the kind's limit is the queue's length.
func (k *Keep) enqueue(c *Conn) {
	select {
	case k.attaches <- c:
	default:
		c.abort()
	}
}

func (k *Keep) takeStart(body []byte) error {
	c, err := ParseStartConfig(body)
	if err != nil {
		return malformed
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.start != nil {
		return &RemoteError{CodeAlready, "the Keep has its start configuration"}
	}
	// A host that has connected again may repeat what it said, not change it.
	k.line.mu.Lock()
	defer k.line.mu.Unlock()
	if k.line.started != nil && !bytes.Equal(k.line.started.Encode(), body) {
		return &RemoteError{CodeAlready, "the Keep was started with another configuration"}
	}
	k.start, k.line.started = &c, &c
	close(k.started)
	return nil
}

func (k *Keep) takeHints(body []byte) error {
	m, err := decode[hintsMessage](body)
	if err != nil || len(m.Hints) > MaxHints {
		return malformed
	}
	hints := make([]Hint, len(m.Hints))
	for i, h := range m.Hints {
		if len(h.MediaType) > maxText || clean(h.MediaType) != h.MediaType {
			return malformed
		}
		hints[i] = Hint(h)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hints = hints
	return nil
}
