// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// session is what both ends have in common: one mux on one line.
type session struct {
	role role
	line *Line
	own  bool // the line was made for this session and is closed with it
	mc   *muxConn
	ys   *yamux.Session

	opening chan struct{} // stream numbers go out in order
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}
	failOne sync.Once
	mu      sync.Mutex
	err     error
	counts  map[kind]int // streams by kind; those the peer opened have the bit served

	// serve answers one request. It returns the body of the answer, and for a
	// raw stream a function that takes the stream once the answer is out.
	serve  func(ctx context.Context, k kind, body []byte) (answer []byte, raw func(*Conn), err error)
	takes  map[kind]int // kinds this end serves, with their limits
	limits map[kind]int // kinds this end opens, with their limits
	timing timing
}

// kindLimits are the limits of kinds that only one end opens.
var kindLimits = map[kind]int{
	kindStart: 1, kindAttach: MaxAttach, kindAccepted: MaxAccepted, kindHints: 1,
	kindDial: MaxDial, kindListen: maxControls, kindCloseListener: maxControls,
	kindLog: 1, kindExit: 1, kindQuote: maxQuotes, kindSpool: maxSpools, kindHeartbeat: 2,
}

var (
	hostOpens = []kind{kindStart, kindAttach, kindAccepted, kindHints, kindHeartbeat}
	keepOpens = []kind{kindDial, kindListen, kindCloseListener, kindLog, kindExit, kindQuote, kindSpool, kindHeartbeat}
)

func limitsOf(kinds []kind) map[kind]int {
	m := make(map[kind]int, len(kinds))
	for _, k := range kinds {
		m[k] = kindLimits[k]
	}
	return m
}

// connect runs the preamble and puts a mux on the line. The caller sets serve
// and calls run.
func connect(ctx context.Context, ch io.ReadWriteCloser, r role, buffered int, tm timing) (*session, error) {
	line, own := lineOf(ch)
	s := &session{
		role: r, line: line, own: own,
		opening: make(chan struct{}, 1), done: make(chan struct{}),
		counts: make(map[kind]int), timing: tm,
	}
	s.takes, s.limits = limitsOf(hostOpens), limitsOf(keepOpens)
	if r == roleHost {
		s.takes, s.limits = s.limits, s.takes
	}
	err := line.attach(ctx)
	if err == nil {
		if err = shake(ctx, line, r); err != nil {
			line.detach()
		}
	}
	if err != nil {
		if own {
			_ = line.Close()
		}
		return nil, err
	}
	s.mc = newMuxConn(line, r, buffered)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// muxConfig is yamux's configuration. Its own keep-alive, timeouts on opening
// and closing are off: we have ours, and its would end streams that are only
// half closed.
func (s *session) muxConfig() *yamux.Config {
	return &yamux.Config{
		AcceptBacklog:          maxStreams,
		KeepAliveInterval:      time.Hour, // must be set; not used
		ConnectionWriteTimeout: s.patience(),
		MaxStreamWindowSize:    streamWindow,
		LogOutput:              io.Discard, // the peer chooses what would be logged
	}
}

func (s *session) run() error {
	mux := yamux.Server
	if s.role == roleHost {
		mux = yamux.Client
	}
	ys, err := mux(s.mc, s.muxConfig())
	if err != nil {
		s.line.detach()
		return fmt.Errorf("sallyport: mux configuration: %w", err)
	}
	s.ys = ys
	go s.accept()
	go s.heartbeat()
	go func() {
		<-ys.CloseChan()
		s.fail(s.mc.failure())
	}()
	return nil
}

// fail ends the session; the first reason stays.
func (s *session) fail(err error) {
	s.failOne.Do(func() {
		if err == nil {
			err = errors.New("sallyport: the other end broke the rules of the mux")
		}
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		_ = s.mc.fail(err)
		close(s.done)
		s.cancel()
		_ = s.mc.Close()
		// yamux waits for its writer, which may wait for the peer.
		go s.ys.Close()
		go func() {
			s.mc.rmu.Lock() // the reader is out of the line now
			defer s.mc.rmu.Unlock()
			s.line.detach()
			if s.own {
				_ = s.line.Close()
			}
		}()
	})
}

// Done is closed when the session has ended.
func (s *session) Done() <-chan struct{} { return s.done }

// Err says why the session has ended, nil while it has not.
func (s *session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the session and, unless it was made on a [Line], the channel.
func (s *session) Close() error {
	s.fail(ErrClosed)
	if s.own {
		return s.line.Close()
	}
	return nil
}

// patience is how long the peer may be silent, or not take what is written.
func (s *session) patience() time.Duration {
	return time.Duration(s.timing.patience) * s.timing.pulse
}

func (s *session) name() string {
	if s.role == roleHost {
		return "host"
	}
	return "keep"
}

func (s *session) peerName() string {
	if s.role == roleHost {
		return "keep"
	}
	return "host"
}

// take counts a stream of a kind, if the limit allows.
func (s *session) take(k kind, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[k] >= limit {
		return false
	}
	s.counts[k]++
	return true
}

func (s *session) give(k kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[k]--
}

// served keeps the counts of what the peer opened apart from our own.
const served kind = 0x40

// accept takes streams of the peer. How many there can be is bounded below it.
func (s *session) accept() {
	for {
		st, err := s.ys.AcceptStream()
		if err != nil {
			if errors.Is(err, yamux.ErrConnectionWriteTimeout) {
				s.fail(errNotTaken)
			}
			return
		}
		go s.answer(newConn(s, st))
	}
}

// errTooMany refuses a stream past its kind's limit.
var errTooMany = errors.New("sallyport: too many streams of this kind")

// admit reads the message of a stream of the peer. The kind's place is taken
// between header and message, so that what unfinished messages hold together
// is bounded by the kinds' limits (see maxUnfinished) and not by how many
// streams the peer opens. On success the caller has the place; on error nobody
// has.
func (s *session) admit(c *Conn) (kind, []byte, error) {
	k, n, err := readHeader(c, func(k kind) bool { return s.takes[k] > 0 })
	if err != nil {
		return k, nil, err
	}
	if !s.take(k|served, s.takes[k]) {
		return k, nil, errTooMany
	}
	body, err := readBody(c, k, n)
	if err != nil {
		s.give(k | served)
	}
	return k, body, err
}

// refuse answers a stream that admit did not let in.
func (s *session) refuse(c *Conn, k kind, err error) {
	re := &RemoteError{CodeProtocol, "the message is malformed or not expected here"}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.abort() // slow-loris: not worth another minute of lingering
		return
	case err == errTooMany:
		re = &RemoteError{CodeLimit, fmt.Sprintf("at most %d of kind %d at once", s.takes[k], k)}
	}
	_ = writeReply(c, k, nil, re)
	_ = c.Close()
}

// answer serves one stream of the peer: message, answer, and then the raw
// stream if it is one.
func (s *session) answer(c *Conn) {
	_ = c.SetDeadline(time.Now().Add(s.timing.header))
	k, body, err := s.admit(c)
	if err != nil {
		s.refuse(c, k, err)
		return
	}
	_ = c.SetDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(s.ctx, s.timing.handler)
	reply, raw, err := s.serve(ctx, k, body)
	cancel()
	if raw != nil {
		c.onEnd = append(c.onEnd, func() { s.give(k | served) })
	} else {
		s.give(k | served) // before the answer: the next request may follow it at once
	}
	_ = c.SetWriteDeadline(time.Now().Add(s.timing.header))
	werr := writeReply(c, k, reply, err)
	_ = c.SetWriteDeadline(time.Time{})
	if raw != nil {
		if werr != nil {
			c.abort()
		}
		raw(c) // also on error: it frees what it holds
		return
	}
	_ = c.Close()
}

func writeReply(c *Conn, k kind, body []byte, err error) error {
	m := replyMessage{Body: body}
	if err != nil {
		re := refusal(err)
		if re.Code == CodeOK {
			re.Code = CodeInternal
		}
		m = replyMessage{Code: uint16(re.Code), Text: re.Text}
	}
	if k.maxSize() == 0 {
		k = kindHeartbeat // of an unknown kind we only know that it is wrong
	}
	return writeMessage(c, k|kindReply, encode(m))
}

// request opens a stream, sends a message and waits for its answer. The stream
// is returned for raw kinds and is otherwise closed.
func (s *session) request(ctx context.Context, k kind, body []byte, raw bool) (*Conn, []byte, error) {
	if !s.take(k, s.limits[k]) {
		return nil, nil, &RemoteError{CodeLimit, fmt.Sprintf("this end allows %d of kind %d at once", s.limits[k], k)}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.reply)
	type result struct {
		c    *Conn
		body []byte
		err  error
	}
	got := make(chan result, 1)
	go func() {
		defer cancel()
		c, reply, err := s.exchange(ctx, k, body)
		switch {
		case err == nil && raw:
			c.onEnd = append(c.onEnd, func() { s.give(k) })
		case err == nil:
			_ = c.Close()
			c = nil
			fallthrough
		default:
			s.give(k)
		}
		got <- result{c, reply, err}
	}()
	select {
	case r := <-got:
		return r.c, r.body, r.err
	case <-ctx.Done():
	}
	// The exchange's goroutine ends with the context too, except when the
	// channel itself is stuck. What it still gets is closed.
	select {
	case r := <-got:
		return r.c, r.body, r.err
	case <-time.After(100 * time.Millisecond):
	}
	go func() {
		if r := <-got; r.c != nil {
			r.c.abort()
		}
	}()
	return nil, nil, s.late(ctx)
}

// late is the error of a request that got no answer in time.
func (s *session) late(ctx context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	return fmt.Errorf("sallyport: waiting for the other end's answer: %w", context.Cause(ctx))
}

func (s *session) exchange(ctx context.Context, k kind, body []byte) (*Conn, []byte, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	reply, err := exchangeOn(c, k, body)
	if !stop() {
		// The deadline may have been set after the last byte: the stream is
		// of no use either way.
		c.abort()
		return nil, nil, s.late(ctx)
	}
	if err != nil {
		var re *RemoteError
		if errors.As(err, &re) {
			_ = c.Close()
		} else {
			c.abort()
		}
		return nil, nil, err
	}
	return c, reply, nil
}

func exchangeOn(c *Conn, k kind, body []byte) ([]byte, error) {
	if err := writeMessage(c, k, body); err != nil {
		return nil, err
	}
	_, b, err := readMessage(c, func(got kind) bool { return got == k|kindReply })
	if err != nil {
		return nil, err
	}
	m, err := decode[replyMessage](b)
	if err != nil {
		return nil, err
	}
	if m.Code != uint16(CodeOK) {
		re := &RemoteError{Code(m.Code), clean(m.Text)}
		if _, known := codeNames[re.Code]; !known {
			re.Code = CodeInternal
		}
		return nil, re
	}
	return m.Body, nil
}

// open opens a stream that is already counted.
func (s *session) open(ctx context.Context) (*Conn, error) {
	select {
	case s.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, s.late(ctx)
	case <-s.done:
		return nil, s.Err()
	}
	st, err := s.ys.OpenStream()
	<-s.opening
	if err != nil {
		if errors.Is(err, yamux.ErrConnectionWriteTimeout) {
			s.fail(errNotTaken)
		}
		if e := s.Err(); e != nil {
			return nil, e
		}
		return nil, fmt.Errorf("sallyport: opening a stream: %w", err)
	}
	return newConn(s, st), nil
}

// heartbeat sends a sign of life and looks for the peer's. Any frame is one.
func (s *session) heartbeat() {
	t := time.NewTicker(s.timing.pulse)
	defer t.Stop()
	last, silent := uint64(0), 0
	for {
		select {
		case <-s.done:
			return
		case <-t.C:
		}
		if now := s.mc.frames.Load(); now != last {
			last, silent = now, 0
		} else if silent++; silent >= s.timing.patience {
			s.fail(fmt.Errorf("sallyport: nothing came from the other end for %v; it is stopped or gone", s.patience()))
			return
		}
		go func() {
			ctx, cancel := context.WithTimeout(s.ctx, s.patience())
			defer cancel()
			// Its answer is a frame like any other; without one, silence
			// is counted above. The kind's limit bounds the goroutines.
			_, _, _ = s.request(ctx, kindHeartbeat, encode(emptyMessage{}), false)
		}()
	}
}
